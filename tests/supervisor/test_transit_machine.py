"""Connections change hands in any order of events: none is doubled, lost, or given to who may not have it."""

from collections import deque
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runner.process.messages import Parcel
from runner.supervisor.transit import WINDOW, Deliver, Item, Taker, Transit

PATIENCE = 30.0


class Way(RuleBasedStateMachine):
    """Random workers of random generations give, take and die; who has what is kept here a second time.

    unread  what each worker was sent and has not looked at, oldest first
    left    what was taken or dropped, by identity
    """

    @initialize(most=st.sampled_from([3, 1000]))
    def begin(self, most: int) -> None:
        """A transit, and one worker."""
        self.transit = Transit(PATIENCE, most)
        self.now, self.decided = 1000.0, 0.0
        self.stopping = False
        self.takers: dict[int, Taker] = {}
        self.leaving: set[int] = set()
        self.deaf: set[int] = set()
        self.unread: dict[int, deque[Item]] = {}
        self.waiting: list[Item] = []
        self.left: list[Item] = []
        self.given = self.keys = self.refusals = 0
        self.hire(0, 1, True, 0.0)

    # ---- workers ------------------------------------------------------------------------------------------

    @rule(slot=st.integers(0, 2), generation=st.integers(1, 4), answers=st.booleans(), ago=st.sampled_from([0.0, 5.0]))
    def hire(self, slot: int, generation: int, answers: bool, ago: float) -> None:
        """A worker becomes ready."""
        self.keys += 1
        self.takers[self.keys] = Taker(self.keys, slot, generation, answers, self.now - ago)
        self.unread[self.keys] = deque()

    @rule(data=st.data(), change=st.sampled_from(["stale", "kept", "busy", "broken", "leaving", "deaf"]))
    def changes(self, data: Any, change: str) -> None:
        """Its code is saved, it goes on by order, it is in a call, it has no application, it is asked to leave,
        its channel is full."""
        key = self.anybody(data)
        match change:
            case "stale":
                self.takers[key] = self.takers[key]._replace(answers=False)
            case "kept":
                self.takers[key] = self.takers[key]._replace(answers=True, kept=True)
            case "busy":
                self.takers[key] = self.takers[key]._replace(busy=not self.takers[key].busy)
            case "broken":
                self.takers[key] = self.takers[key]._replace(hosts=False)
            case "leaving":
                self.leaving.add(key)
            case "deaf":
                self.deaf ^= {key}

    @precondition(lambda self: len(self.takers) > 1)
    @rule(data=st.data())
    def ends(self, data: Any) -> None:
        """A worker is gone; what it had not taken is here again."""
        key = self.anybody(data)
        self.transit.note_gone(key)
        self.waiting += self.unread.pop(key)
        del self.takers[key]
        self.leaving.discard(key)

    def anybody(self, data: Any) -> int:
        """The key of a worker that lives."""
        return int(data.draw(st.sampled_from(sorted(self.takers))))

    # ---- connections --------------------------------------------------------------------------------------

    @rule(
        data=st.data(), asked=st.booleans(), ago=st.sampled_from([0.0, 1.0, 31.0]), unread=st.sampled_from(["", "GE"]),
        moves=st.booleans(),
    )  # fmt: skip
    def gives(self, data: Any, asked: bool, ago: float, unread: str, moves: bool) -> None:
        """A worker gives one away, with a request or at rest, perhaps with the beginning of one."""
        giver = self.takers[self.anybody(data)]
        parcel = Parcel(0, unread, 0.0, 0)
        if asked:
            parcel = Parcel(0, "", self.now - ago, giver.generation, socket=moves)
        item = Item(parcel, [], giver.key, giver.slot)
        self.transit.note_given(item)
        self.waiting.append(item)
        self.given += 1

    @rule(data=st.data(), whole=st.sampled_from([True, True, True, False]))
    def takes(self, data: Any, whole: bool) -> None:
        """A worker looks at the oldest it was sent."""
        key = self.anybody(data)
        item = self.unread[key].popleft() if self.unread[key] else None
        found = self.transit.note_taken(key, whole=whole)
        assert found is (item if whole else None)
        if item is not None:
            (self.left if whole else self.waiting).append(item)
            self.refusals += not whole
            assert self.refusals <= self.given * self.keys

    @rule(seconds=st.sampled_from([0.0, 1.0, 31.0]))
    def decide(self, seconds: float) -> None:
        """Time passes, and what can be done is done."""
        self.now += seconds
        able = [each for key, each in self.takers.items() if key not in self.leaving]
        ranks = {id(item): at for at, item in enumerate(self.transit.waiting)}
        self.decided = self.now
        orders = self.transit.decide(self.now, able, list(self.takers), stopping=self.stopping)
        assert [ranks[id(order.item)] for order in orders] == sorted(ranks[id(order.item)] for order in orders)
        unsent: list[Deliver] = []
        for order in orders:
            self.waiting = [item for item in self.waiting if item is not order.item]
            if isinstance(order, Deliver) and order.key in self.deaf:
                unsent.append(order)
            elif isinstance(order, Deliver):
                self.deliver(order.key, order.item)
            else:
                item = order.item
                nobody = all(each.key in item.unable for each in able)
                assert self.stopping or (item.refused and (item.unable or not item.asked())) or nobody
                self.left.append(order.item)
        # What could not be sent has filled the window until that was known.
        sent = {key: len(items) + sum(order.key == key for order in unsent) for key, items in self.unread.items()}
        for item in self.waiting:
            willing = [key for key in self.takers if key not in item.unable]
            if not willing or any(sent[key] < WINDOW for key in willing):
                assert not item.refused
                assert not item.parcel.held or self.now < item.parcel.held + PATIENCE
        self.transit.note_unsent(unsent)
        self.waiting += [order.item for order in unsent]

    def deliver(self, key: int, item: Item) -> None:
        """What is sent is sent to who may have it, or to anybody with the reason why nobody may."""
        held, after, who = item.parcel.held, item.parcel.after, self.takers[key]
        if item.refused:
            assert item.asked()
        else:
            assert not self.stopping
            assert key not in self.leaving
            assert len(self.unread[key]) < WINDOW
            if held:
                assert who.generation > after or who.kept
                assert who.hosts or not item.parcel.socket
                assert who.answers or held <= who.good_until
        assert key not in item.unable
        self.unread[key].append(item)

    @rule()
    def stop(self) -> None:
        """The service ends."""
        self.stopping = True

    # ---- what always holds --------------------------------------------------------------------------------

    @invariant()
    def each_is_in_one_place(self) -> None:
        """Waiting, with one worker, or gone for good; and the transit thinks so, too."""
        if not hasattr(self, "transit"):
            return
        sent = [item for items in self.unread.values() for item in items]
        everything = [*self.waiting, *sent, *self.left]
        assert len({id(item) for item in everything}) == len(everything) == self.given
        assert {id(item) for item in self.transit.waiting} == {id(item) for item in self.waiting}
        assert len(self.transit) == len(self.waiting) + len(sent)
        for key, items in self.unread.items():
            assert list(self.transit.sent.get(key, ())) == list(items)

    @invariant()
    def what_waits_for_code_has_a_deadline(self) -> None:
        """Unless it had passed when it was decided last, and then only somebody to say so is missing."""
        if hasattr(self, "transit"):
            moments = [item.parcel.held + PATIENCE for item in self.waiting if item.parcel.held]
            coming = [moment for moment in moments if moment > self.decided]
            assert self.transit.next_deadline() == min(coming, default=None)

    def teardown(self) -> None:
        """At the end each leaves once, through a worker or by being closed."""
        if not hasattr(self, "transit"):
            return
        self.stopping = True
        self.deaf.clear()
        self.decide(0.0)
        for key in list(self.takers):
            while self.unread[key]:
                self.left.append(self.unread[key].popleft())
                assert self.transit.note_taken(key, whole=True) is self.left[-1]
        assert len(self.transit) == 0
        self.each_is_in_one_place()


TestWay = Way.TestCase
TestWay.settings = settings(max_examples=60, stateful_step_count=40)
