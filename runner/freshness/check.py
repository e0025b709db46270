"""The one question a worker asks before each request: is the code in memory the code on disk?

A generation has one inotify instance, which its workers inherit, and perhaps processes that were paused in its import.
The generation drains it; a worker only looks, first at the queue, then at the shared word. The order is the proof: the
drainer raises the word to BUSY *before* it reads the queue, so a worker that finds the queue empty because it was just
read finds the word raised.

    queue empty, word FRESH   nothing happened                         one system call
    names come and go         read in a queue of its own               two more (names.py)
    otherwise                 ask the drainer, wait for its verdict    about 0.1 ms
    no verdict in PATIENCE    look at everything                       about 1 µs for each input

Laws: never FRESH by doubt, nor after STALE. What a worker imports late it reports before it believes its next answer.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Protocol

from runner.freshness.additions import Additions
from runner.freshness.names import Names
from runner.freshness.notice import HEAD, Notice, Word, calm
from runner.freshness.watch import State, Watch

PATIENCE = 1.0
"""Seconds a worker waits for the drainer (which may be stopped, or dead) before it looks by itself."""
REPORT = 1 << 16
"""Bytes of one message between worker and drainer."""


class Check(Protocol):
    """What a worker needs to know of freshness.

    found  the last look that said "stale" was the first to do so, as far as could be known
    """

    found: bool

    def stale(self) -> bool:
        """The code in memory is not the code on disk. Call once a request, when its head is complete."""

    def seems_stale(self) -> bool:
        """The same without waiting for anybody; True only if it is certain. Call before accepting."""

    def keep(self) -> None:
        """Go on although stale: the newer code is broken."""


class Unchecked:
    """`--reload off`: never stale."""

    found = False

    def stale(self) -> bool:
        """See Check."""
        return False

    def seems_stale(self) -> bool:
        """See Check."""
        return False

    def keep(self) -> None:
        """See Check."""


class SharedCheck:
    """For a worker whose generation drains the instance. *tell* hears of the changed paths if that one is mute.

    What is found without it no sibling hears of, nor is it known what they have found; so it counts as old news.
    """

    def __init__(
        self, watch: Watch, word: Notice, drainer: socket.socket, tell: Callable[[tuple[str, ...]], object]
    ) -> None:
        self._tell = tell
        self._watch = watch
        self._word = word
        self._drainer = drainer
        self.found = False
        self._number = 0
        self._kept = self._own = False
        self._added = watch.inputs.added
        self._pending: Callable[[], bool] = watch.inotify.pending if watch.inotify else lambda: True
        self._calm = calm(0)
        self._names: Names | None = None
        self._deaf = False
        self._rumour_until = 0.0

    def stale(self) -> bool:
        """See Check."""
        # The queue before the word, see above.
        if not (
            self._pending() or self._word[:HEAD] != self._calm or self._added or self._watch.swept or self._own
            or self._rumour() or self._deaf
        ):  # fmt: skip
            return False
        if self._kept or self._word[0] == Word.KEPT:
            return False
        self.found = not self.seems_stale()
        return not self.found or self._ask()

    def seems_stale(self) -> bool:
        """See Check."""
        if self._kept or self._word[0] == Word.KEPT:
            return False
        return self._own or self._word[0] == Word.STALE

    def keep(self) -> None:
        """See Check. The same order is on its way to the drainer, who sets the word, perhaps later than we get here."""
        self._kept = True

    def _ask(self) -> bool:
        """The drainer's verdict, or if it does not come our own, by looking at everything."""
        self._listen()
        additions = self._watch.inputs.take_additions()
        # An answer that comes too late would be taken for that to the next question, but for its number.
        self._number = self._number % 255 + 1
        deadline = time.monotonic() + PATIENCE
        try:
            for part in split(additions, self._number):
                self._drainer.settimeout(max(0.001, deadline - time.monotonic()))
                self._drainer.send(part)
            while reply := self._drainer.recv(2):
                if reply[0] == self._number:
                    return reply[1] == Word.STALE
                self._drainer.settimeout(max(0.001, deadline - time.monotonic()))
        except OSError:
            pass
        self._added.extendleft(reversed(additions.items))
        changed = self._watch.inputs.sweep()
        if changed:
            self._own, self.found = True, False
            # Else nobody would build what those wait for who are told "stale" now.
            self._tell(tuple(changed))
        return bool(changed)

    def _rumour(self) -> bool:
        """A name has come or gone that may concern somebody.

        One event comes to all queues, but one after the other: the drainer may hear of it a moment after us, and would
        then say FRESH to our question. So he is asked again for a while.
        """
        if self._names is None:
            return False
        if self._names.news():
            self._rumour_until = time.monotonic() + PATIENCE
        return self._rumour_until > 0.0 and time.monotonic() < self._rumour_until

    def _listen(self) -> None:
        """Hear for ourselves what the common queue is no longer told; what was before that the drainer has heard."""
        edition, dull = self._word.bustle()
        if self._calm == calm(edition):
            return
        try:
            if dull and self._names is None:
                self._names = Names()
            if self._names is not None:
                self._names.listen(dull)
            self._deaf = False
        except OSError:
            self._deaf = True  # then the drainer is asked each time
        self._calm = calm(edition)


class OwnCheck:
    """For a process that is its own drainer. *tell* is called once, with the changed paths, when it is stale.

    Whether a sibling has found the change before cannot be known here; so it is taken for granted.
    """

    found = False

    def __init__(self, watch: Watch, tell: Callable[[tuple[str, ...]], None]) -> None:
        self._watch = watch
        self._tell = tell
        self._kept = False

    def stale(self) -> bool:
        """See Check."""
        if self._kept:
            return False
        if self._watch.stale:
            return True
        if self._watch.inputs.added:
            # An event about a file that was no input yet may have been passed over.
            self._watch.adopt(self._watch.inputs.take_additions())
        if not self._watch.pending():
            return False
        while (verdict := self._watch.verdict()).state is State.BUSY:
            time.sleep(0.001)
        if verdict.state is State.STALE:
            self._tell(verdict.paths)
        return verdict.state is State.STALE

    def seems_stale(self) -> bool:
        """See Check. Nobody else can tell this process that it is stale, so it has to look."""
        return self.stale()

    def keep(self) -> None:
        """See Check."""
        self._kept = True


def split(additions: Additions, number: int) -> list[bytes]:
    """Question *number* (one byte), with *additions*, as messages of at most REPORT bytes.

    Each is `+` (more follows) or `?` (the last one), the number, and its part of the text.
    """
    text = additions.to_json().encode() if additions.items else b""
    size = REPORT - 2
    parts = [text[at : at + size] for at in range(0, len(text), size)] or [b""]
    head = bytes([number])
    return [b"+" + head + part for part in parts[:-1]] + [b"?" + head + parts[-1]]
