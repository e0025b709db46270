"""How long the application has been called without a pause; the clock that `--timeout` is about.

Law: a call that streams pauses between its parts, so the length of a stream is never what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Timer:
    """*mark* is told the deadline of the oldest running call in monotonic seconds, 0.0 when none runs."""

    def __init__(self, timeout: float, mark: Callable[[float], None]) -> None:
        self._timeout = timeout
        self._mark = mark
        self._running: dict[object, float] = {}

    def start(self, call: object) -> None:
        """*call* goes into the application. Dictionaries keep their order, so the first deadline is the nearest."""
        self._running[call] = time.monotonic() + self._timeout
        self._mark(next(iter(self._running.values())))

    def stop(self, call: object) -> None:
        """*call* came back."""
        del self._running[call]
        self._mark(next(iter(self._running.values()), 0.0))
