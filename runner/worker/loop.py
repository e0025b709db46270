"""The worker: one event loop; accept, read, fresh?, call, answer, again.

    accept     one connection at a time, and only when a call could begin now: who takes more starves his siblings
    admit      the head is complete: is the code still the code on disk? (front/on_change says what follows)
    handle     the request is complete: the host calls the application
    finished   counted, logged; perhaps it was the last one

Laws: orders are obeyed between calls; a worker that is stale accepts nothing more, and lives on until its successor is
ready, because it may be told to go on. It ends with the supervisor, whose end is the end of its channel.
Start at run.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import faulthandler
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from runner.freshness.check import Check
from runner.front.fastcgi import FastCGIFront
from runner.front.http import HTTPFront
from runner.front.http_peer import Local
from runner.front.limits import Limits
from runner.front.on_change import Course, choose, redirect
from runner.front.variables import Rules
from runner.host.error_page import Failure
from runner.host.threads import Threads
from runner.host.timer import Timer
from runner.host.wsgi import Host
from runner.log import Log
from runner.process import messages
from runner.process.messages import Channel
from runner.process.scoreboard import Counter, Moment, Scoreboard
from runner.process.titles import set_title
from runner.request import Answer, Exchange, Request
from runner.settings import Settings
from runner.worker.acceptor import Acceptor, Front
from runner.worker.access_log import AccessLog
from runner.worker.lifespan import Lifespan
from runner.worker.own_pages import OwnPages

TICK = 0.25
"""Seconds between two looks at the connections' deadlines, while there are connections."""
FIRST_WORD = 1.0
"""Seconds that a retiring worker gives a connection it has just accepted: its request was sent to this address, too."""
ORPHAN_GRACE = 1.0
"""Seconds for the present requests once the supervisor is gone."""


class Place(NamedTuple):
    """A listening socket as a worker sees it: its descriptor, the front that speaks there, and what it is called."""

    descriptor: int
    front: str
    text: str
    peers: list[str]


@dataclass
class Task:
    """All a worker is given. Exactly one of *application* and *failure* is there."""

    slot: int
    generation: int
    settings: Settings
    listeners: list[Place]
    channel: Channel
    check: Check
    scoreboard: Scoreboard
    application: Callable[..., Any] | None
    failure: Failure | None


def run(task: Task) -> NoReturn:
    """Be a worker until told to leave, then end the process as a normal end of Python would."""
    status = 0
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_Worker(task).live())
    except BaseException as error:
        Log(f"worker {task.slot}", task.settings.log_level, task.settings.log_format).error(
            Failure.of(error).log_text("the worker")
        )
        status = 1
    finally:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
    os._exit(status)


class _Worker:
    """The running worker; it is the Service that its fronts know."""

    def __init__(self, task: Task) -> None:
        settings = self._settings = task.settings
        self.log = Log(f"worker {task.slot}", settings.log_level, settings.log_format)
        set_title(f"worker {task.slot} generation {task.generation}", settings.target)
        self.draining = False
        self.marks = [("X-Runner-Generation", str(task.generation))] if settings.debug else []
        self._task = task
        self._check = task.check
        self._row = task.scoreboard.row(task.slot)
        self._eager = settings.reload == "eager"
        self._rules = Rules(settings.root_path, settings.trust_remote_user)
        self._limits = Limits(
            header_timeout=settings.header_timeout, body_timeout=settings.body_timeout,
            keep_alive=settings.keep_alive, max_body=settings.max_body,
        )  # fmt: skip
        self._pages = OwnPages.wanted(settings, task.generation, task.scoreboard)
        self._access = AccessLog(settings, task.generation, self.log)
        self._most = settings.max_inflight
        self._inflight = 0
        self._pid = os.getpid()
        self._lifespan = Lifespan(settings) if settings.max_requests or settings.max_rss else None
        self._paused = False
        self._retiring = False
        self._ticking = False
        self._threads: Threads | None = None
        self._handle: Callable[[Exchange], None] = self._show_failure

    # ---- life -----------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Everything between the first accept and the last answer."""
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.create_future()
        self._open_host()
        listeners = [
            (socket.socket(fileno=os.dup(each.descriptor)), self._front_of(each), frozenset(each.peers))
            for each in self._task.listeners
        ]
        self._acceptor = Acceptor(listeners, self.log, self._welcome, self._opened)
        self._connections = self._acceptor.connections
        self._watch_signals()
        self._loop.add_reader(self._task.channel, self._obey)
        row = self._row
        row.set(Counter.PID, os.getpid())
        row.set(Counter.GENERATION, self._task.generation)
        row.set(Counter.INFLIGHT, 0)
        row.mark(Moment.DEADLINE, 0.0)
        self._acceptor.listen()
        self._task.channel.send(messages.Ready(os.getpid()))
        await self._end
        self._acceptor.pause()
        if self._threads is not None:
            self._threads.close()

    def _open_host(self) -> None:
        task, settings = self._task, self._settings
        if task.application is None:
            return
        timer = None
        if settings.timeout:
            timer = Timer(settings.timeout, self._note_deadline)
            # To the descriptor: sys.stderr may be something of the application's that has none.
            faulthandler.register(messages.DUMP_SIGNAL, file=2, all_threads=True)
        host = Host(task.application, self.log, threads=settings.threads, debug=settings.debug, timer=timer)
        self._handle = host.handle
        if settings.threads > 1:
            self._threads = Threads(host, settings.threads, self._loop, self._thread_freed)
            self._handle = self._threads.handle

    def _watch_signals(self) -> None:
        # loop.add_signal_handler would be undone by an application that runs a loop of its own inside a call.
        receiver, self._wakeup = socket.socketpair()
        receiver.setblocking(False)
        self._wakeup.setblocking(False)
        self._signals: list[int] = []
        self._loop.add_reader(receiver, self._hear_signals, receiver)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, self._note_signal)

    def _note_signal(self, number: int, frame: object) -> None:
        # A handler may run in the middle of anything, so it only wakes the loop.
        self._signals.append(number)
        with contextlib.suppress(OSError):
            self._wakeup.send(b"\0")

    def _hear_signals(self, receiver: socket.socket) -> None:
        receiver.recv(4096)
        while self._signals:
            number = self._signals.pop()
            if number == signal.SIGUSR1:
                self._access.reopen()
            elif number != signal.SIGHUP:
                # To this process alone it means "you, leave"; to the whole group the supervisor says the same.
                self._retire(f"received {signal.Signals(number).name}")

    def _obey(self) -> None:
        try:
            while (received := self._task.channel.receive()) is not None:
                match received[0]:
                    case messages.Retire():
                        self._retire("")
                    case messages.Reopen():
                        self._access.reopen()
                    case messages.Keep():
                        self._keep()
        except EOFError:
            self._loop.remove_reader(self._task.channel)
            self._loop.call_later(ORPHAN_GRACE, self._leave)
            self._retire("")

    def _pause(self) -> None:
        """The code on disk is newer. Whoever connects now waits in the queue for the next generation."""
        self._paused = self.draining = True
        self._acceptor.pause()

    def _keep(self) -> None:
        """The newer code is broken; this one goes on."""
        self._check.keep()
        if not self._retiring:
            self._paused = self.draining = False
            self._acceptor.listen()

    def _retire(self, reason: str) -> None:
        """Accept nothing more; leave when nothing is under way."""
        if self._retiring:
            return
        self._retiring = self.draining = True
        self._acceptor.pause()
        if reason:
            self._task.channel.send(messages.Retiring(reason))
        for connection in list(self._connections):
            # What is already in its buffer is a request that was sent to us: read it before hanging up.
            connection.poll()
            if not connection.heard and not connection.closed:
                connection.expect(FIRST_WORD)
            elif not connection.closed:
                connection.machine.retire()
        self._leave_if_idle()

    def _leave_if_idle(self) -> None:
        if self._retiring and not self._inflight and not self._connections:
            self._leave()

    def _leave(self) -> None:
        if not self._end.done():
            self._end.set_result(None)

    # ---- connections ----------------------------------------------------------------------------------------

    def _welcome(self) -> bool:
        """May a connection be taken out of the queue now?"""
        busy = self._threads is not None and self._threads.idle <= 0
        if busy or self._paused or self._retiring:
            self._acceptor.pause()
            return False
        if self._check.stale() if self._eager else self._check.seems_stale():
            self._pause()
            return False
        return True

    def _opened(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(TICK, self._tick)

    def _thread_freed(self) -> None:
        if not self._paused and not self._retiring:
            self._acceptor.listen()
        self._leave_if_idle()

    def _tick(self) -> None:
        now = time.monotonic()
        for connection in list(self._connections):
            if connection.deadline and connection.deadline <= now:
                connection.overdue()
        self._ticking = bool(self._connections)
        if self._ticking:
            self._loop.call_later(TICK, self._tick)
        self._leave_if_idle()

    def _front_of(self, place: Place) -> Front:
        if place.front == "fastcgi":
            return lambda connection: FastCGIFront(connection, self, self._rules, self._limits)
        unix = place.text.startswith("unix:")
        name, port = ("", "") if unix else place.text.rsplit(":", 1)
        local = Local(name, port, unix, frozenset(self._settings.forwarded_allow_ips))
        return lambda connection: HTTPFront(connection, self, self._rules, self._limits, local)

    # ---- the service of the fronts --------------------------------------------------------------------------

    def admit(self, request: Request) -> Answer | None:
        """See runner.request.Service."""
        if self._pages is not None and (page := self._pages.answer(request)) is not None:
            return page
        if self._most and self._inflight >= self._most:
            self._row.count(Counter.REFUSED)
            headers = [("Retry-After", "1"), ("Content-Type", "text/plain")]
            return Answer(503, headers, b"Too many requests at once; ask again in a second.\n")
        if self._check.stale():
            self._pause()
            match choose(request):
                case Course.REDIRECT:
                    self._row.count(Counter.REDIRECTS)
                    return redirect(request)
                case Course.EXEMPT:
                    self._row.count(Counter.EXEMPT)
        return None

    def handle(self, exchange: Exchange) -> None:
        """See runner.request.Service."""
        self._inflight += 1
        self._note_inflight()
        self._handle(exchange)

    def finished(self, exchange: Exchange, status: int, sent: int, whole: bool) -> None:
        """See runner.request.Service."""
        self._row.count(Counter.REQUESTS)
        if not whole:
            self._row.count(Counter.CUT)
        if exchange.request.body is not None:
            self._inflight -= 1
            self._note_inflight()
        if self._access.wanted:
            self._access.write(exchange.request, status, sent, self._task.slot)
        if self._lifespan is not None and (reason := self._lifespan.spent()):
            self._loop.call_soon(self._retire, reason)
        if self._retiring:
            self._loop.call_soon(self._leave_if_idle)

    # What is not a count but a state belongs to the newest worker of a slot: one that leaves is silent about it.

    def _note_inflight(self) -> None:
        if self._row.get(Counter.PID) == self._pid:
            self._row.set(Counter.INFLIGHT, self._inflight)

    def _note_deadline(self, deadline: float) -> None:
        if self._row.get(Counter.PID) == self._pid:
            self._row.mark(Moment.DEADLINE, deadline)

    def _show_failure(self, exchange: Exchange) -> None:
        """What answers where the application could not be imported."""
        failure = self._task.failure
        assert failure is not None
        exchange.answer(failure.answer(exchange.request.variables, debug=self._settings.debug, importing=True))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # the one optional import: an extra, and only workers want it
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
