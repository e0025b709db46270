"""What the roster keeps book of: generations and workers, their phases, and the waits after failures.

A generation's life:

    LOADING ──Loaded──▶ LIVE ──Stale──▶ OUTDATED ─┐
       │                  ▲  ◀──Keep─────┘        ├─▶ LEAVING ──Gone──▶ GONE
       ├─Broken─▶ LIVE (answers with the error) or, with --on-broken keep, ASIDE (watches for the fix)
       └─Unborn─▶ LEAVING (files changed under the import: void)

Whoever saves faster than a build would get nothing but void attempts, so after the first one in a row an attempt may be
*late*: imported well, it is LIVE and OUTDATED at once, and answers the requests that are older than its import.

Laws: pure; every phase answers every fact, if only with "stay", and the table is complete by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from math import inf

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
HEALTHY = 30.0
"""Seconds after which an earlier crash no longer counts."""
SLOW = 1.0
"""Seconds of importing after which somebody else looks whether what was read is still what is there."""
PATIENT = 5.0
"""Seconds of importing after which a wish for a reload no longer waits for the import to end."""
ALONE = 0.5
"""Seconds at most in which the first worker that takes over from an older generation comes up alone: who waits for the
newer code is answered sooner by one than by all of them coming up together."""
FIRST = 0.03
"""Seconds at least, for its first answer is slower than any other, and would be slower still beside another fork."""


class Phase(Enum):
    """Of a generation."""

    LOADING = auto()
    LIVE = auto()
    OUTDATED = auto()
    ASIDE = auto()
    LEAVING = auto()
    GONE = auto()


class Fact(Enum):
    """What can happen to a generation."""

    LOADED = auto()
    BROKEN = auto()
    UNBORN = auto()
    STALE = auto()
    KEPT = auto()
    REPLACED = auto()
    GONE = auto()


_P, _F = Phase, Fact
LIFE: dict[tuple[Phase, Fact], Phase] = {
    (phase, fact): Phase.GONE if fact is Fact.GONE else phase for phase in Phase for fact in Fact
}
LIFE |= {
    (_P.LOADING, _F.LOADED): _P.LIVE,
    (_P.LOADING, _F.BROKEN): _P.LIVE,
    (_P.LOADING, _F.UNBORN): _P.LEAVING,
    (_P.LOADING, _F.STALE): _P.LEAVING,
    (_P.LOADING, _F.REPLACED): _P.LEAVING,
    (_P.LIVE, _F.STALE): _P.OUTDATED,
    (_P.LIVE, _F.REPLACED): _P.LEAVING,
    (_P.OUTDATED, _F.KEPT): _P.LIVE,
    (_P.OUTDATED, _F.REPLACED): _P.LEAVING,
    (_P.ASIDE, _F.STALE): _P.LEAVING,
    (_P.ASIDE, _F.REPLACED): _P.LEAVING,
}


@dataclass
class Generation:
    """One generation, started at *since*. *deadline*: when a leaving one is killed, 0.0: not set (monotonic seconds).

    *deaf*: given up while it was still importing, so it hears no message; *lookout*: somebody watches what it reads,
    and has seen a change if *doubted*; *voids*: attempts in a row before it that were void; *late*: imported well,
    and stale from birth; *subject*: imports nothing, and only says how long that generation's import takes.
    *good_until*: it may answer what began before then, whatever was saved since (monotonic seconds).
    """

    number: int
    since: float = 0.0
    phase: Phase = Phase.LOADING
    broken: bool = False
    kept: bool = False
    solo: bool = False
    aftermath: bool = False
    told: bool = False
    deaf: bool = False
    lookout: bool = False
    doubted: bool = False
    voids: int = 0
    late: bool = False
    subject: int = 0
    deadline: float = 0.0
    good_until: float = 0.0

    @property
    def doubted_until(self) -> float:
        """When a doubted import is given up: at once if it is the first one in a row, for it would be void.

        The next one may be late, if it ever ends. One that hangs does not, so patience has a limit; one that takes a
        minute and is interrupted each time must end some day, so the limit is twice as high each time.
        """
        return self.since + (PATIENT * 2 ** min(self.voids - 1, 20) if self.voids else 0.0)


@dataclass
class Worker:
    """One worker. *key* is its number since the start; *leaving*: asked to retire or doing so by itself, *left*: since
    when; *deadline*: when it is killed if it is still there (monotonic seconds). How these come about: leaving.py.

    *streams*: answers that have begun, if they are all that it is busy with; *hurried*: why it has less time than
    others; *spread*: seconds of these over which it ends its streams; *cut*: it was told that its time is nearly over.
    """

    key: int
    slot: int
    generation: int
    since: float
    ready: bool = False
    leaving: bool = False
    told: bool = False
    left: float = 0.0
    streams: int = 0
    hurried: str = ""
    spread: float = 0.0
    cut: bool = False
    killed: bool = False
    deadline: float = inf

    @property
    def alone_until(self) -> float:
        """When others of its generation may come up, if it is the first one that takes over from an older one."""
        return self.since + (FIRST if self.ready else ALONE)


@dataclass
class Backoff:
    """How long to wait after failures that follow each other: none, then 0.1 s doubling to 5 s."""

    failures: int = 0
    last: float = 0.0
    not_before: float = 0.0

    def fail(self, now: float, *, free: int) -> None:
        """Another failure; the first *free* ones cost no wait."""
        if now - self.last > HEALTHY:
            self.failures = 0
        self.failures += 1
        self.last = now
        waits = self.failures - free
        self.not_before = now + min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(waits - 1, 10)) if waits > 0 else now

    def forgive(self) -> None:
        """Something relevant changed: the next attempt may come at once."""
        self.failures = 0
        self.not_before = 0.0
