"""What tasks open for one request: each closed once, the last one first, whoever is cancelled."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import PoolFull, ResourcesClosed, TooManyOpen, UnknownResource, UsageError
from runner.resources import ascope
from runner.resources.recipes import Recipes
from tests.resources.tasks import Desk, Line, Tried, when

HERE = "app.py:1"


def play(main: Callable[[Desk, Tried], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run *main* with a desk and a scope, which is closed after it, whatever it leaves."""

    async def whole() -> None:
        desk, scope = Desk(), Tried(**options)
        try:
            await main(desk, scope)
        finally:
            await scope.aclose()

    asyncio.run(whole())


async def cancelled(task: asyncio.Task[Any]) -> None:
    """It has been, and is over."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# ---- closing ------------------------------------------------------------------------------------------------------


def test_the_last_one_is_closed_first() -> None:
    """Each is closed before the next one begins to be, plain closers among the others."""

    async def main(desk: Desk, scope: Tried) -> None:
        plain = desk.recipe(desk.close_plainly)
        for name in "abcde":
            line = await scope.aopen(plain if name in "bce" else desk.line, {"name": name}, HERE)
            assert line.name == name
        desk.book.clear()
        await scope.aclose()
        assert desk.book == ["closed e", "closing d", "closed d", "closed c", "closed b", "closing a", "closed a"]

    play(main)


def test_plain_closers_alone_need_no_task() -> None:
    """They are called where the end is said."""

    async def main(desk: Desk, scope: Tried) -> None:
        await scope.aopen(desk.recipe(desk.close_plainly), {"name": "a"}, HERE)
        assert scope.begin_close() is None
        assert desk.closed() == ["a"]

    play(main)


def test_the_end_may_be_said_twice() -> None:
    """At the same time: both wait for the same closing."""

    async def main(desk: Desk, scope: Tried) -> None:
        for name in "ab":
            await scope.aopen(desk.line, {"name": name}, HERE)
        await asyncio.gather(scope.aclose(), scope.aclose())
        assert desk.closed() == ["b", "a"]

    play(main)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_a_closer_that_fails_keeps_no_other_open(error: BaseException) -> None:
    """What it raised is told, even what would have ended the loop."""

    async def fail(_: object) -> None:
        await asyncio.sleep(0)
        raise error

    async def main(desk: Desk, scope: Tried) -> None:
        await scope.aopen(desk.line, {"name": "a"}, HERE)
        await scope.aopen(desk.recipe(fail), {"name": "bad"}, HERE)
        await scope.aclose()
        assert desk.closed() == ["a"]
        assert scope.errors == [(f"line {HERE}", error)]

    play(main)


def test_a_closer_that_hangs_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """And told, by its name and place; the others are closed."""
    monkeypatch.setattr(ascope, "CLOSING", 0.01)
    ended: list[str] = []

    async def hang(line: Line) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(line.name)

    async def main(desk: Desk, scope: Tried) -> None:
        await scope.aopen(desk.line, {"name": "a"}, HERE)
        await scope.aopen(desk.recipe(hang), {"name": "b"}, "app.py:7")
        await scope.aclose()
        ((what, error),) = scope.errors
        assert (ended, desk.closed(), what) == (["b"], ["a"], "line app.py:7")
        assert str(error) == "its closer had not ended after 0.01 s, and was cancelled"

    play(main)


def test_a_closer_that_does_not_even_obey(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is left alone; the others are closed."""
    for name in ("CLOSING", "OBEYING"):
        monkeypatch.setattr(ascope, name, 0.01)
    released = asyncio.Event()

    async def hang(_: Line) -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    async def main(desk: Desk, scope: Tried) -> None:
        await scope.aopen(desk.line, {"name": "a"}, HERE)
        await scope.aopen(desk.recipe(hang), {"name": "b"}, HERE)
        await scope.aclose()
        released.set()
        ((_, error),) = scope.errors
        assert desk.closed() == ["a"]
        assert "does not end although it was cancelled" in str(error)

    play(main)


def test_who_ends_it_may_be_cancelled() -> None:
    """At any moment, and again: each is closed, once, and in order."""

    async def main(desk: Desk, scope: Tried) -> None:
        for name in "abc":
            await scope.aopen(desk.line, {"name": name}, HERE)
        desk.close_gate.clear()
        for _ in range(2):
            ending = asyncio.create_task(scope.aclose())
            await when("it is being closed", lambda: "closing c" in desk.book)
            await cancelled(ending)
        desk.close_gate.set()
        await scope.aclose()
        assert desk.closed() == ["c", "b", "a"]
        assert scope.errors == []

    play(main)


@pytest.mark.parametrize("turns", range(12))
def test_cancelled_after_any_turn(turns: int) -> None:
    """Of the loop: the closing goes on by itself."""

    async def main(desk: Desk, scope: Tried) -> None:
        for name in "abc":
            await scope.aopen(desk.line, {"name": name}, HERE)
        ending = asyncio.create_task(scope.aclose())
        await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        ending.cancel()
        await when("all is closed", lambda: len(desk.closed()) == 3)
        assert desk.closed() == ["c", "b", "a"]
        await asyncio.gather(ending, return_exceptions=True)

    play(main)


def test_when_the_loop_itself_ends() -> None:
    """All tasks are cancelled, the closer too that is at work; the others are still closed."""
    desk: list[Desk] = []

    async def main() -> None:
        desk.append(Desk())
        scope = Tried()
        for name in "abc":
            await scope.aopen(desk[0].line, {"name": name}, HERE)
        desk[0].close_gate.clear()
        ending = asyncio.create_task(scope.aclose())
        await when("it is being closed", lambda: "closing c" in desk[0].book)
        asyncio.get_running_loop().call_soon(desk[0].close_gate.set)
        del ending

    asyncio.run(main())
    assert [entry for entry in desk[0].book if entry.startswith("closing")] == ["closing c", "closing b", "closing a"]


# ---- the end ------------------------------------------------------------------------------------------------------


def test_after_the_end_nothing_is_opened() -> None:
    """Nobody would close it."""

    async def main(desk: Desk, scope: Tried) -> None:
        await scope.aclose()
        for opening in (scope.aopen, scope.aopen_singleton):
            with pytest.raises(ResourcesClosed, match="after the end"):
                await opening(desk.line, {}, HERE)
        with pytest.raises(ResourcesClosed):
            await scope.aenter(_manager([]), HERE)
        assert desk.calls == 0

    play(main)


def test_a_client_that_leaves_before_the_first_opening() -> None:
    """By hand it is opened for nobody, and its task is never asked again; `aopen` looks first, and refuses."""

    async def main(desk: Desk, scope: Tried) -> None:
        async def by_hand() -> None:
            line = await desk.open("wrong")
            await asyncio.Event().wait()
            await desk.close(line)

        scope.alone = True
        left = asyncio.create_task(by_hand())
        await when("it is open", lambda: "open wrong" in desk.book)
        await cancelled(left)
        assert desk.now == 1, "leaked"
        with pytest.raises(ResourcesClosed, match="client that has left"):
            await scope.aopen(desk.line, {"name": "right"}, HERE)
        assert desk.book == ["open wrong"]

    play(main)


@pytest.mark.parametrize("single", [True, False])
def test_what_is_opened_while_the_end_comes(single: bool) -> None:
    """Is closed again at once, by whoever opened it."""

    async def main(desk: Desk, scope: Tried) -> None:
        desk.open_gate.clear()
        ask = scope.aopen_singleton if single else scope.aopen
        opening = asyncio.create_task(ask(desk.line, {"name": "a"}, HERE))
        await when("it is being opened", lambda: desk.calls)
        await scope.aclose()
        desk.open_gate.set()
        with pytest.raises(ResourcesClosed, match="while 'line' was being opened"):
            await opening
        assert desk.closed() == ["a"]

    play(main)


def test_who_closes_it_on_the_spot_may_be_cancelled() -> None:
    """It is closed to its end."""

    async def main(desk: Desk, scope: Tried) -> None:
        desk.open_gate.clear()
        desk.close_gate.clear()
        opening = asyncio.create_task(scope.aopen(desk.line, {"name": "a"}, HERE))
        await when("it is being opened", lambda: desk.calls)
        await scope.aclose()
        desk.open_gate.set()
        await when("it is being closed", lambda: "closing a" in desk.book)
        await cancelled(opening)
        desk.close_gate.set()
        await when("it is closed", lambda: desk.closed() == ["a"])

    play(main)


def test_an_opening_that_is_cancelled_opens_nothing() -> None:
    """And leaves no place taken."""

    async def main(desk: Desk, scope: Tried) -> None:
        desk.open_gate.clear()
        opening = asyncio.create_task(scope.aopen(desk.line, {}, HERE))
        await when("it is being opened", lambda: desk.calls)
        await cancelled(opening)
        desk.open_gate.set()
        await scope.aopen(desk.line, {}, HERE)
        assert len(scope.all()) == 1

    play(main, most=1)


# ---- singletons ---------------------------------------------------------------------------------------------------


def test_a_singleton_is_one_for_its_options() -> None:
    """For all tasks that ask while it is being opened, and for plain calls after that."""

    async def main(desk: Desk, scope: Tried) -> None:
        asked = await asyncio.gather(*(scope.aopen_singleton(desk.line, {"name": name}, HERE) for name in "abab" * 5))
        assert len(set(asked)) == desk.calls == 2
        assert scope.open_singleton(desk.line, {"name": "a"}) is asked[0]

    play(main)


def test_an_opening_that_failed_is_tried_again() -> None:
    """By each of those who waited."""

    async def main(desk: Desk, scope: Tried) -> None:
        options = {"name": "x", "fails": True}
        asked = [asyncio.create_task(scope.aopen_singleton(desk.line, options, HERE)) for _ in range(3)]
        errors = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(error) for error in errors] == [ValueError] * 3
        assert desk.calls == 3

    play(main)


@pytest.mark.parametrize("number", range(4))
def test_who_is_cancelled_while_all_wait(number: int) -> None:
    """Be it who opens it, then the next one does, or one who waits: the others have one, the same."""

    async def main(desk: Desk, scope: Tried) -> None:
        desk.open_gate.clear()
        asked = [asyncio.create_task(scope.aopen_singleton(desk.line, {}, HERE)) for _ in range(4)]
        await when("it is being opened", lambda: desk.calls)
        await cancelled(asked.pop(number))
        desk.open_gate.set()
        assert len({await each for each in asked}) == 1
        assert desk.calls == (2 if number == 0 else 1)
        assert len(scope.all()) == 1

    play(main)


@given(st.lists(st.tuples(st.sampled_from(["ask", "ask", "cancel", "turn", "turn", "release"]), st.integers(0, 9))))
def test_whatever_tasks_do(moves: list[tuple[str, int]]) -> None:
    """Never two of the same at a time, and whoever is not cancelled has the one that is open; all are closed once."""

    async def main(desk: Desk, scope: Tried) -> None:
        asked: list[asyncio.Task[None]] = []

        async def ask(name: str) -> None:
            line = await scope.aopen_singleton(desk.line, {"name": name}, HERE)
            assert line in [held.resource for held in scope.all()]

        for what, number in moves:
            if what == "ask":
                asked.append(asyncio.create_task(ask(str(number % 2))))
            elif what == "cancel" and asked:
                asked[number % len(asked)].cancel()
            elif what == "release" and scope.all():
                await scope.arelease(scope.all()[0].resource)
            else:
                await asyncio.sleep(0)
            names = [held.resource.name for held in scope.all()]
            assert len(names) == len(set(names))
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {type(None), asyncio.CancelledError}
        assert not scope._flights
        await scope.aclose()
        assert (desk.now, scope.errors) == (0, [])
        assert sorted(desk.closed()) == sorted(entry[5:] for entry in desk.book if entry.startswith("open "))

    play(main)


def test_a_thread_of_the_request_has_the_same() -> None:
    """It waits for the task that opens."""

    async def main(desk: Desk, scope: Tried) -> None:
        recipes = Recipes().register("line", desk.open)
        awaited = recipes.find("line")
        plain = Recipes().register("line", object).find("line")
        desk.open_gate.clear()
        opening = asyncio.create_task(scope.aopen_singleton(awaited, {}, HERE))
        await when("it is being opened", lambda: desk.calls)
        thread = asyncio.create_task(asyncio.to_thread(scope.open_singleton, plain, {}))
        desk.open_gate.set()
        assert await opening is await thread

    play(main)


# ---- release, enter -----------------------------------------------------------------------------------------------


def test_release_closes_one() -> None:
    """Now, whatever its closer is, and not again at the end."""

    async def main(desk: Desk, scope: Tried) -> None:
        for name, recipe in (("a", desk.line), ("b", desk.recipe(desk.close_plainly))):
            line = await scope.aopen(recipe, {"name": name}, HERE)
            await scope.arelease(line)
            with pytest.raises(UnknownResource):
                await scope.arelease(line)
        await scope.aclose()
        assert desk.closed() == ["a", "b"]

    play(main)


def test_what_a_release_raises_is_raised() -> None:
    """It is the caller's own doing."""

    async def main(desk: Desk, scope: Tried) -> None:
        with pytest.raises(ValueError, match="bad"):
            await scope.arelease(await scope.aopen(desk.line, {"name": "bad"}, HERE))
        assert scope.all() == []

    play(main)


def test_who_releases_may_be_cancelled() -> None:
    """It is closed to its end, and not again."""

    async def main(desk: Desk, scope: Tried) -> None:
        desk.close_gate.clear()
        releasing = asyncio.create_task(scope.arelease(await scope.aopen(desk.line, {"name": "a"}, HERE)))
        await when("it is being closed", lambda: "closing a" in desk.book)
        await cancelled(releasing)
        desk.close_gate.set()
        await scope.aclose()
        await when("it is closed", lambda: desk.closed())
        assert desk.closed() == ["a"]

    play(main)


@pytest.mark.parametrize("plainly", [True, False])
def test_a_plain_release_awaits_nothing(plainly: bool) -> None:
    """It says what does; the resource is as it was, and closed in its turn."""

    async def main(desk: Desk, scope: Tried) -> None:
        recipe = desk.recipe((lambda line: desk.close(line)) if plainly else desk.close)
        first, *_ = [await scope.aopen(recipe, {"name": name}, HERE) for name in "abc"]
        with pytest.raises(UsageError, match=r"`await runner\.resources\.arelease"):
            scope.release(first)
        await scope.aclose()
        assert desk.closed() == ["c", "b", "a"]

    play(main)


@asynccontextmanager
async def _manager(left: list[str], name: str = "", error: BaseException | None = None) -> AsyncIterator[str]:
    async with asyncio.TaskGroup():
        yield name
    left.append(name)
    if error is not None:
        raise error


def test_context_managers_are_left() -> None:
    """In the same order as all others, whichever tasks enter and end; what they raise is told."""
    left: list[str] = []
    error = ValueError("no")

    async def main(desk: Desk, scope: Tried) -> None:
        for name in "ab":
            entering = scope.aenter(_manager(left, name, error if name == "b" else None), HERE)
            assert await asyncio.create_task(entering) == name
        await scope.aclose()
        assert left == ["b", "a"]
        ((what, told),) = scope.errors
        assert (what, told) == (f"_AsyncGeneratorContextManager {HERE}", error)

    play(main)


# ---- what openers return ------------------------------------------------------------------------------------------


class Awaited(Line):
    """As many a client library has it: to be awaited before use, and then itself."""

    ready = False

    def __await__(self) -> Any:
        self.ready = True
        yield from asyncio.sleep(0).__await__()
        return self


@pytest.mark.parametrize("opener", [Line, Awaited, lambda name: Awaited(name)])
def test_plain_openers(opener: Callable[[str], Line]) -> None:
    """A class, a function; what it returns is awaited if that can be."""

    async def main(desk: Desk, scope: Tried) -> None:
        line = await scope.aopen(Recipes().register("line", opener).find("line"), {"name": "a"}, HERE)
        assert line.name == "a" and getattr(line, "ready", True)

    play(main)


def test_a_task_is_a_resource() -> None:
    """It is not awaited; its closer cancels it."""

    async def main(desk: Desk, scope: Tried) -> None:
        recipes = Recipes().register("task", lambda: asyncio.create_task(asyncio.sleep(60)), asyncio.Task.cancel)
        task = await scope.aopen(recipes.find("task"), {}, HERE)
        await scope.aclose()
        await asyncio.wait([task])
        assert task.cancelled()

    play(main)


# ---- account ------------------------------------------------------------------------------------------------------


def test_so_many_and_no_more() -> None:
    """What is being opened counts as well: many tasks ask at once."""

    async def main(desk: Desk, scope: Tried) -> None:
        asked = await asyncio.gather(*(scope.aopen(desk.line, {}, HERE) for _ in range(5)), return_exceptions=True)
        assert [type(each) for each in asked] == [Line] * 2 + [TooManyOpen] * 3
        assert desk.calls == 2

    play(main, most=2)


def test_what_is_collected_unclosed_is_said() -> None:
    """With its name and its place."""

    async def main() -> None:
        await Tried().aopen(Desk().line, {}, HERE)

    with pytest.warns(ResourceWarning, match=f"never closed: line \\(opened at {HERE}\\)"):
        asyncio.run(main())
        gc.collect()


def test_a_plain_end_tells_what_it_cannot_await() -> None:
    """And closes all others."""

    async def main(desk: Desk, scope: Tried) -> None:
        for name, recipe in (("a", desk.recipe(desk.close_plainly)), ("b", desk.line)):
            await scope.aopen(recipe, {"name": name}, HERE)
        scope.close()
        ((_, error),) = scope.errors
        assert isinstance(error, UsageError) and "its closer is a coroutine function" in str(error)
        assert desk.closed() == ["a"]

    play(main)


@pytest.mark.parametrize("which", ["open", "close"])
def test_plain_opening_of_what_is_awaited(which: str) -> None:
    """Says what to do, before anything is opened."""

    async def main(desk: Desk, scope: Tried) -> None:
        pair = {"open": Line, "close": desk.close_plainly, which: getattr(desk, which)}
        for scope_name in ("request", "worker"):
            recipe = Recipes().register("line", pair["open"], pair["close"], scope_name).find("line")
            with pytest.raises(UsageError, match=r"`await runner\.resources\.aopen\('line'\)`"):
                scope.open(recipe, {"name": "a"})
        assert desk.calls == 0

    play(main)


# ---- of a pool ----------------------------------------------------------------------------------------------------


def test_what_outlives_the_request_is_lent_to_the_next() -> None:
    """With the same options; and for one with others it is closed before."""

    async def main(desk: Desk, scope: Tried) -> None:
        recipe = desk.kept(1)
        for name in "aab":
            scope = Tried()
            await scope.aopen(recipe, {"name": name}, HERE)
            await scope.aclose()
        assert desk.book == ["open a", "closing a", "closed a", "open b"]

    play(main)


def test_a_task_waits_for_another_request() -> None:
    """Which ends; a plain call on the loop's thread does not, since that would keep everybody from ending."""

    async def main(desk: Desk, scope: Tried) -> None:
        pooled = Recipes().register("line", Line, None, "worker", 1).find("line")
        first = await scope.aopen(pooled, {"name": "a"}, HERE)
        other = Tried()
        with pytest.raises(PoolFull):
            other.open(pooled, {"name": "a"})
        waiting = asyncio.create_task(other.aopen(pooled, {"name": "a"}, HERE))
        thread = asyncio.create_task(asyncio.to_thread(other.open, pooled, {"name": "a"}))
        await asyncio.sleep(0)
        await scope.aclose()
        assert await waiting is first
        await other.arelease(first)
        assert await thread is first
        await other.aclose()

    play(main)


def test_an_opener_of_a_pool_that_fails() -> None:
    """Takes no place in it, nor does one that is cancelled."""

    async def main(desk: Desk, scope: Tried) -> None:
        recipe = desk.kept(1)
        with pytest.raises(ValueError, match="x"):
            await scope.aopen(recipe, {"name": "x", "fails": True}, HERE)
        desk.open_gate.clear()
        opening = asyncio.create_task(scope.aopen(recipe, {}, HERE))
        await when("it is being opened", lambda: desk.calls == 2)
        await cancelled(opening)
        desk.open_gate.set()
        await scope.aopen(recipe, {}, HERE)

    play(main)


@pytest.mark.parametrize("name", ["a", "bad"])
def test_cancelled_while_the_place_is_made(name: str) -> None:
    """What is worn is closed to its end, and only then is its place free."""

    async def main(desk: Desk, scope: Tried) -> None:
        recipe = desk.kept(1)
        before = Tried()
        await before.aopen(recipe, {"name": name}, HERE)
        await before.aclose()
        desk.close_gate.clear()
        opening = asyncio.create_task(scope.aopen(recipe, {"name": "b"}, HERE))
        await when("it is being closed", lambda: f"closing {name}" in desk.book)
        await cancelled(opening)
        after = asyncio.create_task(scope.aopen(recipe, {"name": "c"}, HERE))
        await asyncio.sleep(0)
        desk.close_gate.set()
        await after
        assert (desk.most, desk.closed()) == (1, [name])
        assert [str(error) for _, error in scope.errors] == (["bad"] if name == "bad" else [])

    play(main)


@pytest.mark.parametrize("by_hand", [True, False])
def test_connections_do_not_grow_with_requests(by_hand: bool) -> None:
    """A thousand requests at once: by hand each has a line of its own; lent, there are ten, and all have one."""

    async def main(desk: Desk, scope: Tried) -> None:
        recipe, served = desk.kept(10), list[int]()

        async def request(number: int) -> None:
            if by_hand:
                line = await desk.open()
                await asyncio.sleep(0)
                await desk.close(line)
                return
            scope = Tried()
            await scope.aopen(recipe, {"name": str(number % 2)}, HERE)
            served.append(number)
            await asyncio.sleep(0)
            await scope.aclose()

        await asyncio.gather(*(request(number) for number in range(1000)))
        assert desk.most == (1000 if by_hand else 10)
        assert by_hand or sorted(served) == list(range(1000))

    play(main)
