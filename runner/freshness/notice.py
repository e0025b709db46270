"""What a generation's drainer shows its workers, in memory that they share.

    word       the first byte: how the code in memory stands to the disk
    bustle     the names that come and go all the time beside the code, and concern nothing (names.py); a new edition
               each time, in one of two places by turns, so that what is being read is not being written

Laws: written by the drainer alone, and read by whoever was forked from it. A worker that finds an edition it does not
know believes nothing before it has read it. Start at Notice.
"""

from __future__ import annotations

import json
import mmap
import sys
from collections.abc import Collection, Mapping
from enum import IntEnum

Bustle = Mapping[str, Collection[str]]
"""Names by directory, e.g. {"/srv/shop": {"hits.sqlite3-journal"}}."""

HEAD = 16
_PLACE = 1 << 13


class Word(IntEnum):
    """KEPT: stale, but the newer code is broken and this one goes on by order. SWEPT: fresh just now, but no event
    will tell of the next change: ask again."""

    FRESH = 0
    BUSY = 1
    STALE = 2
    KEPT = 3
    SWEPT = 4


class Notice(mmap.mmap):
    """The memory: `notice[0]` is the word, `notice[:HEAD]` that and the edition, to be compared with `calm`."""

    def __new__(cls) -> Notice:
        """One that says FRESH, and nothing more."""
        made = super().__new__(cls, -1, HEAD + 2 * _PLACE)
        made._numbers = memoryview(made)[:HEAD].cast("Q")
        return made

    _numbers: memoryview[int]

    def publish(self, bustle: Bustle) -> bool:
        """Make a new edition; False if there is too much for one."""
        data = json.dumps({directory: sorted(names) for directory, names in bustle.items()}).encode()
        edition = self._numbers[1] + 1
        at = HEAD + edition % 2 * _PLACE
        if 4 + len(data) > _PLACE:
            return False
        self[at : at + 4 + len(data)] = len(data).to_bytes(4) + data
        # One store of a machine word: nobody sees half of the number.
        self._numbers[1] = edition
        return True

    def bustle(self) -> tuple[int, Bustle]:
        """The newest edition and its number."""
        while True:
            edition = self._numbers[1]
            at = HEAD + edition % 2 * _PLACE
            data = self[at + 4 : at + 4 + int.from_bytes(self[at : at + 4])]
            if self._numbers[1] == edition:
                return edition, json.loads(data) if data else {}

    def close(self) -> None:
        """See mmap."""
        self._numbers.release()
        super().close()


def calm(edition: int) -> bytes:
    """How the head looks as long as nothing happens, to whoever has read this edition."""
    return bytes([Word.FRESH]) + bytes(7) + edition.to_bytes(8, sys.byteorder)
