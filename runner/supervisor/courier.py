"""Carries connections from worker to worker: transit.py decides, here the descriptors are sent and closed.

Law: every descriptor that comes in is closed here exactly once, when its connection was taken or dropped.
Start at Courier.carry.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable

from runner.log import Log
from runner.process.messages import Parcel, Taken
from runner.process.scoreboard import Scoreboard
from runner.supervisor.crew import Crew
from runner.supervisor.members import Hand
from runner.supervisor.roster import Roster
from runner.supervisor.transit import Deliver, Item, Transit, takers

_SPARE = 128
"""Descriptors that the supervisor needs for itself and its processes."""
_MOST = 10_000
"""Descriptors that may be open for others, however many the system allows (a service may have been given a billion):
all that waits is looked at whenever something happens, at 2 µs each, and who came later would wait in vain."""
_AGAIN = 0.05
"""Seconds after which to try again what could not be sent; nobody tells when it can."""


class Courier:
    """*patience*: seconds that a request may wait (`--hold-timeout`); 0 is no bound."""

    def __init__(self, crew: Crew, roster: Roster, scoreboard: Scoreboard, log: Log, patience: float) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._transit = Transit(patience, most=room(soft))
        self._crew = crew
        self._roster = roster
        self._scoreboard = scoreboard
        self._log = log
        self._again = 0.0

    def __len__(self) -> int:
        return len(self._transit)

    @property
    def requests(self) -> int:
        """How many wait for newer code."""
        return self._transit.requests

    def set_patience(self, seconds: float) -> None:
        """The settings were read again."""
        self._transit.patience = seconds

    def hear(self, hand: Hand, message: Parcel | Taken, descriptors: list[int]) -> None:
        """A worker gave a connection away, or has one it was sent."""
        if isinstance(message, Taken):
            item = self._transit.note_taken(hand.key, whole=message.whole)
            if item is not None:
                _close(item.descriptors)
        elif len(descriptors) == 1 + message.beside:
            self._transit.note_given(Item(message, descriptors, hand.key, hand.slot))
        else:
            # recvmsg(2), MSG_CTRUNC: we had no number free for it, and the kernel has closed it.
            _close(descriptors)
            self._log.once_a_minute("courier", "a connection was lost; raise the limit of open files (ulimit -n)")

    def note_gone(self, hand: Hand) -> None:
        """A worker's process has ended."""
        self._transit.note_gone(hand.key)

    def next_deadline(self, now: float) -> float | None:
        """When `carry` could have something to do if nothing else happens."""
        moments = (self._transit.next_deadline(now), self._again or None)
        return min((moment for moment in moments if moment is not None), default=None)

    def carry(self, now: float) -> None:
        """Send what somebody may have, close what nobody will."""
        self._again = 0.0
        if not self._transit.waiting:
            return
        anybody = [worker.key for worker in self._roster.workers.values() if worker.ready and not worker.killed]
        orders = self._transit.decide(
            now, takers(self._roster, self._scoreboard), anybody, stopping=self._roster.stopping
        )
        unsent = []
        for order in orders:
            if not isinstance(order, Deliver):
                _close(order.item.descriptors)
            elif not self._send(order):
                unsent.append(order)
        self._transit.note_unsent(unsent)
        if unsent:
            self._again = now + _AGAIN

    def close(self) -> None:
        """The end: nobody is left to answer."""
        for item in self._transit.drain():
            _close(item.descriptors)

    def _send(self, order: Deliver) -> bool:
        item, channel = order.item, self._crew.hands[order.key].channel
        if channel.laden():
            return False
        if item.refused:
            self._log.once_a_minute("refused", f"a request was refused with 503: {item.refused}")
        # That fails if its receiver is about to be gone, or in a long call while much was sent to it.
        parcel = item.parcel._replace(refused=item.refused)
        return channel.send(parcel, *item.descriptors)


def room(limit: int) -> int:
    """How many descriptors may wait here, of *limit* that this process may have (`ulimit -n`; -1: no bound)."""
    return _MOST if limit < 0 else max(16, min(_MOST, limit - _SPARE))


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
