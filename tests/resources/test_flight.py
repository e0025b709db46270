"""Who waits for a singleton that is being opened; and who must not, since it would be for ever."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest

from runner.errors import UsageError
from runner.resources.flight import _INSIDE, Flight
from runner.resources.recipes import Recipes
from tests.resources.tasks import Tried, when
from tests.support.process import PATIENCE
from tests.support.trouble import until

ITSELF = "the opener of 'a' asks for 'a' with the same options"


def tried(openers: dict[str, Callable[[Tried, Recipes], Callable[..., Any]]]) -> tuple[Tried, Recipes]:
    """A scope, and openers that ask it for more."""
    scope, recipes = Tried(), Recipes()
    for name, opener in openers.items():
        recipes.register(name, opener(scope, recipes))
    return scope, recipes


def asks(name: str) -> Callable[[Tried, Recipes], Callable[..., Any]]:
    """An opener that asks for *name*."""

    def made(scope: Tried, recipes: Recipes) -> Callable[..., Any]:
        async def opener() -> object:
            await asyncio.sleep(0)
            return await scope.aopen_singleton(recipes.find(name), {}, "here")

        return opener

    return made


def asks_by_a_task(scope: Tried, recipes: Recipes) -> Callable[..., Any]:
    """An opener whose task asks for what it is to open."""

    async def opener() -> object:
        async with asyncio.TaskGroup() as group:
            return await group.create_task(scope.aopen_singleton(recipes.find("a"), {}, "here"))

    return opener


def asks_by_a_thread(scope: Tried, recipes: Recipes) -> Callable[..., Any]:
    """An opener that waits for a thread of its context, which asks for what it is to open."""

    def opener() -> object:
        context = copy_context()
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(context.run, scope.open_singleton, recipes.find("a"), {}).result(PATIENCE)

    return opener


@pytest.mark.parametrize("opener", [asks("a"), asks_by_a_task, asks_by_a_thread])
def test_an_opener_that_asks_for_itself(opener: Callable[[Tried, Recipes], Callable[..., Any]]) -> None:
    """By itself, or through a task or a thread that it waits for."""

    async def main() -> None:
        scope, recipes = tried({"a": opener})
        await scope.aopen_singleton(recipes.find("a"), {}, "here")

    if opener is asks_by_a_task:
        with pytest.raises(ExceptionGroup) as group:
            asyncio.run(main())
        (error,) = group.value.exceptions
        assert isinstance(error, UsageError) and ITSELF in str(error)
        return
    with pytest.raises(UsageError, match=ITSELF):
        asyncio.run(main())


def test_two_openers_that_ask_for_each_other() -> None:
    """Each in a task of its own: the one that closes the circle is told, and then the other one as well."""

    async def main() -> list[Any]:
        scope, recipes = tried({"a": asks("b"), "b": asks("a")})
        return await asyncio.gather(
            *(scope.aopen_singleton(recipes.find(name), {}, "here") for name in "ab"), return_exceptions=True
        )

    first, second = asyncio.run(main())
    assert isinstance(first, UsageError) and isinstance(second, UsageError)
    assert "wait for each other" in f"{first} {second}"


def test_three_threads_in_a_circle() -> None:
    """As tasks."""
    scope, recipes = Tried(), Recipes()
    for name, other in ("ab", "bc", "ca"):

        def opener(other: str = other) -> object:
            until("all are under way", lambda: len(begun) == 3)
            return scope.open_singleton(recipes.find(other), {})

        recipes.register(name, opener)
    begun: list[str] = []

    def ask(name: str) -> object:
        begun.append(name)
        return scope.open_singleton(recipes.find(name), {})

    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(ask, name) for name in "abc"]
        errors = [each.exception(PATIENCE) for each in asked]
    assert any("wait for each other" in str(error) for error in errors)


def test_those_who_only_need_the_same_wait() -> None:
    """Two openers that both ask for a third one are no circle, nor is what their tasks do when it has landed."""

    async def main() -> int:
        opened: list[str] = []
        scope, recipes = tried({"a": asks("c"), "b": asks("c")})

        async def last() -> object:
            await asyncio.sleep(0)
            opened.append("c")
            return object()

        recipes.register("c", last)
        await asyncio.gather(*(scope.aopen_singleton(recipes.find(name), {}, "here") for name in "abab"))
        scope.close()
        return len(opened)

    assert asyncio.run(main()) == 1


def test_a_task_that_outlives_the_opener_asks_again() -> None:
    """It was begun by the opener, but nobody who opens waits for it."""

    async def main() -> bool:
        scope, recipes, later = Tried(), Recipes(), list[asyncio.Task[Any]]()
        go = asyncio.Event()

        async def ask_later() -> Any:
            await go.wait()
            return await scope.aopen_singleton(recipes.find("a"), {}, "here")

        async def opener() -> object:
            later.append(asyncio.create_task(ask_later()))
            return object()

        recipes.register("a", opener)
        first = await scope.aopen_singleton(recipes.find("a"), {}, "here")
        go.set()
        found = await later[0]
        scope.close()
        return found is first

    assert asyncio.run(main())


@pytest.mark.parametrize("what", ["it waits", "it has waited", "what it waits for has landed"])
def test_a_circle_is_one_of_those_who_wait_now(what: str) -> None:
    """Not of those who have given up, or will go on at once."""
    first, second = copy_context(), copy_context()
    one, other = first.run(Flight, "one"), second.run(Flight, "other")
    waiting = second.run(lambda: one._waited_for())
    second.run(waiting.__enter__)
    if what == "it has waited":
        second.run(waiting.__exit__, None, None, None)
    if what == "what it waits for has landed":
        first.run(one.land)
        assert one not in first.run(Flight, "next")._waits_for

    def wait() -> None:
        with other._waited_for():
            assert what != "it waits"

    inside = copy_context()
    inside.run(_INSIDE.set, (one,))
    if what == "it waits":
        with pytest.raises(UsageError, match="the openers of 'one' and of 'other' wait for each other"):
            inside.run(wait)
        return
    inside.run(wait)


def test_a_plain_call_does_not_stop_the_loop_to_wait() -> None:
    """It would wait for ever, if a task of the same loop is the one that opens."""

    async def main() -> None:
        scope, gate = Tried(), asyncio.Event()
        awaited = Recipes().register("a", gate.wait).find("a")
        plain = Recipes().register("a", object).find("a")
        opening = asyncio.create_task(scope.aopen_singleton(awaited, {}, "here"))
        await when("it is being opened", lambda: scope._flights)
        try:
            with pytest.raises(UsageError, match=r"block the event loop; `await runner\.resources\.aopen_singleton"):
                scope.open_singleton(plain, {})
        finally:
            gate.set()
            await opening
            scope.close()

    asyncio.run(main())


def test_a_dropped_opener_lands() -> None:
    """Its context is gone; whoever waits goes on all the same."""
    flight = copy_context().run(Flight, "a")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(flight.wait)
        flight.land()
        waiting.result(PATIENCE)
