"""An async context manager that is entered now and left later: by one task, which waits inside it meanwhile.

Many managers must be left by the task that entered them, and in its context: task groups, time limits, whatever keeps
a token of a context variable. Who opens something and who ends the request need not be the same task.

Law: whatever happens, a manager that was entered is left. Start at Stay.begin.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any


class Stay:
    """Inside of *manager*, from `begin` until `end`."""

    def __init__(self, manager: AbstractAsyncContextManager[Any]) -> None:
        self._manager = manager
        self._over = asyncio.Event()
        self._error: BaseException | None = None

    async def begin(self) -> Any:
        """Enter; what the manager gives, or raises."""
        inside: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._task = asyncio.ensure_future(self._be(inside))
        try:
            await asyncio.wait([self._task, inside], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait([self._task])
            raise
        if inside.done():
            return inside.result()
        await self._task
        assert self._error is not None
        raise self._error

    async def end(self) -> None:
        """Leave, as if no exception had come. Raises what the manager raises."""
        self._over.set()
        await self._task
        if self._error is not None:
            raise self._error

    async def _be(self, inside: asyncio.Future[Any]) -> None:
        try:
            async with self._manager as given:
                inside.set_result(given)
                await self._over.wait()
        except BaseException as error:
            # Kept for who waits: a task that ends with SystemExit would end the loop.
            self._error = error
