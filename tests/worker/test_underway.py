"""What is under way in a worker, and what of it are streams."""

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.log import Log
from runner.process.channel import Channel, pair
from runner.process.messages import Message, Streaming
from runner.process.scoreboard import Counter, Scoreboard
from runner.request import Movable, Served
from runner.worker.gate import Gate
from runner.worker.standing import Standing
from runner.worker.underway import MANY, PAUSE, Underway


class Line:
    """As far as this room knows a connection."""

    closed = False


class Exchanged:
    """As far as this room knows an exchange."""

    def __init__(
        self, *, committed: bool = False, gone: bool = False, upgraded: bool = False, willing: bool = False
    ) -> None:
        self.committed, self.gone, self.upgraded, self.willing = committed, gone, upgraded, willing
        self.connection = Line()
        self.cuts = 0

    def cut(self) -> None:
        """See runner.request.Served."""
        self.cuts += 1


class Room:
    """The room, with a supervisor that has heard what it was told."""

    def __init__(self) -> None:
        self.supervisor, theirs = pair()
        self.channel = Channel(theirs)
        self.read, self.write = os.pipe()
        self.connections: set[Any] = set()
        self.board = Scoreboard()
        self.row = self.board.row(0)
        standing = Standing(self.row)
        standing.begin(1)
        self.gate = cast(Gate, SimpleNamespace(inflight=0))
        log = Log("worker 0", descriptor=self.write)
        self.underway = Underway(self.connections, self.channel, log, standing, self.gate)

    def begin(self, **state: bool) -> Exchanged:
        """A request of a client that is connected, unless it is gone."""
        exchange = Exchanged(**state)
        if not exchange.gone:
            self.connections.add(exchange.connection)
        self.underway.begin(cast(Served, exchange))
        return exchange

    def end(self, exchange: Exchanged) -> None:
        """Its answer is over, and the connection given away."""
        self.connections.discard(exchange.connection)
        self.underway.end(cast(Served, exchange))

    def told(self) -> list[Message]:
        """What the supervisor is told now."""
        self.underway.tell()
        found = []
        while (received := self.supervisor.receive()) is not None:
            found.append(received[0])
        return found

    def close(self) -> None:
        """Give everything back."""
        self.supervisor.close()
        self.channel.close()
        for descriptor in (self.read, self.write, self.board.descriptor):
            os.close(descriptor)


@pytest.fixture
def room() -> Iterator[Room]:
    """See Room; nothing is under way."""
    room = Room()
    yield room
    room.close()


def test_nothing_is_nothing_to_tell(room: Room) -> None:
    """A worker that has nothing under way simply leaves."""
    assert room.told() == []


def test_streams_are_told_once(room: Room) -> None:
    """And again when there are fewer, down to none."""
    first, second = room.begin(committed=True), room.begin(committed=True)
    assert (room.told(), room.told()) == ([Streaming(2)], [])
    room.end(first)
    assert (room.told(), room.told()) == ([Streaming(1)], [])
    room.end(second)
    assert (room.told(), room.told()) == ([Streaming(0)], [])


@pytest.mark.parametrize("state", [{"committed": False}, {"committed": True, "gone": True}], ids=["call", "gone"])
def test_a_call_is_no_stream(room: Room, state: dict[str, bool]) -> None:
    """One that has not begun its answer, or whose client is gone, has to come to its end."""
    room.begin(committed=True)
    call = room.begin(**state)
    assert room.told() == []
    room.end(call)
    assert room.told() == [Streaming(1)]


def test_a_call_becomes_a_stream(room: Room) -> None:
    """With the first byte of its answer; and what was one is none without its client."""
    call = room.begin()
    assert room.told() == []
    call.committed = True
    assert room.told() == [Streaming(1)]
    call.gone = True
    assert room.told() == [Streaming(0)]


def test_a_body_that_arrives_is_no_stream(room: Room) -> None:
    """Its connection is open, and no call has begun."""
    room.begin(committed=True)
    arriving = Line()
    room.connections.add(arriving)
    assert room.told() == []
    room.connections.discard(arriving)
    assert room.told() == [Streaming(1)]


def test_a_tail_is_as_good_as_a_stream(room: Room) -> None:
    """The application is done with it; a slow reader takes what is left as he can."""
    exchange = room.begin(committed=True)
    exchange.connection.closed = True
    room.underway.end(cast(Served, exchange))
    assert room.told() == [Streaming(1)]


def test_only_streams_are_cut(room: Room) -> None:
    """A call may still answer with an error of its own; the log has the number and the reason, if there were any."""
    call, stream, gone = room.begin(), room.begin(committed=True), room.begin(committed=True, gone=True)
    room.underway.cut("it is late")
    assert (call.cuts, stream.cuts, gone.cuts) == (0, 1, 0)
    room.end(stream)
    room.underway.cut("it is late")
    line = os.read(room.read, 1000)
    assert line.count(b"\n") == 1
    assert b"answers that had begun and were cut: 1; it is late" in line


def test_sockets_are_streams_of_their_own_kind(room: Room) -> None:
    """A supervisor is told of them as of all; who says farewell to them finds them."""
    room.begin(committed=True)
    socket = room.begin(committed=True, upgraded=True)
    assert room.underway.sockets() == [cast(Served, socket)]
    assert room.told() == [Streaming(2)]
    socket.gone = True
    assert room.underway.sockets() == []


def test_what_is_under_way_is_counted(room: Room) -> None:
    """For who asks whether there is room for one more, and for who looks at the service."""
    first, second = room.begin(), room.begin()
    assert (room.gate.inflight, room.row.get(Counter.INFLIGHT)) == (2, 2)
    first.upgraded = True
    room.underway.upgraded(cast(Movable, first))
    assert (room.gate.inflight, room.row.get(Counter.INFLIGHT), room.row.get(Counter.SOCKETS)) == (2, 1, 1)
    room.end(first)
    room.end(second)
    assert (room.gate.inflight, room.row.get(Counter.INFLIGHT), room.row.get(Counter.SOCKETS)) == (0, 0, 0)


def test_sockets_that_could_go_on_elsewhere_are_known(room: Room) -> None:
    """As long as they are here."""
    able, plain = room.begin(committed=True, willing=True), room.begin(committed=True)
    for exchange in (able, plain):
        exchange.upgraded = True
        room.underway.upgraded(cast(Movable, exchange))
    assert room.underway.willing == {cast(Movable, able)}
    room.end(able)
    assert room.underway.willing == set()


def test_so_many_are_not_looked_at_whenever_one_of_them_ends(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A little later they are; when there are fewer, at once."""
    now = 100.0
    monkeypatch.setattr("runner.worker.underway.time.monotonic", lambda: now)
    exchanges = [room.begin(committed=True) for _ in range(MANY + 2)]
    assert room.told() == [Streaming(MANY + 2)]
    room.end(exchanges.pop())
    assert room.told() == []
    now += PAUSE
    assert room.told() == [Streaming(MANY + 1)]
    room.end(exchanges.pop())
    assert room.told() == [Streaming(MANY)]
