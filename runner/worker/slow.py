"""The slow log (`--slow`): a call that takes longer is logged once, with where it stands.

Law: nothing secret: method, path, places in the code; no header, no query, no value of a variable.
Start at SlowLog.look; SlowCalls is for `--threads`.
"""

from __future__ import annotations

import sys
import threading
import time
from types import FrameType

from runner.host import wsgi
from runner.log import Log, escape
from runner.request import Exchange, Request

_DEEPEST = 40
"""Places shown; a line of the log has room for about a dozen."""


class SlowLog:
    """What is over *limit* seconds old, or nothing if that is 0. One for the calls of one thread."""

    def __init__(self, limit: float, log: Log) -> None:
        self._limit = limit
        self._log = log
        self._thread = 0
        self._told = 0

    def begin(self) -> None:
        """The calls are those of the present thread."""
        self._thread = threading.get_ident()

    def look(self, request: Request, call: int, age: float) -> None:
        """The call with that number (from 1) has taken *age* seconds and goes on."""
        if self._limit and age >= self._limit and self._told != call:
            self._told = call
            self._log.warning(describe(request, age, sys._current_frames().get(self._thread)))


class SlowCalls:
    """The same for calls in application threads: a host.timer.Clock; `look` is called now and then by the loop."""

    def __init__(self, limit: float, log: Log) -> None:
        self._limit = limit
        self._log = log
        self._running: dict[Exchange, tuple[float, int]] = {}  # since when, and in which thread
        self._told: set[Exchange] = set()

    def start(self, exchange: Exchange) -> None:
        """See Clock."""
        self._running[exchange] = time.monotonic(), threading.get_ident()

    def stop(self, exchange: Exchange) -> None:
        """See Clock."""
        del self._running[exchange]
        self._told.discard(exchange)

    def look(self) -> None:
        """Tell of those that are slow by now."""
        now = time.monotonic()
        for exchange, (since, thread) in list(self._running.items()):
            if now - since < self._limit or not self._limit:
                return  # the oldest come first
            if exchange not in self._told:
                self._told.add(exchange)
                self._log.warning(describe(exchange.request, now - since, sys._current_frames().get(thread)))
                if exchange not in self._running:
                    self._told.discard(exchange)  # it came back in between


def describe(request: Request, age: float, frame: FrameType | None) -> str:
    """One line; the innermost place comes first, because the line may be cut."""
    return f"slow: {escape(request.method)} {escape(request.path)} has taken {age:.1f} s and is {stack(frame)}"


def stack(frame: FrameType | None, around: tuple[str, ...] = (wsgi.__file__,)) -> str:
    """The places from *frame* outwards to where the application was called.

    *around*: how the names of those files begin that call it; the first of them ends the places.
    """
    places: list[str] = []
    while frame is not None and len(places) < _DEEPEST:
        code = frame.f_code
        if code.co_filename.startswith(around) and places:
            break
        places.append(f"at {code.co_filename}:{frame.f_lineno} in {code.co_name}")
        frame = frame.f_back
    return " < ".join(places) or "nowhere in Python"
