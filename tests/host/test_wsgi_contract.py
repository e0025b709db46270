"""What a WSGI application is given and what it may do (PEP 3333), and what it gets for doing something else."""

import asyncio
import contextvars
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from runner.host.wsgi import FileWrapper, Host
from tests.front.rig import Rig, get, post
from tests.host.calls import Answered, Body, Start, answering, ask


def test_the_environ_is_a_dict_of_ones_own_with_all_that_pep_3333_names() -> None:
    """What the application does to it does not change what the front knows of the request."""
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], start: Start) -> list[bytes]:
        assert type(environ) is dict
        seen.update(environ)
        environ.clear()
        start("200 OK", [])
        return [b"body"]

    answered = ask(application, get(keep=False, REQUEST_METHOD="HEAD", HTTPS="on"), threads=4)
    assert answered.body == b""
    assert seen["wsgi.version"] == (1, 0)
    assert (seen["wsgi.url_scheme"], seen["wsgi.multithread"], seen["wsgi.multiprocess"]) == ("https", True, True)
    assert (seen["wsgi.run_once"], seen["wsgi.input_terminated"]) == (False, True)
    assert seen["wsgi.errors"] is sys.stderr
    assert seen["wsgi.file_wrapper"] is FileWrapper


READS: dict[str, tuple[Callable[[Any], object], object]] = {
    "read()": (lambda file: file.read(), b"a\nbc\nd"),
    "read(n)": (lambda file: [file.read(2), file.read(100), file.read(1)], [b"a\n", b"bc\nd", b""]),
    "read(0), read(-1)": (lambda file: [file.read(0), file.read(-1)], [b"", b"a\nbc\nd"]),
    "read(None)": (lambda file: file.read(None), b"a\nbc\nd"),
    "readline": (lambda file: [file.readline(), file.readline(2), file.readline()], [b"a\n", b"bc", b"\n"]),
    "readlines": (lambda file: file.readlines(), [b"a\n", b"bc\n", b"d"]),
    "readlines(hint)": (lambda file: file.readlines(1), [b"a\n"]),
    "for": (lambda file: list(file), [b"a\n", b"bc\n", b"d"]),
    "text": (lambda file: io.TextIOWrapper(file, "ascii").readline(), "a\n"),
}


@pytest.mark.parametrize(("read", "found"), READS.values(), ids=READS)
def test_the_input_can_be_read_in_every_way(read: Callable[[Any], object], found: object) -> None:
    """PEP 3333, "Input and Error Streams"."""
    seen: list[object] = []

    def application(environ: dict[str, Any], start: Start) -> list[bytes]:
        seen.append(read(environ["wsgi.input"]))
        start("200 OK", [])
        return []

    assert ask(application, post(b"a\nbc\nd", keep=False)).status == 200
    assert seen == [found]


def test_a_short_body_that_the_application_lets_through_is_400() -> None:
    """Not its fault: no traceback is logged."""

    def application(environ: dict[str, Any], start: Start) -> list[bytes]:
        environ["wsgi.input"].read()
        raise AssertionError

    answered = ask(application, post(b"ab", length=9, keep=False))
    assert (answered.status, answered.log) == (400, [])


# ---- start_response and write -------------------------------------------------------------------------------

BAD: dict[str, Callable[[Start], object]] = {
    "status abc": lambda start: start("abc", []),
    "status 1xx": lambda start: start("101 Switching", []),
    "status bytes": lambda start: start(b"200 OK", []),
    "header CRLF": lambda start: start("200 OK", [("X", "a\r\nSet-Cookie: evil=1")]),
    "header NUL": lambda start: start("200 OK", [("X", "a\0")]),
    "header not latin-1": lambda start: start("200 OK", [("X", "\u20ac")]),
    "header bytes": lambda start: start("200 OK", [(b"X", b"a")]),
    "headers no pairs": lambda start: start("200 OK", ["X"]),
    "headers None": lambda start: start("200 OK", None),
    "length no number": lambda start: start("200 OK", [("Content-Length", "x")]),
    "twice": lambda start: (start("200 OK", []), start("200 OK", [])),
    "never": lambda start: None,
    "an exception": lambda start: os.environ["IS_MISSING"],
    "SystemExit": lambda start: sys.exit(3),
    "KeyboardInterrupt": lambda start: (_ for _ in ()).throw(KeyboardInterrupt),
    "body None": lambda start: (start("200 OK", []), "no list")[0],
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_an_application_that_breaks_the_contract_gets_an_error_page_and_a_line_in_the_log(
    bad: Callable[[Start], object],
) -> None:
    """Never split headers, never silence, never the end of the process."""

    def application(environ: dict[str, Any], start: Start) -> Any:
        bad(start)
        return None if bad is BAD["body None"] else [b"never seen"]

    answered = ask(application)
    assert answered.status == 500
    assert "evil" not in answered.block
    reference = answered.log[0].partition(b"reference ")[2][:8]
    assert reference in answered.body
    assert b"never seen" not in answered.raw


@pytest.mark.parametrize("parts", ["a", b"ab", [None], ["a"], [b"a", "b"], 5])
def test_parts_that_are_not_bytes_are_an_error_page(parts: Any) -> None:
    """bytes itself iterates as numbers, which is the usual mistake."""
    assert ask(answering(parts)).status == 500


def test_an_answer_is_replaced_with_exc_info_as_long_as_nobody_has_seen_it() -> None:
    """PEP 3333, "Error Handling"."""

    def application(environ: dict[str, Any], start: Start) -> list[bytes]:
        start("200 OK", [("X-First", "1")])
        try:
            raise ValueError
        except ValueError:
            start("503 Sorry", [("X-Second", "2")], sys.exc_info())
        return [b"sorry"]

    answered = ask(application)
    assert answered.block == "Status: 503 Sorry\r\nX-Second: 2"


def test_after_the_first_byte_exc_info_raises_the_error_that_it_tells() -> None:
    """The application is stopped, and the answer is cut."""
    caught: list[BaseException] = []

    def application(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
        start("200 OK", [])
        yield b"part"
        try:
            raise ValueError("mine")
        except ValueError:
            try:
                start("500 Oh", [], sys.exc_info())
            except ValueError as error:
                caught.append(error)
                raise

    answered = ask(application)
    assert answered.cut and answered.body == b"part"
    assert str(caught[0]) == "mine"


def test_write_sends_at_once_and_before_the_returned_parts() -> None:
    """PEP 3333, "The write() Callable"."""

    def application(environ: dict[str, Any], start: Start) -> list[bytes]:
        write = start("200 OK", [])
        write(b"")
        write(b"first ")
        write(b"second ")
        return [b"third"]

    assert ask(application).body == b"first second third"


def test_write_of_something_else_than_bytes_is_an_error() -> None:
    """As for the parts."""

    def application(environ: dict[str, Any], start: Start) -> list[bytes]:
        start("200 OK", [])("text")  # type: ignore[arg-type]
        return []

    assert ask(application).status == 500


def test_write_to_a_client_that_left_raises_so_that_the_application_stops() -> None:
    """Inline nothing else can tell it. It is no failure of the application's, so nothing is logged."""
    raised: list[BaseException] = []

    def application(environ: dict[str, Any], start: Start) -> list[bytes]:
        write = start("200 OK", [])
        rig.peer.close()
        try:
            while True:
                write(b"x" * 65536)
        except ConnectionError as error:
            raised.append(error)
            raise

    with Rig() as rig:
        rig.fastcgi(Host(application, rig.service.log, threads=1, debug=False).handle)
        rig.send(get())
        assert len(raised) == 1
        rig.until(lambda: rig.service.outcomes)
        assert rig.service.lines() == []


def test_a_file_wrapper_reads_blocks_and_closes_its_file() -> None:
    """PEP 3333, "Optional Platform-Specific File Handling"."""
    file = io.BytesIO(b"abcdef")

    def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [])
        return environ["wsgi.file_wrapper"](file, 4)  # type: ignore[no-any-return]

    assert ask(application).body == b"abcdef"
    assert file.closed
    assert not hasattr(FileWrapper(object()), "close")  # type: ignore[arg-type]


# ---- loop and context ---------------------------------------------------------------------------------------


def test_no_loop_is_visible_to_the_call_nor_to_its_parts_nor_to_close() -> None:
    """asyncio.run works in all three."""

    async def work() -> bytes:
        await asyncio.sleep(0)
        return b"w"

    closed: list[bytes] = []

    class Parts(Body):
        def __next__(self) -> bytes:
            super().__next__()
            return asyncio.run(work())

        def close(self) -> None:
            closed.append(asyncio.run(work()))

    def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [("X-Call", asyncio.run(work()).decode())])
        return Parts(b"1", b"2")

    answered = ask(application)
    assert (answered.body, closed, "X-Call: w" in answered.block) == (b"ww", [b"w"], True)


def test_interleaved_streams_keep_their_contexts_apart() -> None:
    """Each call, its parts and its close() share one; nothing of it stays behind."""
    current: contextvars.ContextVar[str] = contextvars.ContextVar("current")

    def stream(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
        assert current.get("none") == "none"
        current.set(environ["PATH_INFO"])
        start("200 OK", [])
        for _ in range(5):
            yield current.get().encode()

    with Rig() as one, Rig() as two:
        host = Host(stream, one.service.log, threads=1, debug=False)
        one.fastcgi(host.handle)
        two.fastcgi(host.handle)
        one.peer.send(get(keep=False, PATH_INFO="/1"))
        two.peer.send(get(keep=False, PATH_INFO="/2"))
        for _ in range(20):
            one.turn()
            two.turn()
        assert Answered(one.rest(), []).body == b"/1" * 5
        assert Answered(two.rest(), []).body == b"/2" * 5
    assert current.get("none") == "none"


@pytest.mark.parametrize("evil", ["/\n2026-01-01 forged: line", "/\x1b[2J", "/\r", "/" + "x" * 5000])
def test_what_a_client_sends_forges_no_line_in_the_log(evil: str) -> None:
    """A failing request is logged with its path, escaped and cut."""

    def application(environ: dict[str, Any], start: Start) -> list[bytes]:
        raise ValueError

    for line in ask(application, get(keep=False, PATH_INFO=evil)).log:
        assert len(line) < 1024
        assert b"worker 0: error: " in line
        assert b"\x1b" not in line and b"\r" not in line
        assert not line.partition(b"error: ")[2].startswith(b"2026")
