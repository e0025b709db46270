"""Request -> scope -> the application -> the answer, as ASGI 3 wants it: one task for each request, on the loop.

    receive    the request's body, part by part; then, when the answer is complete or the client has left, disconnect
    send       the answer, checked by answering.py; waits while the client reads more slowly than we write
    end        what the guards close is closed before the last byte leaves

A client that leaves is told to the application at once (`http.disconnect`), and what has not ended *grace* seconds
later is cancelled. What an application does after its answer is complete is its background work: nobody waits for it
but the end of the process.

Everything of one request runs in one contextvars.Context and copies of it (child tasks, thread pools), a copy of the
one the application was imported in: runner.request.current means the same request in all of them.

Laws: on the loop's thread only; the exchange is finished or failed exactly once, whatever the application does; who
raises SystemExit ends its request, and not the process. Start at Host.handle.
ASGI 3.0, "HTTP & WebSocket ASGI Message Format" 2.3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from typing import Any, ParamSpec
from weakref import WeakSet

from runner.errors import ClientGone, LocalProtocolError
from runner.host.answering import Answering, Begin, Part
from runner.host.asgi_scope import Scope, http_scope
from runner.host.faults import Faults
from runner.log import Log
from runner.request import AsyncGuard, Exchange, enter
from runner.wire.headers import unbuffered

Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[object]]

Arguments = ParamSpec("Arguments")

CHUNK = 65536
"""Bytes of a request's body in one event."""


class Host:
    """Calls one ASGI application.

    *grace*: seconds; *state*: what its lifespan has left for the requests; *guards* are told of each request, *ended*
    of each call that has returned.

    calls  those that have not returned, be it with nothing but background work
    """

    def __init__(
        self,
        application: Application,
        log: Log,
        *,
        debug: bool,
        grace: float,
        state: dict[str, Any] | None = None,
        guards: Sequence[AsyncGuard] = (),
        ended: Callable[[], object] = lambda: None,
    ) -> None:
        self.application = application
        self.faults = Faults(log, debug=debug)
        self.grace = grace
        self.state = {} if state is None else state
        self.guards = guards
        self.context = copy_context()
        self.ended = ended
        self.calls: set[_Call] = set()

    def handle(self, exchange: Exchange) -> None:
        """Have *exchange* answered; returns at once."""
        call = _Call(self, exchange)
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


class _Call:
    """One call of the application, in a *task*. *over*: its answer is complete, or will never be; *late*: too late."""

    __slots__ = (
        "_answering", "_exchange", "_grace", "_host", "_left", "_room", "_short", "_told", "_unread", "late", "over",
        "task",
    )  # fmt: skip

    def __init__(self, host: Host, exchange: Exchange) -> None:
        self._host = host
        self._exchange = exchange
        self._answering = Answering()
        self._unread: bytes | None = None  # the part of the request's body that is next; None: it has them all
        self._left: asyncio.Event | None = None
        self._room: asyncio.Future[None] | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._told: WeakSet[asyncio.Task[Any]] | None = None
        self._short = False  # the request's body never became whole
        self.over = self.late = False
        self.task: asyncio.Task[None]

    async def run(self) -> None:
        """From the scope to the end."""
        exchange, host = self._exchange, self._host
        request = exchange.request
        enter(request)
        request.scope = http_scope(request, host.state)
        exchange.resume = self._wake
        try:
            if exchange.gone:
                self._wake()
            self._unread = self._read()
            for guard in host.guards:
                guard.begin(exchange)
            await host.application(request.scope, self.receive, self.send)
            if not (self.over or self._leaving):
                raise LocalProtocolError("the application returned before its answer was complete")
            await self._leave()
        except BaseException as error:
            await self._fail(error)
        finally:
            if self._grace is not None:
                self._grace.cancel()
            host.calls.discard(self)
            host.ended()

    # ---- what the application calls -------------------------------------------------------------------------

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

    async def _send(self, part: Part) -> None:
        exchange, begun = self._exchange, self._answering.begun
        if begun is not None and not exchange.committed and (more := unbuffered(begun.headers)):
            exchange.start(begun.status, begun.reason, [*begun.headers, *more])
        if not part.data:
            # "The protocol server must not start sending the response to the client until it has received at least one
            # Response Body event": this is one, and how a stream that has nothing to say yet shows that it is open.
            exchange.commit()
        if exchange.send(part.data):
            await asyncio.sleep(0)  # who produces faster than the kernel takes would keep the loop for himself
        else:
            self._room = self._room or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)

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

    async def _tell_once(self) -> None:
        """To each task that asks. One that goes on asking would get its answer without end, and keep the loop."""
        task = asyncio.current_task()
        assert task is not None
        if self._told is None:
            self._told = WeakSet()
        if task in self._told:
            await asyncio.get_running_loop().create_future()
        self._told.add(task)

    # ---- end ------------------------------------------------------------------------------------------------

    async def _fail(self, error: BaseException) -> None:
        """With the error page, or cut short."""
        exchange = self._exchange
        if self.over:
            if not isinstance(error, asyncio.CancelledError):
                self._host.faults.report(exchange.request, error)  # in its background work
        elif isinstance(error, asyncio.CancelledError | OSError) and self._leaving:
            await self._leave()
        elif isinstance(error, asyncio.CancelledError) and self.late:
            await self._release()
            self._end(self._host.faults.cut, exchange)
        else:
            await self._release()
            self._end(self._host.faults.show, exchange, error)

    async def _leave(self) -> None:
        """Nobody waits for the rest of the answer, if there is one."""
        if not self.over:
            await self._release()
            self._end(self._exchange.fail)

    async def _release(self) -> None:
        for guard in self._host.guards:
            try:
                await guard.aend(self._exchange)
            except Exception as error:
                self._host.faults.report(self._exchange.request, error)

    @property
    def _leaving(self) -> bool:
        """The client has left, as far as anybody can know: who only shuts his side is hardly ever still there."""
        return self._exchange.gone or self._exchange.shut or self._short

    def _end(self, how: Callable[Arguments, None], *args: Arguments.args, **options: Arguments.kwargs) -> None:
        """Raises LocalProtocolError, and then it was none, when the answer is shorter than announced."""
        how(*args, **options)
        self.over = True
        self._exchange.resume = None
        if self._left is not None or self._room is not None:
            self._wake()

    def _expire(self) -> None:
        """From now on it has the grace to come to its end."""
        if self._grace is None:
            self._grace = asyncio.get_running_loop().call_later(self._host.grace, self.task.cancel)

    def _wake(self) -> None:
        """There is room again, or the client has left, or the answer is complete."""
        exchange, over = self._exchange, self.over
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)
        if not over:
            exchange.resume = self._wake
        if self._leaving and not over:
            self._expire()
        if (over or self._leaving) and self._left is not None:
            self._left.set()
