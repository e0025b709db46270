"""`--idle-exit`: end when nobody has asked for anything for so long.

For many small sites under socket activation: the service manager keeps the sockets and starts the runner again with the
next connection.

Law: a request under way, a connection that waits for one, and the start itself are all "not idle"; numbers only.
"""

from __future__ import annotations

from runner.process.scoreboard import Counter, Scoreboard


class Idle:
    """Reads the *scoreboard*; *now* is the moment from which to count, in monotonic seconds."""

    def __init__(self, scoreboard: Scoreboard, now: float) -> None:
        self._scoreboard = scoreboard
        self._seen = -1
        self._since = now

    def since(self, slots: int, now: float) -> float:
        """Seconds without a request in any of the first *slots* rows."""
        rows = [self._scoreboard.row(slot) for slot in range(slots)]
        answered = sum(row.get(Counter.REQUESTS) for row in rows)
        if answered != self._seen or any(row.get(Counter.INFLIGHT) for row in rows):
            self._seen, self._since = answered, now
        return now - self._since
