"""The supervisor: owns the listening sockets; waits, notes, decides, does.

    inbox    signals, messages of the processes, questions of people -> facts for the roster
    decide   roster.py, pure
    do       a few lines an order, through crew.py
    tell     chronicle.py

Laws: knows no application and imports nothing of its side (no asyncio, front, host, freshness); never ends because of
application code; the listeners stay open from the first bind to the end. Start at serve.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable

from runner.errors import RunnerError, UsageError
from runner.log import Log
from runner.process import interpreter, messages, roster
from runner.process.banner import Banner
from runner.process.chronicle import Chronicle
from runner.process.control import Desk, Question, default_path
from runner.process.crew import Crew, Hand, Station, describe_exit, send_signal
from runner.process.life import Phase
from runner.process.listeners import Listener, close_listeners, open_listeners
from runner.process.messages import Message
from runner.process.overdue import Overdue
from runner.process.pid_file import PidFile
from runner.process.report import Ledger
from runner.process.roster import Roster
from runner.process.scoreboard import Scoreboard
from runner.settings import Resolved, Settings

_SIGNALS = (
    signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU,
    signal.SIGCHLD,
)  # fmt: skip

_FIXED = ("http", "fastcgi", "control", "pid_file", "target", "user", "group")
"""Settings that a running supervisor cannot change."""


def serve(resolved: Resolved, reread: Callable[[], Resolved]) -> int:
    """Serve until told to stop; the exit code. *reread* gives the settings anew after an edit of their file.

    Raises BootError if the sockets cannot be had, UsageError if the target does not exist at the first start.
    """
    settings = resolved.settings
    explicit = any(resolved.sources[name] != "default" for name in ("http", "fastcgi"))
    listeners = open_listeners(settings, os.environ, explicit=explicit)
    try:
        with PidFile(settings.pid_file):
            desk = Desk(settings.control or default_path())
            try:
                return _Supervisor(settings, reread, listeners, desk).run()
            finally:
                desk.close()
    finally:
        close_listeners(listeners)


class _Supervisor:
    def __init__(
        self, settings: Settings, reread: Callable[[], Resolved], listeners: list[Listener], desk: Desk
    ) -> None:
        addresses = [listener.address for listener in listeners]
        self._settings = settings
        self._reread = reread
        self._desk = desk
        self._log = Log("supervisor", settings.log_level, settings.log_format)
        self._roster = Roster(settings.workers, settings.graceful_timeout, settings.on_broken == "keep")
        self._scoreboard = Scoreboard()
        self._selector = selectors.DefaultSelector()
        self._crew = Crew(listeners, self._scoreboard, self._selector)
        self._ledger = Ledger(settings, addresses)
        self._chronicle = Chronicle(self._log, self._ledger, Banner(settings, addresses, self._log), settings)
        self._overdue = Overdue(self._crew, self._scoreboard, self._kill)
        self._deaths: dict[int, str] = {}
        self._unexplained: dict[int, int] = {}
        self._finished = False
        self._fatal: RunnerError | None = None

    def run(self) -> int:
        """The loop. Returns the exit code."""
        interpreter.become_subreaper()
        receiver, sender = socket.socketpair()
        receiver.setblocking(False)
        sender.setblocking(False)
        for number in _SIGNALS:
            signal.signal(number, lambda number, frame: None)
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        self._selector.register(receiver, selectors.EVENT_READ, lambda: self._hear_signals(receiver))
        self._selector.register(self._desk.sock, selectors.EVENT_READ, self._welcome)
        try:
            while not self._finished:
                self._decide()
                for key, _ in self._selector.select(self._patience()):
                    key.data()
                self._overdue.look(self._settings.timeout)
        finally:
            signal.set_wakeup_fd(-1)
            self._crew.kill_all()
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
        moments = (self._roster.next_deadline(now), self._overdue.next_look(self._settings.timeout, now))
        wanted = [moment for moment in moments if moment is not None]
        return max(0.0, min(wanted) - now) if wanted else None

    def _hear_signals(self, receiver: socket.socket) -> None:
        for number in receiver.recv(4096):
            self._hear_signal(signal.Signals(number))

    def _hear_signal(self, number: signal.Signals) -> None:
        match number:
            case signal.SIGTERM | signal.SIGQUIT:
                self._stop(number.name, fast=False)
            case signal.SIGINT:
                self._stop(number.name, fast=self._roster.stopping)
            case signal.SIGHUP:
                self._reload("SIGHUP")
            case signal.SIGUSR1:
                for hand in self._crew.hands.values():
                    hand.channel.send(messages.Reopen())
            case signal.SIGTTIN | signal.SIGTTOU:
                self._roster.note_scale(1 if number is signal.SIGTTIN else -1)
                self._log.info(f"{number.name}: {self._roster.wanted} workers wanted")
            case signal.SIGCHLD:
                for pid, code in self._crew.reap().items():
                    self._explain(pid, code)

    def _stop(self, why: str, *, fast: bool) -> None:
        if not self._roster.stopping:
            self._log.info(f"{why}: stopping")
        self._roster.note_stop(time.monotonic(), fast=fast)

    def _reload(self, who: str) -> None:
        self._chronicle.note_request(who)
        self._reread_settings()
        self._roster.note_reload()

    # ---- people ---------------------------------------------------------------------------------------------

    def _welcome(self) -> None:
        client = self._desk.accept()
        if client is not None:
            self._selector.register(client, selectors.EVENT_READ, lambda: self._listen_to(client))

    def _listen_to(self, client: socket.socket) -> None:
        number = client.fileno()
        question = self._desk.read(client)
        if question is not None or client.fileno() < 0:
            self._selector.unregister(number)
        if question is not None:
            self._answer(question)

    def _answer(self, question: Question) -> None:
        match question.command.get("command"):
            case "whoami":
                question.answer({"target": self._settings.target, "directory": self._settings.chdir, "pid": os.getpid()})
            case "status":
                pids = {hand.key: hand.pid for hand in self._crew.hands.values()}
                question.answer(self._ledger.report(self._roster, self._scoreboard, pids))
            case "reload":
                self._reload("runner reload")
                if question.command.get("wait", True):
                    self._chronicle.wait(question, self._roster.newest)
                else:
                    question.answer({"reloading": True})
            case "stop":
                self._stop("runner stop", fast=bool(question.command.get("now")))
                question.answer({"stopping": True, "pid": os.getpid()})
            case other:
                question.answer({"error": f"no command {other!r}; there are status, reload, stop"})

    # ---- decide and do --------------------------------------------------------------------------------------

    def _decide(self) -> None:
        # An order may itself be a fact for the next decision, so decide until there is nothing more to do.
        while not self._finished and (orders := self._roster.decide(time.monotonic())):
            for order in orders:
                self._do(order)

    def _do(self, order: roster.Order) -> None:
        match order:
            case roster.Start(number, aftermath):
                self._start(number, aftermath=aftermath)
            case roster.ForkWorker(number, slot, solo):
                self._fork(number, slot, solo=solo)
            case roster.RetireWorker(key):
                self._crew.hands[key].channel.send(messages.Retire())
            case roster.KillWorker(key, reason):
                self._kill(self._crew.hands[key], reason)
            case roster.RetireGeneration(number) if number in self._crew.stations:
                self._crew.stations[number].channel.send(messages.Retire())
            case roster.KillGeneration(number) if number in self._crew.stations:
                self._crew.stations[number].popen.kill()
            case roster.KeepGeneration(number):
                self._keep(number)
            case roster.Finish():
                self._finished = True

    def _start(self, number: int, *, aftermath: bool) -> None:
        death = self._deaths.pop(number - 1, "ended") if aftermath else ""
        try:
            self._crew.start(number, self._settings, death, self._hear, self._gone)
        except OSError as error:
            self._log.error(f"cannot start generation {number}: {error.strerror}; trying again")
            self._roster.note_generation_gone(number, time.monotonic())

    def _fork(self, number: int, slot: int, *, solo: bool) -> None:
        key = self._roster.note_forking(number, slot, time.monotonic())
        if not solo:
            self._crew.fork(key, number, slot, self._hear_worker, self._lost)
            return
        try:
            self._crew.start_alone(key, number, slot, self._settings, self._hear_worker, self._lost)
        except OSError as error:
            self._log.error(f"cannot start worker {slot}: {error.strerror}; trying again")
            self._roster.note_worker_gone(key, time.monotonic())

    def _keep(self, number: int) -> None:
        if number in self._crew.stations:
            self._crew.stations[number].channel.send(messages.Keep())
        for worker in self._roster.workers.values():
            if worker.generation == number and worker.key in self._crew.hands:
                self._crew.hands[worker.key].channel.send(messages.Keep())

    def _kill(self, hand: Hand, reason: str) -> None:
        self._log.warning(f"worker {hand.slot} (process {hand.pid}) is killed: {reason}")
        send_signal(hand.pid, signal.SIGKILL)

    # ---- what the processes say -----------------------------------------------------------------------------

    def _hear(self, station: Station, message: Message) -> None:
        """A generation speaks."""
        match message:
            case messages.Loaded():
                self._chronicle.loaded(message)
                self._roster.note_loaded(station.number, solo=bool(message.culprit))
            case messages.Broken():
                self._hear_broken(station, message)
            case messages.Unborn(paths):
                self._chronicle.note_void(paths)
                self._roster.note_unborn(station.number, time.monotonic())
            case messages.Stale(paths):
                self._hear_stale(station, paths)
            case messages.Forked(slot, pid, error):
                self._hear_forked(station.number, slot, pid, error)
            case messages.Reaped(pid, status):
                self._explain(pid, os.waitstatus_to_exitcode(status))

    def _hear_broken(self, station: Station, message: messages.Broken) -> None:
        if message.discovery and station.number == 1:
            self._fatal = UsageError(message.summary)
            self._finished = True
            return
        self._roster.note_broken(station.number, solo=bool(message.culprit))
        current = self._roster.current()
        self._chronicle.broken(station.number, message, current.number if current and current.kept else None)

    def _hear_stale(self, station: Station, paths: list[str]) -> None:
        current = self._roster.current()
        if current is not None and station.number >= current.number:
            self._chronicle.note_change(paths)
        if self._settings.config in paths:
            self._reread_settings()
        self._roster.note_stale(station.number)

    def _hear_forked(self, number: int, slot: int, pid: int, error: str) -> None:
        for worker in self._roster.workers.values():
            hand = self._crew.hands.get(worker.key)
            if worker.generation == number and worker.slot == slot and hand is not None and not hand.pid:
                hand.pid = pid
        if error:
            self._log.warning(f"worker {slot}: {error}; trying again")

    def _hear_worker(self, hand: Hand, message: Message) -> None:
        """A worker speaks."""
        match message:
            case messages.Ready(pid):
                hand.pid = pid
                number = self._roster.workers[hand.key].generation
                first = not any(w.ready for w in self._roster.workers.values() if w.generation == number)
                self._roster.note_ready(hand.key)
                generation = self._roster.generations.get(number)
                if first:
                    self._chronicle.ready(number, broken=generation is not None and generation.broken)
            case messages.Retiring(reason):
                self._log.info(f"worker {hand.slot} (process {hand.pid}) retires: {reason}")
                self._roster.note_retiring(hand.key, time.monotonic())
            case messages.Broken(summary=summary):
                self._log.error(f"worker {hand.slot} could not import the application: {summary}")

    def _gone(self, station: Station) -> None:
        """A generation's process has ended."""
        how = describe_exit(self._crew.dismiss(station))
        generation = self._roster.generations.get(station.number)
        phase = Phase.GONE if generation is None or self._roster.stopping else generation.phase
        if phase is Phase.LOADING:
            self._deaths[station.number] = how
            self._log.error(f"generation {station.number} {how} during the import; see what it wrote above")
            self._crew.keep_journal(station)
        else:
            os.close(station.journal)
            if phase in (Phase.LIVE, Phase.OUTDATED, Phase.ASIDE):
                self._log.error(f"generation {station.number} {how}; starting another one")
        if generation is not None:
            self._roster.note_generation_gone(station.number, time.monotonic())

    def _lost(self, hand: Hand) -> None:
        """A worker's process has ended. How, its parent will say in a moment; its replacement does not wait for that."""
        worker = self._roster.workers[hand.key]
        code = self._crew.discharge(hand)
        if not worker.leaving and not self._roster.stopping:
            self._unexplained[hand.pid] = hand.slot
            if code is not None:
                self._explain(hand.pid, code)
            elif worker.generation not in self._crew.stations:
                self._chronicle.crashed(self._unexplained.pop(hand.pid), hand.pid, "ended, and its generation with it")
        self._roster.note_worker_gone(hand.key, time.monotonic())

    def _explain(self, pid: int, code: int) -> None:
        """How process *pid* ended."""
        if pid in self._unexplained:
            self._chronicle.crashed(self._unexplained.pop(pid), pid, describe_exit(code))

    def _reread_settings(self) -> None:
        """An edit of runner.toml applies like code; an invalid one keeps what was."""
        try:
            settings = self._reread().settings
        except RunnerError as error:
            self._log.error(f"{error}; the settings stay as they were")
            return
        fixed = [name for name in _FIXED if getattr(settings, name) != getattr(self._settings, name)]
        if fixed:
            self._log.warning(f"{', '.join(fixed)} changed in the settings: that needs a restart of the runner")
        self._settings = settings
        self._roster.wanted = settings.workers
        self._roster.grace = settings.graceful_timeout
        self._roster.keep = settings.on_broken == "keep"
