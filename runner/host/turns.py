"""From any thread onto the loop's: a call is made in one of its turns, and what comes of it is told.

Law: whoever waits for the result is on another thread, or nobody would make the call. Start at ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def ask(loop: asyncio.AbstractEventLoop, call: Callable[[], Result]) -> Future[Result]:
    """Have *call* made on the thread of *loop*; the future has what it returns or raises."""
    answer: Future[Result] = Future()

    def make() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    loop.call_soon_threadsafe(make)
    return answer
