"""Turns a worker's loop: for the rest of the process, or for one answer.

Law: the end of a worker's process looks like a normal end of Python to the application. Start at run.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import NoReturn, TypeVar

from runner.host.error_page import Failure
from runner.log import Log
from runner.process.titles import set_title
from runner.worker import event_loop
from runner.worker.first import First
from runner.worker.loop import Worker
from runner.worker.task import Task

Turned = TypeVar("Turned", bound=Worker)


def run(task: Task) -> NoReturn:
    """Be a worker until told to leave, then end the process as a normal end of Python would."""
    set_title(f"worker {task.slot} generation {task.generation}", task.settings.target)
    end(turn(task, Worker) is not None)


def answer_first(task: Task, loop: asyncio.AbstractEventLoop, spend: Callable[[str], object]) -> int:
    """Answer requests that wait, as a worker for a moment (first.py); returns when the last answer has left.

    Not at all, if that took too long; *spend* was told so. Which thread of ours is about to end, 0 for none; -1: it
    could not be done, by a fault of ours.
    """
    first = turn(task, partial(First, spend=spend), lambda: loop)
    if first is None:
        return -1
    if first.spent:
        end(well=True)
    return first.close()


def turn(
    task: Task, kind: Callable[[Task], Turned], factory: Callable[[], asyncio.AbstractEventLoop] = event_loop.factory
) -> Turned | None:
    """Until it leaves; None: that was because of a fault of ours, which is logged."""
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            worker = kind(task)
            runner.run(worker.live())
            return worker
    except BaseException as error:
        log = Log(f"worker {task.slot}", task.settings.log_level, task.settings.log_format)
        log.error(Failure.of(error).log_text("the worker"))
        return None


def end(well: bool) -> NoReturn:
    """End this process."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(0 if well else 1)
