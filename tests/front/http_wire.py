"""An HTTP front without a socket: an application that is a function, a connection that is moved by hand.

Start at Wire: deliver bytes, look at `out`. Law: what a real connection would not do, Wire does not do: it
delivers nothing after a close, and what is put off until the next turn of the loop is not called at once.
"""

import re
import socket
from collections.abc import Callable
from typing import cast

from runner.front.connection import Connection
from runner.front.http import HTTPFront
from runner.front.http_peer import Local
from runner.front.limits import Limits
from runner.front.variables import Rules
from runner.log import Log
from runner.request import Answer, Exchange, Request

LOCAL = Local("127.0.0.1", "8000", False, frozenset(("127.0.0.1",)))
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
OLD = b"GET /x HTTP/1.0\r\n\r\n"
DATE = ("Date", "Thu, 01 Jan 1970 00:00:00 GMT")


class Lines(Log):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__("test")
        self.lines: list[str] = []

    def _write(self, level: str, message: str) -> None:
        self.lines.append(message)


class Process:
    """A Service whose application is a function; notes what happened, in order.

    events   e.g. ["GET /x b''", "200"]: calls of the application and ends of answers
    held     what was read of each request that was given away
    parted   and of each that may follow on a connection given away between two
    """

    def __init__(self, application: Callable[[Exchange], None] | None = None) -> None:
        self.log: Log = Lines()
        self.draining = self.closing = False
        self.marks: list[tuple[str, str]] = []
        self.events: list[str] = []
        self.ends: list[tuple[int, int, bool]] = []
        self.exchanges: list[Exchange] = []
        self.refusal: Answer | None = None
        self.held: list[bytes] = []
        self.parted: list[bytes] = []
        self._application = application or echo

    def admit(self, request: Request) -> Answer | None:
        """The refusal, if there is one."""
        return self.refusal

    def hold(self, connection: Connection, request: Request, unread: bytes) -> None:
        """Note it."""
        self.held.append(unread)
        connection.give(lambda sock: None)

    def part(self, connection: Connection, unread: bytes) -> None:
        """Note it."""
        self.parted.append(unread)
        connection.give(lambda sock: None)

    def handle(self, exchange: Exchange) -> None:
        """Call the application."""
        assert exchange.request.body is not None
        request = exchange.request
        self.events.append(f"{request.method} {request.path} {exchange.request.body.read()!r}")
        self.exchanges.append(exchange)
        self._application(exchange)

    def upgraded(self, exchange: Exchange) -> None:
        """Note it."""
        self.events.append("upgraded")

    def moving(self, exchange: Exchange) -> None:
        """Note it."""
        self.events.append("moving")

    def finished(self, exchange: Exchange, status: int, sent: int, whole: bool) -> None:
        """Note it."""
        self.events.append(str(status))
        self.ends.append((status, sent, whole))


def echo(exchange: Exchange) -> None:
    """Answer at once, with the path."""
    exchange.start(200, "OK", [DATE])
    exchange.finish(exchange.request.path.encode("latin-1"))


def wait(exchange: Exchange) -> None:
    """Leave the answer to the test."""


class Socket:
    """Knows its peer and takes options."""

    def __init__(self) -> None:
        self.options: list[object] = []

    def getpeername(self) -> tuple[str, int]:
        """Always the same."""
        return ("127.0.0.1", 50000)

    def setsockopt(self, *option: object) -> None:
        """Note it."""
        self.options.append(option)


class Wire:
    """Stands for Connection, with a front on it: bytes in, bytes out, turns of the loop by hand."""

    def __init__(self, process: Process, limits: Limits | None = None, rules: Rules | None = None) -> None:
        self.sock = Socket()
        self.out = b""
        self.closed = False
        self.linger: bool | None = None
        self.paused = False
        self.trouble = False
        self.held = 0.0
        self.buffered = 0
        self.taken = 0
        self.seconds: list[float] = []
        self._later: list[Callable[[], None]] = []
        self.front = HTTPFront(cast(Connection, self), process, rules or Rules(), limits or Limits(), LOCAL)

    def expect(self, seconds: float) -> None:
        """Note the timeout that was asked for."""
        self.seconds.append(seconds)

    def soon(self, callback: Callable[[], None]) -> None:
        """Keep it for the next turn."""
        self._later.append(callback)

    def pause_reading(self) -> None:
        """Deliver no more."""
        self.paused = True

    def resume_reading(self) -> None:
        """Deliver again."""
        self.paused = False

    def write(self, data: bytes) -> bool:
        """Take everything."""
        if not self.closed:
            self.out += data
        return True

    def close(self, *, linger: bool) -> None:
        """Note how."""
        if not self.closed:
            self.closed, self.linger = True, linger
            self.front.lost()

    def give(self, move: Callable[[socket.socket], None]) -> None:
        """It is gone from here; its machine is not told."""
        self.closed = True

    def abort(self) -> None:
        """At once."""
        self.close(linger=False)

    def deliver(self, *pieces: bytes) -> "Wire":
        """Let bytes arrive as a connection does: not when closed, and with turns of the loop between."""
        for piece in pieces:
            if not self.closed:
                self.front.received(piece)
            self.turn()
        return self

    def turn(self) -> None:
        """Run what was put off, until nothing is."""
        while self._later:
            self._later.pop(0)()

    @property
    def statuses(self) -> list[int]:
        """Of all the answers so far."""
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d\d\d)", self.out)]

    @property
    def head(self) -> str:
        """Of the only answer."""
        return self.out.decode("latin-1").partition("\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        """What stands behind the first head."""
        return self.out.partition(b"\r\n\r\n")[2]


def answering(*parts: bytes, headers: list[tuple[str, str]] | None = None, status: int = 200) -> Process:
    """A process that answers with these parts, the last of them with `finish`."""

    def application(exchange: Exchange) -> None:
        exchange.start(status, "Fine", [DATE, *(headers or [])])
        for part in parts[:-1]:
            exchange.send(part)
        exchange.finish(parts[-1])

    return Process(application)


def begin_and_fail(*headers: tuple[str, str]) -> Process:
    """An application that sends three bytes and breaks."""

    def application(exchange: Exchange) -> None:
        exchange.start(200, "OK", [DATE, *headers])
        exchange.send(b"abc")
        exchange.fail()

    return Process(application)
