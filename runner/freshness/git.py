"""A git operation that rewrites many files is one save: whoever imports waits until it is over.

git creates `index.lock` before it touches the work tree and renames it to `index` when it is done, so between the two
the files on disk are a mixture that nobody has written. A lock that a dead git left behind must not hold anybody for
ever, hence the patience, counted from the lock's own birth; that it was exhausted is told.

An application is made of several work trees if it imports from several: which, is known for certain only when it has
been imported. So there is a wait before the import, for those that can be guessed, and one after it for all of them.

Law: reads names and times only, never runs git. gitrepository-layout(5); `gitdir:` files are those of worktrees and
submodules. Start at Trees.wait.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable

from runner.freshness.stamps import read

PATIENCE = 2.0
"""Seconds that a lock may be old before it is taken for a forgotten one."""
_STEP = 0.002
_TICK = 10_000_000
"""Nanoseconds by which the clock that files are stamped with may lag behind the usual one."""


class Trees:
    """The work trees that directories lie in, each directory looked at once. *note* is told of exhausted patience.

    places  their git directories, the innermost first, e.g. ["/srv/shop/.git"]
    """

    def __init__(self, note: Callable[[str], None], patience: float = PATIENCE) -> None:
        self.places: list[str] = []
        self._note = note
        self._patience = patience
        self._known: set[str] = set()
        self.restart()

    def wait(self, directories: Iterable[str]) -> bool:
        """Wait while git changes a work tree around any of *directories* (absolute), or of those named before.

        False if the patience was exhausted.
        """
        self.find(directories)
        deadline = time.monotonic() + self._patience
        while ages := self._locks():
            if min(ages.values()) > self._patience or time.monotonic() >= deadline:
                for lock in ages:
                    self._note(
                        f"git was not done after {self._patience:g} s, by {lock}: its files were read all the same; "
                        "if no git is running there, remove that file"
                    )
                return False
            time.sleep(_STEP)
        return True

    def find(self, directories: Iterable[str]) -> None:
        """From now on they are named."""
        for directory in directories:
            self._find(directory)

    def restart(self) -> None:
        """What is read from now on is what counts; said when this object is made, too."""
        self._since = time.time_ns() - _TICK

    def worked(self) -> bool:
        """Since `restart` git has begun, or ended, to change one of them: half of it may have been read."""
        for path in (os.path.join(place, name) for place in self.places for name in ("index", "index.lock")):
            with contextlib.suppress(OSError):
                if os.stat(path).st_ctime_ns >= self._since:
                    return True
        return False

    def _find(self, directory: str) -> None:
        while directory not in self._known:
            self._known.add(directory)
            place = git_directory(directory)
            if place and place not in self.places:
                self.places.append(place)
            if os.path.islink(directory):
                self._find(os.path.realpath(directory))
            directory = os.path.dirname(directory)

    def _locks(self) -> dict[str, float]:
        """The locks that exist, and their ages in seconds."""
        ages = {}
        for lock in (os.path.join(place, "index.lock") for place in self.places):
            try:
                ages[lock] = time.time() - os.stat(lock).st_mtime
            except OSError:
                pass
        return ages


def git_directory(directory: str) -> str:
    """Where git keeps what it knows of the work tree whose top is *directory*; "" if that is no such top."""
    entry = os.path.join(directory, ".git")
    if os.path.isdir(entry):
        return entry
    try:
        kind, _, place = os.fsdecode(read(entry, 4096)).partition(":")
    except OSError:
        return ""
    return os.path.normpath(os.path.join(directory, place.strip())) if kind == "gitdir" and place.strip() else ""
