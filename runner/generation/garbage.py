"""Garbage is looked for seldom while an application is imported, and as usual before its first request.

Python looks for it each time some hundred objects have come to be that could be part of a cycle. What an import makes
is kept, nearly all of it: functions, classes, modules; so each look goes through what is there, finds next to nothing,
and the more there is the longer it takes. Of the time that somebody waits for an edit it was a quarter.

So the first threshold is SELDOM in each import, from its first module on: whoever goes on from a checkpoint finds what
a fresh process does. It stays a threshold, and the collector on, for an import may also make much that it throws away.

Laws: what the application sets itself is left as it is. Start at put_off. gc.set_threshold.
"""

from __future__ import annotations

import gc

SELDOM = 100_000
"""Objects, more made than ended, after which an import has garbage looked for; two thousand modules make that many."""

_usual = gc.get_threshold()[0]


def put_off() -> None:
    """The import begins. The other thresholds stay: those who tune them do it by what they find."""
    _set_first(SELDOM)


def look_again() -> None:
    """The import is over, and what it made is frozen: who looks before that looks through all of it."""
    if gc.get_threshold()[0] == SELDOM:
        _set_first(_usual)


def _set_first(count: int) -> None:
    gc.set_threshold(count, *gc.get_threshold()[1:])
