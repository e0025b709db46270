"""`--timeout`: a call of the application that takes too long ends with its worker, after it has shown where it was.

The worker writes the deadline of its oldest running call on the scoreboard; the supervisor looks there, from outside
the interpreter lock that such a call may hold.

Laws: a deadline is looked at twice, _STACKS apart, so a call that ended meanwhile costs nothing but its stacks in the
log.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from runner.process.messages import DUMP_SIGNAL
from runner.process.scoreboard import Counter, Moment, Scoreboard
from runner.supervisor.crew import Crew
from runner.supervisor.members import Hand, send_signal

_LOOK = 0.25
"""Seconds between two looks."""
_STACKS = 0.5
"""Seconds a worker gets to write its stacks."""



class Overdue:
    """*kill* ends a worker, with the reason for the log."""

    def __init__(self, crew: Crew, scoreboard: Scoreboard, kill: Callable[[Hand, str], None]) -> None:
        self._crew = crew
        self._scoreboard = scoreboard
        self._kill = kill

    def next_look(self, timeout: float, now: float) -> float | None:
        """When `look` should be called; None if *timeout* is off (0)."""
        return now + _LOOK if timeout and self._crew.hands else None

    def look(self, timeout: float) -> None:
        """Look at every worker."""
        if not timeout:
            return
        now = time.monotonic()
        for hand in self._crew.hands.values():
            row = self._scoreboard.row(hand.slot)
            deadlines = (row.when(Moment.DEADLINE), row.when(Moment.TURN)) if row.get(Counter.PID) == hand.pid else ()
            if not any(0.0 < deadline <= now for deadline in deadlines):
                hand.stacks_until = 0.0
            elif not hand.stacks_until:
                hand.stacks_until = now + _STACKS
                send_signal(hand.pid, DUMP_SIGNAL)
            elif now >= hand.stacks_until:
                hand.stacks_until = now + _STACKS
                self._kill(hand, f"a call took longer than --timeout {timeout:g}s; its stacks are above")
