"""Looks at the deadlines of all connections now and then: one timer for all of them, none for each.

While something is under way the look comes every TICK seconds. Connections at rest alone, which web servers keep by the
dozen, wake an idle worker only when the nearest of their deadlines has come, or after AT_REST, in case a new one is
nearer.

Law: without connections nothing ticks. Start at Ticker.start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from runner.front.connection import Connection

TICK = 0.25
"""Seconds between two looks while something is under way."""
AT_REST = 2.0
"""The longest pause between two looks: by so much a deadline of an idle worker's connection may be missed."""


class Ticker:
    """*busy*: something is under way; *looked* is called after each look."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connections: set[Connection], busy: Callable[[], bool],
        looked: Callable[[], object],
    ) -> None:  # fmt: skip
        self._loop = loop
        self._connections = connections
        self._busy = busy
        self._looked = looked
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """There is a connection."""
        if self._next is None:
            self._next = self._loop.call_later(TICK, self._tick)

    def hasten(self) -> None:
        """Something is about to end: look soon."""
        if self._next is not None:
            self._next.cancel()
            self._next = self._loop.call_later(TICK, self._tick)

    def _tick(self) -> None:
        now = time.monotonic()
        for connection in list(self._connections):
            if connection.deadline and connection.deadline <= now:
                connection.overdue()
        self._next = self._loop.call_later(self._pause(now), self._tick) if self._connections else None
        self._looked()

    def _pause(self, now: float) -> float:
        if self._busy():
            return TICK
        nearest = min((each.deadline for each in self._connections if each.deadline), default=now + AT_REST)
        return min(AT_REST, max(TICK, nearest - now))
