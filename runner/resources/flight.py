"""A singleton that is being opened: one opens it, and whoever asks meanwhile waits until he has.

Laws: an opening that fails, or is cancelled, has landed as well: each who waited tries himself. Nobody waits for
himself: an opener that asks for what it is to open, or two that ask for each other's, are told so; in other threads
and in tasks too, as long as they were given the opener's context. Start at Flight.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from runner.errors import UsageError
from runner.resources.bell import arrival, on_loop

_INSIDE: ContextVar[tuple[Flight, ...]] = ContextVar("openers", default=())
"""What is being opened by openers that are under way in this context, the innermost last."""
_LOCK = threading.Lock()
"""For who waits for whom: that crosses scopes, since openers do."""


class Flight:
    """From now until `land` whoever made it opens *name*, in this context."""

    __slots__ = ("_before", "_landed", "_name", "_waits_for")

    def __init__(self, name: str) -> None:
        self._name = name
        self._landed: Future[None] = Future()
        self._waits_for: list[Flight] = []
        self._before = _INSIDE.set((*_INSIDE.get(), self))

    def land(self) -> None:
        """The opener has returned, or raised."""
        self._landed.set_result(None)
        with suppress(ValueError):  # A task that was dropped ends in whichever context that is noticed.
            _INSIDE.reset(self._before)

    def wait(self) -> None:
        """In a thread. Raises UsageError where that would be for ever, or where it would block an event loop."""
        with self._waited_for():
            if on_loop():
                raise UsageError(
                    f"{self._name!r} is being opened, and to wait for it here would block the event loop; "
                    "`await runner.resources.aopen_singleton(…)`"
                )
            self._landed.result()

    async def arrive(self) -> None:
        """`wait` in a task."""
        with self._waited_for():
            await arrival(self._landed)

    @contextmanager
    def _waited_for(self) -> Iterator[None]:
        inside = _INSIDE.get()
        with _LOCK:
            if self in inside and not self._landed.done():
                raise UsageError(f"the opener of {self._name!r} asks for {self._name!r} with the same options")
            if self._leads_to(inside):
                raise UsageError(f"the openers of {inside[-1]._name!r} and of {self._name!r} wait for each other")
            for each in inside:
                each._waits_for.append(self)
        try:
            yield
        finally:
            with _LOCK:
                for each in inside:
                    each._waits_for.remove(self)

    def _leads_to(self, inside: tuple[Flight, ...]) -> bool:
        """Whoever waits for this one waits, in the end, for one of *inside*."""
        if self._landed.done():
            return False
        return self in inside or any(each._leads_to(inside) for each in self._waits_for)
