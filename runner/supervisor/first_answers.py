"""Whether the next generation may answer before it is forked (worker/first.py), after that was tried in vain.

    what the answer left behind     a thread, a child, a connection: the next one's would leave the same; never again
    an answer that took too long    not in the next REST generations; whenever it happens again, in twice as many

A story: in one edit of a thousand the machine had no time for 50 ms, and until the evening each edit took twice as
long. An application whose pages are slow imports once more at its 1st edit, its 10th, its 27th, its 60th.

Law: pure. Start at FirstAnswers.allowed.
"""

from __future__ import annotations

import math

REST = 8
"""Generations."""


class FirstAnswers:
    """What is known of them in this run."""

    def __init__(self) -> None:
        self._from: float = 0
        self._rest = REST

    def allowed(self, number: int) -> bool:
        """Generation *number* may."""
        return number >= self._from

    def note_spent(self, number: int, reason: str) -> int:
        """Generation *number* did, in vain, because of *reason*, "": it took too long. How many may not now; 0: all."""
        if reason:
            self._from = math.inf
            return 0
        rest, self._rest = self._rest, 2 * self._rest
        self._from = number + 1 + rest
        return rest
