"""The generation: imports the application, proves it fresh, forks its workers, and watches its files.

    begin    told what to import, by one message of the supervisor
    import   with every input noted before it is read; what fails becomes the error that is shown (importing.py)
    prove    nothing changed while the import ran, or this attempt is void
    live     fork when told; give verdicts to workers that ask (drainer.py); collect the dead

Laws: one Python thread, so that forking is safe. Never ends because of application code: a failed import is an answer
like any other. Start at main. Only the supervisor starts this, by exec.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

from runner.freshness.check import Check, OwnCheck, SharedCheck, Unchecked
from runner.freshness.inputs import Additions
from runner.host.error_page import Failure
from runner.log import Log
from runner.process import interpreter, messages, worker
from runner.process.drainer import Drainer
from runner.process.importing import Import, check, import_application, record
from runner.process.messages import Begin, Channel
from runner.process.scoreboard import Scoreboard
from runner.settings import Settings

CLOSING = 1.0
"""Seconds that workers get after the supervisor is gone."""
_PATHS = 50
"""Changed paths that a message names."""


def main() -> None:
    """The process's whole life. `--check`: import what the settings on standard input name, say so, and end."""
    if sys.argv[1:] == ["--check"]:
        sys.exit(check(Settings.from_json(sys.stdin.read())))
    interpreter.die_with_parent(True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
        # The supervisor hears signals to the group; its orders are what counts. A handler, not SIG_IGN, which programs
        # started by the application would inherit.
        signal.signal(number, _ignore)
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    generation = _Generation(_wait_for_begin(channel), channel)
    generation.import_application()
    generation.live()


class _Generation:
    """The process after Begin."""

    def __init__(self, begin: Begin, channel: Channel) -> None:
        settings = self._settings = Settings.from_json(begin.settings)
        self._begin = begin
        self._channel = channel
        self._log = Log(f"generation {begin.number}", settings.log_level, settings.log_format)
        self._watched = settings.reload != "off"
        self._watch, self._recorder = record(settings, inotify=self._watched)
        self._selector = selectors.DefaultSelector()
        self._drainer = Drainer(self._watch, self._selector, self._tell_stale, eager=settings.reload == "eager")
        self._workers: dict[int, int] = {}
        self._hashing: Iterator[str] | None = None
        self._retiring = False
        self._result = Import(None, None)

    # ---- import ---------------------------------------------------------------------------------------------

    def import_application(self) -> None:
        """Import, prove, report. Does not return if the attempt is void."""
        if self._begin.aftermath:
            self._import_nothing()
        else:
            self._recorder.started = self._journal
            self._result = import_application(self._settings, self._watch, self._recorder)
            self._recorder.started = None
        if self._watched:
            self._watch.watch_inodes()
            changed = self._watch.prove()
            if changed:
                self._channel.send(messages.Unborn(list(changed[:_PATHS])))
                os._exit(0)
            self._hashing = self._watch.inputs.unhashed()
        self._watch.inputs.take_additions()
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
        self._result = Import(None, Failure(summary, summary))

    def _journal(self, name: str) -> None:
        """Leave a trace for whoever comes after us, before each module's code can end this process."""
        line = f"{self._watch.inputs.take_additions().to_json()}\t{name}\n"
        with contextlib.suppress(OSError):
            os.write(self._begin.journal, line.encode("utf-8", "surrogateescape"))

    def _report(self) -> None:
        result, files, notes = self._result, len(self._watch.inputs.files), self._watch.notes
        milliseconds = result.seconds * 1000
        if result.target is not None:
            self._channel.send(messages.Loaded(files, result.target.kind, result.culprit, milliseconds, notes))
        elif result.failure is not None:
            failure = result.failure
            if not result.discovery or self._begin.number > 1:
                self._log.error(failure.log_text("the import"))
            text = failure.text[-messages.TEXT :]
            self._channel.send(
                messages.Broken(failure.summary[:500], text, failure.where, result.discovery, files, result.culprit,
                                milliseconds, notes)
            )  # fmt: skip

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
        self._selector.register(receiver, selectors.EVENT_READ, lambda: self._wake(receiver))
        self._selector.register(self._channel, selectors.EVENT_READ, self._obey)
        self._drainer.open()
        while not self._retiring or self._workers:
            for key, _ in self._selector.select(self._patience()):
                key.data()
            if self._drainer.overdue():
                self._drainer.drain()
        os._exit(0)

    def _patience(self) -> float | None:
        """Seconds to wait for the next event; idle work is done in between."""
        if self._hashing is not None:
            if next(self._hashing, None) is not None:
                return 0.0
            self._hashing = None
        again = self._drainer.again
        return None if again is None else max(0.0, again - time.monotonic())

    def _tell_stale(self, paths: tuple[str, ...]) -> None:
        self._channel.send(messages.Stale(list(paths[:_PATHS])))

    def _obey(self) -> None:
        try:
            while (received := self._channel.receive()) is not None:
                message, descriptors = received
                match message:
                    case messages.Fork(slot):
                        self._fork(slot, descriptors[0])
                    case messages.Keep():
                        self._drainer.keep()
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
            ours.close()
            self._be_worker(slot, descriptor, theirs)
        theirs.close()
        os.close(descriptor)
        self._workers[pid] = slot
        self._drainer.add_worker(ours)
        self._channel.send(messages.Forked(slot, pid, ""))

    def _be_worker(self, slot: int, descriptor: int, drainer: socket.socket) -> NoReturn:
        """The child's side. It must hold nothing of the generation's, or the others would not see its end."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        self._channel.close()
        self._drainer.close()
        check: Check = SharedCheck(self._watch, self._drainer.word, drainer) if self._watched else Unchecked()
        self._work(slot, Channel(socket.socket(fileno=descriptor)), check)

    def _become_worker(self) -> NoReturn:
        """This process is itself the worker of its slot, because the application cannot be forked."""
        self._work(self._begin.slot, self._channel, OwnCheck(self._watch) if self._watched else Unchecked())

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

    def _wake(self, receiver: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            receiver.recv(4096)
        self._reap()

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
