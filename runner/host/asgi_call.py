"""One call of an ASGI application, in a task: what is the same for a request and for a WebSocket.

    begin     the context of the one request, its scope, the guards
    leave     the application is told of a client that has left, and cancelled if it has not ended *grace* seconds later
    end       what the guards close is closed before the last byte leaves, and before a close frame

Law: the exchange is finished or failed exactly once, whatever the application does; who raises SystemExit ends its
request, and not the process. Start at Call.run. ASGI 3.0.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from typing import Any, ParamSpec
from weakref import WeakSet

from runner.host.asgi_scope import Scope
from runner.host.faults import Faults
from runner.log import Log
from runner.request import AsyncGuard, Exchange, enter

Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[object]]

Arguments = ParamSpec("Arguments")

RUN = 8
"""Events that a call may send before others have their turn: that costs more than a short event itself."""


class Callee:
    """An application, and what holds for all calls of it.

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
        self.calls: set[Call] = set()


class Call(ABC):
    """*over*: the answer is complete, or will never be, and the call is background work; *late*: its time is over."""

    __slots__ = ("_callee", "_exchange", "_grace", "_left", "_room", "_run", "_short", "_told", "late", "over", "task")

    def __init__(self, callee: Callee, exchange: Exchange) -> None:
        self._callee = callee
        self._exchange = exchange
        self._left: asyncio.Event | None = None
        self._room: asyncio.Future[None] | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._told: WeakSet[asyncio.Task[Any]] | None = None
        self._run = 0  # events sent since others had their turn, as far as is known here
        self._short = False  # the request's body never became whole
        self.over = self.late = False
        self.task: asyncio.Task[None]

    async def run(self) -> None:
        """From the scope to the end."""
        exchange, callee = self._exchange, self._callee
        request = exchange.request
        enter(request)
        request.scope = self._scope()
        exchange.resume = self._wake
        try:
            if exchange.gone:
                self._wake()
            self._begin()
            for guard in callee.guards:
                guard.begin(exchange)
            await callee.application(request.scope, self.receive, self.send)
            if not (self.over or self._leaving):
                await self._complete()
            await self._leave()
        except BaseException as error:
            await self._fail(error)
        finally:
            if self._grace is not None:
                self._grace.cancel()
            callee.calls.discard(self)
            callee.ended()

    # ---- what differs ---------------------------------------------------------------------------------------

    @abstractmethod
    async def receive(self) -> Event:
        """What the application calls for the next event."""

    @abstractmethod
    async def send(self, event: Event) -> None:
        """What it calls with an event of its own."""

    @abstractmethod
    def _scope(self) -> Scope:
        """What it is called with first."""

    def _begin(self) -> None:  # noqa: B027 - a WebSocket has nothing to do then
        """The last moment before the call."""

    @abstractmethod
    async def _complete(self) -> None:
        """The application has returned without a last word, and the client is there."""

    # ---- what they share ------------------------------------------------------------------------------------

    async def _yield(self, *, going: bool) -> None:
        """Something was sent; wait if that was enough for the moment."""
        self._run = (self._run + 1) % RUN
        if not self._run and going:
            await asyncio.sleep(0)  # who produces faster than the kernel takes would keep the loop for himself
        elif not going:
            self._room = self._room or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)

    async def _tell_once(self) -> None:
        """To each task that asks. One that goes on asking would get its answer without end, and keep the loop."""
        task = asyncio.current_task()
        assert task is not None
        if self._told is None:
            self._told = WeakSet()
        if task in self._told:
            await asyncio.get_running_loop().create_future()
        self._told.add(task)

    async def _fail(self, error: BaseException) -> None:
        """With the error page, or cut short."""
        exchange, faults = self._exchange, self._callee.faults
        if self.over:
            if not isinstance(error, asyncio.CancelledError):
                faults.report(exchange.request, error)  # in its background work
        elif isinstance(error, asyncio.CancelledError | OSError) and self._leaving:
            await self._leave()
        elif isinstance(error, asyncio.CancelledError) and self.late:
            await self._release()
            self._end(faults.cut, exchange)
        else:
            await self._release()
            self._end(faults.show, exchange, error)

    async def _leave(self) -> None:
        """Nobody waits for the rest of the answer, if there is one."""
        if not self.over:
            await self._release()
            self._end(self._exchange.fail)

    async def _release(self) -> None:
        for guard in self._callee.guards:
            try:
                await guard.aend(self._exchange)
            except Exception as error:
                self._callee.faults.report(self._exchange.request, error)

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
            self._grace = asyncio.get_running_loop().call_later(self._callee.grace, self.task.cancel)

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
