"""Resources that outlive the request."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from runner.errors import PoolFull
from runner.resources.pool import Lent, Pool
from tests.support.process import PATIENCE
from tests.support.trouble import until

ROOM = Lent(room=True)


@pytest.fixture
def pool() -> Pool:
    """One with room for two, and little patience."""
    return Pool("db", 2, PATIENCE)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Somebody else."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


def waiting(pool: Pool) -> int:
    """How many stand in the queue."""
    return len(pool._queue)


def test_at_first_each_opens_one_of_his_own(pool: Pool) -> None:
    """Until there are as many as allowed."""
    assert [pool.take("a", wait=False), pool.take("a", wait=False)] == [ROOM, ROOM]


def test_what_was_given_back_is_lent_again(pool: Pool) -> None:
    """The one that was used last first."""
    for _ in range(2):
        pool.take("a", wait=False)
    pool.give("a", "one")
    pool.give("a", "two")
    assert [pool.take("a", wait=False), pool.take("a", wait=False)] == [Lent("two"), Lent("one")]


def test_when_all_are_in_use_nobody_waits_who_must_not(pool: Pool) -> None:
    """An inline call would keep the others from giving back."""
    for _ in range(2):
        pool.take("a", wait=False)
    with pytest.raises(PoolFull, match="all 2 of the resource 'db' are in use"):
        pool.take("a", wait=False)
    assert not waiting(pool)


def test_when_patience_ends() -> None:
    """The queue is left."""
    pool = Pool("db", 1, 0.01)
    pool.take("a", wait=True)
    with pytest.raises(PoolFull):
        pool.take("a", wait=True)
    pool.give("a", "one")
    assert pool.take("a", wait=False) == Lent("one")


def test_who_came_first_is_served_first(pool: Pool, threads: ThreadPoolExecutor) -> None:
    """Each with what is given back next."""
    for _ in range(2):
        pool.take("a", wait=False)
    turns = []
    for number in range(3):
        turns.append(threads.submit(pool.take, "a", wait=True))
        until("it waits", lambda number=number: waiting(pool) == number + 1)  # type: ignore[misc]
    for name in ("one", "two"):
        pool.give("a", name)
    assert [turn.result(PATIENCE) for turn in turns[:2]] == [Lent("one"), Lent("two")]
    assert not turns[2].done()
    pool.give("a", "one")
    assert turns[2].result(PATIENCE) == Lent("one")


def test_other_options_do_not_suit(pool: Pool, threads: ThreadPoolExecutor) -> None:
    """What is idle or given back is closed for whoever needs another one, so that there are never more."""
    for _ in range(2):
        pool.take("a", wait=False)
    pool.give("a", "one")
    assert pool.take("b", wait=False) == Lent(room=True, worn=("a", "one"))
    turn = threads.submit(pool.take, "b", wait=True)
    until("it waits", lambda: waiting(pool))
    pool.give("a", "two")
    assert turn.result(PATIENCE) == Lent(room=True, worn=("a", "two"))


def test_an_opening_that_fails_makes_room(pool: Pool, threads: ThreadPoolExecutor) -> None:
    """For whoever waits, or comes."""
    for _ in range(2):
        pool.take("a", wait=False)
    turn = threads.submit(pool.take, "a", wait=True)
    until("it waits", lambda: waiting(pool))
    pool.lose()
    assert turn.result(PATIENCE) == ROOM
    pool.lose()
    assert pool.take("a", wait=False) == ROOM


def test_when_the_worker_retires(pool: Pool) -> None:
    """What is idle is handed out to be closed, and what is given back later when that is asked again."""
    for _ in range(2):
        pool.take("a", wait=False)
    pool.give("a", "one")
    assert pool.retire() == ["one"]
    pool.give("a", "two")
    assert [pool.retire(), pool.retire()] == [["two"], []]


def test_without_a_limit() -> None:
    """As many as are needed."""
    pool = Pool("db", None, None)
    assert [pool.take("a", wait=False) for _ in range(100)] == [ROOM] * 100


def test_a_child_begins_with_nothing(pool: Pool) -> None:
    """A connection that is in two processes is of use to none."""
    pool.take("a", wait=False)
    pool.give("a", "one")
    child = os.fork()
    if not child:
        os._exit(0 if pool.take("a", wait=False) == ROOM and pool.take("a", wait=False) == ROOM else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pool.take("a", wait=False) == Lent("one")


def test_never_more_than_allowed(threads: ThreadPoolExecutor) -> None:
    """Whoever takes, opens, fails, gives back and changes the options, in whatever order."""
    pool = Pool("db", 3, PATIENCE)
    lock = threading.Lock()
    numbers = {"open": 0, "most": 0}

    def count(by: int) -> None:
        with lock:
            numbers["open"] += by
            numbers["most"] = max(numbers["most"], numbers["open"])

    def use(number: int) -> None:
        key = number % 2
        lent = pool.take(key, wait=True)
        if lent.worn is not None:
            count(-1)
        if lent.room and number % 7 == 0:
            pool.lose()
            return
        if lent.room:
            count(1)
        pool.give(key, "one")

    for done in [threads.submit(use, number) for number in range(1000)]:
        done.result(PATIENCE)
    assert numbers["most"] <= 3
    assert numbers["open"] == len(pool.retire())
