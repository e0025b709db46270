"""Lines on standard error: one event each, and nobody but us writes one."""

import json
import os
import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.log import LINE, Log, escape

Written = Callable[[], bytes]


@pytest.fixture
def pipe() -> Iterator[tuple[int, Written]]:
    """A descriptor to write to, and what was written there."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    yield write, lambda: os.read(read, 1 << 20)
    os.close(read)
    os.close(write)


def line_of(message: str, style: str = "text") -> bytes:
    """The bytes of one line."""
    return Log("worker 2", style=style)._line("warning", message)


def test_a_line_has_a_time_a_process_a_level_and_a_message(pipe: tuple[int, Written]) -> None:
    """The normal level is not named."""
    logger = Log("worker 2", descriptor=pipe[0])
    logger.info("started")
    logger.warning("odd")
    stamp = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} "
    assert re.fullmatch(stamp + rb"worker 2: started\n" + stamp + rb"worker 2: warning: odd\n", pipe[1]())


@pytest.mark.parametrize(
    ("level", "heard"), [("debug", "diwe"), ("info", "iwe"), ("warning", "we"), ("error", "e")]
)
def test_what_is_below_the_level_is_not_written(pipe: tuple[int, Written], level: str, heard: str) -> None:
    """In their order."""
    logger = Log("x", level, descriptor=pipe[0])
    logger.debug("d")
    logger.info("i")
    logger.warning("w")
    logger.error("e")
    assert "".join(line.decode()[-1] for line in pipe[1]().splitlines()) == heard


def test_an_error_of_several_lines_is_several_lines(pipe: tuple[int, Written]) -> None:
    """A traceback stays readable, and each of its lines says whose it is."""
    Log("x", descriptor=pipe[0]).error("Traceback\n  File\n")
    assert [line.partition(b"error: ")[2] for line in pipe[1]().splitlines()] == [b"Traceback", b"  File"]


@pytest.mark.parametrize("evil", ["\x1b[31m", "\r\nforged", "\0", "\x85", "\u2028", "\u202e", "\x7f", "\x9b31m"])
def test_control_characters_are_written_out(evil: str) -> None:
    """They could end the line, move the cursor or turn the text around."""
    assert evil[0] not in escape(evil)
    assert line_of(f"GET /{evil}").count(b"\n") == 1
    assert evil[0].encode() not in line_of(evil)[:-1]


@given(st.text(max_size=2000), st.sampled_from(["text", "json"]))
def test_a_line_is_one_line_of_bounded_length_and_valid_text(message: str, style: str) -> None:
    """Whatever the message; JSON can be parsed."""
    line = line_of(message, style)
    assert line.endswith(b"\n") and line.count(b"\n") == 1 and len(line) <= LINE
    line.decode()
    if style == "json":
        assert message.startswith(json.loads(line)["message"])


@pytest.mark.parametrize("message", ["\0" * 5000, "\U0001f600" * 5000, "x" * 5000, "\ud800" * 5000, '"' * 5000])
def test_json_lines_are_cut_before_they_are_encoded(message: str) -> None:
    """Half an escape would make the whole line unreadable; most of the room is used."""
    line = line_of(message, "json")
    assert LINE - 40 < len(line) <= LINE
    assert json.loads(line)["level"] == "warning"


def test_what_a_peer_can_cause_at_will_is_said_once_a_minute(
    pipe: tuple[int, Written], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each kind; the memory of kinds is bounded."""
    now = 1000.0
    monkeypatch.setattr("runner.log.time.monotonic", lambda: now)
    logger = Log("x", descriptor=pipe[0])
    for kind in "aab":
        logger.once_a_minute(kind, kind)
    now += 60
    logger.once_a_minute("a", "a")
    assert len(pipe[1]().splitlines()) == 3
    for number in range(500):
        logger.once_a_minute(str(number), "")
    assert len(logger._heard) < 200


def test_a_full_disk_costs_lines_which_are_counted_and_told_later(
    pipe: tuple[int, Written], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never the request."""
    full = os.open("/dev/full", os.O_WRONLY)
    logger = Log("x", descriptor=full)
    logger.info("a")
    logger.info("b")
    os.close(full)
    assert logger.lost == 2
    logger._descriptor = pipe[0]
    logger.info("c")
    assert b"c (2 lines before this one could not be written)" in pipe[1]()
    assert logger.lost == 0
