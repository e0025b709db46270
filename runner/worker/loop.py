"""The worker: one event loop; accept, read, fresh?, call, answer, again.

    accept     one connection at a time, and only when a call could begin now: who takes more starves his siblings
    admit      the head is complete: is the code still the code on disk? (front/on_change says what follows)
    handle     the request is complete: the host calls the application
    finished   counted, logged; perhaps it was the last one

Laws: orders are obeyed between calls; a worker that is stale accepts nothing more, and lives on until its successor is
ready: it may be told to go on, and gives away what comes on its connections. One that was stale from the start accepts
all the same, to give away what it reads: what waits then has a time at which it began, and saves that are faster than
imports starve nobody. So does one whose successor takes longer than --hold-timeout: who waits in the queue must be
told. It ends with the supervisor, whose end is its channel's. How its loop is turned: turning.py.
Start at Worker.live.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from functools import partial
from itertools import chain

from runner.front.connection import Connection
from runner.host.threads import Threads
from runner.log import Log
from runner.process import launch, messages
from runner.process.scoreboard import Counter, Moment
from runner.request import Exchange, Movable, Request, Served
from runner.worker.acceptor import Acceptor
from runner.worker.access_log import AccessLog
from runner.worker.farewell import Farewell
from runner.worker.fronts import open_places
from runner.worker.gate import Gate
from runner.worker.hand_over import HandOver
from runner.worker.hosting import Ears, Hosting
from runner.worker.inbox import Inbox
from runner.worker.inner import Inner
from runner.worker.moving import Moving
from runner.worker.own_pages import OwnPages
from runner.worker.relief import Relief, Siblings, crowded
from runner.worker.signals import Signals
from runner.worker.slow import SlowCalls, SlowLog
from runner.worker.standing import Standing
from runner.worker.task import Task
from runner.worker.ticker import Ticker
from runner.worker.underway import Underway
from runner.worker.watchdog import Watchdog
from runner.worker.wear import Wear

FIRST_WORD = 1.0
"""Seconds that a retiring worker gives a connection it has just accepted: its request was sent to this address, too."""
AGAIN = 5.0
"""Seconds after which a worker whose application could not start makes room for one that tries it again."""
PATIENCE = 0.9
"""The part of the graceful timeout after which what runs on the loop is cancelled: it needs some of it to end well."""
ORPHAN_GRACE = 1.0
"""Seconds for the present requests once the supervisor is gone."""


class Worker:
    """The running worker; it is the Service that its fronts know."""

    def __init__(self, task: Task) -> None:
        settings = self._settings = task.settings
        self.log = Log(f"worker {task.slot}", settings.log_level, settings.log_format)
        self.draining = self.closing = False
        self.marks = [("X-Runner-Generation", str(task.generation))] if settings.debug else []
        self._task = task
        self._check = task.check
        self._row = task.scoreboard.row(task.slot)
        self._eager = settings.reload == "eager"
        pages = OwnPages.wanted(settings, task.generation, task.scoreboard)
        self._gate = Gate(task.check, self._row, pages, settings, good_until=task.good_until, pause=self._pause)
        self.admit = self._gate.admit
        self._access = AccessLog(settings, task.generation, self.log)
        self._pid = os.getpid()
        self._standing = Standing(self._row)
        self._wear = Wear(settings) if settings.max_requests or settings.max_rss else None
        self._paused = self._collecting = False

    # ---- life -----------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Everything between the first accept and the last answer."""
        self._loop, task = asyncio.get_running_loop(), self._task
        self._end = self._loop.create_future()
        listeners = open_places(task.listeners, self, self._settings)
        self._acceptor = Acceptor(listeners, self.log, self._welcome, lambda: self._ticker.start())
        self._connections = self._acceptor.connections
        self._underway = Underway(self._connections, task.channel, self.log, self._standing, self._gate)
        self._farewell = partial(Farewell, self._loop, self._underway.sockets, self._settings.workers)
        self._ticker = Ticker(self._loop, self._connections, self._busy, self._looked)
        adopt, outdates = self._acceptor.adopt, self._gate.outdates
        self._hand_over = HandOver(task.channel, task.generation, adopt, self.log, outdates)
        left = partial(self._loop.call_soon, self._leave_if_idle)
        self._moving = Moving(self._loop, self._underway, self._hand_over, self._row, left)
        wake = partial(self._loop.call_soon_threadsafe, self._obey)
        self._inbox = Inbox(task.channel, wake, self._give_account)
        self._watchdog = self._train()
        self._slow_calls = SlowCalls(self._settings.slow, self.log)
        marks = partial(self._standing.note, Moment.DEADLINE), partial(self._standing.note, Moment.TURN)
        ears = Ears(self._watchdog, self._slow_calls, *marks, self._freed)
        self._hosting = Hosting(task, self.log, ears, self)
        private = task.private
        self._inner = Inner(private, self, self._settings, self._hosting) if private is not None else None
        self._attend()
        # Who is told to leave while an application starts, and takes its time, need not wait for it.
        opening = asyncio.ensure_future(self._hosting.open())
        await asyncio.wait((opening, self._end), return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            opening.result()
            self._begin()
            await self._end
            self._acceptor.pause()
            self._watchdog.close()
            await self._hosting.close(self._settings.graceful_timeout)

    def _begin(self) -> None:
        """Open for business."""
        if self._inner is not None:
            self._inner.listen()
        if self._hosting.threads is not None:
            self._watch_threads(self._hosting.threads)
        self._collecting = self._check.stale()
        self._standing.begin(self._task.generation)
        self._acceptor.listen()
        self._task.channel.send(messages.Ready(os.getpid()))
        if self._hosting.failed:
            # What it lacks may be there soon, a database that is being started, and nobody saves a file for that.
            self._loop.call_later(AGAIN, self._retire, "its application could not start; the next one tries again")

    def _attend(self) -> None:
        """From now on hear what the supervisor says, and signals."""
        self._signals = Signals(self._loop, self._hear_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, launch.GROUP)
        self._loop.add_reader(self._task.channel, self._obey)

    def _watch_threads(self, threads: Threads) -> None:
        task, settings = self._task, self._settings
        siblings = Siblings(task.scoreboard, settings.workers, task.generation, self._pid, threads=settings.threads)
        self._gate.crowded = lambda: self._hosting.full and not self.draining and crowded(threads.idle, siblings)

    def _train(self) -> Watchdog:
        task, settings = self._task, self._settings
        siblings = Siblings(task.scoreboard, settings.workers, task.generation, self._pid)
        self._relief = Relief(self._connections, siblings, self.part, self._inbox.returns)
        return Watchdog(self._relieve, SlowLog(settings.slow, self.log), self.log)

    def _relieve(self, exchange: Exchange) -> Iterator[None]:
        """In the watchdog's thread: what can be done while this call does not come back, in steps."""
        # Once the whole service stops nobody takes anything more.
        return chain(self._inbox.answers(), () if self.closing else self._relief.steps(exchange))

    def _hear_signal(self, number: signal.Signals) -> None:
        if number == signal.SIGUSR1:
            self._access.reopen()
        elif number != signal.SIGHUP:
            # To this process alone it means "you, leave"; to the whole group the supervisor says the same.
            self._retire(f"received {number.name}")

    def _obey(self) -> None:
        try:
            while not self._end.done() and (received := self._inbox.receive()) is not None:
                match received[0]:
                    case messages.Parcel() as parcel:
                        self._take(parcel, received[1])
                    case messages.Retire(last):
                        self._retire("", last=last)
                    case messages.Reopen():
                        self._access.reopen()
                    case messages.Keep():
                        self._keep()
                    case messages.Cut(reason, spread):
                        self._underway.cut(reason)
                        self._farewell(spread).begin()
                        self._loop.call_later(spread, self._hosting.cancel)
                    case messages.Heirs() | messages.Arrived() as news:
                        self._moving.hear(news)
                    case messages.Account() as asked:
                        self._give_account(asked)
        except EOFError:
            self._loop.remove_reader(self._task.channel)
            self._loop.call_later(ORPHAN_GRACE, self._leave)
            self._retire("", last=True)

    def _give_account(self, asked: messages.Account) -> None:
        rows = self._hosting.scopes.report() if self._hosting.scopes is not None else []
        self._task.channel.send(messages.Accounted(asked.number, len(rows), rows))

    def _pause(self) -> None:
        """The code on disk is newer. Whoever connects now waits in the queue for the next generation."""
        if not (self._collecting or self._paused):
            self._paused = True
            self._acceptor.pause()
            if self._settings.hold_timeout:
                self._loop.call_later(self._settings.hold_timeout, self._collect)

    def _collect(self) -> None:
        """It is long in coming: who waits in the queue is held like all others, and so told of it in the end."""
        if self._paused and not self.draining:
            self._paused, self._collecting = False, True
            self._acceptor.listen()

    def _keep(self) -> None:
        """The newer code is broken; this one goes on."""
        self._check.keep()
        self._paused = self._collecting = False
        if not self.draining:
            self._acceptor.listen()

    def _retire(self, reason: str, *, last: bool = False) -> None:
        """Accept nothing more; leave when nothing is under way."""
        if self.draining and (self.closing or not last):
            return
        self.closing = self._gate.closing = last
        self.draining = True
        self._acceptor.pause()
        self._standing.note(Moment.LEAVING, self._loop.time())
        if reason:
            self._task.channel.send(messages.Retiring(reason))
        for connection in list(self._connections):
            if last:
                # What is already in its buffer is a request that was sent to us: read it before hanging up.
                connection.poll()
            if last and not connection.heard and not connection.closed:
                connection.expect(FIRST_WORD)
            else:
                self._part_between(connection)
        if last:
            self._moving.close()
            self._farewell(self._settings.graceful_timeout / 2).begin()
        cancel = partial(self._hosting.cancel, background=not last)
        self._loop.call_later(self._settings.graceful_timeout * PATIENCE, cancel)
        self._ticker.hasten()
        self._leave_if_idle()

    def _part_between(self, connection: Connection) -> None:
        """Give it away, if no request is under way there."""
        if not connection.closed and (unread := connection.machine.unread()) is not None:
            self.part(connection, unread)

    def _busy(self) -> bool:
        return self._gate.inflight > 0 or self.draining

    def _leave_if_idle(self) -> None:
        if self.draining and not self.closing:
            self._underway.tell()
        inner = self._inner is not None and self._inner.busy
        if self.draining and not (self._gate.inflight or self._connections or inner or self._hosting.busy):
            self._leave()

    def _leave(self) -> None:
        if not self._end.done():
            if self._inner is not None:
                self._inner.leave()
            self._end.set_result(None)

    def _take(self, parcel: messages.Parcel, descriptors: list[int]) -> None:
        """Another worker's connection is ours now; a request that nobody can answer is refused with the reason."""
        self._gate.refusal = parcel.refused
        try:
            self._hand_over.take(parcel, descriptors, leaving=self.draining)
        finally:
            self._gate.refusal = ""
        self._leave_if_idle()

    # ---- connections ----------------------------------------------------------------------------------------

    def _welcome(self) -> bool:
        """May a connection be taken out of the queue now?"""
        if self._hosting.full or self._paused or self.draining:
            self._acceptor.pause()
            return False
        if self._collecting:
            return True
        if self._check.stale() if self._eager else self._check.seems_stale():
            self._pause()
            return False
        return True

    def _freed(self) -> None:
        """A thread, or what a call on the loop has used."""
        if not self._paused and not self.draining:
            self._acceptor.listen()
        if self._inner is not None:
            self._inner.listen()
        self._leave_if_idle()

    def _looked(self) -> None:
        self._slow_calls.look()
        if self._hosting.scopes is not None:
            self._hosting.scopes.look()
        self._leave_if_idle()

    # ---- the service of the fronts --------------------------------------------------------------------------

    def hold(self, connection: Connection, request: Request, unread: bytes) -> None:
        """See runner.request.Service."""
        if self._gate.outdated:
            self._row.count(Counter.HELD)
            self._hand_over.hold(connection, unread, request.began)
        else:
            self.part(connection, unread)

    def part(self, connection: Connection, unread: bytes) -> None:
        """See runner.request.Service."""
        if not self.closing:
            self._row.count(Counter.MOVED)
            self._hand_over.give(connection, unread)
        elif not unread:
            # Nothing of the peer's is left unread here, so no reset follows that could destroy our last bytes.
            connection.close(linger=False)

    def handle(self, exchange: Served) -> None:
        """See runner.request.Service."""
        self._underway.begin(exchange)
        self._hosting.handle(exchange)

    def upgraded(self, exchange: Movable) -> None:
        """See runner.request.Service."""
        self._underway.upgraded(exchange)
        self._moving.note_upgraded()

    def moving(self, exchange: Movable) -> None:
        """See runner.request.Service."""
        self._moving.note_answered(exchange)

    def finished(self, exchange: Served, status: int, sent: int, whole: bool) -> None:
        """See runner.request.Service."""
        self._row.count(Counter.REQUESTS)
        if not whole:
            self._row.count(Counter.CUT)
        if exchange.request.body is not None:
            self._underway.end(exchange)
        if self._access.wanted:
            self._access.write(exchange.request, status, sent, self._task.slot)
        if self._wear is not None and (reason := self._wear.spent()):
            self._loop.call_soon(self._retire, reason)
        if self.draining:
            self._loop.call_soon(self._leave_if_idle)
