"""A git operation that rewrites many files is one save: whoever imports waits until it is over.

git creates `index.lock` before it touches the work tree and renames it to `index` when it is done, so between the two
the files on disk are a mixture that nobody has written. A lock that a dead git left behind must not hold anybody for
ever, hence the patience, counted from the lock's own birth.

Law: reads names and times only, never runs git. gitrepository-layout(5); `gitdir:` files are those of worktrees and
submodules. Start at wait.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from runner.freshness.stamps import read

PATIENCE = 2.0
"""Seconds that a lock may be old before it is taken for a forgotten one."""
_STEP = 0.002


def wait(directory: str, patience: float = PATIENCE) -> bool:
    """Wait while git changes a work tree that *directory* (absolute) is in. False if the patience was exhausted."""
    locks = [os.path.join(place, "index.lock") for place in places(directory)]
    deadline = time.monotonic() + patience
    while (age := _youngest(locks)) is not None:
        if age > patience or time.monotonic() >= deadline:
            return False
        time.sleep(_STEP)
    return True


def places(directory: str) -> Iterator[str]:
    """The git directories of the work trees around *directory*, the innermost first."""
    while True:
        entry = os.path.join(directory, ".git")
        if os.path.isdir(entry):
            yield entry
        elif linked := _linked(entry):
            yield os.path.join(directory, linked)
        if directory == os.path.dirname(directory):
            return
        directory = os.path.dirname(directory)


def _linked(entry: str) -> str:
    """Where a `.git` file points to; "" if there is none."""
    try:
        kind, _, place = os.fsdecode(read(entry, 4096)).partition(":")
    except OSError:
        return ""
    return place.strip() if kind == "gitdir" else ""


def _youngest(locks: list[str]) -> float | None:
    """The age in seconds of the youngest lock that exists; None if there is none."""
    ages = []
    for lock in locks:
        try:
            ages.append(time.time() - os.stat(lock).st_mtime)
        except OSError:
            pass
    return min(ages, default=None)
