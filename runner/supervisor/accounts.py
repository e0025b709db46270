"""What is open in the workers: a question of somebody's that each of them has to answer.

A worker answers between two calls, or from its watchdog if a call is late; one that keeps the interpreter lock does not
answer. So nobody is waited for longer than PATIENCE, and who was silent is said.

Law: pure, but for the order that asks; time comes in. Start at Accounts.ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from runner.process.messages import Account, Accounted
from runner.supervisor.members import Hand

PATIENCE = 2.0
"""Seconds that a worker has to answer."""


@dataclass
class _Round:
    answer: Callable[[dict[str, Any]], None]
    until: float
    missing: dict[int, int] = field(default_factory=dict)  # slots, by the key of the worker
    rows: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0


class Accounts:
    """*order* sends a worker a message."""

    def __init__(self, order: Callable[[Hand, Account], None]) -> None:
        self._order = order
        self._rounds: dict[int, _Round] = {}
        self._number = 0

    def ask(self, answer: Callable[[dict[str, Any]], None], hands: Iterable[Hand], now: float) -> None:
        """Ask all *hands*; *answer* is called once, when all have answered or patience ends."""
        self._number += 1
        made = self._rounds[self._number] = _Round(answer, now + PATIENCE)
        for hand in hands:
            made.missing[hand.key] = hand.slot
            self._order(hand, Account(self._number))
        self._end_if_whole(self._number, made)

    def hear(self, hand: Hand, message: Accounted) -> None:
        """A worker answers; too late, if nobody waits for it any more."""
        made = self._rounds.get(message.number)
        if made is not None and made.missing.pop(hand.key, None) is not None:
            made.total += message.total
            names = ("resource", "place", "seconds", "request")
            made.rows += [
                {"slot": hand.slot, "pid": hand.pid, **dict(zip(names, row, strict=False))} for row in message.rows
            ]
            self._end_if_whole(message.number, made)

    def gone(self, key: int) -> None:
        """A worker has ended: nothing of it is open."""
        for number, made in list(self._rounds.items()):
            made.missing.pop(key, None)
            self._end_if_whole(number, made)

    def look(self, now: float) -> None:
        """Patience may have ended."""
        for number, made in list(self._rounds.items()):
            if now >= made.until:
                self._end(number, made)

    def next_deadline(self) -> float | None:
        """When that will be."""
        return min((made.until for made in self._rounds.values()), default=None)

    def _end_if_whole(self, number: int, made: _Round) -> None:
        if not made.missing and number in self._rounds:
            self._end(number, made)

    def _end(self, number: int, made: _Round) -> None:
        del self._rounds[number]
        made.answer({"open": made.total, "resources": made.rows, "silent": sorted(made.missing.values())})
