"""How long a FastCGI connection waits for what, what it refuses in words, and how it leaves."""

from collections.abc import Iterable

import pytest

from runner.front.limits import Limits
from runner.request import Exchange
from runner.wire import records
from runner.wire.requester import End, Requester, Stdout
from tests.front.rig import Rig, get, ok, params, post, record

OK = records.whole(1, b"Status: 200 OK\r\nContent-Length: 2\r\n\r\nok")


def wait(exchange: Exchange) -> None:
    """Do not answer yet."""



def deadline(rig: Rig) -> float:
    """Seconds until the connection's deadline; 0.0 for none."""
    return round(rig.connection.deadline - rig.loop.time(), 0) if rig.connection.deadline else 0.0


LIMITS = Limits(header_timeout=10, body_timeout=30, idle=500)


def test_each_phase_has_its_own_bound_and_the_application_none() -> None:
    """First byte and head, then each pause of the body, then nothing; idle, then the next head."""
    raw = post(b"hello")
    with Rig() as rig:
        rig.fastcgi(wait, LIMITS)
        assert deadline(rig) == 10
        rig.send(raw[:50])
        assert deadline(rig) == 10
        rig.send(raw[50:-20])
        assert deadline(rig) == 30
        rig.send(raw[-20:])
        assert deadline(rig) == 0
        ok(rig.service.exchanges[0])
        assert deadline(rig) == 500
        rig.send(raw[:5])
        assert deadline(rig) == 10


def test_a_timeout_of_zero_is_off() -> None:
    """Off is off, in every phase."""
    with Rig() as rig:
        rig.fastcgi(limits=Limits(header_timeout=0, body_timeout=0, idle=0))
        for raw in (post(b"x")[:9], post(b"x")[9:-20], post(b"x")[-20:]):
            assert rig.connection.deadline == 0.0
            rig.send(raw)


@pytest.mark.parametrize("raw", [b"", get()[:5], get()[:20], get()[:60]], ids=["silence", "header", "begin", "params"])
def test_a_head_that_does_not_come_is_a_closed_connection(raw: bytes) -> None:
    """A connection that says nothing must not hold a place for ever."""
    with Rig() as rig:
        rig.fastcgi()
        rig.send(raw)
        rig.connection.overdue()
        assert rig.rest() == b""
        assert rig.service.requests == []


@pytest.mark.parametrize("keep", [True, False])
def test_a_body_that_does_not_come_is_408(keep: bool) -> None:
    """The web server can pass that on; a plain close would be its own 502."""
    with Rig() as rig:
        rig.fastcgi()
        rig.send(post(b"hel", length=5, keep=keep, end=False))
        rig.connection.overdue()
        events = rig.replies()
        assert isinstance(events[0], Stdout) and events[0].data.startswith(b"Status: 408 Request Timeout\r\n")
        assert isinstance(events[-1], End)
        assert rig.connection.closed is not keep
        assert rig.service.exchanges == []


# ---- the end -----------------------------------------------------------------------------------------------


def end(rig: Rig) -> None:
    """As a worker does it when no other one comes after it."""
    rig.service.draining = rig.service.closing = True


@pytest.mark.parametrize("cut", [3, 16, 60, -30, -1])
def test_a_request_that_has_begun_is_answered_before_the_close(cut: int) -> None:
    """The web server does not send a POST again that was hung up on."""
    raw = post(b"hello")
    with Rig() as rig:
        rig.fastcgi()
        rig.send(raw[:cut])
        end(rig)
        rig.send(raw[cut:])
        assert rig.rest() == OK


def test_a_request_sent_ahead_is_answered_before_the_close() -> None:
    """It was read, so it is ours."""
    with Rig() as rig:
        rig.fastcgi(wait)
        rig.send(get() + get()[:30])
        end(rig)
        rig.service.answer = ok
        ok(rig.service.exchanges[0])
        rig.send(get()[30:])
        assert rig.rest() == OK * 2


# ---- refusals -----------------------------------------------------------------------------------------------


def asked(*pairs: tuple[bytes, bytes]) -> bytes:
    """A request with these parameters at its end."""
    return Requester().request(1, [*params(), *pairs], keep=True) + Requester().stdin(1, b"")


REFUSED: dict[str, tuple[bytes, int]] = {
    "no FastCGI": (b"GET / HTTP/1.1\r\n\r\n", 0),
    "version 2": (b"\2" + get()[1:], 0),
    "garbage within a head": (get()[:16] + b"\xff" * 8, 400),
    "garbage within a body": (post(b"hel", length=5, end=False) + b"\xff" * 8, 400),
    "STDIN before the end of PARAMS": (get()[:16] + record(records.STDIN, 1, b"x"), 400),
    "endless parameters": (get()[:16] + record(records.PARAMS, 1, bytes(65528)) * 5, 431),
    "a pair beyond the end": (get()[:16] + record(records.PARAMS, 1, b"\5\5x") + record(records.PARAMS), 400),
    "a length with an escape sequence": (asked((b"CONTENT_LENGTH", b"\x1b[31m\r\nforged: line")), 400),
    "a path that is none": (asked((b"PATH_INFO", b"x\nforged: line" * 500)), 400),
    "two hosts": (asked((b"HTTP_HOST", b"a"), (b"HTTP_HOST", b"b")), 400),
    "a NUL": (asked((b"HTTP_X", b"a\0b")), 400),
    "too large": (post(b"x" * 2000), 413),
}


@pytest.mark.parametrize(("raw", "status"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_an_answer_where_one_is_possible_and_one_short_line_in_the_log(raw: bytes, status: int) -> None:
    """The second of its kind within a minute is not logged; no client forges a line."""
    lines: list[bytes] = []
    with Rig() as rig:
        rig.fastcgi(limits=Limits(max_body=1000))
        rig.send(raw)
        answer = rig.receive() if status else rig.rest()
        assert answer[8:].startswith(b"Status: %d " % status if status else b"")
        assert rig.service.exchanges == []
        lines += rig.service.lines()
    assert len(lines) == 1
    assert len(lines[0]) < 1024 and lines[0].decode().isprintable()
    assert b"worker 0: warning: a FastCGI " in lines[0]


def kinds(lines: Iterable[bytes]) -> list[bytes]:
    """The reasons in *lines*."""
    return [line.partition(b"refused with 400: ")[2] for line in lines]


def test_a_client_cannot_make_one_fault_look_like_many() -> None:
    """However the value is spelled, it is one kind, and said once a minute."""
    with Rig() as rig:
        rig.fastcgi()
        for number in range(50):
            rig.send(asked((b"CONTENT_LENGTH", b"%dx" % number)) + asked((b"PATH_INFO", b"%d" % number)))
        assert len(kinds(rig.service.lines())) == 2
