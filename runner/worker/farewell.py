"""WebSockets that have to end: each is told to come back (1012), one after the other.

Who is told comes back at once, and whoever is there then would meet all of them in the same moment. So PACE in a second
are told, by all workers together; but all of them within the time that there is.

Laws: on the loop's thread only; those that open meanwhile are told as well, until the process ends. Start at
Farewell.begin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runner.process.messages import PACE
from runner.request import Served

LOOK = 0.1
"""Seconds between two looks for new ones."""


class Farewell:
    """*sockets*: those that are open here; *within* seconds, and so many *workers* say farewell at the same time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sockets: Callable[[], list[Served]], workers: int, within: float
    ) -> None:
        self._loop = loop
        self._sockets = sockets
        self._left: list[Served] = []
        self._step = workers / PACE
        self._within = within

    def begin(self) -> None:
        """From now on, to the end."""
        self._left = self._sockets()
        self._step = min(self._step, self._within / max(1, len(self._left)))
        while self._left and not self._step:
            self._left.pop().cut()
        self._next()

    def _next(self) -> None:
        self._left = self._left or self._sockets()
        if self._left:
            self._left.pop().cut()
        self._loop.call_later(self._step if self._left else LOOK, self._next)
