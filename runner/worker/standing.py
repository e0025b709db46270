"""What a worker is doing, on the scoreboard: a state, which unlike a count belongs to the newest worker of a slot.

Law: one that leaves is silent about it, for its successor has the row. Start at Standing.begin.
"""

from __future__ import annotations

import os

from runner.process.scoreboard import Counter, Moment, Row


class Standing:
    """That of this process, in the *row* of its slot."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._pid = os.getpid()
        self._inflight = self._sockets = 0

    def begin(self, generation: int) -> None:
        """From now on the row is ours."""
        row = self._row
        row.set(Counter.PID, self._pid)
        row.set(Counter.GENERATION, generation)
        self.tally(0)
        for moment in Moment:
            row.mark(moment, 0.0)

    def tally(self, requests: int, *, sockets: int = 0) -> None:
        """So many more requests are under way, so many more of them have become WebSockets."""
        self._inflight += requests
        self._sockets += sockets
        if self._ours:
            self._row.set(Counter.INFLIGHT, self._inflight - self._sockets)
            self._row.set(Counter.SOCKETS, self._sockets)

    def note(self, moment: Moment, when: float) -> None:
        """A moment: monotonic seconds, 0.0 for "not"."""
        if self._ours:
            self._row.mark(moment, when)

    @property
    def _ours(self) -> bool:
        return self._row.get(Counter.PID) == self._pid
