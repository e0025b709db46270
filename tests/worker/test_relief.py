"""What waits behind a slow call, who may have it, and that a connection leaves a loop that does not turn."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvloop

from runner.front.connection import Connection
from runner.process.scoreboard import Counter, Moment, Scoreboard
from runner.request import Exchange
from runner.worker.relief import Relief, Siblings, crowded, waiting
from tests.support.process import PATIENCE

ME = 100
MINE = 5


class Machine:
    """Says what it is told to say."""

    def __init__(self, unread: bytes | None = b"") -> None:
        self.answer = unread
        self.heard: list[bytes] = []

    def unread(self) -> bytes | None:
        """See Machine."""
        return self.answer

    def received(self, data: bytes) -> None:
        """See Machine."""
        self.heard.append(data)


class Guest:
    """As far as relief knows a connection."""

    def __init__(self, unread: bytes | None = b"", *, sent: bytes = b"", left: bool = False) -> None:
        self.sock, self.peer = socket.socketpair()
        self.machine = Machine(unread)
        self.closed, self.buffered = False, 0
        self.peer.sendall(sent)
        if left:
            self.peer.close()


@pytest.fixture
def hall() -> Iterator[Callable[..., Any]]:
    """Makes guests, and sees them off."""
    guests: list[Guest] = []

    def make(*given: Any, **named: Any) -> Guest:
        guests.append(Guest(*given, **named))
        return guests[-1]

    yield make
    for guest in guests:
        guest.sock.close()
        guest.peer.close()


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    """Three slots: mine, that of somebody idle, and one in which nobody has been yet."""
    board = Scoreboard()
    for slot, pid in ((0, ME), (1, 200)):
        board.row(slot).set(Counter.PID, pid)
        board.row(slot).set(Counter.GENERATION, MINE)
    board.row(0).set(Counter.INFLIGHT, 1)
    yield board
    os.close(board.descriptor)


@pytest.mark.parametrize(
    ("change", "idle"),
    [
        ({}, 1),
        ({(1, Counter.INFLIGHT): 1}, 0),
        ({(1, Counter.GENERATION): MINE - 1}, 0),
        ({(1, Counter.GENERATION): MINE + 1}, 1),
        ({(1, Counter.PID): 0}, 0),
        ({(2, Counter.PID): 300, (2, Counter.GENERATION): MINE}, 2),
        ({(0, Counter.INFLIGHT): 0}, 1),
        ({(0, Counter.PID): 101, (0, Counter.INFLIGHT): 0}, 2),
    ],
    ids=["one", "busy", "older", "newer", "nobody", "two", "not me", "my successor"],
)
def test_who_is_idle(board: Scoreboard, change: dict[tuple[int, Counter], int], idle: int) -> None:
    """Somebody else, with code as new as mine or newer, and without a request."""
    for (slot, counter), value in change.items():
        board.row(slot).set(counter, value)
    assert Siblings(board, 3, MINE, ME).idle() == idle


def test_who_leaves_is_not_idle(board: Scoreboard) -> None:
    """It may be long in sending its last answer, but takes nothing: what is given away would come back at once."""
    board.row(1).mark(Moment.LEAVING, 12.5)
    assert Siblings(board, 3, MINE, ME).idle() == 0


def test_with_threads_who_has_one_free_is_idle(board: Scoreboard) -> None:
    """As many requests as threads are too many."""
    siblings = Siblings(board, 3, MINE, ME, threads=4)
    board.row(1).set(Counter.INFLIGHT, 3)
    assert siblings.idle() == 1
    board.row(1).set(Counter.INFLIGHT, 4)
    assert siblings.idle() == 0


@pytest.mark.parametrize(("free", "busy", "goes"), [(1, 0, False), (0, 0, True), (-3, 3, True), (0, 4, False)])
def test_with_threads_a_request_goes_where_one_is_free(board: Scoreboard, free: int, busy: int, goes: bool) -> None:
    """If none is here, and one is there."""
    board.row(1).set(Counter.INFLIGHT, busy)
    assert crowded(free, Siblings(board, 3, MINE, ME, threads=4)) is goes


def test_what_waits(hall: Callable[..., Any]) -> None:
    """Something has arrived, or a request has begun; and no request is under way, no answer on its way."""
    own, asks, began = hall(b"", sent=b"x"), hall(b"", sent=b"x"), hall(b"GET ")
    answering, late, gone = hall(None, sent=b"x"), hall(b"", sent=b"x"), hall(b"", sent=b"x")
    late.buffered, gone.closed = 10, True
    silent, left = hall(b""), hall(b"", left=True)
    found = waiting([own, asks, began, answering, late, gone, silent, left], own)
    assert sorted((unread, connection is asks, connection is began) for connection, unread in found) == [
        (b"", True, False), (b"GET ", False, True),
    ]  # fmt: skip


class Desk:
    """A Relief and what it did."""

    def __init__(self, board: Scoreboard, connections: list[Guest], parcels: int = 0) -> None:
        self.given: list[Any] = []
        self.parcels = parcels
        self.relief = Relief(
            cast(set[Connection], connections), Siblings(board, 3, MINE, ME), self._give, self._returns
        )

    def look(self, own: object = None) -> int:
        """One look of the watchdog; how many steps it took."""
        return sum(1 for _ in self.relief.steps(cast(Exchange, SimpleNamespace(connection=own))))

    def _give(self, connection: Connection, unread: bytes) -> None:
        self.given.append(connection)

    def _returns(self) -> Iterator[None]:
        while self.parcels:
            self.parcels -= 1
            self.given.append("parcel")
            yield


def test_nothing_is_given_while_everybody_is_busy(board: Scoreboard, hall: Callable[..., Any]) -> None:
    """It would only wait somewhere else."""
    desk = Desk(board, [hall(b"", sent=b"x")], parcels=1)
    board.row(1).set(Counter.INFLIGHT, 1)
    assert desk.look() == 0
    assert desk.given == []


def test_no_more_is_given_than_siblings_are_idle(board: Scoreboard, hall: Callable[..., Any]) -> None:
    """In one look; parcels first, which have waited longest."""
    desk = Desk(board, [hall(b"", sent=b"x"), hall(b"", sent=b"x")], parcels=1)
    board.row(2).set(Counter.PID, 300)
    board.row(2).set(Counter.GENERATION, MINE)
    assert desk.look() == 2
    assert desk.given[0] == "parcel"
    assert len(desk.given) == 2


def test_the_connection_of_the_call_is_left_alone(board: Scoreboard, hall: Callable[..., Any]) -> None:
    """Its answer may be ending in this moment."""
    own = hall(b"", sent=b"x")
    desk = Desk(board, [own])
    assert desk.look(own) == 0
    assert desk.look() == 1


# ---- a real loop that does not turn --------------------------------------------------------------------------


async def played(early: bool) -> None:
    """Inside a callback of the loop another thread gives a connection away, and the application takes its number.

    *early*: the loop knows already that the connection is readable, and would call back next.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    (call, caller), (sock, peer), (away, there) = (socket.socketpair() for _ in range(3))
    for each in (call, sock):
        each.setblocking(False)
    connection, machine = Connection(sock, loop, set()), Machine()
    connection.machine = cast(Any, machine)
    opened: set[int] = set()
    number = sock.fileno()

    def send(moving: socket.socket) -> None:
        socket.send_fds(away, [b"x"], [moving.fileno()])

    def give() -> None:
        ((found, _),) = waiting({connection}, None)
        found.give(send)

    def blocked() -> None:
        loop.remove_reader(call)
        if not early:
            peer.sendall(b"asked")
        thread = threading.Thread(target=give)
        thread.start()
        thread.join(PATIENCE)
        read, write = os.pipe()
        os.write(write, b"the application's")
        # As if the kernel had given this one, which is the lowest free or will be.
        opened.update((os.dup2(read, number), read, write))
        loop.call_later(0.02, done.set_result, None)

    loop.add_reader(call, blocked)
    connection.resume_reading()
    caller.sendall(b"go")
    if early:
        peer.sendall(b"asked")
    async with asyncio.timeout(PATIENCE):
        await done
    _, (moved,), _, _ = socket.recv_fds(there, 1, 1)
    with socket.socket(fileno=moved) as other:
        peer.sendall(b" more")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert other.recv(100) == b"asked more"
        assert machine.heard == []
        await _reads(loop, number)
    for each in (call, caller, peer, away, there):
        each.close()
    for descriptor in opened:
        os.close(descriptor)


async def _reads(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    """The loop watches the number for the application now, and for nobody else."""
    read: asyncio.Future[bytes] = loop.create_future()
    loop.add_reader(descriptor, lambda: read.set_result(os.read(descriptor, 100)))
    async with asyncio.timeout(PATIENCE):
        assert await read == b"the application's"
    loop.remove_reader(descriptor)


@pytest.mark.parametrize("early", [False, True], ids=["not yet seen", "seen readable"])
@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_connection_leaves_a_loop_that_does_not_turn(
    factory: Callable[[], asyncio.AbstractEventLoop], early: bool
) -> None:
    """Nothing is read of it here, its number may be used again at once, and what comes later comes to the other."""
    with asyncio.Runner(loop_factory=factory) as runner:
        for _ in range(20):
            runner.run(played(early))
