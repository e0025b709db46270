"""What was opened for one request by its tasks, and is closed with it: scope.py with `await`.

Openers and closers may be coroutine functions or plain ones; a plain one is called on the loop's thread. All that
decides anything is in scope.py; here is only the waiting.

Laws: what has begun to be closed is closed to its end, whoever of those who wait for it is cancelled, since each closer
that takes time is a task of its own; but not for ever: after CLOSING seconds it is cancelled, and told. What an opener
returns is awaited if it can be, which many a client library asks for; a task or future is a resource itself.
Start at AsyncScope.aopen.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from runner.errors import UsageError
from runner.resources.keys import canonical
from runner.resources.pool import Pool
from runner.resources.recipes import Recipe
from runner.resources.scope import Held, Made, Scope, too_late, worn
from runner.resources.stay import Stay

CLOSING = 10.0
"""Seconds that an awaited closer may take."""
OBEYING = 1.0
"""Seconds that one may take to end when it is cancelled; then nobody waits for it any more."""


class AsyncScope(Scope):
    """See the module. *place* is where the application asks, as file:line (scope.caller)."""

    __slots__ = ("_closing", "ending")

    def __init__(self, *, most: int = 0, waits: bool = True) -> None:
        super().__init__(most=most, waits=waits)
        self.ending: asyncio.Task[None] | None = None
        self._closing: Held | None = None

    def awaits(self) -> bool:
        """Closers will be awaited at the end."""
        return True

    def all(self) -> list[Held]:
        """See Scope; and what is being closed."""
        closing = self._closing
        return super().all() if closing is None else [*super().all(), closing]

    # ---- open -----------------------------------------------------------------------------------------------

    async def aopen(self, recipe: Recipe, options: dict[str, Any], place: str) -> Any:
        """See Scope.open."""
        return await self._anew(recipe.name, None, place, lambda: self._amake(recipe, options))

    async def aopen_singleton(self, recipe: Recipe, options: dict[str, Any], place: str) -> Any:
        """See Scope.open_singleton. If the task that opens it is cancelled, the next one that waits opens it."""
        key = (recipe.name, canonical(options))
        while (found := self._seek(key)) is not None:
            if isinstance(found, Held):
                return found.resource
            await found.arrive()
        try:
            return await self._anew(recipe.name, key, place, lambda: self._amake(recipe, options))
        finally:
            self._land(key)

    async def aenter(self, manager: AbstractAsyncContextManager[Any], place: str) -> Any:
        """See Scope.enter."""

        async def entered() -> Made:
            stay = Stay(manager)
            return await stay.begin(), lambda _: stay.end()

        return await self._anew(type(manager).__qualname__, None, place, entered)

    # ---- close ----------------------------------------------------------------------------------------------

    async def arelease(self, resource: Any) -> None:
        """See Scope.release."""
        _, held = self._take_out(resource)
        if (error := await _ashut(held)) is not None:
            raise error

    async def aclose(self) -> None:
        """See Scope.close. If who waits for it is cancelled, it goes on; said again, it is waited for again."""
        ending = self.begin_close()
        if ending is not None:
            await asyncio.shield(ending)

    def begin_close(self) -> asyncio.Task[None] | None:
        """`aclose` for who cannot wait, on the loop's thread. The task that goes on, if there is anything to await."""
        if self.ending is None and (unfinished := self._close_plain()) is not None:
            self.ending = asyncio.get_running_loop().create_task(self._close_rest(unfinished))
        return self.ending

    async def _close_rest(self, unfinished: tuple[Held, Awaitable[Any]] | None) -> None:
        while unfinished is not None:
            self._closing, begun = unfinished
            if (error := await _finish(begun)) is not None:
                self.failed(self._closing, error)
            self._closing = None
            unfinished = self._close_plain()

    # ---- inside ---------------------------------------------------------------------------------------------

    async def _anew(self, name: str, key: Hashable, place: str, make: Callable[[], Awaitable[Made]]) -> Any:
        if not self.awaits():
            raise UsageError(
                f"{name!r} was to be opened by await in `with scope():`, which can await nothing at its end; "
                "write `async with runner.resources.scope():`"
            )
        self._admit(name)
        try:
            resource, close = await make()
        except BaseException:
            self._withdraw()
            raise
        held = Held(name, resource, close, place, time.monotonic(), key)
        if self._keep(held):
            return resource
        raise await _ashut(held) or too_late(held)

    async def _amake(self, recipe: Recipe, options: dict[str, Any]) -> Made:
        if recipe.pool is None:
            return await _call(recipe, options), recipe.close
        return await self._aborrow(recipe, recipe.pool, options)

    async def _aborrow(self, recipe: Recipe, pool: Pool, options: dict[str, Any]) -> Made:
        suits = canonical(options)
        lent = await pool.atake(suits)
        resource = lent.resource
        if lent.worn is not None:
            await self._make_room(worn(recipe, lent.worn[1]), pool)
        if lent.room:
            try:
                resource = await _call(recipe, options)
            except BaseException:
                pool.lose()
                raise
        return resource, partial(pool.give, suits)

    async def _make_room(self, held: Held, pool: Pool) -> None:
        """Close it before another one is opened; if that is cancelled meanwhile, there is room once it is closed."""
        closing = asyncio.ensure_future(self._close_worn(held))
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            closing.add_done_callback(lambda _: pool.lose())
            raise

    async def _close_worn(self, held: Held) -> None:
        if (error := await _ashut(held)) is not None:
            self.failed(held, error)


async def _call(recipe: Recipe, options: dict[str, Any]) -> Any:
    resource = recipe.open(**options)
    if inspect.isawaitable(resource) and not asyncio.isfuture(resource):
        return await resource
    return resource


async def _ashut(held: Held) -> BaseException | None:
    """Close one to its end. What went wrong."""
    try:
        begun = held.shut()
    except BaseException as error:
        return error
    if begun is None or not inspect.isawaitable(begun):
        return None
    return await asyncio.shield(asyncio.ensure_future(_finish(begun)))


async def _finish(begun: Awaitable[Any]) -> BaseException | None:
    """Await what a closer has begun, but not for ever. What went wrong."""
    closing = asyncio.ensure_future(_outcome(begun))
    try:
        await asyncio.wait([closing], timeout=CLOSING)
        if closing.done():
            return closing.result()
        closing.cancel()
        await asyncio.wait([closing], timeout=OBEYING)
    except asyncio.CancelledError as error:
        return error  # The loop ends, and cancels whatever is left: this, and the closer.
    how = "and was cancelled" if closing.done() else "and does not end although it was cancelled"
    return TimeoutError(f"its closer had not ended after {CLOSING:g} s, {how}")


async def _outcome(begun: Awaitable[Any]) -> BaseException | None:
    """Whatever it raises: a task that ends with SystemExit would end the loop."""
    try:
        await begun
    except BaseException as error:
        return error
    return None
