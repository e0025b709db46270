"""Which task is at a loop, and for which request: asked from another thread, seldom.

Nothing is noted when a task is made (no task factory: that would cost each task, and is the application's own to set):
a task carries its context, which is a copy of the one it was made in, however deep in task groups.

Law: the loop pays nothing. Start at present.
"""

from __future__ import annotations

import asyncio
import gc
from asyncio import current_task
from contextvars import Context
from typing import Any

from runner.request import CURRENT, Request

Task = asyncio.Task[Any]


def present(loop: asyncio.AbstractEventLoop) -> Task | None:
    """The task that *loop* is running at this moment; None in a callback, and while it waits."""
    # With a loop given no version of Python asks which thread this is.
    return current_task(loop)


def request_of(task: Task) -> Request | None:
    """The request in whose context *task* was made or entered later; it may be over."""
    context = _context(task)
    return None if context is None else context.get(CURRENT)


def _context(task: Task) -> Context | None:
    ask = getattr(task, "get_context", None)  # from Python 3.12 on
    if ask is not None:
        return ask()  # type: ignore[no-any-return]
    # What a task in C refers to comes in the order of its fields: its own context before those of its callbacks.
    return next((each for each in gc.get_referents(task) if isinstance(each, Context)), None)
