"""Inputs + inotify = a verdict. One Watch for each generation; one process at a time drains its queue (baton.py).

Laws: a directory is watched before anything in it is stamped. Where it cannot be watched (the limit, a network file
system, no inotify at all) its files are *swept*: looked at whenever a verdict is asked for, and `notes` says so.
Stale is final: a generation that was told so never becomes fresh again.

A save is complete when its writer is done. So a file that was modified and not closed leaves the code in memory right
for as long as the writer is inside, at most WRITING seconds; and a file that vanished is given VANISHED seconds to come
back, because many editors and git save by removing first.

Start at Watch.verdict. inotify(7).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from runner.freshness.additions import Additions, File, Lookup
from runner.freshness.baton import Baton, Word
from runner.freshness.coverage import Coverage
from runner.freshness.inotify import ATTRIB, CLOSE_WRITE, CREATE, ISDIR, LOST, MODIFY, MOVED_TO, Event, Inotify
from runner.freshness.inputs import Inputs
from runner.freshness.names import Names
from runner.freshness.noise import Noise
from runner.freshness.notice import Bustle
from runner.freshness.stamps import WRITING, being_written, is_recent, stamp

VANISHED = 0.02
"""Seconds a removed file is given to come back."""


Entry = tuple[str, str]
"""A directory and a name in it."""


class State(Enum):
    """What is known at this moment."""

    FRESH = 0
    BUSY = 1
    STALE = 2


class Verdict(NamedTuple):
    """*paths* are the changed ones if STALE; *again* is when to ask again if that is known (monotonic seconds)."""

    state: State
    paths: tuple[str, ...] = ()
    again: float | None = None


class Watch:
    """See the module. *ignore*: path patterns that are never inputs.

    inputs   what is watched
    notes    what cannot be exact here, each once, in words for the log
    noted    called with each new one, for which there may be no other occasion to be told
    swept    directories whose files are looked at each time
    """

    def __init__(
        self, ignore: tuple[str, ...] = (), *, inotify: bool = True, open_inotify: Callable[[], Inotify] = Inotify
    ) -> None:
        self.notes: list[str] = []
        self.noted: Callable[[str], None] = lambda text: None
        self._coverage = Coverage(self.note, open_inotify if inotify else None)
        self.swept = self._coverage.swept
        self.inputs = Inputs(self._coverage.observe, ignore, self._coverage.follow)
        self.stale: tuple[str, ...] = ()
        self._baton = Baton()
        self._past: list[Entry] = []
        self._misled = False
        self._writing: dict[Entry, float] = {}
        self._vanished: dict[Entry, float] = {}
        self._noise = Noise(self.inputs, self._coverage)
        self._sweep_due = False
        self._doubtful: set[str] = set()
        self._adopted: list[File | Lookup] = []

    @property
    def names(self) -> Names | None:
        """A second queue, for the directories in which names come and go, if there are any; read by `verdict`, too."""
        return self._noise.names

    def share(self, publish: Callable[[Bustle], bool]) -> None:
        """Others look at the first queue, and have a second one themselves; *publish* tells them what is dull there."""
        self._noise.publish = publish

    def pending(self) -> bool:
        """A verdict now could differ from the last one. One system call."""
        if self.inotify is None or self.swept or self._sweep_due or self.inotify.pending():
            return True
        return bool(self._writing or self._vanished or self._adopted or self._doubtful)

    @property
    def inotify(self) -> Inotify | None:
        """The queue, if there is one."""
        return self._coverage.inotify

    def verdict(self) -> Verdict:
        """Read what happened, look where it matters, and say how the code in memory stands to the disk."""
        if self.stale:
            return Verdict(State.STALE, self.stale)
        changed: list[str] = []
        while self._past:
            entry = self._past.pop()
            if self.inputs.changed(*entry) is not None:
                self._look(*entry, CREATE, changed)
        if self.inotify is not None:
            while events := self.inotify.take():
                for event in events:
                    self._note_event(event, self._coverage.places(event.watch), changed)
        if self.names is not None:
            for event in self.names.news():
                self._note_event(event, self.names.places(event), changed)
        now = time.monotonic()
        self._settle(now, changed)
        changed += self._coverage.moved()  # no event tells that a directory is gone as long as a process works in it
        while self._coverage.lost:
            self._misled = self._sweep_due = True
            self._coverage.rearm(self.inputs.files)
            self._noise.forget()
        if self._sweep_due or self.inotify is None:
            self._sweep_due = False
            self._weigh_all(self.inputs.sweep(), now, changed)
        elif self.swept or self._doubtful:
            self._weigh_all(self.inputs.sweep(self.swept | self._doubtful), now, changed)
        self._doubtful.clear()
        adopted, self._adopted = self._adopted, []
        self._weigh_all(self.inputs.compare(adopted), now, changed)
        if changed:
            self._conclude(changed)
            return Verdict(State.STALE, self.stale)
        waits = [*self._writing.values(), *self._vanished.values()]
        return Verdict(State.BUSY if self._vanished else State.FRESH, (), min(waits) if waits else None)

    @property
    def directories(self) -> set[str]:
        """All that hold an input, or could."""
        return self._coverage.directories

    def adopt(self, additions: Additions) -> None:
        """Take over what another process read. Events about it may have been passed over: look at it next."""
        for item in additions.items:
            self._noise.end(os.path.dirname(item.path) if isinstance(item, File) else item.directory)
        self.inputs.adopt(additions)
        self._adopted += additions.items

    def settled(self) -> Verdict:
        """As `verdict`, once nobody is inside an input, and none is away."""
        while (verdict := self.verdict()).state is State.BUSY or (verdict.again and verdict.state is State.FRESH):
            time.sleep(max(0.0, min(0.005, (verdict.again or 0.0) - time.monotonic())))
        return verdict

    def rest(self) -> None:
        """In a process that is paused: what had just been saved may be old by now."""
        self.inputs.recent = {path for path in self.inputs.recent if is_recent(self.inputs.files[path])}

    def go_on(self) -> None:
        """In a process that was paused: the next verdict is about all that was saved since, whoever heard of it."""
        self._noise.forget()
        word = self._baton.take()
        if word is None:
            self._baton = Baton()
            self._coverage.reopen(self.inputs.files)
            self._sweep_due = True  # whoever is paused from now on has the new queue, and has lost nothing
            return
        self._past = list(word.entries)
        self._coverage.lost |= word.lost
        for directory in (*self._coverage.quieted, *word.missed):
            if directory in self.directories:
                self._coverage.arm(directory)
                # Whoever quieted it heard of his inputs, and need not have had all of ours.
                self._doubtful.add(directory)
                self._coverage.lost |= self._coverage.holds_links(directory)  # swapped, perhaps, while it was hushed

    def leave(self) -> None:
        """Never ask for a verdict again: whoever was paused may go on now."""
        # What the import wrote itself is accepted by this process, and is news to whoever was paused before.
        entries = (*map(os.path.split, (*self.stale, *self.inputs.accepted)), *self._writing, *self._vanished)
        self._baton.leave(Word(entries, tuple(self._coverage.missed), self._misled))

    def prove(self, *, sweep: bool = True) -> tuple[str, ...]:
        """The import is over: what changed while it ran. *sweep*: believe no event, look at everything once more.

        Waits for a writer inside an input, until WRITING seconds after the change that it was read with: who stays for
        longer has been waited for by the generation before.
        """
        deadline = time.monotonic() + WRITING
        recent = list(self.inputs.recent)
        while time.monotonic() < deadline and any(
            is_recent(self.inputs.files[path]) and being_written(path) for path in recent
        ):
            time.sleep(0.001)
        self.settled()
        changed = self.inputs.sweep() if sweep else []
        if changed and not self.stale:
            self._conclude(changed)
        return self.stale

    def watch_root(self, directory: str) -> None:
        """Notice when *directory* itself, one above it, or a symbolic link on the way to it, is replaced."""
        self._coverage.watch_root(directory)

    def _conclude(self, changed: list[str]) -> None:
        self.stale = tuple(dict.fromkeys(changed))
        self.leave()

    def _note_event(self, event: Event, places: tuple[str, ...], changed: list[str]) -> None:
        if event.mask & LOST:
            self._coverage.lost = True
            return
        if event.mask & ISDIR and event.mask & ATTRIB:
            self._sweep_due = True  # who may enter a directory decides over all that is in it
        concerns = False
        for directory in places:
            if not event.name:
                directory, name = os.path.split(directory)  # a watch on the inode of a file, or the directory itself
            else:
                name = event.name
            if self._coverage.leads_on(directory, name):
                self._coverage.lost = True
            if self.inputs.interesting(directory, name):
                concerns = True
                self._noise.end(directory)
                self._look(directory, name, event.mask, changed)
            if event.mask & ISDIR and event.mask & (CREATE | MOVED_TO) and self.inputs.in_tree(directory):
                self._coverage.missed.add(directory)  # who was paused does not know the watch on the new one
                changed += self.inputs.search()
        if concerns or self.inotify is None:
            return
        if event.mask & (MODIFY | CLOSE_WRITE):
            self._noise.note(self.inotify, places)
        else:
            self._noise.note_name(self.inotify, places, event.name)

    def _look(self, directory: str, name: str, mask: int, changed: list[str]) -> None:
        entry = (directory, name)
        # Not after MOVED_TO: that save was complete, and whoever is inside now makes the next one.
        if mask & (MODIFY | CREATE):
            inside = being_written(os.path.join(directory, name))
            # MODIFY without a writer comes of truncate(2); if nobody can tell, the writer's CLOSE_WRITE will.
            if inside or (inside is None and mask & MODIFY):
                self._writing.setdefault(entry, time.monotonic() + WRITING)
                return
        if entry in self._writing and mask & ATTRIB:
            return
        self._writing.pop(entry, None)
        path = self.inputs.changed(directory, name)
        if path is None:
            self._vanished.pop(entry, None)
        else:
            self._weigh(path, time.monotonic(), changed)

    def _settle(self, now: float, changed: list[str]) -> None:
        for waiting in (self._writing, self._vanished):
            for entry, deadline in list(waiting.items()):
                if deadline <= now:
                    del waiting[entry]
                    path = self.inputs.changed(*entry)
                    if path is not None:
                        changed.append(path)

    def _weigh_all(self, paths: list[str], now: float, changed: list[str]) -> None:
        """A sweep sees half-written and vanished files like any others; they are given the same time."""
        for path in paths:
            if being_written(path):
                self._writing.setdefault(os.path.split(path), now + WRITING)
            else:
                self._weigh(path, now, changed)

    def _weigh(self, path: str, now: float, changed: list[str]) -> None:
        """*path* is not what it was: it is gone for a moment, or has changed."""
        entry = os.path.split(path)
        if stamp(path) is None:
            self._vanished.setdefault(entry, now + VANISHED)
        else:
            self._vanished.pop(entry, None)
            changed.append(path)

    def note(self, text: str) -> None:
        """Something cannot be exact here; *text* says what, the same each time."""
        if text not in self.notes:
            self.notes.append(text)
            self.noted(text)

