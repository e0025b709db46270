"""HTTP/1.1 requests of one connection -> Request, and the answer back; for a laptop without a web server.

One request at a time: what a client sends ahead waits unread in a bounded buffer, then in the kernel, so
answers leave in the order of the requests. After a request that cannot be understood nothing more is read
as one, because where the next begins would be a guess.

Laws: a head is judged in http_head.py, framing in http_framing.py, the peer in http_peer.py, variables in
variables.py; answers are written in http_exchange.py, and upgrade.py can leave the connection to another machine.
The application is called with a whole body or not at all. Start at HTTPFront.received. RFC 9110; RFC 9112.
"""

from __future__ import annotations

import io
import time
from typing import IO

from runner.errors import RemoteProtocolError
from runner.front.body import Body, ShortBody
from runner.front.connection import Connection
from runner.front.http_exchange import HTTPExchange
from runner.front.http_framing import Framing
from runner.front.http_head import Head, find_end, parse_head
from runner.front.http_peer import Local, Peer
from runner.front.limits import Limits
from runner.front.luggage import Luggage
from runner.front.machine import Machine
from runner.front.moved import MovedExchange
from runner.front.upgrade import UpgradeExchange, asked
from runner.front.variables import Rules, note_length
from runner.origin import OWN_PAGES, Origins
from runner.request import ELSEWHERE, Answer, Request, Service

AHEAD = 16384
"""Bytes of further requests above which reading waits for the present answer."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_PING = Answer(200, [("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")], b"")
"""`OPTIONS *` asks about the server, not about anything of the application (RFC 9110 section 9.3.7)."""


class HTTPFront:
    """The machine of one HTTP connection; *local* is what is known of its listener."""

    __slots__ = (
        "_arriving", "_body", "_buffer", "_connection", "_ended", "_exchange", "_framing", "_keep", "_limits",
        "_origins", "_paused", "_peer", "_raw", "_request", "_rules", "_seen", "_service", "_stuck",
    )  # fmt: skip

    def __init__(
        self, connection: Connection, service: Service, rules: Rules, limits: Limits, local: Local,
        origins: Origins = OWN_PAGES,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._service = service
        self._rules = rules
        self._limits = limits
        self._origins = origins
        self._peer = Peer(connection.sock, local)
        self._buffer = bytearray()
        self._seen = 0  # bytes of the buffer that were searched for the end of a head
        self._raw = b""  # the head of a request that asks for another protocol
        self._request: Request | None = None
        self._framing: Framing | None = None
        self._body: Body | None = None
        self._exchange: HTTPExchange | None = None
        self._keep = False
        self._ended = False
        self._paused = False
        self._stuck = -1  # Connection.taken at the last look that found bytes waiting; -1 for none
        # One bound for the first byte and for the whole head: who connects has something to say.
        self._arriving = True
        connection.expect(limits.header_timeout)

    def received(self, data: bytes) -> None:
        """See connection.Machine."""
        self._buffer += data
        if self._exchange is None:
            self._advance()
        elif len(self._buffer) > AHEAD:
            self._paused = True
            self._connection.pause_reading()

    def ended(self) -> None:
        """See connection.Machine. A client may shut its side and still wait for the answer."""
        self._ended = True
        if self._exchange is None:
            self._advance()
        else:
            self._exchange.note_shut()

    def drained(self) -> None:
        """See connection.Machine."""
        if self._exchange is not None:
            self._exchange.drained()

    def overdue(self) -> None:
        """See connection.Machine."""
        if self._exchange is not None:
            if self._moving():
                self._connection.expect(self._limits.body_timeout)
            else:
                self._exchange.leave()
                self._connection.abort()
        elif self._request is not None or self._buffer:
            self._reject(RemoteProtocolError("the rest of the request did not arrive in time", 408))
        elif self._connection.buffered and self._moving():
            self._connection.expect(self._limits.keep_alive)
        else:
            self._connection.close(linger=True)

    def lost(self) -> None:
        """See connection.Machine."""
        if self._exchange is not None:
            self._exchange.leave()
        elif self._body is not None:
            self._body.close()

    def rest(self) -> None:
        """See connection.Machine."""
        self._arriving = False
        self._connection.expect(self._limits.keep_alive)

    def unread(self) -> bytes | None:
        """See connection.Machine."""
        return bytes(self._buffer) if self._request is None else None

    def come_over(self, luggage: Luggage, *, refused: bool) -> None:
        """A WebSocket has come from another process: its request once more; *refused*: nobody may have it."""
        variables = parse_head(luggage.head).variables
        self._peer.describe(variables)
        request = self._request = Request(variables, "http", luggage.began)
        exchange = self._exchange = MovedExchange(
            self, request, self._connection, self._service, origins=self._origins, luggage=luggage
        )
        try:
            request.scheme = self._rules.complete(variables)
        except RemoteProtocolError:
            refused = True  # --root-path is another one
        if refused:
            exchange.fail()
        else:
            request.body = io.BytesIO()
            self._service.handle(exchange)

    def next(self, *, keep: bool) -> None:
        """The present request was answered: take the next one, or close."""
        read = self._framing is not None and self._framing.complete
        self._request = self._framing = self._body = self._exchange = None
        self._arriving = False
        if not keep or self._service.closing:
            # Who asked for the close sends no more; others may be sending, and a reset destroys the answer.
            silent = self._ended or (read and not self._keep and not self._buffer)
            self._connection.close(linger=not silent)
            return
        if self._service.draining:
            self._service.part(self._connection, bytes(self._buffer))
            return
        self._connection.expect(self._limits.keep_alive)
        if self._paused:
            self._paused = False
            self._connection.resume_reading()
        if self._buffer or self._ended:
            # Not from here: a thousand requests sent ahead would make the stack a thousand calls deep.
            self._connection.soon(self._go_on)

    def forget(self) -> None:
        """See http_exchange.Turns."""
        self._exchange = None

    def leave_to(self, machine: Machine) -> bytes:
        """See http_exchange.Turns."""
        ahead = bytes(self._buffer)
        self._buffer.clear()
        self._exchange = None
        self._connection.machine = machine
        if self._paused:
            self._connection.resume_reading()
        return ahead

    def _go_on(self) -> None:
        if self._exchange is None and not self._connection.closed:
            self._advance()

    def _advance(self) -> None:
        """Go as far as the buffer allows."""
        try:
            if self._request is None:
                self._take_head()
            if self._body is not None:
                self._take_body()
        except RemoteProtocolError as error:
            self._reject(error)

    def _take_head(self) -> None:
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):  # RFC 9112 section 2.2: some clients end a body with one too many
            del buffer[:2]
            self._seen = 0
        end = find_end(buffer, self._seen)
        if end:
            raw = bytes(buffer[:end])
            del buffer[:end]
            self._seen = 0
            self._begin(raw, parse_head(raw))
        elif self._ended:
            self._drop()
        else:
            self._seen = len(buffer)
            if buffer and not self._arriving:
                self._arriving = True
                self._connection.expect(self._limits.header_timeout)

    def _begin(self, raw: bytes, head: Head) -> None:
        variables = head.variables
        self._keep = head.keep
        request = self._request = Request(variables, "http", self._connection.held or time.monotonic())
        self._raw = raw if request.upgrade else b""
        framing = self._framing = Framing(raw, head.length)
        self._peer.describe(variables)
        if variables["PATH_INFO"] == "*":
            self._answer(request, _PING)
            return
        request.scheme = self._rules.complete(variables)
        answer = self._service.admit(request)
        if answer is ELSEWHERE:
            unread = raw + bytes(self._buffer)
            self._request = self._framing = None
            self._buffer.clear()
            self._service.hold(self._connection, request, unread)
        elif answer is not None:
            self._answer(request, answer)
        elif framing.complete:
            self._call(request, io.BytesIO())
        else:
            self._body = Body(head.length, self._limits.max_body)
            if head.expects and not self._buffer:
                self._connection.write(_CONTINUE)
            self._connection.expect(self._limits.body_timeout)

    def _take_body(self) -> None:
        body, framing, request = self._body, self._framing, self._request
        if body is None or framing is None or request is None:
            return
        data = framing.take(self._buffer)
        if data:
            body.write(data)
            self._connection.expect(self._limits.body_timeout)
        if framing.complete:
            self._body = None
            note_length(request.variables, body.received)
            self._call(request, body.open())
        elif self._ended:
            self._drop()

    def _call(self, request: Request, body: IO[bytes] | ShortBody) -> None:
        request.body = body
        self._stuck = -1
        # Not a bound of the application's time: it is looked then whether the client still takes the answer.
        self._connection.expect(self._limits.body_timeout)
        exchange = HTTPExchange(self, request, self._connection, self._service, keep=self._keep)
        if asked(request):
            exchange = UpgradeExchange(
                self, request, self._connection, self._service, keep=self._keep, origins=self._origins, raw=self._raw
            )
        self._exchange = exchange
        self._service.handle(exchange)

    def _answer(self, request: Request, answer: Answer) -> None:
        """Answer without the application; what was not read of this request would look like the next one."""
        keep = self._keep and self._framing is not None and self._framing.complete
        self._exchange = HTTPExchange(self, request, self._connection, self._service, keep=keep)
        self._exchange.answer(answer)

    def _reject(self, error: RemoteProtocolError) -> None:
        """Say what is wrong, read no more, close."""
        line = f"an HTTP request was refused with {error.status}: {error}"
        self._service.log.once_a_minute(str(error)[:30], line)
        request = self._request
        if request is None:
            request = self._request = Request(_nothing(self._peer), "http", time.monotonic())
        if self._body is not None:
            self._body.close()
        self._framing = self._body = None
        self._buffer.clear()
        headers = [("Content-Type", "text/plain; charset=utf-8")]
        self._answer(request, Answer(error.status, headers, f"{error}\n".encode()))

    def _drop(self) -> None:
        """The client left before its request was whole."""
        if self._body is not None:
            self._body.close()
            self._body = None
        self._connection.close(linger=False)

    def _moving(self) -> bool:
        """Nothing waits for the client, or it has taken something since the last look."""
        connection = self._connection
        stuck, self._stuck = self._stuck, connection.taken if connection.buffered else -1
        return self._stuck == -1 or self._stuck != stuck


def _nothing(peer: Peer) -> dict[str, str]:
    """The variables of a request whose head could not be read."""
    return {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "", "QUERY_STRING": "", "REQUEST_URI": "",
        "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": peer.address, "REMOTE_PORT": peer.port,
    }  # fmt: skip
