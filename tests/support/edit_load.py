"""Visitors who ask without a pause while somebody saves: who failed, who saw old code, who was sent around.

The rule for old code: an answer is stale if its version is lower than the one whose save had completed before its
request began. Start at load.
"""

import hashlib
import random
import threading
import time
from dataclasses import dataclass, field

from tests.support.client import Reply
from tests.support.places import Address
from tests.support.probe_process import Probe, seen
from tests.support.process import PATIENCE
from tests.support.visitor import Visitor


@dataclass
class Outcome:
    """What came of it. *failed* and *stale* tell each case; *redirects* has one number for each visitor."""

    edits: int
    answers: int = 0
    failed: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    redirects: list[int] = field(default_factory=list)
    versions: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Load:
    """How many visitors, how many saves, whether visitors keep connections.

    Most saves come when the one before has been seen, and at random up to *pause* seconds later; every fourth one or so
    does not wait for that.
    """

    visitors: int = 32
    edits: int = 12
    pause: float = 0.1
    keep: bool = False


def load(probe: Probe, address: Address, load: Load, first: int, seed: int) -> Outcome:
    """Run *load* at *address*; versions are saved from *first* on. The seed decides methods, sizes, pauses."""
    outcome, changed, over = Outcome(load.edits), threading.Condition(), threading.Event()
    completed = [0]

    def visit(number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        with Visitor(address, keep=load.keep, most=load.edits) as visitor:
            while not over.is_set():
                body = chance.randbytes(chance.choice((0, 10, 20_000))) if chance.random() < 0.5 else None
                floor = completed[0]
                try:
                    reply = visitor.ask("/whoami") if body is None else visitor.ask("/whoami", "POST", body)
                    problem, version = _judge(reply, body or b"")
                except (AssertionError, OSError) as error:
                    problem, version = repr(error), floor
                method = "GET" if body is None else "POST"
                with changed:
                    outcome.answers += 1
                    outcome.versions.add(version)
                    changed.notify_all()
                    if problem:
                        outcome.failed.append(f"{method} after save {floor}: {problem}")
                    elif version < floor:
                        outcome.stale.append(f"{method} after save {floor}: version {version}")
        with changed:
            outcome.redirects.append(visitor.redirects)

    visitors = [threading.Thread(target=visit, args=[number]) for number in range(load.visitors)]
    for visitor in visitors:
        visitor.start()
    chance = random.Random(seed)
    try:
        for version in range(first, first + load.edits):
            probe.save(version, by_renaming=chance.random() < 0.5)
            completed[0] = version
            if chance.random() < 0.75:
                with changed:
                    assert changed.wait_for(lambda: version in outcome.versions, PATIENCE), f"nobody saw {version}"  # noqa: B023
            # Not a wait for something: the moment of the next save is what is tried.
            time.sleep(chance.uniform(0, load.pause))
    finally:
        over.set()
        for visitor in visitors:
            visitor.join()
    return outcome


def _judge(reply: Reply, body: bytes) -> tuple[str, int]:
    """What is wrong with the answer, "" for nothing, and its version."""
    if reply.status != 200:
        return f"{reply.status} {reply.body[:200]!r}", 0
    told = seen(reply)
    whole = (told.length, told.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    return "" if whole else f"{told.length} of {len(body)} bytes arrived", told.version
