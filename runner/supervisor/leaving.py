"""How long a worker that leaves may take, and how it is ended when it takes longer.

    busy        until --graceful-timeout is over
    streaming   nothing but answers that have begun: for ever, unless the whole run stops
    too many    so many younger ones are leaving as well: HURRY seconds, and for each stream 1/PACE more, for who is
                told to come back does so at once, and all of them in the same moment would be a herd
    late        CUT seconds before the end it is told to cut what it sends, and then it is killed

Laws: pure; at a stop the roster sets the deadlines, and nothing here lifts one for longer than until it looks again.
Start at leave.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from runner.process.messages import PACE
from runner.supervisor.life import Worker
from runner.supervisor.orders import CutWorker, KillWorker, Order

FINISHING = 4
"""Generations that may be finishing answers at the same time, beside the newest one; and workers of one slot."""
HURRY = 1.0
"""Seconds that the oldest beyond these are given: long answers are cut, and who is about to leave anyway is not."""
CUT = 0.5
"""Seconds before the kill in which a worker cuts what it is still sending: after a kill alone, some web servers would
take the part that was sent for the whole answer."""


def leave(worker: Worker, now: float, grace: float) -> None:
    """It was asked to retire, or does so by itself."""
    worker.leaving = worker.told = True
    worker.left, worker.deadline = now, now + grace


def stream(worker: Worker, count: int, now: float, grace: float) -> None:
    """It is busy with so many answers that have begun, and with nothing else; 0: that is so no longer."""
    worker.streams = count
    if worker.leaving and not worker.hurried:
        worker.deadline, worker.cut = inf if count else now + grace, False


def hurry(workers: Iterable[Worker], current: int, now: float) -> None:
    """Who saves again and again while answers are long must not fill the memory with generations.

    Those of generation *current* are counted by slot: who is replaced after so many requests may have a stream each
    time. Who does not leave yet does not count: he waits for his successor, and there is one of his kind for each slot.
    """
    busy = [worker for worker in workers if worker.leaving and not worker.killed]
    oldest = sorted({worker.generation for worker in busy} - {current})[:-FINISHING]
    one_too_many = [worker for worker in busy if worker.generation in oldest]
    _hurry(one_too_many, now, f"{FINISHING} younger generations that are no longer the newest one have workers, too")
    for slot in {worker.slot for worker in busy}:
        replaced = sorted((w for w in busy if (w.generation, w.slot) == (current, slot)), key=lambda each: each.key)
        _hurry(replaced[:-FINISHING], now, f"{FINISHING} younger workers in its place have answers to finish, too")


def next_step(worker: Worker) -> float:
    """When something has to be done if it is still there: monotonic seconds, infinite for never."""
    return inf if worker.killed else worker.deadline if worker.cut else worker.deadline - worker.spread - CUT


def end(worker: Worker, now: float, reason: str) -> list[Order]:
    """Do what is due; *reason*: why its time is over, unless it is one too many."""
    if now < next_step(worker):
        return []
    if now < worker.deadline:
        worker.cut = True
        return [CutWorker(worker.key, worker.hurried or reason, worker.spread)]
    worker.killed = True
    return [KillWorker(worker.key, worker.hurried or reason)]


def _hurry(workers: list[Worker], now: float, reason: str) -> None:
    hurried = [worker for worker in workers if now + HURRY < worker.deadline and not worker.hurried]
    spread = sum(worker.streams for worker in hurried) / PACE
    for worker in hurried:
        if now + HURRY + spread < worker.deadline:
            worker.deadline, worker.hurried, worker.spread = now + HURRY + spread, reason, spread
