"""Carries connections from worker to worker: transit.py decides, here the descriptors are sent and closed.

Law: every descriptor that comes in is closed here exactly once, when its connection was taken or dropped; a WebSocket
that nobody takes is told to come back.
Start at Courier.carry.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterable

from runner.log import Log
from runner.process.channel import Channel
from runner.process.messages import Arrived, Heirs, Parcel, Taken
from runner.process.scoreboard import Scoreboard
from runner.supervisor.crew import Crew
from runner.supervisor.heirs import news
from runner.supervisor.members import Hand, Station
from runner.supervisor.roster import Roster
from runner.supervisor.transit import Deliver, Item, Taker, Transit, takers

_SPARE = 128
"""Descriptors that the supervisor needs for itself and its processes."""
_MOST = 10_000
"""Descriptors that may be open for others, however many the system allows (a service may have been given a billion):
all that waits is looked at whenever something happens, at 2 µs each, and who came later would wait in vain."""
_COME_BACK = b"\x88\x02\x03\xf4"
"""A close frame of a WebSocket with 1012 and no reason (RFC 6455 section 5.5.1): all that need be known to say it."""
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
        self._promised: set[int] = set()

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
                self._put_down(item)
        elif len(descriptors) == 1 + message.beside:
            self._transit.note_given(Item(message, descriptors, hand.key, hand.slot))
        else:
            # recvmsg(2), MSG_CTRUNC: we had no number free for it, and the kernel has closed it.
            _close(descriptors)
            self._log.once_a_minute("courier", "a connection was lost; raise the limit of open files (ulimit -n)")

    def note_gone(self, hand: Hand) -> None:
        """A worker's process has ended."""
        self._transit.note_gone(hand.key)

    def note_turned(self, station: Station, key: int) -> None:
        """Its process is now worker *key*."""
        self._transit.note_turned(station.key, key)

    def offer(self, station: Station) -> None:
        """It may answer before it is forked: it is sent what waits for it, before the order to fork."""
        orders = self._transit.offer(Taker(station.key, 0, station.number, answers=True, good_until=0.0))
        self._transit.note_unsent([order for order in orders if not self._send(order, station.channel)])

    def next_deadline(self) -> float | None:
        """When `carry` could have something to do if nothing else happens."""
        moments = (self._transit.next_deadline(), self._again or None)
        return min((moment for moment in moments if moment is not None), default=None)

    def carry(self, now: float) -> None:
        """Send what somebody may have, close what nobody will."""
        self._again = 0.0
        for key in {key for key in self._transit.sent if key < 0} - {each.key for each in self._crew.stations.values()}:
            self._transit.note_gone(key)
        self._tell_heirs()
        if not self._transit.waiting:
            return
        anybody = [worker.key for worker in self._roster.workers.values() if worker.ready and not worker.killed]
        orders = self._transit.decide(
            now, takers(self._roster, self._scoreboard), anybody, stopping=self._roster.stopping
        )
        unsent = []
        for order in orders:
            if not isinstance(order, Deliver):
                _say_goodbye(order.item)
                self._put_down(order.item)
            elif not self._send(order, self._crew.hands[order.key].channel):
                unsent.append(order)
        self._transit.note_unsent(unsent)
        if unsent:
            self._again = now + _AGAIN

    def close(self) -> None:
        """The end: nobody is left to answer."""
        for item in self._transit.drain():
            _say_goodbye(item)
            _close(item.descriptors)

    def _tell_heirs(self) -> None:
        """Who leaves is told of those that could have its WebSockets."""
        roster = self._roster
        if not self._promised and not any(worker.leaving for worker in roster.workers.values()):
            return
        able = [] if roster.stopping else takers(roster, self._scoreboard)
        told = news(roster.workers.values(), able, self._promised)
        for key, there in told.items():
            self._crew.order(self._crew.hands[key].channel, Heirs(there))

    def _put_down(self, item: Item) -> None:
        _close(item.descriptors)
        if item.parcel.socket and item.giver in self._crew.hands:
            self._crew.order(self._crew.hands[item.giver].channel, Arrived())

    def _send(self, order: Deliver, channel: Channel) -> bool:
        item = order.item
        if channel.laden():
            return False
        if item.refused:
            what = "WebSocket was closed with 1012" if item.parcel.socket else "request was refused with 503"
            self._log.once_a_minute("refused", f"a {what}: {item.refused}")
        # That fails if its receiver is about to be gone, or in a long call while much was sent to it.
        parcel = item.parcel._replace(refused=item.refused)
        return channel.send(parcel, *item.descriptors)


def room(limit: int) -> int:
    """How many descriptors may wait here, of *limit* that this process may have (`ulimit -n`; -1: no bound)."""
    return _MOST if limit < 0 else max(16, min(_MOST, limit - _SPARE))


def _say_goodbye(item: Item) -> None:
    if item.parcel.socket:
        with contextlib.suppress(OSError):
            os.write(item.descriptors[0], _COME_BACK)


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
