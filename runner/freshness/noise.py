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
from collections.abc import Callable

from runner.freshness.inotify import Inotify
from runner.freshness.inputs import Inputs

NOISE = 64
"""Events of writes to files that are no inputs after which their directory is quieted."""


class Noise:
    """*directories*: names by the number of their watch, shared with the Watch; *arm* has it hear everything again."""

    def __init__(self, inputs: Inputs, directories: dict[int, set[str]], arm: Callable[[str], None]) -> None:
        self.quieted: set[str] = set()
        self._inputs = inputs
        self._directories = directories
        self._arm = arm
        self._heard: Counter[int] = Counter()

    def note(self, inotify: Inotify, watch: int) -> None:
        """A write to a file that is no input, heard by the watch of that number."""
        self._heard[watch] += 1
        if self._heard[watch] == NOISE:
            self._quiet(inotify, self._directories.get(watch, set()))

    def end(self, directory: str) -> None:
        """Hear everything of *directory* again, until there is as much noise again."""
        self._heard.clear()
        if directory in self.quieted:
            self.quieted.remove(directory)
            self._arm(directory)

    def forget(self) -> None:
        """All watches are set anew."""
        self.quieted.clear()
        self._heard.clear()

    def _quiet(self, inotify: Inotify, directories: set[str]) -> None:
        """Hear no more of writes to files in *directories*, which are names of one, but of writes to its inputs."""
        if directories & self.quieted:
            return
        try:
            for path, seen in list(self._inputs.files.items()):  # other threads add to them
                if seen is not None and os.path.dirname(path) in directories:
                    self._directories.setdefault(inotify.watch_file(path), set()).add(path)
            for directory in directories:
                inotify.watch_names(directory)
                self.quieted.add(directory)
        except OSError:
            pass
