"""What was opened for one request, and is closed with it.

    open       OPEN: an opener is called, and what it returns is held
    close      CLOSED at once, so that nothing is opened any more; then everything held is closed, the last one first

Laws: each is closed exactly once, whoever closes: the end of the request, `release`, or another thread at the same
moment; one that fails keeps no other from being closed. What an opener returns after the end is closed on the spot.
Closers run where the scope is closed: on the thread that called the application. Start at Scope.open.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from runner.errors import ResourcesClosed, TooManyOpen, UnknownResource, UsageError
from runner.resources.keys import canonical
from runner.resources.pool import Pool
from runner.resources.recipes import Recipe

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


@dataclass(slots=True, eq=False)
class Held:
    """One open resource: opened at *place* (file:line), at *since* (monotonic seconds); *key*: of a singleton."""

    name: str
    resource: Any
    close: Callable[[Any], object] | None
    place: str
    since: float
    key: Hashable = None


@dataclass(slots=True, eq=False)
class _Flight:
    """A singleton that is being opened, by the thread *owner*."""

    owner: int
    landed: Future[None] = field(default_factory=Future)


class Scope(ABC):
    """See the module. *most*: may be open at once, 0: no limit; *waits*: a full pool may be waited for."""

    __slots__ = ("_flights", "_held", "_lock", "_most", "_open", "_waits")

    def __init__(self, *, most: int = 0, waits: bool = True) -> None:
        self._most = most
        self._waits = waits
        self._open = True
        self._lock = threading.Lock()
        self._held: list[Held] = []
        self._flights: dict[Hashable, _Flight] = {}

    def __del__(self) -> None:
        if self._held:
            names = ", ".join(f"{held.name} (opened at {held.place})" for held in self._held)
            warnings.warn(f"never closed: {names}; use `with scope():`", ResourceWarning, source=self, stacklevel=2)

    @abstractmethod
    def failed(self, held: Held, error: BaseException) -> None:
        """It could not be closed."""

    def left(self) -> bool:
        """Nobody is there any more for whom something could be opened."""
        return False

    def all(self) -> list[Held]:
        """What is open now, in the order of opening."""
        with self._lock:
            return list(self._held)

    # ---- open -----------------------------------------------------------------------------------------------

    def open(self, recipe: Recipe, options: dict[str, Any]) -> Any:
        """A new one; of a pool, one that nobody uses. Raises what the opener raises, and ResourceError."""
        return self._open_new(recipe, options, None)

    def open_singleton(self, recipe: Recipe, options: dict[str, Any]) -> Any:
        """The one with these options, opened if it is not there; whoever asks meanwhile waits for it.

        An opening that fails is as if it had not been: the next one who asks tries again.
        """
        key = (recipe.name, canonical(options))
        while True:
            with self._lock:
                for held in self._held:
                    if held.key == key:
                        return held.resource
                flight = self._flights.get(key)
                if flight is None:
                    flight = self._flights[key] = _Flight(threading.get_ident())
                    break
            if flight.owner == threading.get_ident():
                raise UsageError(f"the opener of {recipe.name!r} asks for {recipe.name!r} with the same options")
            flight.landed.result()
        try:
            return self._open_new(recipe, options, key)
        finally:
            with self._lock:
                del self._flights[key]
            flight.landed.set_result(None)

    def enter(self, manager: AbstractContextManager[Any]) -> Any:
        """Enter *manager* and return what it gives; at the end it is left as if no exception had come."""
        name = type(manager).__qualname__
        place = self._admit(name)
        return self._hold(
            Held(name, manager.__enter__(), lambda _: manager.__exit__(None, None, None), place, time.monotonic())
        )

    # ---- close ----------------------------------------------------------------------------------------------

    def release(self, resource: Any) -> None:
        """Close *resource* now. Raises UnknownResource if it is not open here, and what its closer raises."""
        with self._lock:
            for position in range(len(self._held) - 1, -1, -1):
                if self._held[position].resource is resource:
                    held = self._held.pop(position)
                    break
            else:
                kind = type(resource).__qualname__
                raise UnknownResource(f"this {kind} is not open in this request, or was released before")
        _close(held)

    def close(self) -> None:
        """The end: nothing is opened any more, and all is closed. Said again, it is nothing."""
        while True:
            with self._lock:
                self._open = False
                held = self._held.pop() if self._held else None
            if held is None:
                return
            try:
                _close(held)
            except BaseException as error:
                # Whatever it is, the others must be closed as well.
                self.failed(held, error)

    # ---- inside ---------------------------------------------------------------------------------------------

    def _admit(self, name: str) -> str:
        """May one more be opened? Where that is asked, as file:line."""
        if not self._open:
            raise ResourcesClosed(f"{name!r} was to be opened after the end of its request")
        if self.left():
            raise ResourcesClosed(f"{name!r} was to be opened for a client that has left")
        if self._most and len(self._held) >= self._most:
            raise TooManyOpen(f"{name!r} would be one more than {self._most} open in one request (--max-open)")
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
            frame = frame.f_back
        return f"{frame.f_code.co_filename}:{frame.f_lineno}"

    def _open_new(self, recipe: Recipe, options: dict[str, Any], key: Hashable) -> Any:
        place = self._admit(recipe.name)
        if recipe.pool is None:
            resource, close = _call(recipe, options), recipe.close
        else:
            resource, close = self._borrow(recipe, recipe.pool, options)
        return self._hold(Held(recipe.name, resource, close, place, time.monotonic(), key))

    def _borrow(self, recipe: Recipe, pool: Pool, options: dict[str, Any]) -> tuple[Any, Callable[[Any], object]]:
        """One of the pool, and how it is given back."""
        suits = canonical(options)
        lent = pool.take(suits, wait=self._waits)

        def dispose(resource: Any) -> None:
            held = Held(recipe.name, resource, recipe.close, "an earlier request", 0.0)
            try:
                _close(held)
            except BaseException as error:
                self.failed(held, error)

        for worn in lent.worn:
            dispose(worn)
        resource = lent.resource
        if lent.room:
            try:
                resource = _call(recipe, options)
            except BaseException:
                pool.lose()
                raise
        return resource, lambda given: pool.give(suits, given, dispose)

    def _hold(self, held: Held) -> Any:
        with self._lock:
            if self._open:
                self._held.append(held)
                return held.resource
        _close(held)
        raise ResourcesClosed(f"the request ended while {held.name!r} was being opened; it is closed again")


def _call(recipe: Recipe, options: dict[str, Any]) -> Any:
    resource = recipe.open(**options)
    if inspect.iscoroutine(resource):
        resource.close()
        raise UsageError(f"the opener of {recipe.name!r} is a coroutine function; here only plain ones can be called")
    return resource


def _close(held: Held) -> None:
    if held.close is not None:
        held.close(held.resource)
