"""Signals to a worker are heard on its loop, each once and in order."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from runner.worker.signals import HEARD, Signals

Scene = Callable[[list[signal.Signals]], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of the test's own process come back."""
    before = {number: signal.getsignal(number) for number in HEARD}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def play(scene: Scene) -> None:
    """With a loop that hears; the scene is given what was heard so far."""
    async def run() -> None:
        heard: list[signal.Signals] = []
        signals = Signals(asyncio.get_running_loop(), heard.append)
        try:
            await scene(heard)
        finally:
            asyncio.get_running_loop().remove_reader(signals._receiver)
            signals._receiver.close()
            signals._sender.close()

    asyncio.run(run())


def send(*numbers: signal.Signals) -> None:
    """To this process."""
    for number in numbers:
        os.kill(os.getpid(), number)


async def until(claim: Callable[[], bool]) -> None:
    """Let the loop turn until then."""
    async with asyncio.timeout(10):
        while not claim():
            await asyncio.sleep(0.001)


def test_each_is_heard_once_and_in_order() -> None:
    """All that a worker listens to."""
    async def scene(heard: list[signal.Signals]) -> None:
        send(*HEARD)
        await until(lambda: len(heard) >= len(HEARD))
        await asyncio.sleep(0)
        assert heard == list(HEARD)

    play(scene)


def test_nothing_is_heard_in_the_middle_of_a_call() -> None:
    """The handler only notes; the loop hears when it is its turn."""
    async def scene(heard: list[signal.Signals]) -> None:
        send(signal.SIGTERM)
        assert heard == []
        await until(lambda: heard == [signal.SIGTERM])

    play(scene)


def test_a_sleeping_loop_is_woken() -> None:
    """One that waits for nothing else."""
    async def scene(heard: list[signal.Signals]) -> None:
        waiting = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().run_in_executor(None, send, signal.SIGHUP)
        asyncio.get_running_loop().call_later(10, waiting.cancel)
        while not heard:
            await asyncio.wait({waiting}, timeout=0.1)
        assert heard == [signal.SIGHUP]
        waiting.cancel()

    play(scene)


def test_an_application_with_a_loop_of_its_own_takes_none_away() -> None:
    """It sets and clears the wakeup descriptor of the process, which loop.add_signal_handler lives by."""
    async def scene(heard: list[signal.Signals]) -> None:
        before = signal.set_wakeup_fd(-1)
        send(signal.SIGUSR1)
        await until(lambda: heard == [signal.SIGUSR1])
        signal.set_wakeup_fd(before)

    play(scene)


def test_a_flood_ends_nobody_and_hides_no_other() -> None:
    """More than the socket holds, while nobody reads."""
    async def scene(heard: list[signal.Signals]) -> None:
        send(*[signal.SIGUSR1] * 3000, signal.SIGTERM)
        await until(lambda: len(heard) == 3001)
        assert heard[-1] is signal.SIGTERM

    play(scene)
