"""The lifespan of an ASGI application, told in one process."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from runner.host import lifespan
from runner.host.lifespan import Lifespan, Outcome
from runner.log import Log

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
COMPLETE, STOPPED = {"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}


async def well(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """As the specification shows it."""
    assert (await receive())["type"] == "lifespan.startup"
    scope["state"]["told"] = ["startup"]
    await send(COMPLETE)
    assert (await receive())["type"] == "lifespan.shutdown"
    scope["state"]["told"].append("shutdown")
    await send(STOPPED)


async def refuses(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """As applications that know only HTTP do."""
    raise ValueError("only http")


async def returns(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Or so."""


async def fails(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """In the words of the specification."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "Traceback …\nOSError: no database"})


async def raises(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """In words of its own."""
    await receive()
    raise OSError("no database")


async def exits(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Would end the process."""
    await receive()
    raise SystemExit(3)


class Told:
    """One lifespan from startup to shutdown: the *outcome*, what was *logged*."""

    def __init__(self, application: Any, timeout: float = 5.0) -> None:
        read, write = os.pipe()
        os.set_blocking(read, False)

        async def live() -> None:
            self.lifespan = Lifespan(application, Log("worker 0", "debug", descriptor=write))
            self.outcome = await self.lifespan.startup()
            await self.lifespan.shutdown(timeout)
            assert len(asyncio.all_tasks()) == 1, "a task is left"

        asyncio.run(live())
        os.close(write)
        with open(read, "rb") as log:
            self.logged = log.read().decode()


def test_an_application_is_told_of_begin_and_end() -> None:
    """Once each, and what it leaves in the state is there for the requests."""
    told = Told(well)
    assert (told.outcome, told.lifespan.state) == (Outcome.STARTED, {"told": ["startup", "shutdown"]})
    assert not told.logged


@pytest.mark.parametrize("application", [refuses, returns])
def test_who_knows_no_lifespan_needs_none(application: Any) -> None:
    """Whether it says so by an exception or by returning."""
    told = Told(application)
    assert (told.outcome, told.lifespan.failure) == (Outcome.UNSUPPORTED, None)
    assert "error" not in told.logged


@pytest.mark.parametrize(("application", "summary"), [
    (fails, "lifespan: OSError: no database"), (raises, "OSError: no database"), (exits, "SystemExit: 3"),
])  # fmt: skip
def test_who_cannot_start_says_why(application: Any, summary: str) -> None:
    """By its own word, or by what it has raised once it had asked for the first event."""
    told = Told(application)
    assert told.outcome is Outcome.FAILED
    assert told.lifespan.failure is not None
    assert told.lifespan.failure.summary == summary


def test_a_failure_without_a_word_is_one() -> None:
    """The message may be left out."""

    async def silent(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.failed"})

    told = Told(silent)
    assert told.lifespan.failure is not None
    assert told.lifespan.failure.summary == "lifespan: its startup failed"


def test_a_slow_start_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, while it goes on."""
    monkeypatch.setattr(lifespan, "SLOW", 0.01)

    async def slow(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.05)
        await well(scope, receive, send)

    told = Told(slow)
    assert told.outcome is Outcome.STARTED
    assert told.logged.count("has not started for 0.01 s; its requests wait") == 1


def test_what_is_raised_after_the_start_is_logged() -> None:
    """It changes nothing for those who are answered."""

    async def later(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await send(COMPLETE)
        await receive()
        raise ValueError("while shutting down")

    told = Told(later)
    assert told.outcome is Outcome.STARTED
    assert "ValueError: while shutting down" in told.logged


def test_a_shutdown_that_fails_is_logged() -> None:
    """With its message."""

    async def badly(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await send(COMPLETE)
        await receive()
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "still busy"})

    assert "did not shut down: still busy" in Told(badly).logged


def test_a_shutdown_that_does_not_end_is_not_waited_for() -> None:
    """Longer than it is given; then it is cancelled."""

    async def hangs(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await send(COMPLETE)
        await asyncio.Event().wait()

    assert "did not shut down within 0.01 s" in Told(hangs, timeout=0.01).logged


def test_an_unknown_word_is_refused() -> None:
    """The application hears of it."""

    async def unknown(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.done"})

    told = Told(unknown)
    assert told.outcome is Outcome.FAILED
    assert told.lifespan.failure is not None
    assert "lifespan.startup.done" in told.lifespan.failure.summary
