"""A front without a process around it: a loop that turns when told, a socket pair, a service that writes down.

Start at Rig: `with Rig() as rig: front = rig.fastcgi(answer)`; the peer's end is `rig.peer`.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

from runner.front.connection import Connection
from runner.front.fastcgi import FastCGIFront
from runner.front.limits import Limits
from runner.front.variables import Rules
from runner.log import Log
from runner.request import Answer, Exchange, Movable, Request
from runner.wire import records
from runner.wire.requester import End, Reply, Requester

PATIENCE = 5.0  # seconds for what takes microseconds


class Outcome(NamedTuple):
    """What the service was told at the end of an exchange."""

    status: int
    sent: int
    whole: bool


class Away(NamedTuple):
    """A connection that was given away; *request*: the one that waits to be answered elsewhere."""

    connection: Connection
    request: Request | None
    unread: bytes


def ok(exchange: Exchange) -> None:
    """Answer 200 with "ok"."""
    exchange.start(200, "OK", [("Content-Length", "2")])
    exchange.finish(b"ok")


class FakeService:
    """Stands for the process: *answer* stands for the application."""

    def __init__(self, answer: Callable[[Exchange], None] = ok) -> None:
        self.read, write = os.pipe()
        os.set_blocking(self.read, False)
        self._write = write
        self.log = Log("worker 0", descriptor=write)
        self.draining = self.closing = False
        self.marks: list[tuple[str, str]] = []
        self.refusal: Answer | None = None
        self.answer = answer
        self.requests: list[Request] = []
        self.exchanges: list[Exchange] = []
        self.sockets: list[Exchange] = []
        self.movings: list[Movable] = []
        self.outcomes: list[Outcome] = []
        self.away: list[Away] = []
        self.move: Callable[[socket.socket], None] = lambda sock: None

    def admit(self, request: Request) -> Answer | None:
        """See runner.request.Service."""
        self.requests.append(request)
        return self.refusal

    def hold(self, connection: Connection, request: Request, unread: bytes) -> None:
        """See runner.request.Service."""
        self._give(connection, request, unread)

    def part(self, connection: Connection, unread: bytes) -> None:
        """See runner.request.Service."""
        self._give(connection, None, unread)

    def handle(self, exchange: Exchange) -> None:
        """See runner.request.Service."""
        self.exchanges.append(exchange)
        self.answer(exchange)

    def upgraded(self, exchange: Exchange) -> None:
        """See runner.request.Service."""
        self.sockets.append(exchange)

    def moving(self, exchange: Movable) -> None:
        """See runner.request.Service."""
        self.movings.append(exchange)

    def finished(self, exchange: Exchange, status: int, sent: int, whole: bool) -> None:
        """See runner.request.Service."""
        self.outcomes.append(Outcome(status, sent, whole))

    def lines(self) -> list[bytes]:
        """What was logged since the last look."""
        try:
            return os.read(self.read, 1 << 20).splitlines()
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self.read)
        os.close(self._write)

    def _give(self, connection: Connection, request: Request | None, unread: bytes) -> None:
        self.away.append(Away(connection, request, unread))
        connection.give(self.move)


class Recorder:
    """A machine that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.data = b""

    def received(self, data: bytes) -> None:
        """See runner.front.connection.Machine."""
        self.data += data

    def ended(self) -> None:
        """See runner.front.connection.Machine."""
        self.told.append("ended")

    def drained(self) -> None:
        """See runner.front.connection.Machine."""
        self.told.append("drained")

    def overdue(self) -> None:
        """See runner.front.connection.Machine."""
        self.told.append("overdue")

    def lost(self) -> None:
        """See runner.front.connection.Machine."""
        self.told.append("lost")

    def rest(self) -> None:
        """See runner.front.connection.Machine."""
        self.told.append("rest")

    def unread(self) -> None:
        """See runner.front.connection.Machine."""


class Rig:
    """One connection, its peer, and the loop of *factory* between them; *buffer*: bytes of the kernel's for sending."""

    def __init__(
        self, buffer: int = 0, factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    ) -> None:
        self.loop = factory()
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.settimeout(PATIENCE)
        if buffer:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        self.connections: set[Connection] = set()
        self.connection = Connection(ours, self.loop, self.connections)
        self.service = FakeService()
        self.requester = Requester()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.abort()
        self.turn()
        self.peer.close()
        self.service.close()
        self.loop.close()

    def fastcgi(
        self, answer: Callable[[Exchange], None] = ok, limits: Limits | None = None, rules: Rules | None = None
    ) -> FastCGIFront:
        """Let a FastCGI front, with *answer* as the application, speak over the connection."""
        self.service.answer = answer
        front = FastCGIFront(self.connection, self.service, rules or Rules(), limits or Limits())
        self.connection.machine = front
        self.connection.open()
        return front

    def turn(self) -> None:
        """Let the loop do what can be done now."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def until(self, claim: Callable[[], object]) -> None:
        """Turn until *claim* holds."""
        deadline = time.monotonic() + PATIENCE
        while not claim():
            assert time.monotonic() < deadline, "what was waited for did not come"
            self.turn()

    def send(self, data: bytes) -> None:
        """Send all of *data* as the peer; the loop turns while the pipe is full."""
        self.peer.setblocking(False)
        view = memoryview(data)
        while view:
            try:
                view = view[self.peer.send(view) :]
            except BlockingIOError:
                self.turn()
        self.turn()

    def receive(self, least: int = 1) -> bytes:
        """What the peer gets: at least so many bytes, or all that comes before the end."""
        self.peer.setblocking(False)
        found = bytearray()
        deadline = time.monotonic() + PATIENCE
        while len(found) < least:
            self.turn()
            try:
                data = self.peer.recv(1 << 16)
            except BlockingIOError:
                assert time.monotonic() < deadline, f"only {len(found)} bytes came: {bytes(found[:200])!r}"
                continue
            if not data:
                break
            found += data
        return bytes(found)

    def rest(self) -> bytes:
        """All that comes until the connection ends."""
        return self.receive(1 << 40)

    def replies(self) -> list[Reply]:
        """What the peer understands of what is there, at least up to an END_REQUEST or the end."""
        found: list[Reply] = []
        while not any(isinstance(reply, End) for reply in found):
            data = self.receive()
            if not data:
                break
            found += self.requester.feed(data)
        return found


def params(**more: str) -> list[tuple[bytes, bytes]]:
    """The parameters of a small request; *more* wins."""
    some = {"REQUEST_METHOD": "GET", "REQUEST_URI": "/", "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": ""}
    some |= more
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in some.items()]


def get(keep: bool = True, **more: str) -> bytes:
    """A whole request without a body."""
    requester = Requester()
    return requester.request(1, params(**more), keep=keep) + requester.stdin(1, b"")


def post(body: bytes, *, keep: bool = True, end: bool = True, length: int | None = None) -> bytes:
    """A request with *body*; *end*: with the end of STDIN; *length*: another CONTENT_LENGTH than the true one."""
    requester = Requester()
    announced = str(len(body) if length is None else length)
    head = requester.request(1, params(REQUEST_METHOD="POST", CONTENT_LENGTH=announced), keep=keep)
    return head + requester.stdin(1, body) + (requester.stdin(1, b"") if end and body else b"")


def poisoned(raw: bytes) -> bool:
    """Whether *raw* ends in a poison record; the eight zeros at the end of an END_REQUEST are none."""
    return raw.endswith(records.POISON) and raw[-16:-14] != bytes((records.VERSION_1, records.END_REQUEST))


def record(kind: int, request_id: int = 1, content: bytes = b"", padding: int | None = None) -> bytes:
    """One record."""
    return records.serialize_record(kind, request_id, content, padding)
