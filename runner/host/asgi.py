"""Request -> scope -> the application -> the answer, as ASGI 3 wants it: one task for each request, on the loop.

    receive    the request's body, part by part; then, when the answer is complete or the client has left, disconnect
    send       the answer, checked by answering.py; waits while the client reads more slowly than we write
    end        what the guards close is closed before the last byte leaves

A client that leaves is told to the application at once (`http.disconnect`), and what has not ended *grace* seconds
later is cancelled. What an application does after its answer is complete is its background work: nobody waits for it
but the end of the process. What asks for a WebSocket is answered by asgi_websocket.py; both share asgi_call.py.

Everything of one request runs in one contextvars.Context and copies of it (child tasks, thread pools), a copy of the
one the application was imported in: runner.request.current means the same request in all of them.

Law: on the loop's thread only. Start at Host.handle.
ASGI 3.0, "HTTP & WebSocket ASGI Message Format" 2.3.
"""

from __future__ import annotations

import asyncio

from runner.errors import ClientGone, LocalProtocolError
from runner.host.answering import Answering, Begin, Part
from runner.host.asgi_call import Call, Callee, Event
from runner.host.asgi_scope import Scope, http_scope
from runner.host.asgi_websocket import WebSocketCall
from runner.request import Answer, Exchange
from runner.wire.headers import unbuffered

CHUNK = 65536
"""Bytes of a request's body in one event."""


class Host(Callee):
    """Calls one ASGI application."""

    def handle(self, exchange: Exchange) -> None:
        """Have *exchange* answered; returns at once."""
        call: Call
        match exchange.websocket() if exchange.request.upgrade else None:
            case None:
                call = _HTTPCall(self, exchange)
            case Answer() as refusal:
                exchange.answer(refusal)
                return
            case websocket:
                call = WebSocketCall(self, websocket)
        self.calls.add(call)
        # Kept where it can be found: a task that nobody knows may be collected while it waits.
        call.task = asyncio.get_running_loop().create_task(call.run(), context=self.context.copy())

    @property
    def busy(self) -> bool:
        """There are `calls`."""
        return bool(self.calls)

    def cancel(self, *, background: bool) -> None:
        """Cancel all calls, or only *background* work: that of calls whose answer is complete.

        Their time is over; who has seen nothing of his answer is told to ask again.
        """
        for call in list(self.calls):
            if call.over or not background:
                call.late = True
                call.task.cancel()


class _HTTPCall(Call):
    """One request."""

    __slots__ = ("_answering", "_unread")

    def __init__(self, callee: Callee, exchange: Exchange) -> None:
        super().__init__(callee, exchange)
        self._answering = Answering()
        self._unread: bytes | None = None  # the part of the request's body that is next; None: it has them all

    async def receive(self) -> Event:
        """ "Request" and "Disconnect - receive event"."""
        part = self._unread
        if part is not None and not self.over:
            rest = self._read() if len(part) == CHUNK else None
            self._unread = rest or None
            return {"type": "http.request", "body": part, "more_body": bool(rest)}
        if not (self.over or self._leaving):
            if self._left is None:
                self._left = asyncio.Event()
            await self._left.wait()
        await self._tell_once()
        return {"type": "http.disconnect"}

    async def send(self, event: Event) -> None:
        """ "Response Start" and "Response Body - send event". Raises LocalProtocolError."""
        exchange = self._exchange
        if exchange.gone or (self.over and exchange.mute):
            await self._discard(event)
            return
        step = self._answering.take(event)
        if isinstance(step, Begin):
            exchange.start(*step)
        elif step.last or exchange.mute:
            # HEAD, 204, 304: no part will ever leave, and there are bodies without an end.
            await self._release()
            self._end(exchange.finish, step.data)
        else:
            await self._send(step)

    def _scope(self) -> Scope:
        return http_scope(self._exchange.request, self._callee.state)

    def _begin(self) -> None:
        self._unread = self._read()

    async def _complete(self) -> None:
        raise LocalProtocolError("the application returned before its answer was complete")

    async def _send(self, part: Part) -> None:
        exchange, begun = self._exchange, self._answering.begun
        if begun is not None and not exchange.committed and (more := unbuffered(begun.headers)):
            exchange.start(begun.status, begun.reason, [*begun.headers, *more])
        if not part.data:
            # "The protocol server must not start sending the response to the client until it has received at least one
            # Response Body event": this is one, and how a stream that has nothing to say yet shows that it is open.
            exchange.commit()
        await self._yield(going=exchange.send(part.data))

    async def _discard(self, event: Event) -> None:
        """Nobody is there to see it. Who sends without end would keep the loop, and has the grace like all others."""
        if event.get("more_body"):
            self._expire()
        elif self.over and self._grace is not None:
            self._grace.cancel()
        await asyncio.sleep(0)

    def _read(self) -> bytes | None:
        """The next part of the request's body; None if it never became whole: then it is as if it had not been sent."""
        assert self._exchange.request.body is not None
        try:
            return self._exchange.request.body.read(CHUNK)
        except ClientGone:
            self._short = True
            return None
