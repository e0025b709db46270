"""When a connection is taken out of the queue, and when it is left there."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.front.connection import Connection
from runner.log import Log
from runner.worker import acceptor as module
from runner.worker.acceptor import Acceptor


class Guest:
    """As far as an acceptor knows a connection."""

    def __init__(self, sock: socket.socket, loop: object, connections: set[Any], place: int = 0) -> None:
        self.place = place
        self.machine: Any = None
        self.heard = True
        self.closed = False
        self._sock = sock
        connections.add(self)

    def open(self) -> None:
        """As Connection.open."""

    def close(self) -> None:
        """At the end of the scene."""
        self._sock.close()


@pytest.fixture(autouse=True)
def guests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes through becomes a Guest."""
    monkeypatch.setattr(module, "Connection", Guest)


class Hall:
    """A queue, an acceptor before it, and who came through."""

    def __init__(self, peers: frozenset[str] = frozenset()) -> None:
        self.queue = socket.create_server(("127.0.0.1", 0))
        self.queue.setblocking(False)
        self.entered: list[Guest] = []
        self.open = True
        self.said: list[str] = []
        self.clients: list[socket.socket] = []
        log = cast(Log, SimpleNamespace(once_a_minute=lambda kind, text: self.said.append(text)))
        self.opened = 0
        self.acceptor = Acceptor([(self.queue, self.enter, peers)], log, lambda: self.open, self._count)

    def come(self, count: int = 1, data: bytes = b"x") -> None:
        """So many clients, who say something at once."""
        for _ in range(count):
            client = socket.create_connection(self.queue.getsockname())
            client.sendall(data) if data else None
            self.clients.append(client)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop turn until then."""
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.001)

    def close(self) -> None:
        """Leave nothing open."""
        self.acceptor.pause()
        for guest in self.entered:
            guest.close()
        for client in self.clients:
            client.close()
        self.queue.close()

    def enter(self, connection: Connection) -> Any:
        """What speaks there."""
        self.entered.append(cast(Guest, connection))

    def _count(self) -> None:
        self.opened += 1


def play(scene: Callable[[Hall], Coroutine[Any, Any, None]], peers: frozenset[str] = frozenset()) -> None:
    """Run *scene* in a hall of its own."""
    async def run() -> None:
        hall = Hall(peers)
        try:
            await scene(hall)
        finally:
            hall.close()
            await asyncio.sleep(0)

    asyncio.run(run())


def test_nobody_is_taken_before_it_listens_or_after_it_pauses() -> None:
    """The queue keeps them."""
    async def scene(hall: Hall) -> None:
        hall.come(2)
        hall.acceptor.listen()
        await hall.until(lambda: len(hall.entered) == 2)
        hall.acceptor.pause()
        hall.come()
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert len(hall.entered) == 2
        hall.acceptor.listen()
        await hall.until(lambda: len(hall.entered) == 3)

    play(scene)


def test_who_is_not_welcome_stays_in_the_queue() -> None:
    """A sibling takes it; nothing is refused."""
    async def scene(hall: Hall) -> None:
        hall.open = False
        hall.acceptor.listen()
        hall.come()
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert hall.entered == []
        hall.open = True
        await hall.until(lambda: len(hall.entered) == 1)

    play(scene)


def test_a_silent_guest_does_not_keep_the_next_one_out_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection is taken beside one that says nothing, after a moment in which it could have."""
    monkeypatch.setattr(module, "SILENT", 0.05)

    async def scene(hall: Hall) -> None:
        hall.acceptor.listen()
        hall.come()
        await hall.until(lambda: len(hall.entered) == 1)
        taken = hall.acceptor._accepted
        hall.entered[0].heard = False
        hall.come()
        await hall.until(lambda: len(hall.entered) == 2)
        assert hall.acceptor._accepted - taken >= 0.05

    play(scene)


def test_only_named_peers_are_served() -> None:
    """FastCGI 1.0 section 3.2: the others are closed at once."""
    async def scene(hall: Hall) -> None:
        hall.acceptor.listen()
        hall.come()
        await hall.until(lambda: bool(hall.said))
        assert hall.entered == [] and "127.0.0.1 is not in FCGI_WEB_SERVER_ADDRS" in hall.said[0]

    play(scene, frozenset({"10.0.0.1"}))


class Starved:
    """A listening socket that has no descriptor to give."""

    def __init__(self, queue: socket.socket) -> None:
        self._queue = queue
        self.tries = 0
        self.starved = True

    def fileno(self) -> int:
        """For the loop."""
        return self._queue.fileno()

    def accept(self) -> tuple[socket.socket, Any]:
        """As socket.accept."""
        self.tries += 1
        if self.starved:
            raise OSError(24, "Too many open files")
        return self._queue.accept()


@pytest.mark.parametrize("leaves", [False, True])
def test_without_descriptors_it_looks_away_for_a_while(monkeypatch: pytest.MonkeyPatch, leaves: bool) -> None:
    """It does not spin, comes back by itself, but not if it was told to pause meanwhile."""
    monkeypatch.setattr(module, "STARVED", 0.05)

    async def scene(hall: Hall) -> None:
        starved = Starved(hall.queue)
        listening = (cast(socket.socket, starved), hall.enter, frozenset[str]())
        hall.acceptor._listeners = [listening]
        hall.acceptor.listen()
        hall.come()
        await hall.until(lambda: starved.tries > 0)
        starved.starved = False
        if leaves:
            hall.acceptor.pause()
            await asyncio.sleep(0.2)
        else:
            await hall.until(lambda: len(hall.entered) == 1)
        assert (starved.tries, len(hall.entered)) == ((1, 0) if leaves else (2, 1))
        assert len(hall.said) == 1 and "raise the limit of open files" in hall.said[0]

    play(scene)


def test_a_connection_knows_its_place() -> None:
    """The number of the listener it came through: in another process the same one speaks there."""
    async def scene(hall: Hall) -> None:
        with socket.create_server(("127.0.0.1", 0)) as second:
            second.setblocking(False)
            hall.acceptor._listeners.append((second, hall.enter, frozenset()))
            hall.acceptor.listen()
            with socket.create_connection(second.getsockname()):
                await hall.until(lambda: len(hall.entered) == 1)
                hall.come()
                await hall.until(lambda: len(hall.entered) == 2)
            hall.acceptor.pause()
        assert [guest.place for guest in hall.entered] == [1, 0]

    play(scene)


def test_what_another_process_has_accepted_is_adopted_also_by_one_that_accepts_nothing() -> None:
    """It gets the front of its place, is told of, and is among the open ones; it is not asked whether it is welcome."""
    async def scene(hall: Hall) -> None:
        spoken: list[Connection] = []
        hall.open = False
        hall.acceptor._listeners.append((hall.queue, spoken.append, frozenset({"10.0.0.1"})))
        ours, theirs = socket.socketpair()
        with theirs:
            connection = hall.acceptor.adopt(ours, 1)
            assert (spoken, hall.entered, hall.opened) == ([connection], [], 1)
            assert hall.acceptor.connections == {connection}
            ours.close()

    play(scene)


def test_closed_it_has_no_listener_any_more() -> None:
    """They are its own descriptors of sockets that others have, too."""
    async def scene(hall: Hall) -> None:
        hall.acceptor.listen()
        hall.acceptor.pause()
        hall.acceptor.close()
        assert hall.queue.fileno() == -1

    play(scene)


def test_it_can_be_asked_whether_somebody_waits() -> None:
    """In a queue, without taking him out of it."""
    async def scene(hall: Hall) -> None:
        assert not hall.acceptor.waiting()
        hall.come()
        await hall.until(hall.acceptor.waiting)
        hall.acceptor.listen()
        await hall.until(lambda: bool(hall.entered))
        assert not hall.acceptor.waiting()

    play(scene)
