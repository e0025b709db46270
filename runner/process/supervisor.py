"""The supervisor: owns the listening sockets; waits, notes, decides, does.

    inbox    signals, messages of the processes, questions of people -> facts for the roster
    decide   process/roster.py, pure
    do       one small method an order

Laws: knows no application and imports nothing of its side (no asyncio, front, host, freshness); never ends because of
application code; the listeners stay open from the first bind to the end. A process is known to have ended by the end of
its channel, which the kernel closes for it. Start at serve.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runner.errors import RunnerError, UsageError
from runner.log import Log
from runner.process import interpreter, messages, roster
from runner.process.banner import Banner
from runner.process.control import Desk, Question, default_path
from runner.process.listeners import Listener, close_listeners, open_listeners
from runner.process.messages import Channel
from runner.process.pid_file import PidFile
from runner.process.report import Ledger, Reload
from runner.process.roster import Phase, Roster
from runner.process.scoreboard import Counter, Moment, Scoreboard
from runner.settings import Resolved, Settings

_OVERDUE_LOOK = 0.25
"""Seconds between two looks at the workers' call deadlines, if `--timeout` is set."""
_DUMP = 0.5
"""Seconds a worker gets to write its stacks before it is killed."""

_SIGNALS = (
    signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU,
    signal.SIGCHLD,
)  # fmt: skip


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


@dataclass
class _Process:
    """A generation as the supervisor sees it."""

    number: int
    popen: subprocess.Popen[bytes]
    channel: Channel
    journal: int
    slot: int = -1


@dataclass
class _Hand:
    """A worker as the supervisor sees it. *process*: of a worker that imports by itself."""

    key: int
    slot: int
    channel: Channel
    pid: int = 0
    process: _Process | None = None
    stacks_until: float = 0.0


@dataclass
class _Build:
    """Why and when the build under way began, for the line in the log."""

    paths: list[str] = field(default_factory=list)
    noticed: float = 0.0


class _Supervisor:
    def __init__(
        self, settings: Settings, reread: Callable[[], Resolved], listeners: list[Listener], desk: Desk
    ) -> None:
        self._settings = settings
        self._reread = reread
        self._listeners = listeners
        self._desk = desk
        self._log = Log("supervisor", settings.log_level, settings.log_format)
        self._roster = Roster(settings.workers, settings.graceful_timeout, settings.on_broken == "keep")
        self._scoreboard = Scoreboard()
        self._selector = selectors.DefaultSelector()
        self._processes: dict[int, _Process] = {}
        self._hands: dict[int, _Hand] = {}
        self._statuses: dict[int, int] = {}
        self._build = _Build(noticed=time.monotonic())
        self._ledger = Ledger(settings, [listener.address for listener in listeners])
        self._banner = Banner(settings, [listener.address for listener in listeners], self._log)
        self._waiting: list[tuple[Question, int]] = []
        self._deaths: dict[int, str] = {}
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
                self._look_for_overdue()
        finally:
            signal.set_wakeup_fd(-1)
            self._kill_everybody()
        if self._fatal is not None:
            raise self._fatal
        self._log.info("stopped")
        return 0

    # ---- wait -----------------------------------------------------------------------------------------------

    def _patience(self) -> float | None:
        now = time.monotonic()
        moments = [self._roster.next_deadline(now)]
        moments += [hand.stacks_until for hand in self._hands.values() if hand.stacks_until]
        if self._settings.timeout and self._hands:
            moments.append(now + _OVERDUE_LOOK)
        if self._finished:
            return 0.0
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
                for hand in self._hands.values():
                    hand.channel.send(messages.Reopen())
            case signal.SIGTTIN | signal.SIGTTOU:
                self._roster.note_scale(1 if number is signal.SIGTTIN else -1)
                self._log.info(f"{number.name}: {self._roster.wanted} workers wanted")
            case signal.SIGCHLD:
                self._reap()

    def _stop(self, why: str, *, fast: bool) -> None:
        if not self._roster.stopping:
            self._log.info(f"{why}: stopping")
        self._roster.note_stop(time.monotonic(), fast=fast)

    def _reload(self, why: str) -> None:
        self._build = _Build([why], time.monotonic())
        self._reread_settings()
        self._roster.note_reload()

    def _reap(self) -> None:
        """Collect every child that ended: generations, and what their workers left behind (we are its subreaper)."""
        for process in [*self._processes.values(), *(h.process for h in self._hands.values() if h.process)]:
            process.popen.poll()
        known = {process.popen.pid for process in self._processes.values()}
        known |= {hand.process.popen.pid for hand in self._hands.values() if hand.process}
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid in known:
                return
            pid, status = os.waitpid(found.si_pid, os.WNOHANG)
            self._statuses[pid] = status

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
                question.answer(self._ledger.report(self._roster, self._scoreboard, self._pids()))
            case "reload":
                self._reload("runner reload")
                if question.command.get("wait", True):
                    self._waiting.append((question, self._roster.newest))
                else:
                    question.answer({"reloading": True})
            case "stop":
                self._stop("runner stop", fast=bool(question.command.get("now")))
                question.answer({"stopping": True, "pid": os.getpid()})
            case other:
                question.answer({"error": f"no command {other!r}; there are status, reload, stop"})

    def _pids(self) -> dict[int, int]:
        return {hand.key: hand.pid for hand in self._hands.values()}

    def _tell_waiting(self, reload: Reload) -> None:
        for question, after in list(self._waiting):
            if reload.generation > after:
                self._waiting.remove((question, after))
                question.answer({"last_reload": reload.to_dict()})

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
                self._hands[key].channel.send(messages.Retire())
            case roster.KillWorker(key, reason):
                self._kill(self._hands[key], reason)
            case roster.RetireGeneration(number):
                if number in self._processes:
                    self._processes[number].channel.send(messages.Retire())
            case roster.KillGeneration(number):
                if number in self._processes:
                    self._processes[number].popen.kill()
            case roster.KeepGeneration(number):
                self._keep(number)
            case roster.Finish():
                self._finished = True

    def _start(self, number: int, *, aftermath: bool) -> None:
        journal = -1
        death = ""
        if aftermath:
            death, journal = self._deaths.pop(number - 1, "ended"), self._last_journal()
        try:
            process = self._launch(number, -1, journal, death)
        except OSError as error:
            self._log.error(f"cannot start generation {number}: {error.strerror}; trying again")
            self._roster.note_generation_gone(number, time.monotonic())
            return
        self._processes[number] = process
        self._listen_to_process(process.channel, lambda message: self._hear(process, message), lambda: self._gone(process))

    def _launch(self, number: int, slot: int, journal: int, death: str) -> _Process:
        ours, theirs = messages.pair()
        if journal < 0:
            journal = os.memfd_create("runner-journal") if hasattr(os, "memfd_create") else os.open(os.devnull, os.O_RDWR)
        places: list[list[Any]] = [[each.sock.fileno(), each.front, each.text] for each in self._listeners]
        try:
            inherited = [self._scoreboard.descriptor, journal, *(place[0] for place in places)]
            popen = interpreter.start(inherited, theirs.fileno())
        except OSError:
            ours.close()
            os.close(journal)
            raise
        finally:
            theirs.close()
        process = _Process(number, popen, ours, journal, slot)
        ours.send(
            messages.Begin(self._settings.to_json(), number, slot, places, self._scoreboard.descriptor, journal, death)
        )
        return process

    def _last_journal(self) -> int:
        """The journal of the process that died, kept open until it is read."""
        journal, self._journal = self._journal, -1
        return journal

    _journal = -1

    def _fork(self, number: int, slot: int, *, solo: bool) -> None:
        key = self._roster.note_forking(number, slot, time.monotonic())
        if solo:
            try:
                process = self._launch(number, slot, -1, "")
            except OSError as error:
                self._log.error(f"cannot start worker {slot}: {error.strerror}; trying again")
                self._roster.note_worker_gone(key, time.monotonic())
                return
            hand = _Hand(key, slot, process.channel, process.popen.pid, process)
        else:
            ours, theirs = messages.pair()
            generation = self._processes.get(number)
            if generation is not None:
                generation.channel.send(messages.Fork(slot), theirs.fileno())
            theirs.close()
            hand = _Hand(key, slot, ours)
        self._hands[key] = hand
        self._listen_to_process(hand.channel, lambda message: self._hear_worker(hand, message), lambda: self._lost(hand))

    def _keep(self, number: int) -> None:
        self._processes[number].channel.send(messages.Keep())
        for worker in self._roster.workers.values():
            if worker.generation == number and worker.key in self._hands:
                self._hands[worker.key].channel.send(messages.Keep())

    def _kill(self, hand: _Hand, reason: str) -> None:
        self._log.warning(f"worker {hand.slot} (process {hand.pid}) is killed: {reason}")
        _send_signal(hand.pid, signal.SIGKILL)

    def _kill_everybody(self) -> None:
        """Nobody outlives the supervisor, whatever way it ends."""
        for hand in self._hands.values():
            _send_signal(hand.pid, signal.SIGKILL)
            hand.channel.close()
        for process in self._processes.values():
            process.popen.kill()
            process.popen.wait()
            process.channel.close()

    # ---- what the processes say -----------------------------------------------------------------------------

    def _listen_to_process(
        self, channel: Channel, hear: Callable[[messages.Message], None], gone: Callable[[], None]
    ) -> None:
        def read() -> None:
            try:
                while (received := channel.receive()) is not None:
                    hear(received[0])
            except EOFError:
                self._selector.unregister(channel)
                channel.close()
                gone()

        self._selector.register(channel, selectors.EVENT_READ, read)

    def _hear(self, process: _Process, message: messages.Message) -> None:
        """A generation speaks."""
        now = time.monotonic()
        match message:
            case messages.Loaded():
                self._ledger.note_loaded(process.number, message)
                self._say_notes(message.notes, message.culprit)
                self._roster.note_loaded(process.number, solo=bool(message.culprit))
            case messages.Broken():
                self._hear_broken(process, message)
            case messages.Unborn(paths):
                self._log.info(f"{_name(paths, self._settings.chdir)} changed while it was imported; importing again")
                self._build.paths = self._build.paths or paths
                self._roster.note_unborn(process.number, now)
            case messages.Stale(paths):
                self._hear_stale(process, paths)
            case messages.Forked(slot, pid, error):
                self._hear_forked(process.number, slot, pid, error)
            case messages.Reaped(pid, status):
                self._statuses[pid] = status

    def _hear_broken(self, process: _Process, message: messages.Broken) -> None:
        if message.discovery and process.number == 1:
            self._fatal = UsageError(message.summary)
            self._finished = True
            return
        self._ledger.note_broken(process.number, message)
        self._say_notes(message.notes, message.culprit)
        self._roster.note_broken(process.number, solo=bool(message.culprit))
        kept = self._roster.current()
        goes_on = f"; generation {kept.number} goes on" if kept and kept.kept else ""
        changed = _name(self._build.paths, self._settings.chdir)
        cause = f"{changed} changed → " if self._build.paths else ""
        self._log.error(f"{cause}generation {process.number} failed: {message.summary} ({message.where}){goes_on}")
        reload = self._ledger.note_reload(self._build.paths, process.number, self._elapsed(), message.summary)
        if goes_on:
            self._tell_waiting(reload)

    def _hear_stale(self, process: _Process, paths: list[str]) -> None:
        current = self._roster.current()
        if current is not None and process.number >= current.number:
            self._build = _Build(paths, time.monotonic())
        if self._settings.config in paths:
            self._reread_settings()
        self._roster.note_stale(process.number)

    def _hear_forked(self, number: int, slot: int, pid: int, error: str) -> None:
        for worker in self._roster.workers.values():
            hand = self._hands.get(worker.key)
            if worker.generation == number and worker.slot == slot and hand is not None and not hand.pid:
                hand.pid = pid
        if error:
            self._log.warning(f"worker {slot}: {error}; trying again")

    def _hear_worker(self, hand: _Hand, message: messages.Message) -> None:
        """A worker speaks."""
        match message:
            case messages.Ready(pid):
                hand.pid = pid
                worker = self._roster.workers[hand.key]
                first = not any(w.ready for w in self._roster.workers.values() if w.generation == worker.generation)
                self._roster.note_ready(hand.key)
                if first:
                    self._say_ready(worker.generation)
            case messages.Retiring(reason):
                self._log.info(f"worker {hand.slot} (process {hand.pid}) retires: {reason}")
                self._roster.note_retiring(hand.key, time.monotonic())
            case messages.Unborn():
                pass  # one that imports by itself met a save; its end is noted like any other
            case messages.Broken(summary=summary):
                self._log.error(f"worker {hand.slot} could not import the application: {summary}")

    def _gone(self, process: _Process) -> None:
        """A generation's process has ended."""
        status = process.popen.wait()
        number = process.number
        del self._processes[number]
        generation = self._roster.generations.get(number)
        if generation is not None and generation.phase is Phase.LOADING and not self._roster.stopping:
            death = _describe(status)
            self._deaths[number] = death
            self._log.error(f"generation {number} {death} during the import; see what it wrote above")
            if self._journal >= 0:
                os.close(self._journal)
            self._journal = process.journal
        else:
            os.close(process.journal)
            if generation is not None and generation.phase in (Phase.LIVE, Phase.OUTDATED, Phase.ASIDE):
                self._log.error(f"generation {number} {_describe(status)}; starting another one")
        if generation is not None:
            self._roster.note_generation_gone(number, time.monotonic())

    def _lost(self, hand: _Hand) -> None:
        """A worker's process has ended, or its channel has."""
        if hand.process is not None:
            hand.process.popen.kill()
            self._statuses[hand.pid] = hand.process.popen.wait()
            os.close(hand.process.journal)
        worker = self._roster.workers[hand.key]
        del self._hands[hand.key]
        if not worker.leaving and not self._roster.stopping:
            self._ledger.crashes += 1
            self._log.error(f"worker {hand.slot} (process {hand.pid}) ended unasked{self._why(hand.pid)}; replacing it")
        self._statuses.pop(hand.pid, None)
        self._roster.note_worker_gone(hand.key, time.monotonic())

    def _why(self, pid: int) -> str:
        status = self._statuses.get(pid)
        return "" if status is None else f": it {_describe(os.waitstatus_to_exitcode(status) if status > 255 else -status)}"

    # ---- overdue calls --------------------------------------------------------------------------------------

    def _look_for_overdue(self) -> None:
        """`--timeout`: a call that took too long cannot be ended without its process; first it shows where it was."""
        if not self._settings.timeout:
            return
        now = time.monotonic()
        for hand in self._hands.values():
            row = self._scoreboard.row(hand.slot)
            if row.get(Counter.PID) != hand.pid or not hand.pid:
                continue
            if hand.stacks_until and now >= hand.stacks_until:
                hand.stacks_until = 0.0
                self._kill(hand, f"a call took longer than --timeout {self._settings.timeout:g}s")
            elif not hand.stacks_until and 0.0 < row.when(Moment.DEADLINE) <= now:
                hand.stacks_until = now + _DUMP
                _send_signal(hand.pid, signal.SIGXCPU)

    # ---- words ----------------------------------------------------------------------------------------------

    def _say_ready(self, number: int) -> None:
        elapsed = self._elapsed()
        generation = self._roster.generations.get(number)
        broken = generation is not None and generation.broken
        if number == 1 or not self._banner.said:
            self._banner.say(self._ledger, elapsed)
        elif not broken:
            changed = _name(self._build.paths, self._settings.chdir)
            verb = "" if self._build.paths[:1] in (["SIGHUP"], ["runner reload"]) else " changed"
            self._log.info(f"{changed or 'restart'}{verb if changed else ''} → generation {number} in {elapsed:.0f} ms")
        error = self._ledger.error if broken else ""
        self._tell_waiting(self._ledger.note_reload(self._build.paths, number, elapsed, error))
        self._build = _Build(noticed=time.monotonic())

    def _elapsed(self) -> float:
        return (time.monotonic() - self._build.noticed) * 1000

    def _say_notes(self, notes: list[str], culprit: str) -> None:
        for note in [*notes, *([f"{culprit}: workers cannot be forked, each imports by itself"] if culprit else [])]:
            if self._ledger.note(note):
                self._log.warning(note)

    def _reread_settings(self) -> None:
        """An edit of runner.toml applies like code; an invalid one keeps what was."""
        try:
            settings = self._reread().settings
        except RunnerError as error:
            self._log.error(f"{error}; the settings stay as they were")
            return
        fixed = [name for name in ("http", "fastcgi", "control", "pid_file", "target") if
                 getattr(settings, name) != getattr(self._settings, name)]  # fmt: skip
        if fixed:
            self._log.warning(f"{', '.join(fixed)} changed in the settings: that needs a restart of the runner")
        self._settings = settings
        self._roster.wanted = settings.workers
        self._roster.grace = settings.graceful_timeout
        self._roster.keep = settings.on_broken == "keep"


def _send_signal(pid: int, number: signal.Signals) -> None:
    """Signal a worker. Its generation reaps it only after we have seen the end of its channel, or it is our own child."""
    if pid > 0:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return


def _describe(code: int) -> str:
    """An exit code as subprocess gives it, in words."""
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = str(-code)
        return f"was ended by {name}" + (" (out of memory, perhaps)" if code == -signal.SIGKILL else "")
    return f"ended with exit code {code}"


def _name(paths: list[str], directory: str) -> str:
    """The first changed path, as people call it, and how many more."""
    if not paths:
        return ""
    first = os.path.relpath(paths[0], directory) if paths[0].startswith(directory + "/") else paths[0]
    return first + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")


