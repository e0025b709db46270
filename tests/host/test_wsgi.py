"""The iterable of a WSGI application: closed once whatever happened, sent in parts, given up when nobody listens."""

from collections.abc import Iterator
from typing import Any

import pytest

from runner.host.wsgi import Host
from runner.request import Exchange
from runner.wire import records
from tests.front.rig import Rig, get
from tests.host.calls import CLOSES, LENGTH, Answered, Body, Start, answering, ask


@pytest.mark.parametrize(("body", "how", "raw", "status"), CLOSES.values(), ids=CLOSES)
def test_close_is_called_exactly_once(body: Body, how: dict[str, Any], raw: bytes, status: int) -> None:
    """However the answer ends (PEP 3333, "Specification Details")."""
    answered = ask(answering(body, **how), raw)
    assert (body.closed, answered.status) == (1, status)


@pytest.mark.parametrize("case", ["an exception after a part", "str after a part", "shorter", "longer in one part"])
def test_an_answer_that_cannot_be_completed_is_cut_visibly_and_logged(case: str) -> None:
    """Its beginning has left, so no error page can take its place."""
    body, how, raw, _ = CLOSES[case]
    body = Body(*{"shorter": (b"a",), "longer in one part": (b"abc",)}.get(case, (b"a", ValueError("why"))))
    answered = ask(answering(body, **how), raw)
    assert answered.cut
    assert b"GET / failed, reference " in answered.log[0]


def test_close_is_called_before_the_end_of_the_answer_is_sent() -> None:
    """Who asks again at once sees what it did."""
    seen: list[bytes] = []

    class Watched(Body):
        def close(self) -> None:
            seen.append(rig.peer.recv(1 << 16))

    with Rig() as rig:
        rig.fastcgi(Host(answering(Watched(b"part")), rig.service.log, threads=1, debug=False).handle)
        rig.send(get(keep=False))
        rig.until(lambda: rig.service.outcomes)
        assert rig.rest()[:2] == bytes((1, records.STDOUT))
    assert b"part" in seen[0]
    assert bytes((1, records.END_REQUEST)) not in seen[0]


def test_a_close_that_fails_is_logged_and_costs_nothing_else() -> None:
    """The answer is whole all the same."""

    class Failing(Body):
        def close(self) -> None:
            raise ValueError("in close")

    answered = ask(answering(Failing(b"a")))
    assert (answered.body, answered.cut) == (b"a", False)
    assert b"ValueError: in close" in answered.log[0]


def test_a_client_that_leaves_ends_the_stream_and_runs_the_generators_finally() -> None:
    """Found at the next part; nothing more is produced."""
    ended: list[int] = []

    def stream(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
        start("200 OK", [])
        number = 0
        try:
            while True:
                number += 1
                yield b"x" * 100
        finally:
            ended.append(number)

    with Rig() as rig:
        rig.fastcgi(Host(stream, rig.service.log, threads=1, debug=False).handle)
        rig.send(get())
        rig.receive(500)
        rig.peer.close()
        rig.until(lambda: ended)
        rig.turn()
        assert [outcome.whole for outcome in rig.service.outcomes] == [False]
        assert rig.service.lines() == []


def test_a_reader_that_stops_reading_holds_the_stream_and_nobody_else() -> None:
    """The next part is asked for when there is room; then it goes on where it was."""
    body = Body(*[bytes([number]) * 8192 for number in range(200)])
    with Rig(buffer=4096) as rig:
        rig.fastcgi(Host(answering(body), rig.service.log, threads=1, debug=False).handle)
        rig.send(get(keep=False))
        for _ in range(50):
            rig.turn()
        assert body.taken < 40
        assert len(Answered(rig.rest(), []).body) == 200 * 8192
        assert body.closed == 1


def test_a_head_request_to_a_body_without_an_end_is_answered() -> None:
    """No part of it will ever leave."""

    def endless(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
        start("200 OK", [("X-Kind", "endless")])
        while True:
            yield b"tick"

    answered = ask(endless, get(keep=False, REQUEST_METHOD="HEAD"))
    assert answered.block == "Status: 200 OK\r\nX-Kind: endless"
    assert answered.body == b""


def test_an_empty_part_is_a_pause_in_which_the_loop_turns() -> None:
    """An application that has nothing to say yet holds up nobody."""
    turned: list[int] = []
    with Rig() as rig:
        rig.fastcgi(
            Host(answering(Body(*[b""] * 5, b"done")), rig.service.log, threads=1, debug=False).handle
        )
        rig.loop.call_soon(lambda: turned.append(len(rig.service.outcomes)))
        rig.send(get(keep=False))
        assert Answered(rig.rest(), []).body == b"done"
        assert turned == [0]


@pytest.mark.parametrize(
    ("parts", "status", "body"), [([b"a", b"bc"], 200, b"ab"), ([b"a"], 500, None), ([], 500, None)]
)
def test_a_list_of_another_length_than_announced_is_cut_or_an_error_page(
    parts: list[bytes], status: int, body: bytes | None
) -> None:
    """Longer, the client has what was announced; shorter, it has seen nothing yet. Both are logged."""
    answered = ask(answering(parts, headers=LENGTH))
    assert (answered.status, answered.cut) == (status, body is not None)
    assert body is None or answered.body == body
    assert b"LocalProtocolError" in answered.log[0]


class Recording:
    """A clock that writes down what it is told."""

    def __init__(self, told: list[tuple[str, int]]) -> None:
        self._told = told

    def start(self, exchange: Exchange) -> None:
        """See Clock."""
        self._told.append(("start", id(exchange)))

    def stop(self, exchange: Exchange) -> None:
        """See Clock."""
        self._told.append(("stop", id(exchange)))


@pytest.mark.parametrize("last", [b"end", ValueError("in the middle")], ids=["whole", "failed"])
def test_every_clock_is_told_of_each_part_of_a_call(last: object) -> None:
    """Into the application and out of it, in turn, also when the call fails."""
    told: list[list[tuple[str, int]]] = [[], []]

    def application(environ: dict[str, Any], start: Any) -> Body:
        start("200 OK", [])
        return Body(b"a", b"b", last)

    with Rig() as rig:
        clocks = [Recording(each) for each in told]
        rig.fastcgi(Host(application, rig.service.log, threads=1, debug=False, clocks=clocks).handle)
        rig.send(get(keep=False))
        rig.rest()
    assert told[0] == told[1]
    assert [what for what, _ in told[0]] == ["start", "stop"] * (len(told[0]) // 2)
    assert len(told[0]) > 4
    assert len({exchange for _, exchange in told[0]}) == 1
