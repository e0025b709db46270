"""Who of several processes that were forked from one another reads their common change queue, one after the other.

A process that was paused has the queue of the one that went on, and so there is nothing that it has to keep up with.
When it goes on itself it reads on where the last reader has left off. What that one had read is no longer in the queue:
it is told here.

    held    somebody reads, or has ended without a word: then nobody knows what he has taken out
    free    the last reader will never read again, and has left word of what he found

Laws: at most one reads; who finds the baton held makes a queue of his own. What was found once is told to all who come
after, for there may be some who were paused before. Start at Baton.take.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable
from typing import Any, NamedTuple

SIZE = 1 << 16
"""Bytes of what can be told; beyond that it is only told that there was much."""
_HELD, _FREE = b"H", b"F"


class Word(NamedTuple):
    """What a reader leaves behind: *entries* that he found changed, or was in doubt about (directory and name); of
    what is in the directories *missed* not everything came to the queue; *lost*: nor of any, or the watches lead
    elsewhere.
    """

    entries: tuple[tuple[str, str], ...] = ()
    missed: tuple[str, ...] = ()
    lost: bool = False

    def and_then(self, later: Word) -> Word:
        """Both together."""
        return Word(
            _once(self.entries, later.entries), _once(self.missed, later.missed), self.lost or later.lost
        )


class Baton:
    """Held by whoever makes it, and shared with all children that are forked from then on."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, SIZE)
        self._shared[:1] = _HELD
        self._write(Word())
        self._mine = True

    def take(self) -> Word | None:
        """In a process that was paused: everything that was found so far. None: the last reader has left no word."""
        self._mine = self._shared[:1] == _FREE
        if not self._mine:
            return None
        self._shared[:1] = _HELD
        return self._read()

    def leave(self, word: Word) -> None:
        """We shall not read any more. Said again, or by somebody who does not hold it, it is nothing."""
        if self._mine:
            self._write(self._read().and_then(word))
            self._shared[:1] = _FREE
            self._mine = False

    def _read(self) -> Word:
        size = int.from_bytes(self._shared[1:5])
        entries, missed, lost = json.loads(self._shared[5 : 5 + size])
        return Word(tuple((directory, name) for directory, name in entries), tuple(missed), lost)

    def _write(self, word: Word) -> None:
        data = json.dumps(word).encode()
        if len(data) > SIZE - 5:
            data = json.dumps(Word(lost=True)).encode()
        self._shared[1 : 5 + len(data)] = len(data).to_bytes(4) + data


def _once(first: Iterable[Any], second: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((*first, *second)))
