"""What the roster keeps book of: generations and workers, their phases, and the waits after failures.

A generation's life:

    LOADING ──Loaded──▶ LIVE ──Stale──▶ OUTDATED ─┐
       │                  ▲  ◀──Keep─────┘        ├─▶ LEAVING ──Gone──▶ GONE
       ├─Broken─▶ LIVE (answers with the error) or, with --on-broken keep, ASIDE (watches for the fix)
       └─Unborn─▶ LEAVING (files changed under the import: void)

Laws: pure; every phase answers every fact, if only with "stay", and the table is complete by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
UNSETTLED_DELAY = 0.2
"""The longest wait after imports that were void because somebody went on saving: requests wait meanwhile."""
HEALTHY = 30.0
"""Seconds after which an earlier crash no longer counts."""
SLOW = 1.0
"""Seconds of importing after which somebody else looks whether what was read is still what is there."""
PATIENT = 5.0
"""Seconds of importing after which a wish for a reload no longer waits for the import to end."""


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

    *deaf*: given up while it was still importing, so it hears no message; *lookout*: somebody watches what it reads.
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
    deadline: float = 0.0


@dataclass
class Worker:
    """One worker. *key* is its number since the start; *leaving*: asked to retire or doing so by itself."""

    key: int
    slot: int
    generation: int
    since: float
    ready: bool = False
    leaving: bool = False
    told: bool = False
    killed: bool = False
    deadline: float = 0.0


@dataclass
class Backoff:
    """How long to wait after failures that follow each other: none, then 0.1 s doubling to 5 s."""

    failures: int = 0
    last: float = 0.0
    not_before: float = 0.0

    def fail(self, now: float, *, free: int, longest: float = LONGEST_DELAY) -> None:
        """Another failure; the first *free* ones cost no wait, no other one more than *longest* seconds."""
        if now - self.last > HEALTHY:
            self.failures = 0
        self.failures += 1
        self.last = now
        waits = self.failures - free
        self.not_before = now + min(longest, FIRST_DELAY * 2 ** min(waits - 1, 10)) if waits > 0 else now

    def forgive(self) -> None:
        """Something relevant changed: the next attempt may come at once."""
        self.failures = 0
        self.not_before = 0.0
