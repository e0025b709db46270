"""How long the application has been called without a pause: who measures it, and the clock that `--timeout` is about.

Law: a call that streams pauses between its parts, so the length of a stream is never what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from runner.request import Exchange


class Clock(Protocol):
    """Told by the host, on the thread that calls. A call that streams is one call for each of its parts."""

    def start(self, exchange: Exchange) -> None:
        """The application is called for *exchange*."""

    def stop(self, exchange: Exchange) -> None:
        """It came back."""


class Timer:
    """A Clock; *mark* is told the deadline of the oldest running call in monotonic seconds, 0.0 when none runs."""

    def __init__(self, timeout: float, mark: Callable[[float], None]) -> None:
        self._timeout = timeout
        self._mark = mark
        self._running: dict[Exchange, float] = {}

    def start(self, exchange: Exchange) -> None:
        """See Clock. Dictionaries keep their order, so the first deadline is the nearest."""
        self._running[exchange] = time.monotonic() + self._timeout
        self._mark(next(iter(self._running.values())))

    def stop(self, exchange: Exchange) -> None:
        """See Clock."""
        del self._running[exchange]
        self._mark(next(iter(self._running.values()), 0.0))
