"""The supervisor: owns the listening sockets; waits, notes, decides, does.

    inbox    signals, messages of the processes, questions of people -> facts for the roster
    decide   roster.py, pure
    do       deeds.py: a few lines an order, through crew.py
    tell     chronicle.py

Laws: knows no application and imports nothing of its side (no asyncio, front, host, freshness); never ends because of
application code; the listeners stay open from the first bind to the end. Start at Supervisor.run.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable

from runner.errors import BootError, RunnerError, UsageError
from runner.log import Log
from runner.process import interpreter, messages
from runner.process.endings import describe_exit
from runner.process.scoreboard import Scoreboard
from runner.process.titles import set_title
from runner.settings import Resolved, Settings
from runner.supervisor.banner import Banner
from runner.supervisor.chronicle import Chronicle
from runner.supervisor.clerk import Clerk
from runner.supervisor.control import Desk
from runner.supervisor.courier import Courier
from runner.supervisor.crew import Crew
from runner.supervisor.deeds import Deeds, Inbox
from runner.supervisor.idle import Idle
from runner.supervisor.life import Phase
from runner.supervisor.listeners import Listener
from runner.supervisor.members import Hand, Station
from runner.supervisor.obituary import Obituary
from runner.supervisor.orders import Finish
from runner.supervisor.overdue import Overdue
from runner.supervisor.porter import Porter
from runner.supervisor.report import Ledger
from runner.supervisor.roster import Roster
from runner.supervisor.settings_file import SettingsFile
from runner.supervisor.signals import Signals


class Supervisor:
    """The running supervisor. *reread* gives the settings anew; what it is handed open, others close."""

    def __init__(
        self,
        settings: Settings,
        reread: Callable[[], Resolved],
        listeners: list[Listener],
        desk: Desk,
        signals: Signals,
    ) -> None:
        addresses = [listener.address for listener in listeners]
        self._settings = settings
        self._desk = desk
        self._signals = signals
        self._log = Log("supervisor", settings.log_level, settings.log_format)
        keep = settings.on_broken == "keep"
        self._roster = Roster(settings.workers, settings.graceful_timeout, keep, settings.hold_timeout)
        self._file = SettingsFile(settings, reread, self._log)
        self._scoreboard = Scoreboard()
        self._selector = selectors.DefaultSelector()
        self._crew = Crew(listeners, self._scoreboard, self._selector, Porter(self._selector, self._log))
        self._crew.standby.book.most = settings.checkpoints
        self._courier = Courier(self._crew, self._roster, self._scoreboard, self._log, settings.hold_timeout)
        self._ledger = Ledger(settings, addresses)
        self._chronicle = Chronicle(self._log, self._ledger, Banner(settings, addresses, self._log), settings)
        self._idle = Idle(self._scoreboard, time.monotonic())
        self._obituary = Obituary(self._chronicle.crashed)
        self._clerk = Clerk(
            settings, self._crew, self._roster, self._scoreboard, self._ledger, self._courier, self._chronicle,
            self._reload, self._stop,
        )  # fmt: skip
        inbox = Inbox(self._hear, self._gone, self._hear_worker, self._lost)
        self._deeds = Deeds(self._crew, self._roster, self._chronicle, inbox, settings)
        self._overdue = Overdue(self._crew, self._scoreboard, self._deeds.kill)
        self._finished = False
        self._fatal: RunnerError | None = None

    def run(self) -> int:
        """The loop. Returns the exit code."""
        set_title("supervisor", self._settings.target)
        interpreter.become_subreaper()
        self._selector.register(self._signals, selectors.EVENT_READ, self._hear_signals)
        self._desk.attend(self._selector, self._clerk.answer)
        if os.geteuid() == 0 and self._settings.user is None:
            self._log.warning("the application runs as root; name another user by --user")
        try:
            while not self._finished:
                self._decide()
                self._courier.carry(time.monotonic())
                for key, _ in self._selector.select(self._patience()):
                    key.data()
                self._desk.look(time.monotonic())
                self._crew.porter.look(time.monotonic())
                self._clerk.accounts.look(time.monotonic())
                self._overdue.look(self._settings.timeout)
                streams = self._roster.streams() > 0
                if self._idle.over(self._settings.idle_exit, self._roster.wanted, time.monotonic(), streams=streams):
                    self._stop("idle", fast=False)
        finally:
            self._crew.kill_all()
            self._courier.close()
        if self._fatal is not None:
            raise self._fatal
        self._log.info("stopped")
        return 0

    # ---- wait -----------------------------------------------------------------------------------------------

    def _patience(self) -> float | None:
        """Seconds until something is to be done even if nobody says anything."""
        if self._finished:
            return 0.0
        now = time.monotonic()
        moments = (
            self._roster.next_deadline(),
            self._courier.next_deadline(),
            self._desk.next_look(),
            self._crew.porter.next_look(),
            self._clerk.accounts.next_deadline(),
            self._overdue.next_look(self._settings.timeout, now),
            self._idle.next_look(self._settings.idle_exit, now),
        )
        wanted = [moment for moment in moments if moment is not None]
        return max(0.0, min(wanted) - now) if wanted else None

    def _hear_signals(self) -> None:
        for number in self._signals.take():
            self._hear_signal(number)

    def _hear_signal(self, number: signal.Signals) -> None:
        match number:
            case signal.SIGTERM | signal.SIGQUIT:
                self._stop(number.name, fast=False)
            case signal.SIGINT:
                self._stop(number.name, fast=self._roster.stopping)
            case signal.SIGHUP:
                self._reload("SIGHUP")
            case signal.SIGUSR1:
                self._crew.order_all(messages.Reopen())
            case signal.SIGTTIN | signal.SIGTTOU:
                self._roster.note_scale(1 if number is signal.SIGTTIN else -1)
                self._log.info(f"{number.name}: {self._roster.wanted} workers wanted")
            case signal.SIGCHLD:
                for pid, code in self._crew.reap().items():
                    self._hear_end(pid, code)

    def _stop(self, why: str, *, fast: bool) -> None:
        first = not self._roster.stopping
        self._roster.note_stop(time.monotonic(), fast=fast)
        if first:
            under_way = self._scoreboard.inflight() + self._roster.streams()
            self._chronicle.stopping(why, under_way, self._settings.graceful_timeout)
            self._courier.carry(time.monotonic())
            # Also to those that leave already: nobody comes after them now.
            self._crew.order_all(messages.Retire(last=True))

    def _reload(self, who: str) -> None:
        self._chronicle.note_request(who)
        # Whoever asks for it wants what a start gives, also of what is no file: a database, a variable.
        self._crew.standby.clear()
        self._reread_settings()
        self._roster.note_reload(time.monotonic())

    # ---- decide and do --------------------------------------------------------------------------------------

    def _decide(self) -> None:
        # An order may itself be a fact for the next decision, so decide until there is nothing more to do.
        while not self._finished and (orders := self._roster.decide(time.monotonic())):
            for order in orders:
                if isinstance(order, Finish):
                    self._finished = True
                else:
                    self._deeds.do(order)

    # ---- what the processes say -----------------------------------------------------------------------------

    def _hear(self, station: Station, message: messages.Message, descriptors: list[int]) -> None:
        """A generation speaks."""
        match message:
            case messages.Paused() if descriptors:
                self._crew.standby.take_in(message, descriptors[0], self._hear_paused)
            case messages.Resumed(pid):
                station.note_pid(pid)
            case messages.Passed(paths, modules):
                self._deeds.start_earlier(station, paths, modules)
            case messages.Unfit(note):
                if note:
                    self._chronicle.note(note)
                self._deeds.start_plainly(station)
            case messages.Loaded():
                self._crew.end_lookout(station.number)
                self._chronicle.loaded(message, station.checkpoint)
                self._deeds.note_loaded(message)
                self._roster.note_good_until(station.number, message.good_until)
                self._roster.note_loaded(station.number, solo=bool(message.culprit), late=bool(message.late))
                if stale := message.late or self._file.news():
                    self._hear_stale(station.number, stale)
                elif message.first:
                    self._courier.offer(station)
            case messages.Importing(summary):
                self._chronicle.importing(summary)
                self._roster.note_page(station.number)
            case messages.Broken():
                self._hear_broken(station, message)
            case messages.Unborn(paths):
                self._chronicle.note_void(paths)
                self._note_settings(paths)
                self._roster.note_unborn(station.number)
            case messages.Note(text):
                self._chronicle.note(text)
            case messages.Stale(paths, modules):
                self._hear_stale(station.number, paths, modules)
            case messages.Parcel() | messages.Taken():
                self._courier.hear(Hand(station.key, 0, station.channel), message, descriptors)
            case messages.Ready():
                self._note_ready(station.number)
            case messages.Spent(reason):
                self._courier.note_turned(station, self._deeds.note_spent(station, reason))
            case messages.Forked(key, pid, error):
                self._hear_forked(key, pid, error)
            case messages.Reaped(pid, status):
                self._hear_end(pid, os.waitstatus_to_exitcode(status))

    def _hear_paused(self, message: messages.Message, descriptors: list[int]) -> None:
        """A checkpoint speaks: of those who have gone on from there."""
        if isinstance(message, messages.Reaped):
            self._hear_end(message.pid, os.waitstatus_to_exitcode(message.status))

    def _hear_broken(self, station: Station, message: messages.Broken) -> None:
        self._crew.end_lookout(station.number)
        if message.fatal and station.number == 1:
            self._fatal = (UsageError if message.fatal == UsageError.exit_code else BootError)(message.summary)
            self._finished = True
            return
        self._roster.note_good_until(station.number, message.good_until)
        self._roster.note_broken(station.number, solo=bool(message.culprit), late=bool(message.late))
        current = self._roster.current()
        self._chronicle.broken(station.number, message, current.number if current and current.kept else None)
        if stale := message.late or self._file.news():
            self._hear_stale(station.number, stale)

    def _hear_stale(self, number: int, paths: list[str], modules: int = -1) -> None:
        """Told by a generation, or by a worker that imported by itself; of a kept one it is no news."""
        generation = self._roster.generations.get(number)
        if generation is None or generation.kept:
            return
        current = self._roster.current()
        if current is not None and (current.subject or number >= current.number):
            self._chronicle.note_change(paths)
            self._deeds.note_changed(paths, modules)
        self._note_settings(paths)
        self._roster.note_stale(number)

    def _note_ready(self, number: int) -> None:
        """This generation answers."""
        generation = self._roster.generations.get(number)
        if generation is None or not generation.subject:
            due = self._roster.due or self._roster.loading() is not None
            self._chronicle.ready(number, broken=bool(generation and generation.broken), due=due)

    def _hear_forked(self, key: int, pid: int, error: str) -> None:
        self._obituary.named(key, pid)
        if key in self._crew.hands:
            self._crew.hands[key].pid = pid
        if error:
            self._log.once_a_minute("fork", f"{error}; trying again")

    def _hear_worker(self, hand: Hand, message: messages.Message, descriptors: list[int]) -> None:
        """A worker speaks."""
        match message:
            case messages.Parcel() | messages.Taken():
                self._courier.hear(hand, message, descriptors)
            case messages.Accounted():
                self._clerk.accounts.hear(hand, message)
            case messages.Ready(pid):
                hand.pid = pid
                self._roster.note_ready(hand.key)
                self._note_ready(self._roster.workers[hand.key].generation)
            case messages.Stale(paths, _):
                self._hear_stale(self._roster.workers[hand.key].generation, paths)
            case messages.Retiring(reason):
                self._roster.note_retiring(hand.key, time.monotonic())
                # A signal to the whole group has reached us as well, and then it is no decision of this worker alone.
                self._hear_signals()
                if not self._roster.stopping:
                    self._log.info(f"worker {hand.slot} (process {hand.pid}) retires: {reason}")
            case messages.Streaming(answers):
                self._roster.note_streaming(hand.key, answers, time.monotonic())
            case messages.Note(text):
                self._chronicle.note(text)
            case messages.Loaded(notes=notes):
                for text in notes:
                    self._chronicle.note(text)
            case messages.Broken(summary=summary):
                self._log.error(f"worker {hand.slot} could not import the application: {summary}")

    def _gone(self, station: Station) -> None:
        """A generation's process has ended."""
        self._crew.standby.tidy()  # it has been replaced, and nobody is in a hurry
        generation = self._roster.generations.get(station.number)
        phase = Phase.GONE if generation is None or self._roster.stopping else generation.phase
        if phase is Phase.LOADING and station.checkpoint is not None:
            self._lapsed(station)
            return
        code = self._crew.dismiss(station)
        how = "has ended" if code is None else describe_exit(code)
        if generation is not None and phase is Phase.LOADING and not generation.subject:
            self._deeds.death = how
            self._log.error(f"generation {station.number} {how} during the import; see what it wrote above")
            self._crew.keep_journal(station)
        else:
            os.close(station.journal)
            if phase in (Phase.LIVE, Phase.OUTDATED, Phase.ASIDE):
                self._log.error(f"generation {station.number} {how}; starting another one")
        if generation is not None:
            self._roster.note_generation_gone(station.number, time.monotonic())

    def _lapsed(self, station: Station) -> None:
        """An import that went on in the middle has ended: that explains nothing, so it is not taken for an answer."""
        if station.pid:
            self._log.warning(f"generation {station.number} ended during the import; importing from the beginning")
            self._crew.standby.clear()
        # Else not even the order had been read: the checkpoint had just found by itself that it is of no use.
        self._deeds.start_elsewhere(station)

    def _lost(self, hand: Hand) -> None:
        """A worker's process has ended. Its parent will say how; its replacement does not wait for that."""
        worker = self._roster.workers[hand.key]
        code = self._crew.discharge(hand)
        self._courier.note_gone(hand)
        self._clerk.accounts.gone(hand.key)
        if not worker.leaving and not self._roster.stopping and not hand.killed:
            self._obituary.lost(hand.key, hand.slot, hand.pid)
            if code is not None:
                self._obituary.explained(hand.pid, code)
        self._roster.note_worker_gone(hand.key, time.monotonic())

    def _hear_end(self, pid: int, code: int) -> None:
        """Its parent has collected process *pid*, perhaps before we saw the end of its channel."""
        member = self._crew.hand_of(pid) or self._crew.resumed(pid)
        if member is not None:
            self._crew.finish(member.channel)
        self._obituary.explained(pid, code)

    def _note_settings(self, paths: list[str]) -> None:
        if self._file.path in paths:
            self._reread_settings()

    def _reread_settings(self) -> None:
        self._settings = self._file.read()
        self._deeds.take_settings(self._settings)
        self._courier.set_patience(self._settings.hold_timeout)
