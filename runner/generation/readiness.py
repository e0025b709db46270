"""What those who wait at a checkpoint get ready, so that whoever goes on need not.

A story: half of the time that a process takes for its first milliseconds after a fork goes into memory. Each page that
it writes to is copied at the first time, and merely to look at an object is to write to it, for somebody counts who
does. And what is imported from the checkpoint on was imported before, by whoever was busy when it was taken; or, if
it is all of the application, by an earlier start (learned.py).

    get_ready  by the one who waits: once, what all of them would have to look at, each for itself; and if somebody is
               expected, what will be imported, as it was noted in the journal
    idle       by the one who waits, once somebody has gone on: what is right for those who come after
    each       by the one who is to go on next, until it is told to: where that is found, and its code

Laws: nothing that the application could see. Start at Readiness.get_ready.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from runner.freshness.additions import File
from runner.freshness.git import Trees
from runner.freshness.recorder import Recorder
from runner.freshness.stamps import stamp
from runner.freshness.watch import Watch
from runner.generation import lookout
from runner.generation.learned import Learned

MOST = 3_000_000
"""Bytes of sources whose code is read ahead; it takes about a third of that in memory."""


class Readiness:
    """For the import of the file *path* ("": of the application), which is the next thing in this import; what stands
    in *journal* from byte *noted* on comes then.
    """

    def __init__(
        self, path: str, journal: int, noted: int, trees: Trees, watch: Watch, recorder: Recorder, learned: Learned
    ) -> None:
        self._path = path
        self._journal = journal
        self._noted = noted
        self._trees = trees
        self._watch = watch
        self._recorder = recorder
        self._learned = learned
        self._next: list[tuple[str, str]] = []
        self._left = MOST
        self._fresh = True

    def get_ready(self, *, expected: bool) -> None:
        """See the module."""
        if self._fresh:
            self._fresh = False
            self._trees.find(self._watch.directories)
            self._watch.rest()
            self._recorder.ahead.rest()
            self._recorder.ahead.list_directory(os.path.dirname(self._path))
            self._learned.read()
        if expected:
            self._foresee()

    def idle(self) -> Iterator[object]:
        """See the module; in steps."""
        return self._watch.inputs.unhashed()

    def each(self) -> Iterator[object]:
        """See the module; in steps."""
        for name, path in self._next:
            self._recorder.ahead.get_ready(name, path)
            yield name

    def _foresee(self) -> None:
        """What has been noted since the last time; before all of it, what an earlier start has noted."""
        found: list[tuple[str, str]] = []
        if self._path:
            found, self._noted = imported(self._journal, self._noted)
        elif not self._next:
            self._learned.read()
            found = self._learned.own
        for name, path in found:
            seen = stamp(path)
            if seen is not None and seen.size <= self._left:
                self._left -= seen.size
                self._next.append((name, path))


def imported(journal: int, start: int = 0) -> tuple[list[tuple[str, str]], int]:
    """The source modules that an import has noted from byte *start* on, by name and file; and where to go on."""
    lines, end = lookout.read_journal(journal, start)
    # Before its code runs a module's file is noted, last, unless it was known before.
    lasts = [(name, additions.items[-1]) for additions, name in lines if additions.items]
    return [(name, last.path) for name, last in lasts if isinstance(last, File) and last.path.endswith(".py")], end
