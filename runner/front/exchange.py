"""One request and the way its answer takes back: the rules that hold on every wire.

Content-Length is kept to the byte (web servers differ in what they make of a wrong one), HEAD, 204 and 304 carry no
body, the head waits for the first byte of the body so that both leave in one write. How a head, a part and an end look
as bytes is the business of the subclass beside each front.

Laws: on the loop's thread only; calls nobody but its connection and the service; `finished` is told exactly once,
whatever happens. Start at start, send, finish, fail. RFC 9110 sections 6.4 and 8.6; PEP 3333.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NoReturn

from runner.errors import LocalProtocolError
from runner.front.connection import Connection
from runner.request import Answer, Request, Service, WebSocket
from runner.wire.headers import Block, serialize_headers

CLIENT_CLOSED = 499
"""The status that access logs use, after nginx, for a client that left before its answer began."""

REASONS = {
    200: "OK", 204: "No Content", 304: "Not Modified", 307: "Temporary Redirect", 400: "Bad Request", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 413: "Content Too Large", 414: "URI Too Long",
    417: "Expectation Failed", 426: "Upgrade Required", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 501: "Not Implemented", 503: "Service Unavailable", 505: "HTTP Version Not Supported",
    507: "Insufficient Storage",
}  # fmt: skip


class BaseExchange(ABC):
    """See runner.request.Exchange for what callers may rely on."""

    bodiless: ClassVar[frozenset[int]] = frozenset((204, 304))
    half_is_gone: ClassVar[bool] = False
    """Nobody who has shut his side of the connection still reads."""

    __slots__ = (
        "_ended", "_head", "_left", "_mute", "committed", "connection", "gone", "request", "resume", "sent", "service",
        "shut", "status",
    )  # fmt: skip

    def __init__(self, connection: Connection, request: Request, service: Service) -> None:
        self.connection = connection
        self.request = request
        self.service = service
        self.committed = False
        self.gone = False
        self.shut = False
        self.resume: Callable[[], None] | None = None
        self.status = 0
        self.sent = 0
        self._head: bytes | None = None
        self._left: int | None = None
        self._mute = False
        self._ended = False

    @property
    def started(self) -> bool:
        """`start` was called."""
        return self._head is not None

    @property
    def mute(self) -> bool:
        """See runner.request.Exchange."""
        return self._mute

    def start(self, status: int, reason: str, headers: list[tuple[str, str]]) -> None:
        """See runner.request.Exchange."""
        if self.committed:
            raise LocalProtocolError("the answer has begun to leave; it cannot begin again")
        if self.service.marks:
            headers = [*headers, *self.service.marks]
        self._begin(status, reason, serialize_headers(headers))

    def answer(self, answer: Answer) -> None:
        """Give a whole answer of the runner's own."""
        reason = REASONS.get(answer.status, "Status")
        self.start(answer.status, reason, [*answer.headers, ("Content-Length", str(len(answer.body)))])
        self.finish(answer.body)

    def send(self, data: bytes) -> bool:
        """See runner.request.Exchange."""
        if self.gone or self._ended or not data:
            return True
        return self._write(self._count(data), last=False)

    def commit(self) -> None:
        """See runner.request.Exchange."""
        if not (self.committed or self.gone or self._ended):
            self._write(b"", last=False)

    def finish(self, data: bytes = b"") -> None:
        """See runner.request.Exchange."""
        if self._ended or self.gone:
            self._over(whole=self._ended)
            return
        if not self.committed and self._left is None and not self._mute:
            self._size(len(data))
            self.sent, part = len(data), data
        else:
            part = self._count(data)
        if self._left and not self._mute:
            missing = self._left
            if self.committed:
                self.fail()
            raise LocalProtocolError(f"the answer ended {missing} bytes before its Content-Length")
        self._write(part, last=True)
        self._over(whole=not self.gone)

    def fail(self) -> None:
        """See runner.request.Exchange."""
        if not self._ended:
            if not self.gone:
                self._break()
            self._over(whole=False)

    def cut(self) -> None:
        """See runner.request.Served."""
        if self.committed and not self._ended and not self.gone:
            self._break()
            self.leave()

    def flush(self, timeout: float) -> None:
        """See runner.request.Exchange."""
        self.connection.flush(timeout)
        if self.connection.trouble:
            self.leave()

    def websocket(self) -> WebSocket | Answer | None:
        """See runner.request.Exchange."""
        return None

    @property
    def upgraded(self) -> bool:
        """See runner.request.Served."""
        return False

    def soon(self, callback: Callable[[], None]) -> None:
        """See runner.request.Exchange."""
        self.connection.soon(callback)

    @property
    def plain(self) -> BaseExchange:
        """See runner.request.Exchange."""
        return self

    def look(self) -> bool:
        """See runner.request.Exchange."""
        if not self.gone and not self._ended and self.connection.broken(half=self.half_is_gone):
            self.leave()
        return self.gone

    def drained(self) -> None:
        """The connection has room again."""
        self._wake()

    def note_shut(self) -> None:
        """The client will send no more; it may still be reading."""
        if not self._ended:
            self.shut = True
            self._wake()

    def leave(self) -> None:
        """The client is gone: tell whoever waits. The host still ends the exchange itself."""
        if not self.gone and not self._ended:
            self.gone = True
            self._wake()

    def _wake(self) -> None:
        resume, self.resume = self.resume, None
        if resume is not None:
            resume()

    def _begin(self, status: int, reason: str, block: Block) -> None:
        self.status = status
        self.sent = 0
        self._mute = status in self.bodiless or self.request.variables["REQUEST_METHOD"] == "HEAD"
        self._left = block.content_length
        self._head = self._serialize_head(status, reason, block)

    def _count(self, data: bytes) -> bytes:
        """What of *data* belongs on the wire, counted against Content-Length."""
        if self._mute:
            return b""
        if self._left is not None:
            if len(data) > self._left:
                self._cut(data)
            self._left -= len(data)
        self.sent += len(data)
        return data

    def _cut(self, data: bytes) -> NoReturn:
        """Send what was announced and no more: the surplus would be read as the beginning of somebody's next answer."""
        left, self._left = self._left or 0, 0
        if left or self.committed:
            self.sent += left
            self._write(data[:left], last=False)
            self.fail()
        raise LocalProtocolError(f"the answer is {len(data) - left} bytes longer than its Content-Length")

    def _write(self, data: bytes, *, last: bool) -> bool:
        head = b""
        if not self.committed:
            if self._head is None:
                raise LocalProtocolError("the answer has a body but start_response was not called before it")
            self.committed = True
            head = self._head
        going = self.connection.write(self._serialize(head, data, last=last))
        if self.connection.trouble:
            self.leave()
        return going or self.gone

    def _over(self, *, whole: bool) -> None:
        if not self._ended:
            self._ended = True
            self.request.over = True
            if self.request.body is not None:
                self.request.body.close()
            status = self.status if self.committed else CLIENT_CLOSED
            self.service.finished(self, status, self.sent, whole)
            self._release(whole=whole)

    def _size(self, length: int) -> None:  # noqa: B027 - not every wire has a use for it
        """The whole body is known to be *length* bytes and no Content-Length was given: a front may add one."""

    @abstractmethod
    def _serialize_head(self, status: int, reason: str, block: Block) -> bytes:
        """The head as bytes."""

    @abstractmethod
    def _serialize(self, head: bytes, data: bytes, *, last: bool) -> bytes:
        """Head (may be empty), part (may be empty) and, if *last*, the end, as bytes for one write."""

    @abstractmethod
    def _break(self) -> None:
        """Make visible to the peer that the answer stays incomplete."""

    @abstractmethod
    def _release(self, *, whole: bool) -> None:
        """The exchange is over: take the next request or close."""
