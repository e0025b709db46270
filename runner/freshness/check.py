"""The one question a worker asks before each request: is the code in memory the code on disk?

A generation has one inotify instance, which its workers inherit. The generation drains it; a worker only looks, first at
the queue, then at the shared word. The order is the proof: the drainer raises the word to BUSY *before* it reads the
queue, so a worker that finds the queue empty because it was just read finds the word raised.

    queue empty, word FRESH   nothing happened                         one system call
    otherwise                 ask the drainer, wait for its verdict    about 0.1 ms
    no verdict in PATIENCE    look at everything                       about 1 µs for each input

Laws: never FRESH by doubt. What a worker imports late it reports before it believes its next answer.
"""

from __future__ import annotations

import mmap
import socket
from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

from runner.freshness.inputs import Additions
from runner.freshness.watch import State, Watch

PATIENCE = 1.0
"""Seconds a worker waits for the drainer (which may be stopped, or dead) before it looks by itself."""
REPORT = 1 << 16
"""Bytes of one message between worker and drainer."""


class Word(IntEnum):
    """The shared byte. KEPT: stale, but the newer code is broken and this one goes on by order."""

    FRESH = 0
    BUSY = 1
    STALE = 2
    KEPT = 3


class Check(Protocol):
    """What a worker needs to know of freshness."""

    def stale(self) -> bool:
        """The code in memory is not the code on disk. Call once a request, when its head is complete."""

    def seems_stale(self) -> bool:
        """The same without waiting for anybody; True only if it is certain. Call before accepting."""


class Unchecked:
    """`--reload off`: never stale."""

    def stale(self) -> bool:
        """See Check."""
        return False

    def seems_stale(self) -> bool:
        """See Check."""
        return False


class SharedCheck:
    """For a worker whose generation drains the instance."""

    def __init__(self, watch: Watch, word: mmap.mmap, drainer: socket.socket) -> None:
        self._watch = watch
        self._word = word
        self._drainer = drainer
        self._drainer.settimeout(PATIENCE)
        self._pending: Callable[[], bool] = watch.inotify.pending if watch.inotify else lambda: True
        self._blind = watch.inotify is None

    def stale(self) -> bool:
        """See Check."""
        inputs = self._watch.inputs
        if not self._pending() and self._word[0] == Word.FRESH and not self._watch.swept and not inputs.additions.files:
            if inputs.additions.lookups:
                return self._ask()
            return False
        if self._word[0] == Word.KEPT:
            return False
        return self._ask()

    def seems_stale(self) -> bool:
        """See Check."""
        return self._word[0] == Word.STALE

    def _ask(self) -> bool:
        additions = self._watch.inputs.take_additions()
        try:
            for part in split(additions):
                self._drainer.send(part)
            reply = self._drainer.recv(1)
        except OSError:
            reply = b""
        if not reply:
            return bool(self._watch.inputs.sweep())
        return reply[0] == Word.STALE


class OwnCheck:
    """For a process that is its own drainer."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.kept = False

    def stale(self) -> bool:
        """See Check."""
        if self.kept or not (self._watch.pending() or self._watch.stale):
            return False
        while (verdict := self._watch.verdict()).state is State.BUSY:
            pass
        return verdict.state is State.STALE

    def seems_stale(self) -> bool:
        """See Check."""
        return bool(self._watch.stale) and not self.kept


def split(additions: Additions) -> list[bytes]:
    """*additions* as messages of at most REPORT bytes; every one but the last begins with b"+"."""
    text = additions.to_json().encode() if additions.files or additions.lookups else b""
    parts = [text[at : at + REPORT - 1] for at in range(0, len(text), REPORT - 1)] or [b""]
    return [b"+" + part for part in parts[:-1]] + [b"?" + parts[-1]]
