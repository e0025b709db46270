"""Directories in which the application itself writes all the time: a log, a database beside the code.

Each such write is an event, and each event costs the next request a verdict. So a directory with NOISE writes that
concern no input is *quieted*: its inputs are watched one by one, and of the directory itself only the names. Whatever
happens to an input there, or is added, ends that before anybody looks.

Laws: there is no moment in which a write to an input is heard by nobody: the inputs are watched first. A quieting that
fails leaves everything as it was: slower, not wrong. Start at Noise.note. inotify(7).
"""

from __future__ import annotations

import os
from collections import Counter

from runner.freshness.coverage import Coverage
from runner.freshness.inotify import Inotify
from runner.freshness.inputs import Inputs

NOISE = 64
"""Events of writes to files that are no inputs after which their directory is quieted."""


class Noise:
    """See the module."""

    def __init__(self, inputs: Inputs, coverage: Coverage) -> None:
        self._inputs = inputs
        self._coverage = coverage
        self._heard: Counter[int] = Counter()

    def note(self, inotify: Inotify, watch: int) -> None:
        """A write to a file that is no input, heard by the watch of that number."""
        self._heard[watch] += 1
        if self._heard[watch] == NOISE:
            self._quiet(inotify, self._coverage.places(watch))

    def end(self, directory: str) -> None:
        """Hear everything of *directory* again, until there is as much noise again."""
        self._heard.clear()
        if directory in self._coverage.quieted:
            self._coverage.arm(directory)

    def forget(self) -> None:
        """Count from nothing: all watches are set anew."""
        self._heard.clear()

    def _quiet(self, inotify: Inotify, directories: tuple[str, ...]) -> None:
        """Hear no more of writes to files in *directories*, which are names of one, but of writes to its inputs."""
        if not self._coverage.quieted.isdisjoint(directories):
            return
        try:
            for path, seen in list(self._inputs.files.items()):  # other threads add to them
                if seen is not None and os.path.dirname(path) in directories:
                    self._coverage.watch_inode(inotify, path)
            for directory in directories:
                self._coverage.quiet(inotify, directory)
        except OSError:
            pass
