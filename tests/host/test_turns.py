"""Calls made on the loop's thread for somebody else."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from runner.host.turns import ask


def from_another_thread(call: Callable[[], object]) -> object:
    """What *call* gives to a thread that has it made on a loop of this one."""
    loop = asyncio.new_event_loop()
    answers: list[object] = []

    def work() -> None:
        future = ask(loop, call)
        answers.append(future.exception() or future.result())
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=work)
    thread.start()
    loop.run_forever()
    thread.join()
    loop.close()
    return answers[0]


def test_it_is_made_on_the_thread_of_the_loop() -> None:
    """And what it returns is told."""
    assert from_another_thread(threading.get_ident) == threading.get_ident()


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_what_it_raises_is_told(error: BaseException) -> None:
    """To whoever asked, not to the loop."""

    def fail() -> None:
        raise error

    assert from_another_thread(fail) is error
