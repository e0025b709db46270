"""Inside an async context manager, entered and left by one task."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar

import pytest

from runner.resources.stay import Stay
from tests.resources.tasks import when

MARK: ContextVar[str] = ContextVar("mark", default="none")


class Place:
    """A manager that notes what happens to it, and hands back a token of its context."""

    def __init__(self) -> None:
        self.book: list[object] = []
        self.gate = asyncio.Event()
        self.gate.set()

    @asynccontextmanager
    async def visit(self, error: BaseException | None = None) -> AsyncIterator[str]:
        """One visit; *error* is raised at its end."""
        token = MARK.set("inside")
        task = asyncio.current_task()
        try:
            self.book.append("entering")
            await self.gate.wait()
            yield "given"
        except BaseException as came:
            self.book.append(type(came))
            for _ in range(3):
                await asyncio.sleep(0)  # Leaving takes a while.
            raise
        finally:
            MARK.reset(token)
            self.book.append(asyncio.current_task() is task)
        if error is not None:
            raise error


def test_it_is_left_by_the_task_that_entered_it() -> None:
    """Whoever begins and ends: a token of a context variable fits, and so does a time limit."""

    async def main() -> tuple[object, list[object]]:
        place = Place()
        stay = Stay(place.visit())
        given = await asyncio.create_task(stay.begin())
        await asyncio.create_task(stay.end())
        return given, place.book

    assert asyncio.run(main()) == ("given", ["entering", True])


def test_left_by_hand_in_another_task_it_fails() -> None:
    """The wrong way: what was entered for a request in a task of its, left where the request is ended."""

    async def main() -> None:
        manager = Place().visit()
        await asyncio.create_task(manager.__aenter__())
        await manager.__aexit__(None, None, None)

    with pytest.raises(ValueError, match="different Context"):
        asyncio.run(main())


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_what_entering_raises_is_raised(error: BaseException) -> None:
    """To who begins; even what would have ended the loop."""

    class Closed(AbstractAsyncContextManager[None]):
        async def __aenter__(self) -> None:
            await asyncio.sleep(0)
            raise error

        async def __aexit__(self, *_: object) -> None:
            raise AssertionError("it was not entered")

    async def main() -> BaseException:
        with pytest.raises(type(error)) as raised:
            await Stay(Closed()).begin()
        return raised.value

    assert asyncio.run(main()) is error


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)])
def test_what_leaving_raises_is_raised(error: BaseException) -> None:
    """To who ends."""

    async def main() -> BaseException:
        stay = Stay(Place().visit(error))
        await stay.begin()
        with pytest.raises(type(error)) as raised:
            await stay.end()
        return raised.value

    assert asyncio.run(main()) is error


def test_who_is_cancelled_while_it_is_entered() -> None:
    """Entering is cancelled, and over before who began goes on."""

    async def main() -> list[object]:
        place = Place()
        place.gate.clear()
        beginning = asyncio.create_task(Stay(place.visit()).begin())
        await when("it is being entered", lambda: place.book)
        beginning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await beginning
        return [*place.book]

    assert asyncio.run(main()) == ["entering", asyncio.CancelledError, True]


def test_who_is_cancelled_as_it_is_entered() -> None:
    """It was entered, so it is left."""

    async def main() -> list[object]:
        place = Place()
        place.gate.clear()
        beginning = asyncio.create_task(Stay(place.visit()).begin())
        await when("it is being entered", lambda: place.book)
        place.gate.set()
        await asyncio.sleep(0)
        beginning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await beginning
        return [*place.book]

    assert asyncio.run(main()) == ["entering", asyncio.CancelledError, True]


def test_when_the_loop_ends_it_is_left() -> None:
    """As everything is."""
    book: list[object] = []

    async def main() -> None:
        place = Place()
        place.book = book
        await Stay(place.visit()).begin()

    asyncio.run(main())
    assert book == ["entering", asyncio.CancelledError, True]
