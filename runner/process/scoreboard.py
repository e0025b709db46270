"""One page of shared memory: what each worker is doing, written by the worker, read by the supervisor.

Counting through messages would cost a system call a request; here a number costs a store. A row belongs to a slot and
outlives its workers, so counters go on over reloads.

Laws: a worker that leaves still counts in its row, but what is going on there is said by its successor alone (PID tells
who that is); a reader may see numbers of two moments, which is good enough for a status and for a deadline that is
checked again. Start at Row.
"""

from __future__ import annotations

import mmap
import os
from enum import IntEnum

from runner.process.memory import anonymous_file

ROW = 128
SLOTS = 1000

class Counter(IntEnum):
    """Positions of the whole numbers in a row."""

    PID = 0
    GENERATION = 1
    REQUESTS = 2
    REDIRECTS = 3
    HELD = 4  # requests given to a newer generation
    REFUSED = 5  # requests answered 503 at once, refusals.py
    INFLIGHT = 6
    CUT = 7
    MOVED = 8  # idle connections given away, and WebSockets that have moved
    EXPIRED = 9  # requests answered 503 after they had been held too long
    SOCKETS = 10  # WebSockets that are open; INFLIGHT is without them, for nobody waits behind one


class Moment(IntEnum):
    """Positions of the monotonic seconds in a row, after the counters; 0.0 for "not"."""

    DEADLINE = 11  # until when the present call must have come back
    LEAVING = 12  # since when it takes nothing more
    TURN = 13  # until when the event loop must have turned again


class Row:
    """One slot's numbers, as attributes of one view: `row[Counter.REQUESTS] += 1`."""

    __slots__ = ("_moments", "_numbers")

    def __init__(self, page: memoryview, slot: int) -> None:
        start = slot * ROW
        self._numbers = page[start : start + 8 * len(Counter)].cast("Q")
        self._moments = page[start + 8 * len(Counter) : start + 8 * (len(Counter) + len(Moment))].cast("d")

    def count(self, counter: Counter, by: int = 1) -> None:
        """Add to a counter."""
        self._numbers[counter] += by

    def set(self, counter: Counter, value: int) -> None:
        """Set a counter."""
        self._numbers[counter] = value

    def get(self, counter: Counter) -> int:
        """Read a counter."""
        return self._numbers[counter]

    def mark(self, moment: Moment, when: float) -> None:
        """Write a moment."""
        self._moments[moment - len(Counter)] = when

    def when(self, moment: Moment) -> float:
        """Read a moment."""
        return self._moments[moment - len(Counter)]


class Scoreboard:
    """The page. The supervisor makes it (no *descriptor*), the others map the descriptor they inherited."""

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = anonymous_file("runner-scoreboard")
            os.ftruncate(descriptor, ROW * SLOTS)
        self.descriptor = descriptor
        self._page = memoryview(mmap.mmap(descriptor, ROW * SLOTS))

    def row(self, slot: int) -> Row:
        """The row of *slot*."""
        return Row(self._page, slot)

    def inflight(self) -> int:
        """How many requests are being answered, but for those that older workers of the same slots still answer."""
        return sum(self.row(slot).get(Counter.INFLIGHT) for slot in self.used())

    def used(self) -> list[int]:
        """The slots that have ever had a worker, also those that are not wanted any more: their counters count on."""
        numbers = self._page.cast("Q")
        return [slot for slot in range(SLOTS) if numbers[slot * ROW // 8 + Counter.GENERATION]]
