"""The lifespan of an ASGI application: told when its process begins, before the first request, and when it ends.

    STARTED      it said `lifespan.startup.complete`; it will be told of the end
    FAILED       it said `lifespan.startup.failed`, or raised while it was starting: it cannot answer
    UNSUPPORTED  it returned, or raised before it had asked for anything: it knows no lifespan, and needs none

Laws: an application that knows no lifespan is as good as any other; what it raises later is logged, and changes
nothing. Start at Lifespan.startup. ASGI 3.0, "Lifespan Protocol" 2.0.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from enum import Enum, auto
from typing import Any

from runner.errors import LocalProtocolError
from runner.host.asgi_call import Application, Event
from runner.host.error_page import Failure
from runner.log import Log

SLOW = 5.0
"""Seconds of a startup that are told of once: nothing is answered before its end, and nothing else would say why."""


class Outcome(Enum):
    """Of a startup."""

    STARTED = auto()
    FAILED = auto()
    UNSUPPORTED = auto()


class Lifespan:
    """That of one application in one process. *state*: what it leaves for the requests, filled by it."""

    def __init__(self, application: Application, log: Log) -> None:
        self.state: dict[str, Any] = {}
        self.failure: Failure | None = None
        self._application = application
        self._log = log
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._asked = False
        self._outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> Outcome:
        """Let it start; *failure* says what went wrong with FAILED."""
        self._events.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.create_task(self._run(), context=copy_context())
        slow = f"the application's lifespan has not started for {SLOW:g} s; its requests wait"
        telling = asyncio.get_running_loop().call_later(SLOW, self._log.warning, slow)
        try:
            return await self._outcome
        finally:
            telling.cancel()

    async def shutdown(self, timeout: float) -> None:
        """Tell it of the end, if it has started, and give it *timeout* seconds."""
        if self._task is None or self._task.done():
            return
        self._events.put_nowait({"type": "lifespan.shutdown"})
        try:
            await asyncio.wait_for(self._ended.wait(), timeout)
        except TimeoutError:
            self._log.warning(f"the application's lifespan did not shut down within {timeout:g} s")
        self._task.cancel()
        await asyncio.wait([self._task], timeout=1.0)

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._application(scope, self._receive, self._send)
        except BaseException as error:
            self._raised(error)
        self._settle(Outcome.UNSUPPORTED)
        self._ended.set()

    def _raised(self, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError) and self._task is not None and self._task.cancelling():
            return  # by us, after its end; or its process must leave before it has started
        failure = Failure.of(error)
        if self._outcome.done():
            self._log.error(failure.log_text("the application's lifespan"))
        elif self._asked:
            self.failure = failure
            self._settle(Outcome.FAILED)
        else:
            self._log.debug(f"the application knows no lifespan: {failure.summary}")

    def _settle(self, outcome: Outcome) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    async def _receive(self) -> Event:
        self._asked = True
        return await self._events.get()

    async def _send(self, event: Event) -> None:
        kind, message = event.get("type"), str(event.get("message", ""))
        match kind:
            case "lifespan.startup.complete":
                self._settle(Outcome.STARTED)
            case "lifespan.startup.failed":
                summary = message.strip().rpartition("\n")[2] or "its startup failed"
                self.failure = self.failure or Failure(f"lifespan: {summary}", message or summary)
                self._settle(Outcome.FAILED)
            case "lifespan.shutdown.complete":
                self._ended.set()
            case "lifespan.shutdown.failed":
                self._log.error(f"the application's lifespan did not shut down: {message}")
                self._ended.set()
            case _:
                raise LocalProtocolError(f"the application sent {kind!r} in its lifespan; see ASGI 3.0 for what it may")
