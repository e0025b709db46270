"""Inputs + inotify = a verdict. One Watch for each generation; the process that made it is the only one that drains it.

Laws: a directory is watched before anything in it is stamped. Where it cannot be watched (the limit, a network file
system, no inotify at all) its files are *swept*: looked at whenever a verdict is asked for, and `notes` says so.
Stale is final: a generation that was told so never becomes fresh again.

A save is complete when its writer is done. So a file that was modified and not closed leaves the code in memory right
for as long as the writer is inside, at most WRITING seconds; and a file that vanished is given VANISHED seconds to come
back, because many editors and git save by removing first.

Start at Watch.verdict. inotify(7).
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import NamedTuple

from runner.freshness.filesystems import Mounts
from runner.freshness.inotify import ATTRIB, CLOSE_WRITE, CREATE, ISDIR, LOST, MODIFY, MOVED_TO, Event, Inotify
from runner.freshness.inputs import Additions, File, Inputs
from runner.freshness.links import links
from runner.freshness.noise import Noise
from runner.freshness.stamps import being_written, stamp

WRITING = 2.0
"""Seconds a writer may stay inside a file before its half-written state counts as saved."""
VANISHED = 0.02
"""Seconds a removed file is given to come back."""


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
        self.swept: set[str] = set()
        self.inputs = Inputs(self._observe, ignore, self._follow)
        self.stale: tuple[str, ...] = ()
        self._mounts = Mounts()
        self._watched: set[str] = set()
        self._directories: dict[int, set[str]] = {}
        self._links: dict[str, set[str]] = {}
        self._linked: set[str] = set()
        self._above: set[str] = set()
        self._roots: dict[str, tuple[int, int] | None] = {}
        self._writing: dict[tuple[str, str], float] = {}
        self._vanished: dict[tuple[str, str], float] = {}
        self._noise = Noise(self.inputs, self._directories, self._arm)
        self._sweep_due = False
        self._rearm_due = False
        self._open_inotify = open_inotify
        self.inotify: Inotify | None = None
        if inotify:
            try:
                self.inotify = open_inotify()
            except OSError as error:
                self.note(f"no inotify ({error.strerror or error}): files are looked at before each request instead")

    def pending(self) -> bool:
        """A verdict now could differ from the last one. One system call."""
        if self.inotify is None or self.swept or self._sweep_due or self.inotify.pending():
            return True
        return bool(self._writing or self._vanished)

    def verdict(self) -> Verdict:
        """Read what happened, look where it matters, and say how the code in memory stands to the disk."""
        if self.stale:
            return Verdict(State.STALE, self.stale)
        changed: list[str] = []
        if self.inotify is not None:
            while events := self.inotify.take():
                for event in events:
                    self._note_event(event, changed)
        now = time.monotonic()
        self._settle(now, changed)
        changed += self._moved_roots()  # no event tells that a directory is gone as long as some process works in it
        while self._rearm_due:
            self._rearm_due = False
            self._sweep_due = True
            self._rearm()
        if self._sweep_due or self.inotify is None:
            self._sweep_due = False
            self._weigh_all(self.inputs.sweep(), now, changed)
        elif self.swept:
            self._weigh_all(self.inputs.sweep(self.swept), now, changed)
        if changed:
            self.stale = tuple(dict.fromkeys(changed))
            return Verdict(State.STALE, self.stale)
        waits = [*self._writing.values(), *self._vanished.values()]
        return Verdict(State.BUSY if self._vanished else State.FRESH, (), min(waits) if waits else None)

    @property
    def directories(self) -> set[str]:
        """All that hold an input, or could."""
        return self._watched

    def adopt(self, additions: Additions) -> None:
        """Take over what another process read. Events about it may have been passed over: look at everything next."""
        for item in additions.items:
            self._noise.end(os.path.dirname(item.path) if isinstance(item, File) else item.directory)
        self.inputs.adopt(additions)
        self.watch_inodes(item.path for item in additions.items if isinstance(item, File))
        self.doubt()

    def doubt(self) -> None:
        """The next verdict looks at everything: what events said so far may not have been understood."""
        self._sweep_due = True

    def settled(self) -> Verdict:
        """As `verdict`, once nobody is inside an input, and none is away."""
        while (verdict := self.verdict()).state is State.BUSY or (verdict.again and verdict.state is State.FRESH):
            time.sleep(max(0.0, min(0.005, (verdict.again or 0.0) - time.monotonic())))
        return verdict

    def renew(self) -> None:
        """In a copy of the process: a change queue of its own. What was saved before that is seen by looking at all."""
        if self.inotify is not None:
            self.inotify.close()
            self.inotify = None   # and so it stays at the limit of instances: then everything is looked at each time
            with contextlib.suppress(OSError):
                self.inotify = self._open_inotify()
        self._rearm_due = True

    def prove(self, *, sweep: bool = True) -> tuple[str, ...]:
        """The import is over: what changed while it ran. *sweep*: believe no event, look at everything once more.

        Waits for a writer inside an input, until WRITING seconds after the change that it was read with: who stays for
        longer has been waited for by the generation before.
        """
        deadline = time.monotonic() + WRITING
        patience = int(WRITING * 1e9)
        changes = ((path, seen.ctime_ns) for path, seen in list(self.inputs.files.items()) if seen is not None)
        young = [(path, at) for path, at in changes if at > time.time_ns() - patience]
        while time.monotonic() < deadline and any(
            time.time_ns() < at + patience and being_written(path) for path, at in young
        ):
            time.sleep(0.001)
        self.settled()
        changed = self.inputs.sweep() if sweep else []
        if changed and not self.stale:
            self.stale = tuple(changed)
        return self.stale

    def watch_root(self, directory: str) -> None:
        """Notice when *directory* itself, one above it, or a symbolic link on the way to it, is replaced."""
        self._watch_links(directory)
        self._roots[directory] = _identity(directory)
        self._arm_root(directory)

    def watch_inodes(self, paths: Iterable[str] | None = None) -> None:
        """Watch files with several hard links by inode: a write through another name has no event in our directory."""
        if self.inotify is None:
            return
        for path in list(self.inputs.files) if paths is None else paths:
            seen = self.inputs.files.get(path)
            if seen is not None and seen.links > 1:
                try:
                    number = self.inotify.watch_file(path)
                except OSError as error:
                    self._unwatchable(os.path.dirname(path), error)
                else:
                    self._directories.setdefault(number, set()).add(path)

    def _observe(self, directory: str) -> None:
        if directory in self._watched:
            return
        self._watched.add(directory)
        self._watch_links(directory)
        self._arm(directory)
        self._watch_above(directory)

    def _follow(self, path: str) -> None:
        """A file that is a symbolic link is written where it leads to, and any step on the way there may be swapped."""
        self._linked.add(path)
        self._watch_links(path)
        self._watch_entry(*os.path.split(os.path.realpath(path)))

    def _watch_above(self, directory: str) -> None:
        """A directory above that is renamed or removed takes what is below with it, without an event there."""
        if self.inotify is None:
            return
        while (directory := os.path.dirname(directory)) not in self._above:
            self._above.add(directory)
            with contextlib.suppress(OSError):  # not ours to watch, or not there: then the nearest that is
                self._directories.setdefault(self.inotify.watch_place(directory), set())

    def _arm(self, directory: str) -> None:
        if self.inotify is None:
            return
        if not self._mounts.tells_all(directory):
            kind = self._mounts.type_of(directory) or "an unknown file system"
            self.note(f"{directory} is on {kind}, where others can write: its files are looked at before each request")
            self.swept.add(directory)
        try:
            number = self.inotify.watch_directory(directory)
        except OSError as error:
            self._unwatchable(directory, error)
        else:
            self._directories.setdefault(number, set()).add(directory)

    def _unwatchable(self, directory: str, error: OSError) -> None:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            # Not there: its appearance is a change of the nearest directory that is.
            parent, name = os.path.split(directory)
            self._watch_entry(parent, name)
            if os.path.isdir(directory):
                self._arm(directory)  # it appeared between the two
            return
        self.swept.add(directory)
        remedy = "; raise fs.inotify.max_user_watches" if error.errno == errno.ENOSPC else ""
        self.note(f"cannot watch {directory} ({error.strerror}): its files are looked at before each request{remedy}")

    def _watch_links(self, path: str) -> None:
        try:
            for parent, name in links(path):
                self._watch_entry(parent, name)
        except OSError:
            self._rearm_due = True  # one of them is being swapped

    def _watch_entry(self, directory: str, name: str) -> None:
        self._observe(directory)
        self._links.setdefault(directory, set()).add(name)

    def _note_event(self, event: Event, changed: list[str]) -> None:
        if event.mask & LOST:
            self._rearm_due = True
            return
        if event.mask & ISDIR and event.mask & ATTRIB:
            self._sweep_due = True  # who may enter a directory decides over all that is in it
        concerns = False
        for directory in tuple(self._directories.get(event.watch, ())):
            if not event.name:
                directory, name = os.path.split(directory)  # a watch on the inode of a file, or the directory itself
            else:
                name = event.name
            if name in self._links.get(directory, ()):
                self._rearm_due = True
            if self.inputs.interesting(directory, name):
                concerns = True
                self._noise.end(directory)
                self._look(directory, name, event.mask, changed)
            if event.mask & ISDIR and event.mask & (CREATE | MOVED_TO) and self.inputs.in_tree(directory):
                changed += self.inputs.search()
        if event.mask & (MODIFY | CLOSE_WRITE) and not concerns and self.inotify is not None:
            self._noise.note(self.inotify, event.watch)

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

    def _rearm(self) -> None:
        """After lost events watches may be gone or lead elsewhere: set them again, then everything is looked at."""
        self._directories.clear()
        self._above.clear()
        self._noise.forget()
        for directory in list(self._watched):
            self._watch_links(directory)
            self._arm(directory)
            self._watch_above(directory)
        for path in list(self._linked):
            self._follow(path)
        for directory in self._roots:
            self._arm_root(directory)
        self.watch_inodes()

    def _arm_root(self, directory: str) -> None:
        if self.inotify is None:
            return
        try:
            self._directories.setdefault(self.inotify.watch_place(directory), set())
        except OSError as error:
            if error.errno == errno.ENOENT:
                self._unwatchable(directory, error)
        self._watch_above(directory)

    def _moved_roots(self) -> list[str]:
        return [directory for directory, before in self._roots.items() if _identity(directory) != before]

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


def _identity(directory: str) -> tuple[int, int] | None:
    """What a process keeps if it has entered *directory*, whatever happens to the name."""
    seen = stamp(directory)
    return None if seen is None else (seen.device, seen.inode)
