"""Connections on their way from one worker to another: who gets which, when, and what becomes of those nobody may have.

A worker gives away what it cannot or must not answer (worker/hand_over.py). What waits here is one of three things:

    a request   its head was read; it may be answered by a generation newer than the one that gave it away and that is
                fresh, or was known to be so after the request had begun (good_until), for then no save lies between
    a socket    a WebSocket that moves: the same, but that no error page and no page about an import may have it
    at rest     nothing was asked on it yet, or what was read is for anybody; any worker may have it, an idle one first,
                then that of its own slot, which keeps the connections spread over the workers as they were

Laws: pure: no clock, no descriptor is touched. Nothing is ever with two workers: what was sent and not yet taken comes
back only when its receiver is gone. Oldest first. Bounded in number, and each waits at most *patience* seconds; what is
refused goes to any worker there is, an idle one first, to say so (503; 1012 to a socket). Start at Transit.decide.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from runner.process.messages import Parcel
from runner.process.refusals import FULL, LATE, STOPPING
from runner.process.scoreboard import Counter, Scoreboard
from runner.supervisor.life import Phase
from runner.supervisor.roster import Roster

WINDOW = 8
"""Connections that a worker is sent beyond those it has taken: what it has not yet read it may never read."""


@dataclass(eq=False)
class Item:
    """One of them, given by worker *giver* of *slot*; its *descriptors* are open as long as it is here.

    unable  the keys of those who said that they cannot take it; asked again at once, they would say it again at once
    """

    parcel: Parcel
    descriptors: list[int]
    giver: int
    slot: int
    refused: str = ""
    unable: set[int] = field(default_factory=set)

    def asked(self) -> bool:
        """Something of a request was read, so there is somebody who waits for an answer, if only a refusal."""
        return bool(self.parcel.held or self.parcel.unread or self.parcel.beside)


class Taker(NamedTuple):
    """A worker that accepts. *answers*: its generation may answer whatever it is given; else what began before then.

    *hosts*: it has an application, and not only a page that says why it has none.
    """

    key: int
    slot: int
    generation: int
    answers: bool
    good_until: float
    kept: bool = False
    busy: bool = False
    hosts: bool = True


class Deliver(NamedTuple):
    """Send it to that worker."""

    key: int
    item: Item


class Drop(NamedTuple):
    """Close it."""

    item: Item


@dataclass
class Transit:
    """*patience*: see the module; *most*: descriptors that may be open here.

    waiting  for somebody who may have it, oldest first
    sent     to a worker by its key, and not yet taken
    """

    patience: float
    most: int = 1000
    waiting: deque[Item] = field(default_factory=deque)
    sent: dict[int, deque[Item]] = field(default_factory=dict)
    _open: int = 0
    _decided: float = 0.0
    _delivered: dict[int, int] = field(default_factory=dict)

    def note_given(self, item: Item) -> None:
        """A worker gave it away."""
        if self._open >= self.most:
            item.refused = FULL
        self._open += len(item.descriptors)
        self.waiting.append(item)

    def note_taken(self, key: int, *, whole: bool) -> Item | None:
        """The worker has the oldest one it was sent, which is to be closed here; not *whole*: it could not take it."""
        sent = self.sent.get(key)
        if not sent:
            return None
        item = sent.popleft()
        if whole:
            self._open -= len(item.descriptors)
            return item
        item.unable.add(key)
        self.waiting.append(item)
        return None

    def note_turned(self, key: int, now: int) -> None:
        """Who was known as *key* is known as *now*."""
        if key in self.sent:
            self.sent[now] = self.sent.pop(key)

    def note_gone(self, key: int) -> None:
        """The worker is gone; what it had not taken goes to others."""
        self.waiting.extendleft(reversed(self.sent.pop(key, ())))
        self._delivered.pop(key, None)

    def decide(self, now: float, takers: list[Taker], anybody: list[int], *, stopping: bool) -> list[Deliver | Drop]:
        """What to do now. *anybody*: the keys of all workers that can still say something, if only a refusal."""
        self._decided = now
        orders: list[Deliver | Drop] = []
        kept: deque[Item] = deque()
        while self.waiting:
            item = self.waiting.popleft()
            order = self._order(item, now, takers, anybody, stopping)
            if order is None:
                kept.append(item)
                continue
            if isinstance(order, Drop):
                self._open -= len(item.descriptors)
            else:
                self.sent.setdefault(order.key, deque()).append(item)
                self._delivered[order.key] = self._delivered.get(order.key, 0) + 1
            orders.append(order)
        self.waiting = kept
        return orders

    def offer(self, taker: Taker) -> list[Deliver]:
        """The same for one who answers for a moment only: requests."""
        orders = []
        for item in list(self.waiting):
            parcel = item.parcel
            if parcel.held and not (parcel.socket or item.refused) and self._may(taker, item):
                self.waiting.remove(item)
                self.sent.setdefault(taker.key, deque()).append(item)
                orders.append(Deliver(taker.key, item))
        return orders

    def note_unsent(self, orders: list[Deliver]) -> None:
        """Their receivers' channels were full: they wait on, before those that came later."""
        for order in reversed(orders):
            self.sent[order.key].remove(order.item)
            self.waiting.appendleft(order.item)

    def next_deadline(self) -> float | None:
        """When somebody will have waited too long, counted from when it was decided last."""
        moments = [item.parcel.held + self.patience for item in self.waiting if item.parcel.held and self.patience]
        return min((moment for moment in moments if moment > self._decided), default=None)

    def drain(self) -> list[Item]:
        """Everything, for the end."""
        items = [*self.waiting, *(item for sent in self.sent.values() for item in sent)]
        self.waiting.clear()
        self.sent.clear()
        self._open = 0
        return items

    @property
    def requests(self) -> int:
        """How many requests are under way here: all but the connections at rest."""
        return sum(1 for items in (self.waiting, *self.sent.values()) for item in items if item.parcel.held)

    def __len__(self) -> int:
        return len(self.waiting) + sum(map(len, self.sent.values()))

    def _order(
        self, item: Item, now: float, takers: list[Taker], anybody: list[int], stopping: bool
    ) -> Deliver | Drop | None:
        held = item.parcel.held
        if not item.asked() and (stopping or item.refused):
            return Drop(item)
        if stopping:
            item.refused = item.refused or STOPPING
        able = [taker for taker in takers if not item.refused and self._may(taker, item)]
        if able:
            return Deliver(min(able, key=lambda taker: self._rank(taker, item)).key, item)
        if held and self.patience and now >= held + self.patience:
            item.refused = item.refused or LATE
        if not item.refused:
            # On a connection at rest a request may be on its way, and who sent it would wait for nobody.
            nobody = not held and item.unable.issuperset(taker.key for taker in takers)
            return Drop(item) if nobody and takers else None
        willing = [key for key in anybody if key not in item.unable]
        if not willing:
            return Drop(item) if stopping or anybody else None
        # At the end nothing else comes, and what is not with a worker by then is told nothing.
        free = willing if stopping else [key for key in willing if self._has_room(key)]
        idle = {taker.key for taker in takers if not taker.busy}
        return Deliver(min(free, key=lambda key: (key not in idle, *self._load(key))), item) if free else None

    def _may(self, taker: Taker, item: Item) -> bool:
        if taker.key in item.unable or not self._has_room(taker.key) or (item.parcel.socket and not taker.hosts):
            return False
        held, after = item.parcel.held, item.parcel.after
        newer = taker.generation > after or taker.kept
        return not after or (newer and (taker.answers or held <= taker.good_until))

    def _rank(self, taker: Taker, item: Item) -> tuple[int, ...]:
        """The lowest is the best; who gave it away is the last resort."""
        gave = taker.key == item.giver
        at_home = not item.parcel.held and taker.slot == item.slot
        return gave, -taker.generation, taker.busy, -at_home, *self._load(taker.key)

    def _has_room(self, key: int) -> bool:
        return len(self.sent.get(key, ())) < WINDOW

    def _load(self, key: int) -> tuple[int, int]:
        return len(self.sent.get(key, ())), self._delivered.get(key, 0)


def takers(roster: Roster, scoreboard: Scoreboard) -> list[Taker]:
    """The workers that accept, as the roster knows them, and whether they are in a call, as they say themselves."""
    found = []
    for worker in roster.workers.values():
        if worker.ready and not worker.leaving:
            generation = roster.generations.get(worker.generation)
            answers = generation is None or generation.phase is Phase.LIVE
            good_until = generation.good_until if generation is not None else 0.0
            kept = generation is not None and generation.kept
            # A page that says how long the import takes is newer than nobody.
            number = 0 if generation is not None and generation.subject else worker.generation
            busy = scoreboard.row(worker.slot).get(Counter.INFLIGHT) > 0
            hosts = generation is None or not (generation.broken or generation.subject)
            found.append(Taker(worker.key, worker.slot, number, answers, good_until, kept, busy, hosts))
    return found
