"""A task waits for what any thread may bring, and its loop goes on meanwhile.

Law: what is waited for belongs to whoever brings it: a task that is cancelled takes nothing back (asyncio.wrap_future
would, and who brings it a moment later would find it cancelled). Start at arrival.
"""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

Result = TypeVar("Result")


def on_loop() -> bool:
    """Whoever waits here keeps an event loop from turning. An inline WSGI call sees none."""
    return _get_running_loop() is not None


async def arrival(awaited: Future[Result]) -> Result:
    """What *awaited* has, when it is there."""
    loop = asyncio.get_running_loop()
    bell = loop.create_future()

    def answer() -> None:
        if not bell.done():
            bell.set_result(None)

    def ring(_: object) -> None:
        with suppress(RuntimeError):  # The loop is closed, and who waited there is gone.
            loop.call_soon_threadsafe(answer)

    awaited.add_done_callback(ring)
    await bell
    return awaited.result()
