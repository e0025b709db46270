"""What was opened for one request: each closed once, the last one first."""

import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from runner.errors import PoolFull, ResourcesClosed, TooManyOpen, UnknownResource, UsageError
from runner.resources.recipes import Recipe, Recipes
from runner.resources.scope import Held, Scope
from tests.support.process import PATIENCE
from tests.support.trouble import until


class Thing:
    """A resource that knows its options."""

    def __init__(self, name: str = "") -> None:
        self.name = name


class Tried(Scope):
    """A scope that remembers what could not be closed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.errors: list[tuple[str, BaseException]] = []
        self.alone = False

    def failed(self, held: Held, error: BaseException) -> None:
        """See Scope."""
        self.errors.append((held.name, error))

    def left(self) -> bool:
        """See Scope."""
        return self.alone


class Bench:
    """A kind of resource, and a book of what was opened and closed."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.recipes = Recipes().register("thing", self.open, self.close)
        self.thing = self.recipes.find("thing")

    def open(self, name: str = "", fails: bool = False) -> Thing:
        """The opener."""
        if fails:
            raise ValueError(name)
        self.opened.append(name)
        return Thing(name)

    def close(self, thing: Thing) -> None:
        """The closer."""
        self.closed.append(thing.name)
        if thing.name.startswith("bad"):
            raise ValueError(thing.name)

    def pooled(self, limit: int, timeout: float | None = None) -> Recipe:
        """The same of scope worker."""
        return Recipes().register("thing", self.open, self.close, "worker", limit, timeout).find("thing")


@pytest.fixture
def bench() -> Bench:
    """See Bench."""
    return Bench()


@pytest.fixture
def scope() -> Iterator[Tried]:
    """One that is closed after the test, whatever that leaves."""
    made = Tried()
    yield made
    made.close()


def test_the_last_one_is_closed_first(bench: Bench, scope: Tried) -> None:
    """For it may need those before it."""
    for name in "abc":
        assert scope.open(bench.thing, {"name": name}).name == name
    scope.close()
    assert bench.closed == ["c", "b", "a"]


def test_each_opening_gives_a_new_one(bench: Bench, scope: Tried) -> None:
    """Also with the same options."""
    assert scope.open(bench.thing, {}) is not scope.open(bench.thing, {})


def test_the_end_may_be_said_twice(bench: Bench, scope: Tried) -> None:
    """Each is closed once."""
    scope.open(bench.thing, {"name": "a"})
    scope.close()
    scope.close()
    assert bench.closed == ["a"]


def test_a_closer_that_fails_keeps_no_other_open(bench: Bench, scope: Tried) -> None:
    """What it raised is told."""
    for name in ("a", "bad", "c"):
        scope.open(bench.thing, {"name": name})
    scope.close()
    assert bench.closed == ["c", "bad", "a"]
    assert [(name, str(error)) for name, error in scope.errors] == [("thing", "bad")]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_not_even_the_end_of_the_process_does(scope: Tried, error: BaseException) -> None:
    """A closer that raises what is no Exception."""

    def close(_: object) -> None:
        raise error

    recipes = Recipes().register("first", Thing).register("last", Thing, close)
    scope.open(recipes.find("first"), {})
    scope.open(recipes.find("last"), {})
    scope.close()
    assert scope.errors == [("last", error)]
    assert scope.all() == []


# ---- the end -----------------------------------------------------------------------------------------------------


def test_after_the_end_nothing_is_opened(bench: Bench, scope: Tried) -> None:
    """Nobody would close it."""
    scope.close()
    for opening in (scope.open, scope.open_singleton):
        with pytest.raises(ResourcesClosed, match="after the end"):
            opening(bench.thing, {})
    with pytest.raises(ResourcesClosed):
        scope.enter(_manager([]))
    assert bench.opened == []


def test_while_it_is_closed_nothing_is_opened(bench: Bench, scope: Tried) -> None:
    """By a closer, say."""
    recipes = Recipes().register("opens", Thing, lambda _: scope.open(bench.thing, {}))
    scope.open(recipes.find("opens"), {})
    scope.close()
    ((_, error),) = scope.errors
    assert isinstance(error, ResourcesClosed)
    assert bench.opened == []


def test_for_a_client_that_has_left_nothing_is_opened(bench: Bench, scope: Tried) -> None:
    """What would be opened after the end was dealt with would stay open: the very first opening, too."""
    scope.alone = True
    with pytest.raises(ResourcesClosed, match="client that has left"):
        scope.open(bench.thing, {})
    assert bench.opened == []


def test_what_is_opened_while_the_end_comes(bench: Bench, scope: Tried) -> None:
    """Is closed again at once, by whoever opened it."""

    def opens(name: str) -> Thing:
        scope.close()
        return bench.open(name)

    late = Recipes().register("late", opens, bench.close).find("late")
    with pytest.raises(ResourcesClosed, match="while 'late' was being opened"):
        scope.open(late, {"name": "a"})
    assert bench.closed == ["a"]


def test_two_who_end_it_at_once(bench: Bench) -> None:
    """The end of the answer and the client's leaving: each is closed once, and in order."""
    for _ in range(50):
        bench.closed.clear()
        scope = Tried()
        for number in range(20):
            scope.open(bench.thing, {"name": f"{number:02}"})
        both = threading.Barrier(2)

        def end(scope: Tried = scope, both: threading.Barrier = both) -> None:
            both.wait()
            scope.close()

        other = threading.Thread(target=end)
        other.start()
        end()
        other.join()
        assert sorted(bench.closed) == [f"{number:02}" for number in range(20)]


# ---- release ------------------------------------------------------------------------------------------------------


def test_release_closes_one(bench: Bench, scope: Tried) -> None:
    """Now, and not again at the end."""
    first, second = (scope.open(bench.thing, {"name": name}) for name in "ab")
    scope.release(first)
    assert bench.closed == ["a"]
    scope.close()
    assert bench.closed == ["a", "b"]
    assert second.name == "b"


def test_what_is_not_open_cannot_be_released(bench: Bench, scope: Tried) -> None:
    """Or not any more."""
    thing = scope.open(bench.thing, {})
    scope.release(thing)
    for what in (thing, object()):
        with pytest.raises(UnknownResource, match="not open in this request"):
            scope.release(what)


def test_what_a_release_raises_is_raised(bench: Bench, scope: Tried) -> None:
    """It is the caller's own doing."""
    with pytest.raises(ValueError, match="bad"):
        scope.release(scope.open(bench.thing, {"name": "bad"}))
    assert scope.all() == []


def test_context_managers_are_left(scope: Tried) -> None:
    """In the same order as all others."""
    left: list[str] = []
    assert [scope.enter(_manager(left, name)) for name in "ab"] == ["a", "b"]
    scope.close()
    assert left == ["b", "a"]


@contextmanager
def _manager(left: list[str], name: str = "") -> Iterator[str]:
    yield name
    left.append(name)


# ---- singletons ---------------------------------------------------------------------------------------------------


def test_a_singleton_is_one_for_its_options(bench: Bench, scope: Tried) -> None:
    """Closed once, however often it was asked for."""
    asked = [scope.open_singleton(bench.thing, {"name": name}) for name in "aba"]
    assert asked[0] is asked[2] is not asked[1]
    scope.close()
    assert bench.closed == ["b", "a"]


def test_a_singleton_is_nobody_elses(bench: Bench, scope: Tried) -> None:
    """Whoever opens a new one gets a new one."""
    single = scope.open_singleton(bench.thing, {})
    assert scope.open(bench.thing, {}) is not single
    assert scope.open_singleton(bench.thing, {}) is single


def test_an_opening_that_failed_is_tried_again(bench: Bench, scope: Tried) -> None:
    """By the next one who asks."""
    for _ in range(2):
        with pytest.raises(ValueError, match="x"):
            scope.open_singleton(bench.thing, {"name": "x", "fails": True})
    scope.open_singleton(bench.thing, {"name": "x"})
    assert bench.opened == ["x"]


def test_a_released_singleton_is_opened_anew(bench: Bench, scope: Tried) -> None:
    """It is not there any more."""
    first = scope.open_singleton(bench.thing, {})
    scope.release(first)
    assert scope.open_singleton(bench.thing, {}) is not first


def test_who_comes_while_it_is_opened_waits_for_it(bench: Bench) -> None:
    """Threads of one request: one of them opens."""
    scope, gate = Tried(), threading.Event()

    def slow() -> Thing:
        gate.wait(PATIENCE)
        return bench.open("slow")

    recipe = Recipes().register("slow", slow, bench.close).find("slow")
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(scope.open_singleton, recipe, {}) for _ in range(4)]
        until("one of them opens it", lambda: scope._flights)
        gate.set()
        assert len({each.result(PATIENCE) for each in asked}) == 1
    assert bench.opened == ["slow"]
    scope.close()


def test_an_opener_that_asks_for_itself(scope: Tried) -> None:
    """Would wait for itself."""
    recipes = Recipes()
    recipes.register("a", lambda: scope.open_singleton(recipes.find("a"), {}))
    with pytest.raises(UsageError, match="the opener of 'a' asks for 'a'"):
        scope.open_singleton(recipes.find("a"), {})


# ---- account ------------------------------------------------------------------------------------------------------


def test_it_is_known_where_each_was_opened(bench: Bench, scope: Tried) -> None:
    """The line of the application, not one of ours."""
    scope.open(bench.thing, {})
    scope.open_singleton(bench.thing, {})
    scope.enter(_manager([]))
    places = [held.place for held in scope.all()]
    first = int(places[0].rpartition(":")[2])
    assert places == [f"{__file__}:{first + line}" for line in range(3)]


def test_so_many_and_no_more(bench: Bench) -> None:
    """At once: what was released does not count."""
    scope = Tried(most=2)
    scope.open(bench.thing, {})
    thing = scope.open(bench.thing, {})
    with pytest.raises(TooManyOpen, match="one more than 2"):
        scope.open(bench.thing, {})
    scope.release(thing)
    scope.open(bench.thing, {})
    scope.close()


def test_what_is_collected_unclosed_is_said(bench: Bench) -> None:
    """With its name and its place."""
    scope = Tried()
    scope.open(bench.thing, {})
    with pytest.warns(ResourceWarning, match=r"never closed: thing \(opened at .*test_scope"):
        del scope
        gc.collect()


def test_a_coroutine_is_no_resource(scope: Tried) -> None:
    """Nobody here would await it."""

    async def opens() -> None:
        """Never runs."""

    with pytest.raises(UsageError, match=r"coroutine function; `await runner\.resources\.aopen\('a'\)"):
        scope.open(Recipes().register("a", opens).find("a"), {})


def test_what_a_plain_closer_has_begun(scope: Tried) -> None:
    """A coroutine, from a function that is none, has not even begun; a future, say, ends by itself."""

    class Begun:
        def __await__(self) -> Iterator[None]:
            raise AssertionError("nobody waits for it")

    async def closes(_: object) -> None:
        """Never runs."""

    scope.open(Recipes().register("a", Thing, lambda thing: closes(thing)).find("a"), {})
    scope.open(Recipes().register("b", Thing, lambda _: Begun()).find("b"), {})
    scope.close()
    ((name, error),) = scope.errors
    assert name == "a" and "it stays open: its closer is a coroutine function" in str(error)


def test_the_end_comes_while_one_is_released(scope: Tried) -> None:
    """Which nobody here can: it is put back, and told as what the end could not close."""

    async def closes() -> None:
        """Never runs."""

    def begin(_: object) -> Any:
        scope.close()
        return closes()

    thing = scope.open(Recipes().register("a", Thing, begin).find("a"), {})
    with pytest.raises(UsageError, match="arelease"):
        scope.release(thing)
    assert scope.all() == []
    assert [name for name, _ in scope.errors] == ["a"]


# ---- of a pool ----------------------------------------------------------------------------------------------------


def test_what_outlives_the_request_is_lent_to_the_next(bench: Bench) -> None:
    """With the same options."""
    recipe, seen = bench.pooled(2), []
    for _ in range(3):
        scope = Tried()
        seen.append(scope.open(recipe, {"name": "a"}))
        scope.close()
    assert len(set(seen)) == 1
    assert (bench.opened, bench.closed) == (["a"], [])


def test_inside_a_request_it_is_ones_own(bench: Bench, scope: Tried) -> None:
    """Two openings are two, a singleton is one."""
    recipe = bench.pooled(2)
    assert scope.open_singleton(recipe, {}) is scope.open_singleton(recipe, {})
    scope.open(recipe, {})
    with pytest.raises(PoolFull):
        Tried(waits=False).open(recipe, {})


def test_what_does_not_suit_is_closed(bench: Bench) -> None:
    """For one with other options."""
    recipe = bench.pooled(1)
    for name in "ab":
        scope = Tried(waits=False)
        scope.open(recipe, {"name": name})
        scope.close()
    assert (bench.opened, bench.closed) == (["a", "b"], ["a"])


def test_one_that_cannot_be_closed_is_told_and_makes_room(bench: Bench) -> None:
    """As at the end of a request."""
    recipe = bench.pooled(1)
    first, second = Tried(waits=False), Tried(waits=False)
    first.open(recipe, {"name": "bad"})
    first.close()
    assert second.open(recipe, {"name": "b"}).name == "b"
    assert [str(error) for _, error in second.errors] == ["bad"]
    second.close()


def test_an_opener_of_a_pool_that_fails(bench: Bench) -> None:
    """Takes no place in it."""
    recipe = bench.pooled(1)
    scope = Tried(waits=False)
    with pytest.raises(ValueError, match="x"):
        scope.open(recipe, {"name": "x", "fails": True})
    scope.open(recipe, {"name": "x"})
    scope.close()
