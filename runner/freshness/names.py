"""Directories in which names come and go all the time: a database's journal beside the code, at every transaction.

Each is an event in the common queue, and each event there costs the next request a question to the drainer. So what
becomes of the names in such a directory is heard by each process in a queue of its own, which it reads itself: a worker
before each request, the drainer now and then. Of the names that are known to concern nothing nobody has to be asked.

Law: a queue of one's own is there before the common one falls silent, and the drainer is asked once more after it was
made. Start at Names.news.
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.freshness.inotify import LOST, READ, Event, Inotify, parse, split
from runner.freshness.notice import Bustle

_MANY = 1 << 12
"""Different events of dull names that are worth remembering."""


class Names:
    """A queue of one's own. Raises OSError where there is none to be had."""

    def __init__(self) -> None:
        self.inotify = Inotify()
        self._dull: Bustle = {}
        self._known: set[bytes] = set()
        self._directories: dict[int, set[str]] = {}

    def listen(self, dull: Bustle) -> None:
        """Hear of all directories that are named there, from now on; these names concern nothing. Raises OSError."""
        for directory in dull:
            self._directories.setdefault(self.inotify.watch_entries(directory), set()).add(directory)
        self.note_dull(dull)

    def note_dull(self, dull: Bustle) -> None:
        """Only these names concern nothing."""
        self._dull = dull
        self._known.clear()

    def news(self) -> list[Event]:
        """What may concern somebody, with the queue empty after it."""
        return list(self._news()) if self.inotify.pending() else []

    def places(self, event: Event) -> tuple[str, ...]:
        """The names of the directory that it happened in; none if it is about no directory in particular."""
        return tuple(self._directories.get(event.watch, ()))

    def close(self) -> None:
        """Hear nothing any more."""
        self.inotify.close()

    def _news(self) -> Iterator[Event]:
        more = True
        while more:
            data = self.inotify.read()
            more = len(data) > READ // 2  # else what comes now was not there when we were asked
            for record in split(data):
                if record not in self._known:
                    event = parse(record)
                    if not self._is_dull(event):
                        yield event
                    elif len(self._known) < _MANY:
                        self._known.add(record)

    def _is_dull(self, event: Event) -> bool:
        return not event.mask & LOST and all(event.name in self._dull.get(place, ()) for place in self.places(event))
