"""The applications of a worker, each behind the host that fits it; which of them a request is for.

    WSGI                  inline: called on the loop's thread, one call at a time
    WSGI, --threads N     in N threads of its own; inline for who shall leave no thread behind (first.py)
    WSGI beside ASGI      in threads too (one, if nothing else was said): a call that blocks must not stall the loop
    ASGI                  tasks on the loop
    a JSON-RPC gateway    a task for each batch; its items go through the others (dispatching.py)

Laws: an application that cannot start (lifespan) is answered for by its failure, like one that cannot be imported; the
others of this worker with it, for they were deployed together. Start at Hosting.open.
"""

from __future__ import annotations

import asyncio
import faulthandler
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from runner.host import asgi, mounts, wsgi
from runner.host.asgi_call import Application
from runner.host.error_page import Failure
from runner.host.faults import Faults
from runner.host.lifespan import Lifespan, Outcome
from runner.host.loading import Target
from runner.host.threads import Threads
from runner.host.timer import Clock, Timer
from runner.log import Log
from runner.process import messages
from runner.request import Exchange, Service
from runner.resources.present import RequestScopes
from runner.worker.heartbeat import Heartbeat
from runner.worker.task import Task

if TYPE_CHECKING:
    from runner.worker.dispatching import Dispatching

Handle = Callable[[Exchange], None]


@dataclass(frozen=True)
class Ears:
    """Who hears what of calls: *inline* and *threaded* of those of the one and the other kind, *mark* of the deadline
    (monotonic seconds) of the oldest, *turn* of that of the loop, *freed* when something has come to its end."""

    inline: Clock
    threaded: Clock
    mark: Callable[[float], None]
    turn: Callable[[float], None]
    freed: Callable[[], None]


class Hosting:
    """See the module. *handle* has an exchange answered, from `open` on.

    failed   an application could not start
    scopes   what its requests have open
    threads  those of the WSGI applications, None if they are called inline
    """

    def __init__(self, task: Task, log: Log, ears: Ears, service: Service) -> None:
        self.scopes: RequestScopes | None = None
        self.threads: Threads | None = None
        self._task = task
        self._settings = task.settings
        self._log = log
        self._ears = ears
        self._service = service
        self._failure = task.failure
        self._prefixes = [prefix for prefix, _ in task.mounts]
        self._handles: list[Handle] = []
        self._tasks: list[asgi.Host] = []
        self._lifespans: list[Lifespan] = []
        self._dispatching: Dispatching | None = None
        self._heartbeat: Heartbeat | None = None
        self.failed = False
        self.handle: Handle = self._show_failure

    async def open(self) -> None:
        """Make the hosts, and let those applications start that want to."""
        settings, targets = self._settings, [target for _, target in self._task.mounts]
        threaded = settings.threads > 1 and not self._task.inline
        concurrent = threaded or any(target.kind == "ASGI" for target in targets)
        self.scopes = RequestScopes(self._log, most=settings.max_open, waits=concurrent)
        clocks = self._clocks(concurrent=concurrent)
        if "runner.batch" in sys.modules:
            self._dispatching = self._open_dispatching(inline=not concurrent)
        for target in targets:
            if target.kind == "ASGI":
                self._handles.append(await self._open_asgi(target.application))
            elif target.kind == "batch":
                self._handles.append(self._open_batch(target))
            else:
                self._handles.append(self._open_wsgi(target, clocks, concurrent=concurrent))
        if self._failure is None:
            self.handle = self._route if len(targets) > 1 else self._handles[0]

    async def close(self, timeout: float) -> None:
        """No request will come any more; *timeout* seconds for each application to shut down."""
        if self.threads is not None:
            self.threads.close()
        if self._heartbeat is not None:
            self._heartbeat.close()
        for lifespan in reversed(self._lifespans):
            await lifespan.shutdown(timeout)
        if self.scopes is not None:
            await self.scopes.aretire()
        if "runner.channels.current" in sys.modules:
            from runner.channels.current import close

            await close()

    @property
    def full(self) -> bool:
        """A call could not begin now; a task of an ASGI application always can."""
        return self.threads is not None and self.threads.idle <= 0 and not self._lifespans

    @property
    def busy(self) -> bool:
        """Something runs on the loop, be it background work."""
        return any(host.busy for host in self._tasks)

    @property
    def asking(self) -> bool:
        """Parts of requests of this worker are with others, or wait for them."""
        return self._dispatching is not None and self._dispatching.asking > 0

    def waits(self, path: str) -> bool:
        """A call at *path* could not begin now: it is one for a thread, and none is free."""
        if self.threads is None or self.threads.idle > 0:
            return False
        return self._task.mounts[mounts.find(self._prefixes, path)].target.kind == "WSGI"

    def cancel(self, *, background: bool = False) -> None:
        """Cancel what runs on the loop: all, or only *background* work, whose answer is complete."""
        for host in self._tasks:
            host.cancel(background=background)

    def _clocks(self, *, concurrent: bool) -> list[Clock]:
        """What measures the calls of the WSGI applications."""
        timeout, clocks = self._settings.timeout, [self._ears.threaded if concurrent else self._ears.inline]
        if timeout:
            # To the descriptor: sys.stderr may be something of the application's that has none. Not of the watchdog's
            # thread: it may be running, and who is looked at without the interpreter lock must stand still.
            faulthandler.register(messages.DUMP_SIGNAL, file=2, all_threads=concurrent)
            clocks.insert(0, Timer(timeout, self._ears.mark))
        return clocks

    def _open_wsgi(self, target: Target, clocks: list[Clock], *, concurrent: bool) -> Handle:
        assert self.scopes is not None
        settings, ears = self._settings, self._ears
        host = wsgi.Host(
            target.application, self._log, threads=settings.threads, debug=settings.debug, clocks=clocks,
            guards=[self.scopes],
        )  # fmt: skip
        if not concurrent:
            return host.handle
        if self.threads is None:
            self.threads = Threads(settings.threads, asyncio.get_running_loop(), ears.freed)
        return self.threads.handling(host)

    async def _open_asgi(self, application: Application) -> Handle:
        lifespan = Lifespan(application, self._log)
        self._lifespans.append(lifespan)
        if await lifespan.startup() is Outcome.FAILED:
            self._fail(lifespan.failure)
        return self._open_tasks(application, lifespan.state)

    def _open_batch(self, target: Target) -> Handle:
        from runner.host.batch import application_of

        return self._open_tasks(application_of(cast(Any, target.application)), {})

    def _open_dispatching(self, *, inline: bool) -> Dispatching:
        # Here and not above: who has no parts of requests to send need not load what sends them.
        from runner.worker.dispatching import Dispatching

        settings, private = self._settings, self._task.private
        return Dispatching(
            self._service, asyncio.get_running_loop(), Faults(self._log, debug=settings.debug),
            root_path=settings.root_path, width=max(8, settings.workers), inline=inline, waits=self.waits,
            address=private.address if private is not None else "",
        )  # fmt: skip

    def _open_tasks(self, application: Application, state: dict[str, Any]) -> Handle:
        assert self.scopes is not None
        host = asgi.Host(
            application, self._log, debug=self._settings.debug, grace=self._settings.graceful_timeout,
            state=state, guards=[self.scopes], ended=self._ears.freed,
        )  # fmt: skip
        self._tasks.append(host)
        heartbeat = self._heartbeat or Heartbeat(
            asyncio.get_running_loop(), lambda: self.busy, self._log, timeout=self._settings.timeout,
            mark=self._ears.turn,
        )  # fmt: skip
        self._heartbeat = heartbeat

        dispatching = self._dispatching

        def handle(exchange: Exchange) -> None:
            if dispatching is not None:
                exchange.request.dispatcher = dispatching.of(exchange.request)
            host.handle(exchange)
            heartbeat.wake()

        return handle

    def _fail(self, failure: Failure | None) -> None:
        assert failure is not None
        self._failure, self.failed = failure, True
        self._log.error(failure.log_text("the application's start"))

    def _route(self, exchange: Exchange) -> None:
        variables: dict[str, Any] = exchange.request.variables
        place = mounts.find(self._prefixes, variables["PATH_INFO"])
        mounts.enter(variables, self._prefixes[place])
        self._handles[place](exchange)

    def _show_failure(self, exchange: Exchange) -> None:
        """What answers where the application could not be imported, or could not start."""
        assert self._failure is not None
        answer = self._failure.answer(exchange.request.variables, debug=self._settings.debug, importing=True)
        exchange.answer(answer)
