"""A scope of one's own, for scripts and tests."""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from runner import resources
from runner.errors import UsageError
from runner.resources.present import recipes


async def _open() -> object:
    await asyncio.sleep(0)
    return object()


async def _fail(_: object) -> None:
    await asyncio.sleep(0)
    raise ValueError("no")


@pytest.fixture
def closed() -> Iterator[list[Any]]:
    """What was closed of the kinds "thing" and "line", which is awaited."""
    closed: list[Any] = []

    async def close(line: object) -> None:
        await asyncio.sleep(0)
        closed.append(line)

    resources.register("thing", object, closed.append).register("line", _open, close).register("fails", object, _fail)
    yield closed
    for name in ("thing", "line", "fails"):
        del recipes._known[name]


def test_a_scope_of_ones_own(closed: list[Any]) -> None:
    """One may stand in another."""
    with resources.scope():
        outer = resources.open("thing")
        with resources.scope():
            inner = resources.open("thing")
        assert closed == [inner]
    assert closed == [inner, outer]


def test_one_that_awaits(closed: list[Any]) -> None:
    """Its tasks have the same; plain openings stand among the others."""

    async def main() -> list[Any]:
        async with resources.scope():
            opened = [await resources.aopen("line"), resources.open("thing")]
            opened.append(await asyncio.create_task(resources.aopen_singleton("line")))
            assert await resources.aopen_singleton("line") is opened[-1]
            return opened

    assert closed == asyncio.run(main())[::-1] != []


def test_all_the_names(closed: list[Any]) -> None:
    """That applications use."""

    @asynccontextmanager
    async def manager() -> Any:
        yield "given"
        closed.append("left")

    async def main() -> None:
        async with resources.scope():
            line = await resources.aopen("line")
            await resources.arelease(line)
            assert await resources.aenter(manager()) == "given"
            thing = resources.open("thing")
            resources.release(thing)
            with pytest.raises(resources.UnknownResource):
                resources.release(thing)
            assert closed == [line, thing]
        assert closed[2:] == ["left"]

    asyncio.run(main())


def test_where_it_was_opened(closed: list[Any]) -> None:
    """The line that asked, also where a task asks in its place."""

    async def main() -> list[str]:
        async with resources.scope() as scope:
            await resources.aopen("line")
            await asyncio.gather(resources.aopen("line"), resources.aopen_singleton("line"))
            return [held.place for held in scope.all()]

    places = asyncio.run(main())
    first = int(places[0].rpartition(":")[2])
    assert places == [f"{__file__}:{first + line}" for line in (0, 1, 1)]


def test_a_plain_one_opens_nothing_that_is_awaited(closed: list[Any]) -> None:
    """At its end nobody could await the closer."""

    async def main() -> None:
        with resources.scope():
            for opening in (resources.aopen("line"), resources.aopen_singleton("line"), resources.aenter(_manager())):
                with pytest.raises(UsageError, match=r"`async with runner\.resources\.scope\(\):`"):
                    await opening

    asyncio.run(main())


@asynccontextmanager
async def _manager() -> Any:
    yield None


def test_what_closers_raise() -> None:
    """Is raised, all of it."""

    def fail(_: object) -> None:
        raise ValueError("no")

    resources.register("fails", object, fail)
    with pytest.raises(ValueError, match="no"), resources.scope():
        resources.open("fails")
    with pytest.raises(BaseExceptionGroup) as raised, resources.scope():
        resources.open("fails")
        resources.open("fails")
    assert len(raised.value.exceptions) == 2
    del recipes._known["fails"]


@pytest.mark.parametrize(("number", "expected"), [(1, ValueError), (2, BaseExceptionGroup)])
def test_what_awaited_closers_raise(closed: list[Any], number: int, expected: type[BaseException]) -> None:
    """As well."""

    async def main() -> None:
        async with resources.scope():
            for _ in range(number):
                await resources.aopen("fails")

    with pytest.raises(expected):
        asyncio.run(main())


def test_an_error_of_ones_own_comes_first(closed: list[Any]) -> None:
    """What closers raise after it does not take its place."""

    async def main() -> None:
        async with resources.scope():
            await resources.aopen("fails")
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        asyncio.run(main())
    resources.register("fails", lambda: iter(()), next)
    with pytest.raises(KeyError, match="mine"), resources.scope():
        resources.open("fails")
        raise KeyError("mine")
