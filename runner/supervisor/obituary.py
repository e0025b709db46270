"""How a worker ended, put together from what comes in any order.

    lost        its channel has ended: the supervisor knows first, and does not wait for the rest
    named       which process it was: its generation says so, perhaps after that process is dead
    explained   how it ended: only its parent can say, its generation or, if that is gone, the supervisor

Law: each end that nobody had asked for is told once.
"""

from __future__ import annotations

from collections.abc import Callable

from runner.process.endings import describe_exit


class Obituary:
    """*tell* gets slot, process and how, in words that follow a subject."""

    def __init__(self, tell: Callable[[int, int, str], None]) -> None:
        self._tell = tell
        self._nameless: dict[int, int] = {}
        self._unexplained: dict[int, int] = {}

    def lost(self, key: int, slot: int, pid: int) -> None:
        """The worker known as *key* has ended unasked; *pid* 0 if nobody has said yet which process it was."""
        if pid:
            self._unexplained[pid] = slot
        else:
            self._nameless[key] = slot

    def named(self, key: int, pid: int) -> None:
        """The worker known as *key* is, or was, process *pid*; 0: there never was one."""
        slot = self._nameless.pop(key, None)
        if slot is not None and pid:
            self._unexplained[pid] = slot

    def explained(self, pid: int, code: int) -> None:
        """Process *pid*, which may be a stranger, ended with *code* as subprocess gives it."""
        slot = self._unexplained.pop(pid, None)
        if slot is not None:
            self._tell(slot, pid, describe_exit(code))
