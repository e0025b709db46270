"""A process that waits in the middle of its work, and has others go on from there, one after the other.

A story: a fork costs milliseconds, so it is done ahead, while nobody is in a hurry. The *spare* that comes of it sleeps
on the channel. Told to go on it writes a byte into a pipe and is off. The one who waits reads that, and has to make
another spare; but just now the processors have better things to do. So it waits until whoever is busy writes a second
byte, being through with the work, or has ended, or until somebody calls. A spare that ends without a byte was killed,
or read the end of the channel: then its parent ends, too.

What there is time for is done before a spare is made, and once: all that go on from here know it, in memory that they
share; and what takes long only where somebody has gone on, for most who wait do so in vain. Where nobody has and nobody
is expected to, no spare is made either, for it has some memory of its own. What each spare gets ready for itself, pages
and code, takes more of it: that is done where the next one is expected, and no longer once whoever went on last has
left somebody behind who stands nearer (hush.py). They all are children of one process, not each the child of the one
before, for a fork costs more with each ancestor.

Laws: one thread; who is of no use any more ends by itself; a parent says how its children ended. Start at pause.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from runner.generation import pages
from runner.generation.hush import DONE, last_words, say
from runner.process.channel import Channel
from runner.process.messages import Reaped, Resume


class Told(NamedTuple):
    """The order to go on: the *message*, the *descriptors* that came with it.

    *hush*: the pipe to be written to when the one who waits may become busy; -1: nobody waits. *known*: the pages that
    those who go on write; if none are, those that were written since go through the pipe first, for those who go on
    later, and not those that had been written *before*. All as of `pages.written`.
    """

    message: Resume
    descriptors: list[int]
    hush: int
    known: bytes
    before: bytes


class Work(Protocol):
    """What those who wait do meanwhile; the iterators in steps."""

    def get_ready(self, *, expected: bool) -> None:
        """Before anybody goes on, each time; *expected*: somebody is."""

    def idle(self) -> Iterator[object]:
        """Once somebody has gone on."""

    def each(self) -> Iterator[object]:
        """In a spare that is expected to go on, until it is told to."""


def pause(channel: Channel, work: Work, busy: int, *, likely: bool, known: bytes = b"") -> Told:
    """Wait on *channel*; returns with what was told, in each process that goes on.

    *busy*: a pipe of whoever is busy now, see above; it is closed. *likely*: somebody is expected to go on from here.
    *known*: the pages that those wrote who went on from an earlier one, which are much the same.
    """
    channel.sock.setblocking(True)
    heirs = _Heirs(channel)
    # The end of a child is ours to hear; what the application does about it would make those who go on others.
    before = signal.getsignal(signal.SIGCHLD)
    if before is not None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while True:
        heirs.wait(busy, channel.fileno())
        words = last_words(busy)
        known = words.pages or known
        os.close(busy)
        if _hung_up(channel.sock):
            os._exit(0)
        expected = (heirs.seen or likely) and not words.nearer
        work.get_ready(expected=expected)
        _use_time(work.idle() if heirs.seen else (), channel)
        if not (heirs.seen or likely):
            heirs.wait(channel.fileno())
            if _hung_up(channel.sock):
                os._exit(0)
        busy, hush = os.pipe()
        spare = fork()
        if spare <= 0:
            os.close(busy)
            heirs.close()
            if before is not None:
                signal.signal(signal.SIGCHLD, before)
            if not spare and expected:
                _use_time(work.each(), channel)
                pages.have_ready(known)
            return _go_on(channel, hush if not spare else -1, known)
        os.close(hush)
        heirs.wait(busy)
        if os.read(busy, 1):
            heirs.add(spare)
        else:
            _collect(spare)


def _use_time(steps: Iterable[object], channel: Channel) -> None:
    """Until there is none, because something is said on *channel*."""
    for _ in steps:
        if select.select([channel.fileno()], [], [], 0)[0]:
            return


def fork() -> int:
    """As os.fork; -1 if there is no process to be had: then nobody waits."""
    try:
        return os.fork()
    except OSError:
        return -1


class _Heirs:
    """Those who have gone on, until they end, which is told on *channel*. *seen*: there was one."""

    def __init__(self, channel: Channel) -> None:
        self.seen = False
        self._channel = channel
        self._pids: dict[int, int] = {}

    def wait(self, *descriptors: int) -> None:
        """Until one of them can be read, or is at its end."""
        while True:
            poll = select.poll()
            for descriptor in (*descriptors, *self._pids):
                poll.register(descriptor, select.POLLIN)
            ready = {descriptor for descriptor, _ in poll.poll()}
            for ended in ready.intersection(self._pids):
                os.close(ended)
                pid = self._pids.pop(ended)
                self._channel.send(Reaped(pid, _collect(pid)))
            if not ready.isdisjoint(descriptors):
                return

    def add(self, pid: int) -> None:
        """It has gone on."""
        self.seen = True
        with contextlib.suppress(OSError, AttributeError):  # before Linux 5.3 the end of its channel has to be enough
            self._pids[os.pidfd_open(pid)] = pid

    def close(self) -> None:
        """In one that goes on: the others are no children of ours."""
        for descriptor in self._pids:
            os.close(descriptor)


def _go_on(channel: Channel, hush: int, known: bytes) -> Told:
    """The spare's side: it sleeps until it is told to."""
    before = b"" if known else pages.written()
    try:
        received = channel.receive()
    except EOFError:
        os._exit(0)
    if received is None or not isinstance(received[0], Resume):
        os._exit(1)
    channel.close()
    if hush >= 0:
        say(hush, DONE)
    return Told(received[0], received[1], hush, known, before)


def _collect(pid: int) -> int:
    """Its wait status."""
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return 0  # a library in C wants to know of no child's end


def _hung_up(sock: socket.socket) -> bool:
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
