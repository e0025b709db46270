"""An answer that comes later (runner.streaming): its way from any thread to the exchange, which is on the loop's.

    waiting     nobody has responded yet; when the time is over, 504
    going       the answer has begun; parts are sent as they are written
    over        complete, failed, or the client has left: whatever comes now is nothing

Laws: everything that is done to the exchange is done on the loop's thread, in the request's context; the first response
counts, and the next one is told so; whoever writes in a thread waits for his client, whoever writes on the loop may.
Start at Later.begin.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context
from typing import Any, ParamSpec, Protocol, TypeVar

from runner.errors import LocalProtocolError
from runner.host.turns import ask
from runner.request import Answer, Exchange
from runner.streaming import Delayed, Headers
from runner.wire.headers import parse_status, unbuffered

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Ending(Protocol):
    """How a call of the application ends: on the loop's thread, in its context, once."""

    def timed(self, call: Callable[[], object]) -> None:
        """Make a call of the application's, in its context, that whoever watches its calls is to know of."""

    def finish(self, data: bytes) -> None:
        """With the last part. Raises LocalProtocolError if the answer is not what was announced."""

    def give(self, answer: Answer) -> None:
        """With a whole answer of the runner's own."""

    def fail(self, error: BaseException) -> None:
        """With the error page, or cut short."""

    def leave(self) -> None:
        """The client is gone."""

    def report(self, error: BaseException) -> None:
        """Something went wrong that is no end: log it."""


class Later:
    """See the module. *exchange* is the loop's own. It is also the Respond that the function is given."""

    def __init__(self, delayed: Delayed, exchange: Exchange, ending: Ending, context: Context) -> None:
        self._delayed = delayed
        self._exchange = exchange
        self._ending = ending
        self._context = context
        self._lock = threading.Lock()
        self._responded = self._over = False
        self._room: Future[None] | None = None
        self._left: list[Callable[[], object]] = []

    def begin(self) -> None:
        """On the loop's thread: call the function."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._timer = self._loop.call_later(self._delayed.timeout, self._overdue)
        self._exchange.resume = self._wake
        if self._exchange.gone:
            self._wake()
            return
        try:
            self._ending.timed(lambda: self._delayed.function(self))
        except BaseException as error:
            # Whatever it is: it must not end the loop, which answers all the others.
            self._end(self._ending.fail, error)

    def __call__(self, status: str, headers: Headers, body: bytes | None = None) -> Any:
        """See Respond."""
        number, reason = parse_status(status)
        with self._lock:
            if self._responded:
                raise LocalProtocolError("this request has been responded to already, or too late; there is one answer")
            self._responded = True
        more = [] if body is not None else unbuffered(headers)
        self.do(self._start, number, reason, [*headers, *more], body)
        return Parts(self) if body is None else None

    def do(self, call: Callable[Arguments, Result], *args: Arguments.args, **options: Arguments.kwargs) -> Result:
        """Have *call* made on the loop's thread; what it returns or raises."""
        if self.here():
            return call(*args, **options)
        return ask(self._loop, lambda: call(*args, **options)).result()

    def here(self) -> bool:
        """This is the loop's thread."""
        return threading.get_ident() == self._thread

    # ---- on the loop's thread ---------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whatever is sent now is nothing."""
        return self._over or self._exchange.gone

    def send(self, data: bytes) -> None:
        """A part."""
        if not self.over:
            try:
                going = self._exchange.send(data)
            except LocalProtocolError as error:
                self._end(self._ending.fail, error)
                raise
            if not going:
                self._room = self._room or Future()
                self._exchange.resume = self._wake

    def room(self) -> Future[None] | None:
        """Comes when there is room for the next part; None: there is."""
        return self._room

    def finish(self) -> None:
        """The answer is complete."""
        self._end(self._ending.finish, b"")

    def on_disconnect(self, call: Callable[[], object]) -> None:
        """See Writer."""
        self._left.append(call)
        if self._exchange.gone:
            self._tell_left()

    def _start(self, number: int, reason: str, headers: Headers, body: bytes | None) -> None:
        self._timer.cancel()
        if self.over:
            return
        try:
            self._exchange.start(number, reason, headers)
        except LocalProtocolError as error:
            self._end(self._ending.fail, error)
            raise
        if body is not None:
            self._end(self._ending.finish, body)

    def _overdue(self) -> None:
        with self._lock:
            late, self._responded = not self._responded, True
        if late:
            headers = [("Content-Type", "text/plain; charset=utf-8")]
            self._end(self._ending.give, Answer(504, headers, b"The answer did not come in time.\n"))

    def _wake(self) -> None:
        """There is room again, or the client is gone."""
        room, self._room = self._room, None
        if room is not None:
            room.set_result(None)
        if self._exchange.gone:
            self._tell_left()
            self._end(self._ending.leave)
        else:
            self._exchange.resume = self._wake

    def _tell_left(self) -> None:
        calls, self._left = self._left, []
        for call in calls:
            try:
                self._context.copy().run(call)
            except BaseException as error:
                self._ending.report(error)

    def _end(self, how: Callable[Arguments, None], *args: Arguments.args, **options: Arguments.kwargs) -> None:
        if self._over:
            return
        self._over = True
        self._timer.cancel()
        self._exchange.resume = None
        # A copy: this may be said by the function itself, and a context cannot be entered twice.
        context = self._context.copy()
        try:
            context.run(how, *args, **options)
        except LocalProtocolError as error:
            context.run(self._ending.fail, error)


class Parts:
    """The body of a delayed answer. See runner.streaming.Writer."""

    def __init__(self, later: Later) -> None:
        self._later = later

    @property
    def closed(self) -> bool:
        """See Writer."""
        return self._later.over

    def write(self, data: bytes) -> None:
        """See Writer."""
        if not isinstance(data, bytes):
            raise LocalProtocolError(f"a part of the answer is {type(data).__name__}, not bytes")
        if self.closed:
            return  # perhaps there is not even a loop any more
        self._later.do(self._later.send, data)
        if not self._later.here() and (room := self._later.room()) is not None:
            room.result()

    async def drain(self) -> None:
        """See Writer."""
        if (room := self._later.room()) is not None:
            await asyncio.wrap_future(room)

    def close(self) -> None:
        """See Writer."""
        if not self.closed:
            self._later.do(self._later.finish)

    def on_disconnect(self, call: Callable[[], object]) -> None:
        """See Writer."""
        self._later.do(self._later.on_disconnect, call)
