"""Directories in which the application itself writes all the time: a log, a database beside the code.

Each such write is an event, and each event costs the next request a verdict. So from NOISE events on that concern no
input

    quieted   of the directory only the names are heard, and its inputs are watched one by one: after writes to files
    hushed    nor are the names, in the queue that all have in common: after a name that comes and goes. They are heard
              by each process for itself (names.py); that name is dull from now on, and all are told so (notice.py)

Whatever happens to an input there, or is added, ends both before anybody looks.

Laws: there is no moment in which a change of an input is heard by nobody: another ear is there before the first one is
closed. What cannot be done leaves everything as it was: slower, not wrong. Start at Noise.note. inotify(7).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from runner.freshness.coverage import Coverage
from runner.freshness.inotify import Inotify
from runner.freshness.inputs import Inputs
from runner.freshness.names import Names
from runner.freshness.notice import Bustle

NOISE = 64
"""Events of files that are no inputs after which their directory is quieted."""


class Noise:
    """*publish*: tells all others which names are dull where, if it can; None: there are no others, so all is heard.

    names   the queue for hushed directories, once there was one
    """

    def __init__(self, inputs: Inputs, coverage: Coverage) -> None:
        self.publish: Callable[[Bustle], bool] | None = None
        self.names: Names | None = None
        self._inputs = inputs
        self._coverage = coverage
        self._written: Counter[tuple[str, ...]] = Counter()
        self._named: Counter[tuple[tuple[str, ...], str]] = Counter()
        self._dull: dict[str, frozenset[str]] = {}

    def note(self, inotify: Inotify, directories: tuple[str, ...]) -> None:
        """A write to a file that is no input, in a directory of these names."""
        self._written[directories] += 1
        if self._written[directories] == NOISE:
            self._quiet(inotify, directories)

    def note_name(self, inotify: Inotify, directories: tuple[str, ...], name: str) -> None:
        """Something became of *name* there, which is no input."""
        if self.publish is not None and name and directories:
            self._named[directories, name] += 1
            if self._named[directories, name] == NOISE:
                self._hush(inotify, directories, name, self.publish)

    def end(self, directory: str) -> None:
        """Hear everything of *directory* again, until there is as much noise again."""
        self._written.clear()
        self._named.clear()
        if directory in self._coverage.quieted:
            self._coverage.arm(directory)
        if directory in self._dull:
            del self._dull[directory]
            self._tell()

    def forget(self) -> None:
        """Count from nothing: everything is heard again."""
        self._written.clear()
        self._named.clear()
        if self._dull:
            self._dull.clear()
            self._tell()

    def _quiet(self, inotify: Inotify, directories: tuple[str, ...]) -> None:
        if not self._coverage.quieted.isdisjoint(directories):
            return
        try:
            for directory in directories:
                for path in self._inputs.within(directory):
                    if self._inputs.files.get(path) is not None:
                        self._coverage.watch_inode(inotify, path)
            for directory in directories:
                self._coverage.quiet(inotify, directory)
        except OSError:
            pass

    def _hush(
        self, inotify: Inotify, directories: tuple[str, ...], name: str, publish: Callable[[Bustle], bool]
    ) -> None:
        self._quiet(inotify, directories)
        searched = any(self._inputs.in_tree(each) for each in directories)  # there any new name may be of interest
        if searched or not self._coverage.quieted.issuperset(directories):
            return
        # What was dull in a directory that is heard again need not be so any more.
        known = {each: names for each, names in self._dull.items() if each in self._coverage.hushed}
        dull = known | {each: known.get(each, frozenset()) | {name} for each in directories}
        try:
            if self.names is None:
                self.names = Names()
            self.names.listen(dull)
            if publish(dull):
                self._dull = dull
                for directory in directories:
                    self._coverage.hush(inotify, directory)
        except OSError:
            pass

    def _tell(self) -> None:
        """There is less that is dull: no edition is too large for that."""
        if self.names is not None:
            self.names.note_dull(self._dull)
        if self.publish is not None:
            self.publish(self._dull)
