"""FastCGI requests of one connection -> Request, and the answer back.

One request at a time (FCGI_MPXS_CONNS=0): no web server asks for more, and a connection with two requests on it could
never be given to another process.

Laws: bytes are understood in wire/fastcgi.py only; variables are judged in variables.py only. A refusal is a whole 503
answer *and* protocolStatus OVERLOADED, because no web server turns the status alone into an answer of its own. An
answer that stays incomplete ends with a poison record: nginx takes a plain close for the end of a complete one.
Start at FastCGIFront.received. FastCGI 1.0 sections 5 and 6.
"""

from __future__ import annotations

import io
import time
from typing import IO

from runner.errors import RemoteProtocolError
from runner.front.body import Body, ShortBody
from runner.front.connection import Connection
from runner.front.exchange import BaseExchange
from runner.front.limits import Limits
from runner.front.variables import Rules, content_length, note_length
from runner.request import ELSEWHERE, Answer, Request, Service
from runner.wire import fastcgi as wire
from runner.wire import records
from runner.wire.headers import Block

_LONGEST = 2**32 - 1
"""What fits into an appStatus (5.5)."""


class FastCGIFront:
    """The machine of one FastCGI connection; *internal*: the peer is the runner itself."""

    __slots__ = (
        "_arriving", "_body", "_connection", "_exchange", "_internal", "_limits", "_request", "_rules", "_service",
        "_wire",
    )  # fmt: skip

    def __init__(
        self, connection: Connection, service: Service, rules: Rules, limits: Limits, *, internal: bool = False
    ) -> None:
        self._connection = connection
        self._service = service
        self._rules = rules
        self._internal = internal
        self._limits = limits
        self._wire = wire.Responder(records.DEFAULT_LIMITS, limits.max_connections)
        self._request: Request | None = None
        self._exchange: FastCGIExchange | None = None
        self._body: Body | None = None
        # php-fpm's rule: a connection that says nothing must not hold a place for ever.
        self._arriving = True
        connection.expect(limits.header_timeout)

    def received(self, data: bytes) -> None:
        """See connection.Machine."""
        try:
            events = self._wire.feed(data)
        except RemoteProtocolError as error:
            self._reject(error)
            return
        self._reply()
        for event in events:
            match event:
                case wire.Head():
                    # Nearly every GET comes whole in one read; what cannot have a body needs no place for one.
                    self._begin(event, whole=len(events) == 2 and type(events[1]) is wire.BodyEnd)
                    if self._connection.closed:
                        return
                case wire.Body():
                    self._collect(event.data)
                case wire.BodyEnd():
                    self._call()
                case wire.Abort():
                    self._abort()
        if self._wire.must_close and self._exchange is None:
            self._connection.close(linger=True)
        elif self._wire.pending:
            self._connection.pause_reading()
        elif not self._arriving and self._request is None and not self._wire.between:
            self._arriving = True
            self._connection.expect(self._limits.header_timeout)

    def ended(self) -> None:
        """See connection.Machine. No web server half-closes, so the end of the connection is the client's leaving."""
        if self._exchange is not None:
            self._exchange.leave()
        else:
            self._connection.abort()

    def drained(self) -> None:
        """See connection.Machine."""
        if not self._wire.pending:
            self._connection.resume_reading()
        if self._exchange is not None:
            self._exchange.drained()

    def overdue(self) -> None:
        """See connection.Machine."""
        if self._exchange is not None:
            self._exchange.leave()
            self._connection.abort()
        elif self._request is not None:
            self._refuse(self._request, _answer(408, "the rest of the request body did not arrive in time"))
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
        self._connection.expect(self._limits.idle)

    def unread(self) -> bytes | None:
        """See connection.Machine."""
        return self._wire.unread if self._request is None else None

    def _begin(self, head: wire.Head, *, whole: bool) -> None:
        now = time.monotonic()
        try:
            variables, scheme = self._rules.clean(head.params)
            began = self._connection.held or now
            request = self._request = Request(variables, scheme, began, internal=self._internal)
            answer = self._service.admit(request)
            if answer is ELSEWHERE:
                self._service.hold(self._connection, request, self._wire.unread)
                return
            whole = whole and "CONTENT_LENGTH" not in variables
            if answer is None and not whole:
                self._body = Body(content_length(variables), self._limits.max_body)
        except RemoteProtocolError as error:
            self._note_refusal(error)
            request = self._request or _unknown()
            answer = _answer(error.status, str(error))
        if answer is not None:
            self._refuse(request, answer)
        elif whole:
            self._handle(request, io.BytesIO())
        else:
            self._connection.expect(self._limits.body_timeout)

    def _refuse(self, request: Request, answer: Answer) -> None:
        self._request, self._body = request, None
        self._exchange = FastCGIExchange(self, request, self._connection, self._service)
        self._exchange.overloaded = answer.status == 503
        self._exchange.answer(answer)

    def _collect(self, data: bytes) -> None:
        if self._body is None or self._request is None:
            return
        self._connection.expect(self._limits.body_timeout)
        try:
            self._body.write(data)
        except RemoteProtocolError as error:
            self._body.close()
            self._note_refusal(error)
            self._refuse(self._request, _answer(error.status, str(error)))

    def _call(self) -> None:
        body, request = self._body, self._request
        if body is None or request is None:
            return
        self._body = None
        note_length(request.variables, body.received)
        self._handle(request, body.open())

    def _handle(self, request: Request, body: IO[bytes] | ShortBody) -> None:
        request.body = body
        self._connection.expect(0)
        exchange = self._exchange = FastCGIExchange(self, request, self._connection, self._service)
        self._service.handle(exchange)

    def _abort(self) -> None:
        """FCGI_ABORT_REQUEST, section 5.4: the application is told, then the request is ended promptly."""
        if self._exchange is not None:
            self._exchange.aborted = True
            self._exchange.leave()
        elif self._body is not None:
            self._body.close()
            self._body = None
            self._connection.write(self._wire.finish(b"", app_status=1))
            self.next(keep=self._wire.keep)

    def next(self, *, keep: bool) -> None:
        """The present request is over: wait for another one, or close."""
        body_read = self._wire.body_ended
        self._request = self._exchange = self._body = None
        self._arriving = False
        if not keep or self._wire.must_close or (self._service.closing and self._wire.between):
            # Unread STDIN would turn the close into a reset that can overtake the answer.
            self._connection.close(linger=not body_read)
            return
        if self._service.draining and not self._service.closing:
            self._service.part(self._connection, self._wire.unread)
            return
        self._connection.expect(self._limits.idle if self._wire.between else self._limits.header_timeout)
        if self._wire.pending:
            # Not from here: a peer that queues a thousand requests would make the stack a thousand calls deep.
            self._connection.soon(self._go_on)

    def _go_on(self) -> None:
        if self._request is None and not self._connection.closed:
            self._connection.resume_reading()
            self.received(b"")

    def _reply(self) -> None:
        replies = self._wire.take()
        if replies and not self._connection.write(replies):
            # Who asks and does not read the answers is asked to stop asking.
            self._connection.pause_reading()

    def _note_refusal(self, error: RemoteProtocolError) -> None:
        line = f"a FastCGI request was refused with {error.status}: {error}"
        self._service.log.once_a_minute(str(error)[:30], line)

    def _reject(self, error: RemoteProtocolError) -> None:
        """The peer speaks no FastCGI that we know: say so if a request is under way, read no more, close."""
        self._service.log.once_a_minute("fastcgi", f"a FastCGI connection was closed: {error}")
        self._reply()
        if self._exchange is not None:
            if self._exchange.committed:
                self._connection.write(records.POISON)
            self._exchange.leave()
        elif self._wire.active:
            self._refuse(self._request or _unknown(), _answer(error.status, str(error)))
        self._connection.close(linger=True)


def _answer(status: int, text: str) -> Answer:
    return Answer(status, [("Content-Type", "text/plain; charset=utf-8")], f"{text}\n".encode())


def _unknown() -> Request:
    """Stands for a request whose head was not understood."""
    return Request({"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": ""}, "http", time.monotonic())


class FastCGIExchange(BaseExchange):
    """The answer as STDOUT records and one END_REQUEST."""

    half_is_gone = True  # no web server half-closes

    __slots__ = ("_front", "aborted", "overloaded")

    def __init__(self, front: FastCGIFront, request: Request, connection: Connection, service: Service) -> None:
        super().__init__(connection, request, service)
        self._front = front
        self.overloaded = False
        self.aborted = False

    def _serialize_head(self, status: int, reason: str, block: Block) -> bytes:
        # Always a Status line, first: without it some servers invent 200 (section 6.2 allows, practice does not).
        return f"Status: {status} {reason}\r\n{block.text}\r\n".encode("latin-1")

    def _serialize(self, head: bytes, data: bytes, *, last: bool) -> bytes:
        machine = self._front._wire
        if last:
            status = records.OVERLOADED if self.overloaded else records.REQUEST_COMPLETE
            took = 0
            if self.request.internal:
                # Nobody but ourselves reads it: how long the call took says more than how it "exited".
                took = min(int((time.monotonic() - self.request.began) * 1e6), _LONGEST)
            return machine.finish(head + data if head else data, took, status)
        if not data and 0 < len(head) <= records.MAX_PAYLOAD:
            # nginx passes it on at once only if it has nothing more to read, be it padding: else with the first part.
            return records.serialize_record(records.STDOUT, machine.request_id, head, 0)
        return records.stdout(machine.request_id, head + data if head else data)

    def _break(self) -> None:
        self.connection.write(records.POISON)

    def _release(self, *, whole: bool) -> None:
        if whole:
            self._front.next(keep=self._front._wire.keep)
        elif self.aborted and self.gone and not self.connection.closed:
            # The peer asked for the end and still listens: give it one, and keep what it wants kept.
            self.connection.write(self._front._wire.finish(b"", app_status=1))
            self._front.next(keep=self._front._wire.keep)
        else:
            self._front._exchange = None
            self.connection.close(linger=False)
