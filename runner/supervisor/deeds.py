"""Carries out what the roster orders: a few lines an order, through crew.py.

Law: decides nothing; what cannot be done is told to the roster as a fact. Start at Deeds.do.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from runner.process import messages
from runner.settings import Settings
from runner.supervisor import orders
from runner.supervisor.checkpoints import NO_PACE
from runner.supervisor.chronicle import Chronicle
from runner.supervisor.crew import Crew, HearStation, HearWorker
from runner.supervisor.first_answers import FirstAnswers
from runner.supervisor.members import Hand, Station, send_signal
from runner.supervisor.roster import Roster

HOT = 3
"""Files up to which a save is somebody's edit. Of more, each would have a checkpoint of its own, and nothing of what
was imported before is worth going on from."""


class Inbox(NamedTuple):
    """Who is told what the processes say, and when they end: generations, then workers."""

    hear: HearStation
    gone: Callable[[Station], None]
    hear_worker: HearWorker
    lost: Callable[[Hand], None]


class Deeds:
    """*settings* and *pace* are those for what is started next; *death*: how the last generation died that did so
    importing."""

    def __init__(self, crew: Crew, roster: Roster, chronicle: Chronicle, inbox: Inbox, settings: Settings) -> None:
        self.settings = settings
        self.death = ""
        self.pace = NO_PACE
        self._prepared = 0
        self._first_answers = FirstAnswers()
        self._crew = crew
        self._roster = roster
        self._chronicle = chronicle
        self._inbox = inbox

    def do(self, order: orders.Order) -> None:
        """Carry it out."""
        match order:
            case orders.Start() | orders.Explain():
                self._start(order)
            case orders.ForkWorker(number, slot, solo):
                self._fork(number, slot, solo=solo)
            case orders.RetireWorker(key):
                self._crew.order(self._crew.hands[key].channel, messages.Retire(last=self._roster.stopping))
            case orders.CutWorker(key, reason, spread):
                self._crew.order(self._crew.hands[key].channel, messages.Cut(reason, spread))
            case orders.KillWorker(key, reason):
                self.kill(self._crew.hands[key], reason)
            case orders.RetireGeneration(number) if number in self._crew.stations:
                self._crew.order(self._crew.stations[number].channel, messages.Retire())
            case orders.KillGeneration(number) if number in self._crew.stations:
                self._crew.stations[number].kill()
            case orders.KeepGeneration(number):
                self._keep(number)
            case orders.LookOut(number) if self.settings.reload != "off":
                self._crew.look_out(number, self.settings, self._inbox.hear)

    def take_settings(self, settings: Settings) -> None:
        """They were read again."""
        if settings != self.settings:
            self._crew.standby.clear()
            self._crew.standby.book.most = settings.checkpoints
        if settings.workers != self.settings.workers:
            self._roster.wanted = settings.workers
        self.settings = settings
        self._roster.grace, self._roster.hold = settings.graceful_timeout, settings.hold_timeout
        self._roster.keep = settings.on_broken == "keep"

    def kill(self, hand: Hand, reason: str) -> None:
        """End a worker that would not end by itself."""
        self._chronicle.killed(hand.slot, hand.pid, reason)
        hand.killed = True
        send_signal(hand.pid, signal.SIGKILL)

    def start_elsewhere(self, station: Station) -> None:
        """Its checkpoint is of no use; another one may be, or it begins from the beginning."""
        self._crew.withdraw(station)
        self._start_again(station)

    def start_earlier(self, station: Station, paths: Sequence[str], modules: int) -> None:
        """What it has imported was saved since; see note_changed for *paths* and *modules*."""
        self._crew.withdraw(station)
        self.note_changed(paths, modules)
        self._start_again(station)

    def note_changed(self, paths: Sequence[str], modules: int = -1) -> None:
        """These were saved: the next one is likeliest to be one of them; of many, another checkout say, any.

        *modules* as of messages.Stale.
        """
        if modules >= 0:
            self._crew.standby.pass_over(modules)
        if len(paths) <= HOT:
            self.pace = self.pace._replace(hot=paths)
        else:
            self.pace = self.pace._replace(hot=())
            self._crew.standby.start_over()

    def note_loaded(self, message: messages.Loaded) -> None:
        """A generation is imported: what that teaches about the next one."""
        # Steps that suit an import of everything are too wide for one with most of it loaded before.
        self.pace = self.pace._replace(step=0.0 if message.learned else message.step, preload=True)
        # Who goes on from a checkpoint that is older than what was learned says so at each edit anew.
        if message.learned > self._prepared:
            self._prepared = message.learned
            self._crew.prepare(self.settings, self._inbox.hear)

    def note_spent(self, station: Station, reason: str) -> int:
        """It has answered before it was forked, and cannot be forked now. Its key."""
        self._chronicle.spent(station.number, reason, self._first_answers.note_spent(station.number, reason))
        key, unborn = self._roster.note_spent(station.number, time.monotonic())
        self._crew.turn(station, key, self._roster.workers[key].slot, self._inbox.hear_worker, self._inbox.lost)
        for each in unborn:
            self._crew.finish(self._crew.hands[each].channel)
        return key

    def start_plainly(self, station: Station) -> None:
        """What was loaded before the application does not suit it."""
        # First: among the last words of a checkpoint may be that this process has ended, which is no news then. It was,
        # once, and the same station was started elsewhere twice, its journal closed twice; by then the number was that
        # of the new one's channel.
        self._crew.withdraw(station)
        self._crew.standby.clear()
        self._prepared = 0
        self.pace = self.pace._replace(preload=False)
        self._start_again(station)

    def _start_again(self, station: Station) -> None:
        self._start(orders.Start(station.number, voids=station.voids))

    def _start(self, order: orders.Start | orders.Explain) -> None:
        pace = self.pace._replace(first=self._first_answers.allowed(order.number))
        try:
            self._crew.start(order, self.settings, self.death, pace, self._inbox.hear, self._inbox.gone)
        except OSError as error:
            self._chronicle.unstarted(f"generation {order.number}", error)
            self._roster.note_unstarted(order.number, time.monotonic())

    def _fork(self, number: int, slot: int, *, solo: bool) -> None:
        key = self._roster.note_forking(number, slot, time.monotonic())
        hear, lost = self._inbox.hear_worker, self._inbox.lost
        try:
            if solo:
                self._crew.start_alone(key, number, slot, self.settings, hear, lost)
            else:
                self._crew.fork(key, number, slot, hear, lost)
        except OSError as error:
            self._chronicle.unstarted(f"worker {slot}", error)
            self._roster.note_worker_gone(key, time.monotonic())

    def _keep(self, number: int) -> None:
        if number in self._crew.stations:
            self._crew.order(self._crew.stations[number].channel, messages.Keep())
        for worker in self._roster.workers.values():
            if worker.generation == number and worker.key in self._crew.hands:
                self._crew.order(self._crew.hands[worker.key].channel, messages.Keep())
