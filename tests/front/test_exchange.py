"""One answer on its way: Content-Length to the byte, no body where none belongs, told of exactly once."""

import io
import socket
from collections.abc import Callable
from itertools import permutations, product

import pytest

from runner.errors import LocalProtocolError
from runner.front.exchange import CLIENT_CLOSED, BaseExchange
from runner.front.fastcgi import FastCGIExchange
from runner.front.machine import NOBODY
from runner.request import Answer, Exchange, Request
from runner.wire.headers import Block
from tests.front.rig import FakeService, Outcome, Rig, get

Headers = list[tuple[str, str]]


class Plain(BaseExchange):
    """The simplest wire: head, body, "." for the end and "!" for a break."""

    def _serialize_head(self, status: int, reason: str, block: Block) -> bytes:
        return f"<{status}>".encode()

    def _serialize(self, head: bytes, data: bytes, *, last: bool) -> bytes:
        return head + data + (b"." if last else b"")

    def _break(self) -> None:
        self.connection.write(b"!")

    def _release(self, *, whole: bool) -> None:
        self.connection.close(linger=False)


def exchange(rig: Rig, method: str = "GET") -> Plain:
    """An exchange on the connection of *rig*."""
    rig.connection.machine = NOBODY
    request = Request({"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": "/"}, "http", 0.0)
    return Plain(rig.connection, request, rig.service)


def length(number: int) -> Headers:
    """One header."""
    return [("Content-Length", str(number))]


@pytest.mark.parametrize(
    ("method", "status", "headers", "wire"),
    [
        ("GET", 200, length(4), b"<200>abcd."),
        ("GET", 200, [], b"<200>abcd."),
        ("HEAD", 200, length(4), b"<200>."),
        ("HEAD", 200, length(400), b"<200>."),
        ("HEAD", 200, [], b"<200>."),
        ("GET", 204, [], b"<204>."),
        ("GET", 304, length(4), b"<304>."),
    ],
)
def test_where_no_body_belongs_none_is_sent(method: str, status: int, headers: Headers, wire: bytes) -> None:
    """HEAD, 204 and 304, whatever the application hands over."""
    with Rig() as rig:
        answer = exchange(rig, method)
        answer.start(status, "", headers)
        answer.send(b"ab")
        answer.finish(b"cd")
        assert rig.rest() == wire
        assert answer.mute is (wire[-2:] != b"d.")
        assert rig.service.outcomes == [Outcome(status, len(wire) - 6, True)]


def test_the_head_waits_for_the_first_byte_of_the_body() -> None:
    """So that both leave in one write, and an error page can still take its place."""
    with Rig() as rig:
        answer = exchange(rig)
        answer.start(200, "", [])
        assert answer.send(b"")
        before = answer.committed
        answer.start(500, "", [])
        answer.send(b"page")
        assert (before, answer.committed) == (False, True)
        assert rig.receive(9) == b"<500>page"


def test_a_head_that_need_not_wait() -> None:
    """It leaves when that is said, once."""
    with Rig() as rig:
        answer = exchange(rig)
        answer.start(200, "", [])
        answer.commit()
        assert (answer.committed, rig.receive(5)) == (True, b"<200>")
        answer.commit()
        answer.finish(b"part")
        assert rig.rest() == b"part."


def test_a_committed_answer_cannot_begin_again() -> None:
    """The status has left."""
    with Rig() as rig:
        answer = exchange(rig)
        answer.start(200, "", [])
        answer.send(b"x")
        with pytest.raises(LocalProtocolError, match="begun"):
            answer.start(500, "", [])


def test_a_body_before_a_head_is_the_applications_error() -> None:
    """There is nothing to send it under."""
    with Rig() as rig, pytest.raises(LocalProtocolError, match="start_response"):
        exchange(rig).send(b"x")


@pytest.mark.parametrize(
    ("announced", "parts", "wire"),
    [
        (4, [b"abcdef"], b"<200>abcd!"),
        (4, [b"ab", b"cdef"], b"<200>abcd!"),
        (4, [b"abcd", b"e"], b"<200>abcd!"),
    ],
)
def test_what_is_longer_than_announced_is_cut_and_said(announced: int, parts: list[bytes], wire: bytes) -> None:
    """The surplus would be taken for the beginning of the next answer."""
    with Rig() as rig:
        answer = exchange(rig)
        answer.start(200, "", length(announced))
        for part in parts[:-1]:
            answer.send(part)
        with pytest.raises(LocalProtocolError, match="longer"):
            answer.send(parts[-1])
        assert rig.rest() == wire
        assert rig.service.outcomes == [Outcome(200, announced, False)]


@pytest.mark.parametrize(
    ("announced", "part", "words"), [(0, b"x", "1 bytes longer"), (4, b"abc", "ended 1 bytes before")]
)
def test_a_wrong_length_that_nobody_has_seen_leaves_the_answer_open(announced: int, part: bytes, words: str) -> None:
    """An error page is a better answer than none."""
    with Rig() as rig:
        answer = exchange(rig)
        answer.start(200, "", length(announced))
        with pytest.raises(LocalProtocolError, match=words):
            answer.finish(part)
        answer.start(500, "", length(2))
        answer.finish(b"no")
        assert rig.rest() == b"<500>no."
        assert rig.service.outcomes == [Outcome(500, 2, True)]


def test_what_is_shorter_than_announced_is_broken_off_visibly() -> None:
    """Nobody may take it for a whole answer."""
    with Rig() as rig:
        answer = exchange(rig)
        answer.start(200, "", length(4))
        answer.send(b"ab")
        with pytest.raises(LocalProtocolError, match="2 bytes before"):
            answer.finish()
        assert rig.rest() == b"<200>ab!"
        assert rig.service.outcomes == [Outcome(200, 2, False)]


STEPS: dict[str, Callable[[Plain], object]] = {
    "start": lambda answer: answer.start(200, "", []),
    "send": lambda answer: answer.send(b"x"),
    "finish": lambda answer: answer.finish(b"y"),
    "fail": lambda answer: answer.fail(),
    "leave": lambda answer: answer.leave(),
}


@pytest.mark.parametrize("order", [*permutations(STEPS)], ids=" ".join)
def test_the_service_is_told_exactly_once_in_every_order(order: tuple[str, ...]) -> None:
    """And the outcome is whole only if the end has left."""
    with Rig() as rig:
        answer = exchange(rig)
        for step in order:
            try:
                STEPS[step](answer)
            except LocalProtocolError:
                pass
        answer.fail()
        assert len(rig.service.outcomes) == 1
        assert rig.service.outcomes[0].whole is (b"." in rig.rest())


def test_a_client_that_leaves_before_the_first_byte_is_counted_as_499() -> None:
    """The status that nginx logs."""
    with Rig() as rig:
        answer = exchange(rig)
        answer.start(200, "", [])
        answer.leave()
        assert answer.send(b"x")
        answer.finish()
        assert rig.service.outcomes == [Outcome(CLIENT_CLOSED, 0, False)]


@pytest.mark.parametrize(("drained", "left"), [*product([True, False], repeat=2)])
def test_resume_is_called_once_when_there_is_room_or_nobody_left(drained: bool, left: bool) -> None:
    """Twice would run two steps of one application at a time."""
    with Rig() as rig:
        answer = exchange(rig)
        called: list[int] = []
        answer.resume = lambda: called.append(1)
        if drained:
            answer.drained()
        if left:
            answer.leave()
        answer.drained()
        assert called == [1]
        answer.fail()


def test_a_write_that_fails_makes_the_client_gone_and_the_answer_not_whole() -> None:
    """Learnt inline, without a turn of the loop."""
    with Rig() as rig:
        answer = exchange(rig)
        answer.start(200, "", [])
        rig.peer.close()
        assert answer.send(b"x")
        assert answer.gone
        answer.finish()
        assert rig.service.outcomes == [Outcome(200, 1, False)]


def test_the_last_write_that_fails_makes_the_answer_not_whole() -> None:
    """Written is not arrived, but refused is lost for certain."""
    with Rig() as rig:
        answer = exchange(rig)
        answer.start(200, "", [])
        rig.peer.close()
        answer.finish(b"x")
        assert [outcome.whole for outcome in rig.service.outcomes] == [False]


def test_a_cut_looks_cut_at_once_and_the_host_ends_it() -> None:
    """The client sees it whenever the host comes to it, who is told as of a client that left; it is broken once."""
    with Rig() as rig:
        answer = exchange(rig)
        called: list[int] = []
        answer.resume = lambda: called.append(1)
        answer.start(200, "", [])
        answer.send(b"ab")
        answer.cut()
        answer.cut()
        assert (answer.gone, called, rig.service.outcomes) == (True, [1], [])
        assert rig.receive(8) == b"<200>ab!"
        assert answer.send(b"cd")
        answer.fail()
        assert (rig.rest(), rig.service.outcomes) == (b"", [Outcome(200, 2, False)])


@pytest.mark.parametrize("when", ["before", "after", "left"])
def test_what_has_not_begun_or_is_over_is_not_cut(when: str) -> None:
    """It may still become an error page, or is whole, or nobody is there."""
    with Rig() as rig:
        answer = exchange(rig)
        answer.start(200, "", [])
        if when == "left":
            answer.send(b"a")
            answer.leave()
        elif when == "after":
            answer.finish(b"abc")
        answer.cut()
        if when == "before":
            answer.finish(b"abc")
        assert b"!" not in rig.receive(6)
        assert [outcome.whole for outcome in rig.service.outcomes] == ([] if when == "left" else [True])


def test_a_whole_answer_of_our_own_has_its_length() -> None:
    """Refusals and redirects use it."""
    with Rig() as rig:
        exchange(rig).answer(Answer(503, [("Retry-After", "1")], b"later"))
        assert rig.rest() == b"<503>later."


def test_the_requests_body_is_closed_at_the_end() -> None:
    """A spooled upload is given back before the next request."""
    with Rig() as rig:
        answer = exchange(rig)
        answer.request.body = body = io.BytesIO()
        answer.fail()
        assert body.closed


def test_the_fake_service_is_a_service() -> None:
    """Checked by types, too: what these tests rely on is what fronts are given."""
    service = FakeService()
    assert service.admit(Request({}, "http", 0.0)) is None
    service.close()


@pytest.mark.parametrize(("how", "half_is_gone", "gone"), [
    ("", True, False), ("half", True, True), ("half", False, False), ("whole", True, True), ("whole", False, True),
])  # fmt: skip
def test_a_look_tells_whether_the_client_is_there(how: str, half_is_gone: bool, gone: bool) -> None:
    """While the loop is kept from noticing. Whose side is shut is gone, where nobody does that and still reads."""
    found: list[bool] = []

    def answer(exchange: Exchange) -> None:
        if how == "half":
            rig.peer.shutdown(socket.SHUT_WR)
        elif how:
            rig.peer.close()
        type(exchange).half_is_gone = half_is_gone  # type: ignore[attr-defined]
        found.extend([exchange.look(), exchange.gone, exchange.look()])
        exchange.start(200, "OK", [])
        exchange.finish(b"")

    with Rig() as rig:
        rig.fastcgi(answer)
        try:
            rig.send(get(keep=False))
            rig.until(lambda: found)
        finally:
            FastCGIExchange.half_is_gone = True
    assert found == [gone] * 3
