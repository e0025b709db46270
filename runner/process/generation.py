"""The generation: imports the application, proves it fresh, forks its workers, and watches its files.

    begin    told what to import, by one message of the supervisor
    import   with every input noted before it is read; what fails becomes the error that is shown
    prove    nothing changed while the import ran, or this attempt is void
    live     fork when told; drain the change queue; give verdicts to workers that ask; say Stale once

Laws: one Python thread, so that forking is safe; nobody else drains the change queue; the shared word is raised to BUSY
before the queue is read. Never ends because of application code: a failed import is an answer like any other.
Start at main. Only the supervisor starts this, by exec.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from runner.errors import RunnerError, UsageError
from runner.freshness.bytecode import Bytecode
from runner.freshness.check import Check, OwnCheck, SharedCheck, Unchecked, Word
from runner.freshness.inputs import Additions
from runner.freshness.recorder import Recorder
from runner.freshness.watch import State, Watch
from runner.host.error_page import Failure
from runner.host.loading import Target, TargetError, load
from runner.log import Log
from runner.process import interpreter, messages, worker
from runner.process.messages import Begin, Channel
from runner.process.scoreboard import Scoreboard
from runner.settings import Settings

CLOSING = 1.0
"""Seconds that workers get after the supervisor is gone."""
_CHECKED = 2
_PATHS = 50


class Import(NamedTuple):
    """What the import came to: a target or a failure; *seconds* it took; *culprit* why the process cannot be forked."""

    target: Target | None
    failure: Failure | None
    discovery: bool
    culprit: str
    seconds: float


def main() -> None:
    """The process's whole life. `--check`: import what the settings on standard input name, say so, and end."""
    if sys.argv[1:] == ["--check"]:
        sys.exit(_check(Settings.from_json(sys.stdin.read())))
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    interpreter.die_with_parent(True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
        # The supervisor hears signals to the group; its orders are what counts. A handler, not SIG_IGN, which programs
        # started by the application would inherit.
        signal.signal(number, _ignore)
    begin = _wait_for_begin(channel)
    settings = Settings.from_json(begin.settings)
    generation = _Generation(begin, settings, channel)
    generation.import_application()
    generation.live()


def _check(settings: Settings) -> int:
    """`runner check`: 0 and one line of praise, or the error's exit code and its line."""
    watch, recorder = _record(settings, inotify=False)
    result = _import(settings, watch, recorder)
    if result.failure is not None:
        place = f" ({result.failure.where})" if result.failure.where and not result.discovery else ""
        print(f"runner: {settings.target}: {result.failure.summary}{place}", file=sys.stderr)  # noqa: T201
        return _CHECKED if result.discovery else 1
    kind = result.target.kind if result.target else ""
    threads = f"; {result.culprit}, so each worker will import by itself" if result.culprit else ""
    files = len(watch.inputs.files)
    print(f"{settings.target} is fine: {kind}, {files} files, {result.seconds * 1000:.0f} ms{threads}")  # noqa: T201
    return 0


def _record(settings: Settings, *, inotify: bool) -> tuple[Watch, Recorder]:
    ignore = tuple(os.path.join(settings.chdir, pattern) for pattern in settings.ignore)
    watch = Watch(ignore, inotify=inotify)
    recorder = Recorder(watch.inputs, Bytecode(settings.cache_dir))
    return watch, recorder


def _import(settings: Settings, watch: Watch, recorder: Recorder) -> Import:
    began = time.perf_counter()
    target, failure, discovery = None, None, False
    try:
        interpreter.furnish(settings)
        recorder.open()
        for path in (settings.config, settings.env_file):
            if path:
                watch.inputs.add_file(path)
        for pattern in settings.watch:
            watch.inputs.add_glob(os.path.join(settings.chdir, pattern))
        watch.watch_root(settings.chdir)
        target = load(settings.target, settings.chdir, settings.interface)
    except RunnerError as error:
        failure, discovery = Failure(str(error), str(error)), isinstance(error, TargetError | UsageError)
    except BaseException as error:
        # SystemExit too: an application that ends the process while it is imported has failed, no more.
        failure = Failure.of(error)
        if isinstance(error, SyntaxError) and error.filename:
            watch.inputs.add_file(os.path.abspath(error.filename))
    recorder.settle()
    return Import(target, failure, discovery, _threads(), time.perf_counter() - began)


def _threads() -> str:
    """Why this process cannot be forked: the Python thread that the import left behind, and whose it is."""
    if len(sys._current_frames()) <= 1:
        return ""
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            code = getattr(getattr(thread, "_target", None), "__module__", None) or type(thread).__module__
            return f"the import left thread {thread.name!r} of {code} running"
    return "the import left a thread running"


class _Generation:
    """The process after Begin."""

    def __init__(self, begin: Begin, settings: Settings, channel: Channel) -> None:
        self._begin = begin
        self._settings = settings
        self._channel = channel
        self._log = Log(f"generation {begin.number}", settings.log_level, settings.log_format)
        self._watch, self._recorder = _record(settings, inotify=settings.reload != "off")
        self._word = mmap.mmap(-1, mmap.PAGESIZE)
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, int] = {}
        self._inquiries: dict[socket.socket, bytearray] = {}
        self._waiting: list[socket.socket] = []
        self._again: float | None = None
        self._hashing: Iterator[str] | None = None
        self._retiring = False
        self._result = Import(None, None, False, "", 0.0)

    # ---- import ---------------------------------------------------------------------------------------------

    def import_application(self) -> None:
        """Import, prove, report. Does not return if the attempt is void."""
        if self._begin.aftermath:
            self._import_nothing()
        else:
            self._recorder.started = self._journal
            self._result = _import(self._settings, self._watch, self._recorder)
            self._recorder.started = None
        inputs = self._watch.inputs
        self._watch.watch_inodes()
        if self._settings.reload != "off":
            changed = self._watch.prove()
            if changed:
                self._channel.send(messages.Unborn(list(changed[:_PATHS])))
                os._exit(0)
        inputs.take_additions()
        self._hashing = inputs.unhashed()
        gc.collect()
        gc.freeze()
        interpreter.die_with_parent(False)
        self._report()

    def _import_nothing(self) -> None:
        """The last attempt's process died in the import: show that, and watch what it had read until then."""
        interpreter.furnish(self._settings)
        name = ""
        for line in _read_journal(self._begin.journal):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                text, _, name = line.partition("\t")
                self._watch.inputs.adopt(Additions.from_json(text))
        place = f" while importing {name}" if name else ""
        summary = f"the application's process {self._begin.aftermath}{place}"
        self._result = Import(None, Failure(summary, summary), False, "", 0.0)

    def _journal(self, name: str) -> None:
        """Leave a trace for whoever comes after us, before each module's code can end this process."""
        line = f"{self._watch.inputs.take_additions().to_json()}\t{name}\n"
        with contextlib.suppress(OSError):
            os.write(self._begin.journal, line.encode("utf-8", "surrogateescape"))

    def _report(self) -> None:
        result, inputs = self._result, self._watch.inputs
        milliseconds = result.seconds * 1000
        if result.failure is not None:
            failure = result.failure
            self._log.error(failure.log_text("the import"))
            text = failure.text[-messages.TEXT :]
            self._channel.send(
                messages.Broken(failure.summary[:500], text, failure.where, result.discovery, len(inputs.files),
                                result.culprit, milliseconds, self._watch.notes)
            )  # fmt: skip
        elif result.target is not None:
            self._channel.send(
                messages.Loaded(len(inputs.files), result.target.kind, result.culprit, milliseconds, self._watch.notes)
            )

    # ---- live -----------------------------------------------------------------------------------------------

    def live(self) -> None:
        """Serve the supervisor, the workers and the change queue until told to leave."""
        if self._begin.slot >= 0:
            self._become_worker()
        receiver, sender = socket.socketpair()
        receiver.setblocking(False)
        sender.setblocking(False)
        signal.signal(signal.SIGCHLD, _ignore)
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        self._selector.register(receiver, selectors.EVENT_READ, self._reap)
        self._selector.register(self._channel, selectors.EVENT_READ, self._obey)
        if self._watch.inotify is not None and self._settings.reload == "eager":
            self._selector.register(self._watch.inotify.descriptor, selectors.EVENT_READ, self._drain)
        while not self._retiring or self._workers:
            for key, _ in self._selector.select(self._patience()):
                if key.data == self._reap:
                    with contextlib.suppress(BlockingIOError):
                        receiver.recv(4096)
                key.data(key.fileobj) if key.data == self._hear else key.data()
            if self._again is not None and time.monotonic() >= self._again:
                self._drain()
        os._exit(0)

    def _patience(self) -> float | None:
        """Seconds to wait for the next event; what is idle work is done in between."""
        if self._hashing is not None:
            if next(self._hashing, None) is not None:
                return 0.0
            self._hashing = None
        return None if self._again is None else max(0.0, self._again - time.monotonic())

    def _drain(self) -> None:
        """Read the queue and give the verdict. The order of the first two lines is what workers rely on."""
        if self._settings.reload == "off":
            return
        kept = self._word[0] == Word.KEPT
        if not kept:
            self._word[0] = Word.BUSY
        known = bool(self._watch.stale)
        verdict = self._watch.verdict()
        self._again = verdict.again
        if not kept:
            self._word[0] = Word[verdict.state.name]
        if verdict.state is State.STALE:
            self._again = None
            if not known:
                self._channel.send(messages.Stale(list(verdict.paths[:_PATHS])))
            if self._watch.inotify is not None and self._settings.reload == "eager":
                with contextlib.suppress(KeyError):
                    self._selector.unregister(self._watch.inotify.descriptor)
        if verdict.state is not State.BUSY:
            waiting, self._waiting = self._waiting, []
            for inquiry in waiting:
                self._answer(inquiry)

    def _hear(self, inquiry: socket.socket) -> None:
        """A worker asks, perhaps after telling what it imported late."""
        try:
            data = inquiry.recv(1 << 17)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(inquiry)
            del self._inquiries[inquiry]
            inquiry.close()
            return
        told = self._inquiries[inquiry]
        told += data[1:]
        if data[:1] == b"+":
            return
        if told:
            self._watch.inputs.adopt(Additions.from_json(told.decode()))
            told.clear()
            # An event about a file that was not an input yet has been passed over: look at the files themselves.
            self._watch.doubt()
        self._waiting.append(inquiry)
        self._drain()

    def _answer(self, inquiry: socket.socket) -> None:
        with contextlib.suppress(OSError):
            inquiry.send(self._word[:1])

    def _obey(self) -> None:
        try:
            while (received := self._channel.receive()) is not None:
                message, descriptors = received
                match message:
                    case messages.Fork(slot):
                        self._fork(slot, descriptors[0])
                    case messages.Keep():
                        self._word[0] = Word.KEPT
                    case messages.Retire():
                        self._retiring = True
        except EOFError:
            self._orphaned()

    def _fork(self, slot: int, descriptor: int) -> None:
        """Make the worker of *slot*. A failure (no process, no memory) is told; the next attempt is not ours to time."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = os.fork()
        except OSError as error:
            ours.close()
            theirs.close()
            os.close(descriptor)
            self._channel.send(messages.Forked(slot, 0, f"cannot fork: {error.strerror}"))
            return
        if pid == 0:
            self._be_worker(slot, descriptor, theirs, ours)
        theirs.close()
        os.close(descriptor)
        self._workers[pid] = slot
        self._inquiries[ours] = bytearray()
        ours.setblocking(False)
        self._selector.register(ours, selectors.EVENT_READ, self._hear)
        self._channel.send(messages.Forked(slot, pid, ""))

    def _be_worker(self, slot: int, descriptor: int, drainer: socket.socket, other: socket.socket) -> NoReturn:
        """The child's side. It must hold nothing of the generation's, or the others would not see its end."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        self._channel.close()
        other.close()
        for inquiry in self._inquiries:
            inquiry.close()
        check: Check = Unchecked()
        if self._settings.reload != "off":
            check = SharedCheck(self._watch, self._word, drainer)
        self._work(slot, Channel(socket.socket(fileno=descriptor)), check)

    def _become_worker(self) -> NoReturn:
        """This process is itself the worker of its slot, because the application cannot be forked."""
        check: Check = Unchecked() if self._settings.reload == "off" else OwnCheck(self._watch)
        self._work(self._begin.slot, self._channel, check)

    def _work(self, slot: int, channel: Channel, check: Check) -> NoReturn:
        task = worker.Task(
            slot=slot,
            generation=self._begin.number,
            settings=self._settings,
            listeners=[worker.Place(*place) for place in self._begin.listeners],
            channel=channel,
            check=check,
            scoreboard=Scoreboard(self._begin.scoreboard),
            application=self._result.target.application if self._result.target else None,
            failure=self._result.failure,
        )
        worker.run(task)

    def _reap(self) -> None:
        for pid in list(self._workers):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._workers[pid]
                self._channel.send(messages.Reaped(pid, status))

    def _orphaned(self) -> NoReturn:
        """The supervisor is gone. The workers have seen it too; one that is stuck in a call is ended."""
        deadline = time.monotonic() + CLOSING
        while self._workers and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.02)
        for pid in self._workers:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)


def _wait_for_begin(channel: Channel) -> Begin:
    channel.sock.setblocking(True)
    try:
        received = channel.receive()
    except EOFError:
        os._exit(0)
    channel.sock.setblocking(False)
    if received is None or not isinstance(received[0], Begin):
        os._exit(1)
    return received[0]


def _read_journal(descriptor: int) -> list[str]:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0).decode("utf-8", "surrogateescape").splitlines()


def _ignore(number: int, frame: object) -> None:
    """Wakes whoever waits; the rest is said by messages."""
