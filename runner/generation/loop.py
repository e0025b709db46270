"""The generation: imports the application, proves it fresh, forks its workers, and watches its files.

    begin    told what to import, by one message of the supervisor
    birth    imported, and proven fresh (birth.py)
    live     fork when told; give verdicts to workers that ask (drainer.py); collect the dead

Laws: one Python thread, so that forking is safe. Never ends because of application code: a failed import is an answer
like any other. Start at main. Only the supervisor starts this, by exec.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import select
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

from runner.freshness.check import Check, OwnCheck, SharedCheck, Unchecked
from runner.generation import fork_safety, lookout
from runner.generation.birth import PATHS, Birth
from runner.generation.drainer import Drainer
from runner.generation.importing import check
from runner.process import interpreter, launch, messages
from runner.process.channel import Channel
from runner.process.messages import Begin
from runner.process.private import Private, open_private
from runner.process.scoreboard import Scoreboard
from runner.settings import Settings
from runner.worker import event_loop, turning
from runner.worker.fronts import Place
from runner.worker.task import Task

CLOSING = 1.0
"""Seconds that workers get after the supervisor is gone."""
AHEAD = 3
"""Files saved at once up to which they are compiled for whoever imports them next."""
ASKED = 0.01
"""Seconds at most until the supervisor, told that this one is imported, says what comes next."""
QUIET = 0.1
"""Seconds without an event after which there is time for what has time: until then workers come up, and answer."""


def main() -> None:
    """The process's whole life. `--check`: import what the settings on standard input name, say so, and end."""
    if sys.argv[1:] == ["--check"]:
        sys.exit(check(Settings.from_json(sys.stdin.read())))
    interpreter.leave_signals_to(int(sys.argv[2]))
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    begin = _wait_for_begin(channel)
    if begin.slot in (messages.LOOKOUT, messages.PAGE) or begin.aftermath:
        gc.enable()  # they import nothing
    if begin.slot == messages.LOOKOUT:
        lookout.look_out(begin, channel)
    birth = Birth(begin, channel)
    birth.go()
    # More than one process may come to this line: see Birth.
    _Generation(birth).live()


class _Generation:
    """The process once its application is imported, as *birth* has left it."""

    def __init__(self, birth: Birth) -> None:
        self._birth = birth
        self._begin = birth.begin
        self._channel = birth.channel
        self._settings = birth.settings
        self._watch = birth.watch
        self._selector = selectors.DefaultSelector()
        self._drainer = Drainer(birth.watch, self._selector, self._tell_stale)
        self._workers: dict[int, int] = {}
        self._idle: Iterator[None] | None = birth.idle_work() if birth.watched else None
        self._retiring = self._is_quiet = False
        self._saved: list[str] = []
        self._private: Private | None = None
        birth.watch.noted = self._tell_note

    # ---- live -----------------------------------------------------------------------------------------------

    def live(self) -> None:
        """Serve the supervisor, the workers and the change queue until told to leave."""
        if self._begin.slot >= 0:
            self._become_worker()
        answered = self._answer_first()
        self._birth.survive()
        if answered or not self._birth.first:
            self._birth.hushes.note_written()
        if "runner.batch" in sys.modules:
            self._private = open_private()
            if self._private is None:
                self._tell_note("no private socket: WSGI items of a JSON-RPC batch run one after another")
        receiver, sender = socket.socketpair()
        receiver.setblocking(False)
        sender.setblocking(False)
        signal.signal(signal.SIGCHLD, _ignore)
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        self._selector.register(receiver, selectors.EVENT_READ, lambda: self._wake(receiver))
        self._selector.register(self._channel, selectors.EVENT_READ, self._obey)
        # One that only waits for the fix has no workers that would ask.
        alone = self._birth.result.failure is not None and self._settings.on_broken == "keep"
        self._drainer.open(eager=self._birth.watched and (self._settings.reload == "eager" or alone))
        if self._birth.late or answered:
            # Before the first fork: a worker of this generation must never find the word FRESH.
            self._drainer.drain()
        self._obey()  # what was looked at is no news to the selector
        while not self._retiring or self._workers:
            ready = self._selector.select(self._patience())
            for key, _ in ready:
                key.data()
            if not ready:
                self._use_quiet()
            if self._drainer.overdue():
                self._drainer.drain()
            if self._saved:
                # Only now: all who had asked are answered, and whoever was told goes first.
                os.sched_yield()
                self._birth.recorder.compile_ahead(self._saved)
                self._saved = []
        self._birth.hushes.release()
        os._exit(0)

    def _patience(self) -> float | None:
        """Seconds to wait for the next event."""
        again = self._drainer.again
        until = None if again is None else max(0.0, again - time.monotonic())
        if self._idle is None:
            return until
        return 0.0 if self._is_quiet else QUIET if until is None else min(QUIET, until)

    def _use_quiet(self) -> None:
        """A step of what has time, for nothing happened for so long."""
        self._is_quiet = True
        if self._idle is not None:
            for _ in self._idle:
                return
            self._idle = None

    def _tell_note(self, text: str) -> None:
        """Also in a worker, by its own channel: the copy of the watch that it has may be the first to find out."""
        self._channel.send(messages.Note(text))

    def _tell_stale(self, paths: tuple[str, ...]) -> None:
        self._channel.send(messages.Stale(list(paths[:PATHS]), self._birth.recorder.position(paths)))
        self._saved = list(paths) if len(paths) <= AHEAD else []

    def _obey(self) -> None:
        try:
            while (received := self._channel.receive()) is not None:
                message, descriptors = received
                match message:
                    case messages.Parcel():
                        self._refuse(descriptors)
                    case messages.Fork(slot, key):
                        self._fork(slot, key, descriptors)
                    case messages.Keep():
                        self._drainer.keep()
                    case messages.Retire():
                        self._retire()
        except EOFError:
            self._orphaned()

    def _refuse(self, descriptors: list[int]) -> None:
        """Somebody who could not be answered before the first fork any more: a worker will do it."""
        self._channel.send(messages.Taken(whole=False))
        for descriptor in descriptors:
            os.close(descriptor)

    def _retire(self) -> None:
        """No worker counts any more; one that is left has closed its channel and is known to nobody else."""
        self._retiring = True
        for pid in self._workers:
            os.kill(pid, signal.SIGKILL)

    def _fork(self, slot: int, key: int, descriptors: list[int]) -> None:
        """Make the worker of *slot*. A failure (no process, no memory) is told; others time the next attempt."""
        with contextlib.ExitStack() as closing:
            for descriptor in descriptors:
                closing.callback(os.close, descriptor)
            try:
                if not descriptors:
                    # Not delivered, because no number was free for it: recvmsg(2), MSG_CTRUNC.
                    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                closing.callback(theirs.close)
                pid = _fork_before_closing(ours)
            except OSError as error:
                self._channel.send(messages.Forked(key, 0, f"cannot fork: {error.strerror}"))
                return
            if pid == 0:
                ours.close()
                self._be_worker(slot, descriptors[0], theirs)
        self._workers[pid] = slot
        self._drainer.add_worker(ours)
        self._channel.send(messages.Forked(key, pid, ""))

    def _be_worker(self, slot: int, descriptor: int, drainer: socket.socket) -> NoReturn:
        """The child's side. It must hold nothing of the generation's, or the others would not see its end."""
        signal.set_wakeup_fd(-1)
        self._birth.hushes.let_go()
        self._selector.close()
        self._channel.close()
        self._drainer.close()
        channel = self._channel = Channel(socket.socket(fileno=descriptor))
        word = self._drainer.word
        check: Check = SharedCheck(self._watch, word, drainer, self._tell_stale) if self._birth.watched else Unchecked()
        turning.run(self._task(slot, channel, check))

    def _answer_first(self) -> bool:
        """Answer requests before the first fork, if any wait and nothing speaks against it; whether that was so."""
        birth = self._birth
        if not birth.first or not self._is_asked():
            return False
        # What it finds to be stale it need not tell: either the drainer will, or nothing of this generation stays.
        task = self._task(0, self._channel, OwnCheck(self._watch, lambda paths: None), inline=True)
        # The first loop of a process leaves something open, for all that follow: before we look.
        loop = event_loop.factory()
        before = fork_safety.opened()
        if fork_safety.files_written(before):
            loop.close()
            return False
        thread = turning.answer_first(task, loop, self._spend)
        # An order that came meanwhile has a descriptor, and is for later.
        _, kept = self._channel.peek() or (None, [])
        before |= {each for each in fork_safety.opened() if each[0] in kept}
        reason = "it could not be answered" if thread < 0 else fork_safety.culprit_since(before, birth.copies, thread)
        if reason:
            self._spend(reason)
            turning.end(well=thread >= 0)
        return True

    def _is_asked(self) -> bool:
        """Somebody waits, in a queue or with the supervisor; who waits there comes before the order to fork."""
        waiting = select.poll()
        for descriptor in (self._channel.fileno(), *(place[0] for place in self._begin.listeners)):
            waiting.register(descriptor, select.POLLIN)
        asked = {descriptor for descriptor, _ in waiting.poll(ASKED * 1000)}
        if asked == {self._channel.fileno()}:
            sent = self._channel.peek()
            return sent is not None and isinstance(sent[0], messages.Parcel)
        return bool(asked)

    def _spend(self, reason: str) -> None:
        """No generation any more; whoever goes on from where we were paused may read the change queue now."""
        self._watch.leave()
        self._channel.send(messages.Spent(reason))

    def _become_worker(self) -> NoReturn:
        """This process is itself the worker of its slot, because the application cannot be forked."""
        # Nobody else would end it if it is stuck in a call when the supervisor is gone.
        interpreter.die_with_parent(True)
        if self._birth.late:
            self._tell_stale(tuple(self._birth.late))
        check: Check = OwnCheck(self._watch, self._tell_stale) if self._birth.watched else Unchecked()
        turning.run(self._task(self._begin.slot, self._channel, check))

    def _task(self, slot: int, channel: Channel, check: Check, *, inline: bool = False) -> Task:
        return Task(
            slot=slot,
            generation=self._begin.number,
            settings=self._settings,
            listeners=[Place(*place) for place in self._begin.listeners],
            channel=channel,
            check=check,
            scoreboard=Scoreboard(self._begin.scoreboard),
            mounts=self._birth.result.mounts,
            failure=self._birth.result.failure,
            good_until=self._birth.good_until,
            private=self._private,
            inline=inline,
        )

    def _wake(self, receiver: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            receiver.recv(4096)
        self._reap()

    def _reap(self) -> None:
        for pid in [*self._workers, *self._birth.copies]:
            try:
                ended, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                # Code of the application has collected it.
                ended, status = pid, 0
            if ended:
                self._workers.pop(pid, None)
                self._birth.copies.discard(pid)
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


def _fork_before_closing(sock: socket.socket) -> int:
    """What is said to the child by kill(1) waits until it listens: it has our handlers, which do nothing."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, launch.GROUP)
    pid = -1
    try:
        pid = os.fork()
    except OSError:
        sock.close()
        raise
    finally:
        if pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _wait_for_begin(channel: Channel) -> Begin:
    channel.sock.setblocking(True)
    try:
        received = channel.receive()
    except EOFError:
        os._exit(0)
    channel.sock.setblocking(False)
    if received is None or not isinstance(received[0], Begin):
        os._exit(1)
    return received[0].with_descriptors(received[1])


def _ignore(number: int, frame: object) -> None:
    """Wakes whoever waits; the rest is said by messages."""
