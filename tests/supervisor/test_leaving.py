"""How long a worker that leaves may take: the rules without the rest of the roster."""

from math import inf

import pytest

from runner.process.messages import PACE
from runner.supervisor.leaving import CUT, FINISHING, HURRY, end, hurry, leave, next_step, stream
from runner.supervisor.life import Worker
from runner.supervisor.orders import CutWorker, KillWorker

NOW = 1000.0
LATE = "it takes too long"


def leaver(key: int = 1, slot: int = 0, generation: int = 1, grace: float = 30.0) -> Worker:
    """A worker that leaves."""
    worker = Worker(key, slot, generation, NOW - 60.0, ready=True)
    leave(worker, NOW, grace)
    return worker


def test_nobody_is_pressed_before_he_leaves() -> None:
    """A worker that was not asked has all the time there is, whatever it says."""
    worker = Worker(1, 0, 1, NOW)
    stream(worker, 3, NOW, 30.0)
    stream(worker, 0, NOW, 30.0)
    hurry([worker], 9, NOW)
    assert (next_step(worker), end(worker, NOW + 1e9, LATE)) == (inf, [])


def test_first_the_cut_then_the_kill() -> None:
    """Each once, and the first in time for what it sends to look cut."""
    worker = leaver()
    assert (worker.left, next_step(worker)) == (NOW, NOW + 30.0 - CUT)
    assert end(worker, NOW + 30.0 - CUT - 0.01, LATE) == []
    assert end(worker, next_step(worker), LATE) == [CutWorker(1, LATE)]
    assert end(worker, NOW + 29.9, LATE) == []
    assert next_step(worker) == NOW + 30.0
    (order,) = end(worker, NOW + 30.0, LATE)
    assert isinstance(order, KillWorker) and order == KillWorker(1, LATE)
    assert (next_step(worker), end(worker, NOW + 99.0, LATE)) == (inf, [])


@pytest.mark.parametrize("grace", [0.0, CUT / 2])
def test_a_grace_too_short_for_both(grace: float) -> None:
    """Without any there is only the kill; with little the cut comes at once."""
    worker = leaver(grace=grace)
    assert [type(order) for order in end(worker, NOW, LATE)] == [CutWorker if grace else KillWorker]


def test_streams_lift_the_deadline() -> None:
    """And what is no stream brings it back, from then on, with a cut of its own."""
    worker = leaver()
    end(worker, NOW + 29.9, LATE)
    stream(worker, 2, NOW + 29.95, 30.0)
    assert (worker.streams, next_step(worker), end(worker, NOW + 1e6, LATE)) == (2, inf, [])
    stream(worker, 0, NOW + 1e6, 30.0)
    assert next_step(worker) == NOW + 1e6 + 30.0 - CUT


def test_the_oldest_generation_beyond_is_hurried() -> None:
    """Whether it streams or not, all its workers, with its own reason; and nothing they say takes that back."""
    workers = [leaver(key, key % 2, key // 2) for key in range(2, 2 * FINISHING + 6)]
    for worker in workers:
        stream(worker, worker.slot, NOW, 30.0)
    hurry(workers, FINISHING + 2, NOW)
    for worker in workers:
        stream(worker, 1, NOW, 30.0)
    hurried = [worker for worker in workers if worker.hurried]
    assert [worker.generation for worker in hurried] == [1, 1]
    assert {next_step(worker) for worker in hurried} == {NOW + HURRY - CUT}
    assert {worker.deadline for worker in hurried} == {NOW + HURRY + 1 / PACE}
    assert {next_step(worker) for worker in workers if not worker.hurried} == {inf}
    (order,) = end(hurried[0], NOW + HURRY + 1 / PACE, LATE)
    assert order == KillWorker(2, "4 younger generations that are no longer the newest one have workers, too")


def test_who_has_many_streams_ends_them_one_after_the_other() -> None:
    """All workers of that generation together at PACE, each over the whole of that time."""
    workers = [leaver(key, key % 2, key // 2) for key in range(2, 2 * FINISHING + 4)]
    for worker in workers[:2]:
        stream(worker, 500, NOW, 30.0)
    hurry(workers, 99, NOW)
    for worker in workers[:2]:
        assert next_step(worker) == NOW + HURRY - CUT
        (order,) = end(worker, NOW + HURRY - CUT, LATE)
        assert isinstance(order, CutWorker) and order.spread == 1000 / PACE
        assert next_step(worker) == NOW + HURRY + 1000 / PACE


def test_of_the_present_generation_each_slot_counts_by_itself() -> None:
    """One worker too many in one slot, none in the other."""
    workers = [leaver(key, slot=0) for key in range(1, FINISHING + 2)]
    workers += [leaver(key, slot=1) for key in range(11, FINISHING + 11)]
    hurry(workers, 1, NOW)
    assert [worker.key for worker in workers if worker.hurried] == [1]


def test_who_ends_sooner_anyway_is_not_hurried() -> None:
    """Its own time is no longer than a hurry, and its reason is its own; who is killed is not counted."""
    workers = [leaver(generation, generation=generation) for generation in range(1, FINISHING + 2)]
    workers[0].deadline = NOW + HURRY
    hurry(workers, 9, NOW)
    workers[0].killed = True
    hurry(workers, 9, NOW + 5.0)
    assert not any(worker.hurried for worker in workers)
