"""What was opened for one request, and is closed with it: for calls that block. ascope.py is the same for tasks.

    open       OPEN: an opener is called, and what it returns is held
    close      CLOSED at once, so that nothing is opened any more; then everything held is closed, the last one first

Laws: each is closed exactly once, whoever closes: the end of the request, `release`, or another thread at the same
moment; one that fails keeps no other from being closed. What an opener returns after the end is closed on the spot.
Closers run where the scope is closed: on the thread that called the application. Nothing here awaits anything: what
only a task could open is refused, what only a task could close is told. Start at Scope.open.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from runner.errors import ResourcesClosed, TooManyOpen, UnknownResource, UsageError
from runner.resources.bell import on_loop
from runner.resources.flight import Flight
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

    def shut(self) -> Any:
        """Call the closer; what that returns."""
        return None if self.close is None else self.close(self.resource)


Made = tuple[Any, Callable[[Any], object] | None]
"""A resource, and how it is closed."""


class Scope(ABC):
    """See the module. *most*: may be open at once, 0: no limit; *waits*: a full pool may be waited for."""

    __slots__ = ("_coming", "_flights", "_held", "_lock", "_most", "_open", "_waits")

    def __init__(self, *, most: int = 0, waits: bool = True) -> None:
        self._most = most
        self._waits = waits
        self._open = True
        self._coming = 0  # Admitted and not there yet; counted for a budget only.
        self._lock = threading.Lock()
        self._held: list[Held] = []
        self._flights: dict[tuple[str, Hashable], Flight] = {}

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
        return self._new(recipe.name, None, lambda: self._make(recipe, options))

    def open_singleton(self, recipe: Recipe, options: dict[str, Any]) -> Any:
        """The one with these options, opened if it is not there; whoever asks meanwhile waits for it.

        An opening that fails is as if it had not been: the next one who asks tries again.
        """
        key = (recipe.name, canonical(options))
        while (found := self._seek(key)) is not None:
            if isinstance(found, Held):
                return found.resource
            found.wait()
        try:
            return self._new(recipe.name, key, lambda: self._make(recipe, options))
        finally:
            self._land(key)

    def enter(self, manager: AbstractContextManager[Any]) -> Any:
        """Enter *manager* and return what it gives; at the end it is left as if no exception had come."""
        name = type(manager).__qualname__
        return self._new(name, None, lambda: (manager.__enter__(), lambda _: manager.__exit__(None, None, None)))

    # ---- close ----------------------------------------------------------------------------------------------

    def release(self, resource: Any) -> None:
        """Close *resource* now. Raises UnknownResource if it is not open here, and what its closer raises."""
        position, held = self._take_out(resource)
        begun = held.shut()
        if inspect.iscoroutine(begun):
            begun.close()  # It had not begun: nothing has happened yet.
            self._put_back(position, held)
            raise UsageError(f"{held.name!r} is closed by a coroutine function; `await runner.resources.arelease(…)`")

    def close(self) -> None:
        """The end: nothing is opened any more, and all is closed. Said again, it is nothing."""
        while (unfinished := self._close_plain()) is not None:
            self._cannot_await(*unfinished)

    # ---- decisions, whoever waits for what follows from them ----------------------------------------------------

    def _seek(self, key: tuple[str, Hashable]) -> Held | Flight | None:
        """The singleton; or the flight that will bring it; None: it is the caller's to open, who says `_land` then."""
        with self._lock:
            for held in self._held:
                if held.key == key:
                    return held
            flight = self._flights.get(key)
            if flight is None:
                self._flights[key] = Flight(key[0])
            return flight

    def _land(self, key: tuple[str, Hashable]) -> None:
        with self._lock:
            flight = self._flights.pop(key)
        flight.land()

    def _admit(self, name: str) -> None:
        """May one more be opened? Then `_keep` or `_withdraw` follows."""
        if not self._open:
            raise ResourcesClosed(f"{name!r} was to be opened after the end of its request")
        if self.left():
            raise ResourcesClosed(f"{name!r} was to be opened for a client that has left")
        if not self._most:
            return
        with self._lock:
            if len(self._held) + self._coming >= self._most:
                raise TooManyOpen(f"{name!r} would be one more than {self._most} open in one request (--max-open)")
            self._coming += 1

    def _withdraw(self) -> None:
        """What was admitted could not be opened."""
        with self._lock:
            self._coming -= 1

    def _keep(self, held: Held) -> bool:
        """It is open, and closed at the end from now on; False: the end has been."""
        with self._lock:
            self._coming -= 1
            if self._open:
                self._held.append(held)
            return self._open

    def _take_out(self, resource: Any) -> tuple[int, Held]:
        """It is closed by the caller, not at the end; and where it had been. Raises UnknownResource."""
        with self._lock:
            for position in range(len(self._held) - 1, -1, -1):
                if self._held[position].resource is resource:
                    return position, self._held.pop(position)
        kind = type(resource).__qualname__
        raise UnknownResource(f"this {kind} is not open in this request, or was released before")

    def _put_back(self, position: int, held: Held) -> None:
        with self._lock:
            self._held.insert(position, held)
            kept = self._open
        if not kept:
            self.close()

    def _close_plain(self) -> tuple[Held, Awaitable[Any]] | None:
        """The end: close all, as far as the first whose closer must be awaited; that one, and what is to be awaited."""
        while True:
            with self._lock:
                self._open = False
                held = self._held.pop() if self._held else None
            if held is None:
                return None
            begun = self._shut(held)
            if begun is not None:
                return held, begun

    def _shut(self, held: Held) -> Awaitable[Any] | None:
        """Close it, or tell that it failed; what is to be awaited until it is closed."""
        try:
            begun = held.shut()
        except BaseException as error:
            # Whatever it is, the others must be closed as well.
            self.failed(held, error)
            return None
        return begun if begun is not None and inspect.isawaitable(begun) else None

    # ---- inside -------------------------------------------------------------------------------------------------

    def _new(self, name: str, key: Hashable, make: Callable[[], Made]) -> Any:
        place = caller()
        self._admit(name)
        try:
            resource, close = make()
        except BaseException:
            self._withdraw()
            raise
        held = Held(name, resource, close, place, time.monotonic(), key)
        if self._keep(held):
            return resource
        begun = held.shut()
        if inspect.isawaitable(begun):
            self._cannot_await(held, begun)
        raise too_late(held)

    def _make(self, recipe: Recipe, options: dict[str, Any]) -> Made:
        if recipe.awaited:
            raise _needs_await(recipe)
        if recipe.pool is None:
            return _call(recipe, options), recipe.close
        return self._borrow(recipe, recipe.pool, options)

    def _borrow(self, recipe: Recipe, pool: Pool, options: dict[str, Any]) -> Made:
        """One of the pool, and how it is given back."""
        suits = canonical(options)
        lent = pool.take(suits, wait=self._waits and not on_loop())
        resource = lent.resource
        if lent.room:
            try:
                if lent.worn is not None:
                    held = worn(recipe, lent.worn[1])
                    if (begun := self._shut(held)) is not None:
                        self._cannot_await(held, begun)
                resource = _call(recipe, options)
            except BaseException:
                pool.lose()
                raise
        return resource, partial(pool.give, suits)

    def _cannot_await(self, held: Held, begun: Awaitable[Any]) -> None:
        if not inspect.iscoroutine(begun):
            return  # A future, say: that needs nobody.
        begun.close()
        self.failed(held, UsageError(
            "it stays open: its closer is a coroutine function, and nobody awaits it here; "
            "in an ASGI application, or in `async with runner.resources.scope():`, it is awaited"
        ))  # fmt: skip


def caller() -> str:
    """Where the application asked for what is being done, as file:line."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def worn(recipe: Recipe, resource: Any) -> Held:
    """One that a pool has no place for any more."""
    return Held(recipe.name, resource, recipe.close, "an earlier request", 0.0)


def too_late(held: Held) -> ResourcesClosed:
    """It was opened after the end."""
    return ResourcesClosed(f"the request ended while {held.name!r} was being opened; it is closed again")


def _call(recipe: Recipe, options: dict[str, Any]) -> Any:
    resource = recipe.open(**options)
    if inspect.iscoroutine(resource):
        resource.close()
        raise _needs_await(recipe)
    return resource


def _needs_await(recipe: Recipe) -> UsageError:
    return UsageError(
        f"{recipe.name!r} is opened or closed by a coroutine function; `await runner.resources.aopen({recipe.name!r})`"
    )
