"""Tasks that wait for what outlives the request, in one queue with threads."""

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import PoolFull
from runner.resources.pool import Lent, Pool
from tests.resources.tasks import when
from tests.support.process import PATIENCE

ROOM = Lent(room=True)


def full(limit: int = 1, timeout: float | None = PATIENCE) -> Pool:
    """A pool of which all are in use."""
    pool = Pool("db", limit, timeout)
    for _ in range(limit):
        assert pool.take("a", wait=False) == ROOM
    return pool


async def queued(pool: Pool, *keys: str) -> list[asyncio.Task[Lent]]:
    """Tasks that wait, one behind the other."""
    tasks = []
    for key in keys:
        before = len(pool._queue)
        tasks.append(asyncio.create_task(pool.atake(key)))
        await when("it waits", lambda before=before: len(pool._queue) > before)  # type: ignore[misc]
    return tasks


async def cancelled(task: asyncio.Task[Any]) -> None:
    """It has been, and is over."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_task_that_finds_one_does_not_wait() -> None:
    """What is idle, or room for a new one."""

    async def main() -> list[Lent]:
        pool = Pool("db", 1, None)
        first = await pool.atake("a")
        pool.give("a", "one")
        return [first, await pool.atake("a")]

    assert asyncio.run(main()) == [ROOM, Lent("one")]


def test_the_loop_goes_on_while_a_task_waits() -> None:
    """Else nobody on it could give back."""

    async def main() -> Lent:
        pool = full()
        (waiting,) = await queued(pool, "a")
        pool.give("a", "one")
        return await waiting

    assert asyncio.run(main()) == Lent("one")


def test_threads_and_tasks_stand_in_one_queue() -> None:
    """Who came first is served first, whoever gives back."""

    async def main() -> list[str]:
        pool, order = full(), list[str]()
        with ThreadPoolExecutor(3) as threads:
            futures: list[asyncio.Future[Lent]] = []
            for number in range(6):
                if number % 2:
                    futures.append(asyncio.ensure_future(pool.atake("a")))
                else:
                    futures.append(asyncio.wrap_future(threads.submit(pool.take, "a", wait=True)))
                await when("it waits", lambda number=number: len(pool._queue) == number + 1)  # type: ignore[misc]
            for number, future in enumerate(futures):
                if number % 3:
                    await asyncio.to_thread(pool.give, "a", f"{number}")
                else:
                    pool.give("a", f"{number}")
                order.append((await future).resource)
        return order

    assert asyncio.run(main()) == list("012345")


def test_when_the_patience_of_a_task_ends() -> None:
    """The queue is left."""

    async def main() -> list[Lent]:
        pool = full(timeout=0.01)
        with pytest.raises(PoolFull, match="all 1 of the resource 'db' are in use"):
            await pool.atake("a")
        pool.give("a", "one")
        return [pool.take("a", wait=False)]

    assert asyncio.run(main()) == [Lent("one")]


def test_what_comes_as_patience_ends_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be lost otherwise."""
    pool = full()

    async def late(turn: object) -> None:
        pool.give("a", "one")
        raise TimeoutError

    monkeypatch.setattr("runner.resources.pool.arrival", late)
    assert asyncio.run(pool.atake("a")) == Lent("one")


def test_who_is_cancelled_leaves_the_queue() -> None:
    """The next one has it."""

    async def main() -> Lent:
        pool = full()
        first, second = await queued(pool, "a", "a")
        await cancelled(first)
        pool.give("a", "one")
        return await second

    assert asyncio.run(main()) == Lent("one")


@pytest.mark.parametrize(("given", "came"), [
    (lambda pool: pool.give("a", "one"), Lent("one")),
    (lambda pool: pool.give("b", "one"), Lent(room=True, worn=("b", "one"))),
    (lambda pool: pool.lose(), ROOM),
])  # fmt: skip
@pytest.mark.parametrize("next_comes", [True, False])
def test_what_comes_in_the_last_moment_is_given_on(given: Any, came: Lent, next_comes: bool) -> None:
    """To the next one in the queue; without one it is as if nobody had waited."""

    async def main() -> Lent:
        pool = full()
        first, *others = await queued(pool, *("a" * (1 + next_comes)))
        given(pool)
        await cancelled(first)
        return await others[0] if others else pool.take("a", wait=False)

    assert asyncio.run(main()) == came


class Key:
    """Equal to others of its kind, but it tells whose it is."""

    def __init__(self, kind: int, number: int) -> None:
        self.kind = kind
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other.kind == self.kind

    def __hash__(self) -> int:
        return self.kind


class Play:
    """Visitors come, get one, give it back or are cancelled, with or without a turn of the loop between."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.pool = Pool("db", limit, None)
        self.visitors: list[asyncio.Task[None]] = []
        self.leave: dict[int, asyncio.Event] = {}
        self.open = 0

    async def visit(self, number: int) -> None:
        """One visitor: what is worn is closed, what is missing is opened; some openings fail."""
        key = Key(number % 2, number)
        lent = await self.pool.atake(key)
        queue = [*self.pool._queue]  # Threads come and go meanwhile.
        assert all(waiter.key.number > number for waiter in queue if isinstance(waiter.key, Key))
        if lent.worn is not None:
            assert lent.worn[0] != key
            self.open -= 1
        if lent.room and number % 5 == 4:
            self.pool.lose()
            return
        self.open += lent.room
        assert self.open <= self.limit
        event = self.leave[number] = asyncio.Event()
        try:
            await event.wait()
        finally:
            del self.leave[number]
            self.pool.give(key, lent.resource or object())

    def do(self, what: str, number: int) -> None:
        """One move."""
        if what == "come":
            self.visitors.append(asyncio.create_task(self.visit(len(self.visitors))))
        elif what == "leave" and self.leave:
            list(self.leave.values())[number % len(self.leave)].set()
        elif what == "cancel" and self.visitors:
            self.visitors[number % len(self.visitors)].cancel()

    async def play(self, moves: list[tuple[str, int]]) -> None:
        """All of them, then everybody leaves."""
        for what, number in moves:
            self.do(what, number)
            if what == "turn":
                await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            while not all(visitor.done() for visitor in self.visitors):
                for event in self.leave.values():
                    event.set()
                await asyncio.sleep(0)

    def failures(self) -> list[BaseException]:
        """What visitors found that must not be."""
        ended = [visitor.exception() for visitor in self.visitors if not visitor.cancelled()]
        return [error for error in ended if error is not None]


MOVES = st.tuples(st.sampled_from(["come", "come", "leave", "cancel", "turn", "turn"]), st.integers(0, 30))


@given(st.integers(1, 3), st.lists(MOVES, max_size=60))
def test_whatever_tasks_do(limit: int, moves: list[tuple[str, int]]) -> None:
    """Never more than allowed; first come, first served; at the end none is lost and nobody waits."""

    async def main() -> None:
        play = Play(limit)
        await play.play(moves)
        assert play.failures() == []
        assert not play.pool._queue
        assert len(play.pool.retire()) == play.open
        assert play.pool._open == 0

    asyncio.run(main())


def test_a_thousand_tasks_and_threads_too() -> None:
    """Cancelled at random: never more than ten, and none is lost."""
    chance = random.Random(5)

    async def main() -> int:
        play = Play(10)
        with ThreadPoolExecutor(8) as threads:
            beside = [threads.submit(thread, play.pool) for _ in range(100)]
            for _ in range(1000):
                play.do("come", chance.randrange(2))
                for _ in range(2):
                    play.do(chance.choice(["leave", "cancel", "turn"]), chance.randrange(1000))
                if chance.random() < 0.3:
                    await asyncio.sleep(0)
            await play.play([])
            assert play.failures() == []
            while not all(each.done() for each in beside):
                await asyncio.sleep(0)
            for each in beside:
                each.result()
        play.pool.retire()
        return play.pool._open

    def thread(pool: Pool) -> None:
        lent = pool.take("thread", wait=True)
        pool.give("thread", lent.resource or object())

    assert asyncio.run(main()) == 0
