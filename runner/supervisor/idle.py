"""`--idle-exit`: end when nobody has asked for anything for so long.

For many small sites under socket activation: the service manager keeps the sockets and starts the runner again with the
next connection.

Law: a request under way is not idle, and neither is the start; numbers of the scoreboard only, time comes in.
"""

from __future__ import annotations

from runner.process.scoreboard import Counter, Row, Scoreboard

_LOOKS = 4
"""Looks in one idle span: it ends at most a quarter late."""


class Idle:
    """Reads the *scoreboard*; *now* (monotonic seconds) is where the first span begins."""

    def __init__(self, scoreboard: Scoreboard, now: float) -> None:
        self._scoreboard = scoreboard
        self._seen = 0
        self._since = now

    def next_look(self, limit: float, now: float) -> float | None:
        """When `over` should be asked; None if *limit* is off (0)."""
        return now + limit / _LOOKS if limit else None

    def over(self, limit: float, slots: int, now: float, *, streams: bool = False) -> bool:
        """Nobody has asked for anything for *limit* seconds in any of the first *slots* rows.

        *streams*: workers that leave, of which no row tells, still have answers to finish.
        """
        if not limit:
            return False
        rows = [self._scoreboard.row(slot) for slot in range(slots)]
        answered = sum(row.get(Counter.REQUESTS) for row in rows)
        if answered != self._seen or streams or any(map(_occupied, rows)):
            self._seen, self._since = answered, now
        return now - self._since >= limit


def _occupied(row: Row) -> bool:
    return row.get(Counter.INFLIGHT) > 0 or row.get(Counter.SOCKETS) > 0
