"""Who gets which connection, when, and what becomes of those nobody may have."""

import os
from collections.abc import Callable, Iterator

import pytest

from runner.process.messages import Parcel
from runner.process.refusals import FULL, LATE, STOPPING
from runner.process.scoreboard import Counter, Scoreboard
from runner.supervisor.life import Generation, Phase, Worker
from runner.supervisor.roster import Roster
from runner.supervisor.transit import WINDOW, Deliver, Drop, Item, Taker, Transit, takers

NOW = 1000.0


def request(since: float = NOW, after: int = 1, giver: int = 1, slot: int = 0) -> Item:
    """One that waits for a newer generation than *after*."""
    return Item(Parcel(0, "GET", since, after), [3], giver, slot)


def at_rest(giver: int = 1, slot: int = 0) -> Item:
    """A connection on which nothing was asked yet."""
    return Item(Parcel(0, "", 0.0, 0), [3], giver, slot)


def taker(
    key: int = 2, generation: int = 2, *, slot: int = 0, answers: bool = True, good_until: float = 0.0,
    kept: bool = False, busy: bool = False, hosts: bool = True,
) -> Taker:  # fmt: skip
    """A worker that accepts."""
    return Taker(key, slot, generation, answers, good_until, kept, busy, hosts)


def moving(after: int = 1, giver: int = 1) -> Item:
    """A WebSocket that moves to a newer generation than *after*."""
    return Item(Parcel(0, "luggage", NOW, after, socket=True), [3], giver, 0)


def holding(*items: Item, patience: float = 30.0) -> Transit:
    """These were given away, in this order."""
    transit = Transit(patience)
    for item in items:
        transit.note_given(item)
    return transit


def deliveries(transit: Transit, *able: Taker, now: float = NOW) -> list[tuple[int, Item]]:
    """Who is sent what now; nothing else may be ordered."""
    orders = transit.decide(now, list(able), [each.key for each in able], stopping=False)
    assert all(isinstance(order, Deliver) for order in orders)
    return [(order.key, order.item) for order in orders if isinstance(order, Deliver)]


# ---- who may have it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("who", "may"), [
    (taker(generation=2), True),
    (taker(generation=3), True),
    (taker(generation=1), False),
    (taker(generation=0), False),
    (taker(generation=1, kept=True), True),
    (taker(generation=1, kept=True, answers=False), False),
    (taker(generation=2, answers=False), False),
    (taker(generation=2, answers=False, good_until=NOW - 0.001), False),
    (taker(generation=2, answers=False, good_until=NOW), True),
    (taker(generation=2, answers=False, good_until=NOW + 1), True),
    (taker(generation=1, answers=False, good_until=NOW + 1), False),
    (taker(generation=1, kept=True, answers=False, good_until=NOW), True),
    (taker(generation=2, busy=True), True),
    (taker(generation=2, slot=7), True),
])  # fmt: skip
def test_a_request_goes_to_newer_code_that_was_the_disks_after_it_began(who: Taker, may: bool) -> None:
    """A newer generation, or one that goes on by order; fresh, or known to have been so when the request was there."""
    item = request()
    assert deliveries(holding(item), who) == ([(who.key, item)] if may else [])


@pytest.mark.parametrize("hosts", [True, False])
def test_a_socket_goes_to_who_has_an_application(hosts: bool) -> None:
    """A page that says why there is none answers requests; of a socket it could only end it."""
    item, plain = moving(), request()
    transit = holding(item, plain)
    assert deliveries(transit, taker(hosts=hosts)) == ([(2, item)] if hosts else []) + [(2, plain)]


def test_sockets_are_spread_over_equals() -> None:
    """Whichever worker they come from."""
    transit = holding(*(moving() for _ in range(12)))
    keys = [key for key, _ in deliveries(transit, taker(2), taker(3, slot=1), taker(4, slot=2))]
    assert {key: keys.count(key) for key in keys} == {2: 4, 3: 4, 4: 4}


def test_a_socket_that_waited_in_vain_goes_to_anybody_who_can_tell_it_so() -> None:
    """As a request; also to a page."""
    item = moving()
    orders = holding(item).decide(NOW + 30, [taker(hosts=False)], [2], stopping=False)
    assert (orders, item.refused) == ([Deliver(2, item)], LATE)


@pytest.mark.parametrize("who", [
    taker(key=2, generation=1),
    taker(key=2, generation=1, answers=False),
    taker(key=2, generation=3, slot=5, busy=True),
])
def test_a_connection_at_rest_goes_to_any_worker(who: Taker) -> None:
    """Nothing was asked, so nothing can be answered by the wrong code. Who gave it away is the last resort."""
    item = at_rest(giver=1)
    giver = taker(key=1, generation=9)
    assert deliveries(holding(item), giver, who) == [(who.key, item)]
    assert deliveries(holding(item), giver) == [(1, item)]


def test_who_gave_a_request_away_may_have_it_back_by_order() -> None:
    """The newer code is broken, and this one goes on."""
    item = request(giver=2)
    assert deliveries(holding(item), taker(2, 1, kept=True)) == [(2, item)]


# ---- which one gets it --------------------------------------------------------------------------------------


@pytest.mark.parametrize("item", [request(), at_rest()])
def test_the_newest_generation_is_preferred(item: Item) -> None:
    """Also over one that is idle and at home."""
    assert deliveries(holding(item), taker(2, 2), taker(3, 3, slot=1, busy=True)) == [(3, item)]


def test_a_connection_at_rest_stays_at_home() -> None:
    """The worker of its slot has it, unless that is busy while another one is idle."""
    item = at_rest(slot=1)
    assert deliveries(holding(item), taker(2), taker(3, slot=1), taker(4, slot=2)) == [(3, item)]
    assert deliveries(holding(item), taker(2), taker(3, slot=1, busy=True)) == [(2, item)]
    assert deliveries(holding(item), taker(2, busy=True), taker(3, slot=1, busy=True)) == [(3, item)]


def test_a_request_prefers_who_is_idle_to_home() -> None:
    """It wants to be answered now."""
    item = request(slot=1)
    assert deliveries(holding(item), taker(2), taker(3, slot=1, busy=True)) == [(2, item)]


@pytest.mark.parametrize("make", [request, lambda: at_rest(slot=9)], ids=["requests", "at rest"])
def test_they_are_spread_over_equals(make: Callable[[], Item]) -> None:
    """Each gets as many as the others."""
    transit = holding(*(make() for _ in range(12)))
    keys = [key for key, _ in deliveries(transit, taker(2), taker(3, slot=1), taker(4, slot=2))]
    assert {key: keys.count(key) for key in keys} == {2: 4, 3: 4, 4: 4}


def test_they_are_spread_over_equals_also_one_by_one() -> None:
    """When each is taken before the next one comes, the turn is remembered."""
    transit = Transit(30.0)
    keys = []
    for _ in range(6):
        transit.note_given(request())
        ((key, _),) = deliveries(transit, taker(2), taker(3, slot=1), taker(4, slot=2))
        transit.note_taken(key, whole=True)
        keys.append(key)
    assert keys == [2, 3, 4, 2, 3, 4]


def test_the_oldest_is_sent_first() -> None:
    """In the order in which they were given away."""
    items = [request(NOW - age) for age in (3, 9, 1)]
    assert [item for _, item in deliveries(holding(*items), taker())] == items


def test_who_cannot_be_served_yet_holds_up_nobody() -> None:
    """One that waits for newer code lets those behind it pass, and keeps its place."""
    first, second, third = request(after=2), request(after=1), request(after=2)
    transit = holding(first, second, third)
    assert deliveries(transit, taker(2, 2)) == [(2, second)]
    assert deliveries(transit, taker(3, 3)) == [(3, first), (3, third)]


def test_a_worker_is_sent_no_more_than_a_window_beyond_what_it_has_taken() -> None:
    """What it has not read, nobody else could answer meanwhile."""
    transit = holding(*(request() for _ in range(WINDOW + 3)))
    assert len(deliveries(transit, taker(2))) == WINDOW
    assert deliveries(transit, taker(2)) == []
    assert [key for key, _ in deliveries(transit, taker(2), taker(3))] == [3] * 3
    transit.note_given(request())
    assert len([transit.note_taken(2, whole=True) for _ in range(5)]) == 5
    assert [key for key, _ in deliveries(transit, taker(2), taker(3, busy=True))] == [2]


# ---- taken and lost -----------------------------------------------------------------------------------------


def test_what_is_taken_is_given_back_once_the_oldest_first() -> None:
    """To be closed here; who was sent nothing has nothing to take."""
    items = [request(), request()]
    transit = holding(*items)
    deliveries(transit, taker(2))
    assert [transit.note_taken(2, whole=True) for _ in range(3)] == [*items, None]
    assert transit.note_taken(99, whole=True) is None
    assert len(transit) == 0


def test_what_could_not_be_taken_goes_to_another_worker() -> None:
    """At rest it does not go back to where it was not wanted; where nobody can have it, it is closed."""
    item = at_rest()
    transit = holding(item)
    deliveries(transit, taker(2))
    assert transit.note_taken(2, whole=False) is None
    assert deliveries(transit, taker(2), taker(3)) == [(3, item)]
    assert transit.note_taken(3, whole=False) is None
    assert transit.decide(NOW, [], [], stopping=False) == []
    assert transit.decide(NOW, [taker(2), taker(3)], [2, 3], stopping=False) == [Drop(item)]


def test_who_could_not_take_a_request_is_not_asked_for_it_again() -> None:
    """It would say so again at once, and both would do nothing else; others may have it, and it may have others."""
    item, second = request(), request()
    transit = holding(item)
    deliveries(transit, taker(2))
    transit.note_taken(2, whole=False)
    transit.note_given(second)
    assert deliveries(transit, taker(2)) == [(2, second)]
    assert deliveries(transit, taker(2), taker(3, busy=True)) == [(3, item)]


@pytest.mark.parametrize(("able", "keys"), [
    ([taker(1, busy=True), taker(2)], [2, 2, 2]),
    ([taker(1, busy=True), taker(2), taker(3)], [2, 3, 2]),
    ([taker(1, busy=True), taker(2, busy=True)], [1, 2, 1]),
    ([taker(2, 1, answers=False)], [2, 2, 2]),
    ([taker(2, busy=True)], [1, 2, 1]),
])  # fmt: skip
def test_a_refusal_is_said_by_who_is_idle(able: list[Taker], keys: list[int]) -> None:
    """Behind a call it would wait for that call; who leaves, as the first one here, is mostly inside one."""
    transit = holding(*(request(after=9) for _ in keys))
    orders = transit.decide(NOW + 31, able, sorted({1, *(each.key for each in able)}), stopping=False)
    assert [order.key for order in orders if isinstance(order, Deliver)] == keys


def test_refusals_keep_to_the_window_but_at_the_end() -> None:
    """What waits here can go to who is free first. At the end a worker reads no further than its order to leave."""
    transit = holding(*(request(after=9) for _ in range(2 * WINDOW + 3)))
    assert len(transit.decide(NOW + 31, [taker(2)], [2], stopping=False)) == WINDOW
    assert transit.decide(NOW + 31, [taker(2)], [2], stopping=False) == []
    transit.note_taken(2, whole=True)
    assert len(transit.decide(NOW + 31, [taker(2)], [2], stopping=False)) == 1
    assert len(transit.decide(NOW + 31, [taker(2)], [2], stopping=True)) == WINDOW + 2


def test_a_refusal_that_nobody_can_take_is_a_close() -> None:
    """Each is asked once."""
    item = request()
    transit = holding(item)
    for key in (1, 2):
        assert transit.decide(NOW + 31, [], [1, 2], stopping=False) == [Deliver(key, item)]
        transit.note_taken(key, whole=False)
    assert transit.decide(NOW + 31, [], [1, 2], stopping=False) == [Drop(item)]
    assert len(transit) == 0


def test_what_a_dead_worker_had_not_taken_goes_to_others_before_all_else() -> None:
    """In its order; what it had taken is lost with it."""
    taken, *lost = [request(), request(), request()]
    transit = holding(taken, *lost)
    deliveries(transit, taker(2))
    transit.note_taken(2, whole=True)
    younger = request()
    transit.note_given(younger)
    transit.note_gone(2)
    assert deliveries(transit, taker(3)) == [(3, lost[0]), (3, lost[1]), (3, younger)]
    transit.note_gone(4)


def test_who_answers_for_a_moment_is_offered_requests() -> None:
    """Those it may have, a window full of them; what it says it cannot take it is not sent again."""
    refused = request()
    refused.refused = FULL
    asked = [request() for _ in range(WINDOW + 1)]
    others = [at_rest(), moving(), request(after=2), refused]
    transit = holding(*others, *asked)
    assert [order.item for order in transit.offer(taker(-2))] == asked[:WINDOW]
    assert list(transit.waiting) == [*others, asked[WINDOW]]
    assert transit.note_taken(-2, whole=True) is asked[0]
    assert transit.note_taken(-2, whole=False) is None
    assert transit.offer(taker(-2)) == [Deliver(-2, asked[WINDOW])]


def test_who_becomes_a_worker_has_what_it_was_sent() -> None:
    """Under its new name; if it was sent nothing, nothing is to be done."""
    item = request()
    transit = holding(item)
    transit.offer(taker(-2))
    transit.note_turned(-2, 5)
    transit.note_turned(-3, 6)
    assert transit.note_taken(-2, whole=True) is None
    assert transit.note_taken(5, whole=True) is item


def test_what_could_not_be_sent_waits_on_in_its_order() -> None:
    """Its receiver's channel was full; it was not sent, so nothing is taken for it."""
    first, *late = items = [request(), request(), request()]
    transit = holding(*items)
    orders = transit.decide(NOW, [taker(2)], [2], stopping=False)
    transit.note_unsent([order for order in orders[1:] if isinstance(order, Deliver)])
    younger = request()
    transit.note_given(younger)
    assert [transit.note_taken(2, whole=True) for _ in range(2)] == [first, None]
    assert [item for _, item in deliveries(transit, taker(3))] == [*late, younger]


# ---- refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("later", "reason"), [(29.9, None), (30.0, LATE), (99.0, LATE)])
def test_a_request_that_waited_too_long_is_refused_by_any_worker(later: float, reason: str | None) -> None:
    """One of the old code is good enough to say so."""
    item = request()
    transit = holding(item)
    orders = transit.decide(NOW + later, [taker(1, 1)], [1], stopping=False)
    assert orders == ([Deliver(1, item)] if reason else [])
    assert item.refused == (reason or "")


def test_who_can_be_answered_is_answered_however_late() -> None:
    """The newer code came in the last moment."""
    item = request()
    assert deliveries(holding(item), taker(), now=NOW + 1000) == [(2, item)]
    assert item.refused == ""


def test_without_a_bound_nobody_is_late() -> None:
    """`--hold-timeout 0`."""
    transit = holding(request(), patience=0.0)
    assert transit.next_deadline() is None
    assert transit.decide(NOW + 1e9, [], [1], stopping=False) == []


def test_the_next_deadline_is_that_of_the_longest_waiting() -> None:
    """Of those that wait for newer code; one that has passed is none, and what was sent has none."""
    transit = holding(request(NOW - 5), request(NOW), at_rest())
    for decided, deadline in ((NOW, NOW + 25), (NOW + 25, NOW + 30), (NOW + 30, None)):
        transit.decide(decided, [], [], stopping=False)
        assert transit.next_deadline() == deadline
    deliveries(transit, taker())
    assert transit.next_deadline() is None


def test_a_refusal_waits_until_there_is_somebody_to_say_it() -> None:
    """And is refused for what it was, however much later."""
    item = request()
    transit = holding(item)
    assert transit.decide(NOW + 31, [], [], stopping=False) == []
    assert transit.decide(NOW + 32, [taker(2)], [2], stopping=False) == [Deliver(2, item)]
    assert item.refused == LATE


def test_beyond_so_many_requests_are_refused_and_connections_at_rest_closed() -> None:
    """Those that wait already keep their places."""
    transit = Transit(30.0, most=2)
    items = [request(), request(), request(), at_rest()]
    for item in items:
        transit.note_given(item)
    assert transit.decide(NOW, [], [1], stopping=False) == [Deliver(1, items[2]), Drop(items[3])]
    assert [item.refused for item in items] == ["", "", FULL, FULL]


def test_what_was_sent_counts_as_here() -> None:
    """Its descriptor is open still."""
    transit = Transit(30.0, most=1)
    transit.note_given(request())
    deliveries(transit, taker())
    late = request()
    transit.note_given(late)
    assert (len(transit), late.refused) == (2, FULL)


def test_at_the_end_requests_are_refused_and_connections_closed() -> None:
    """Also those that could be answered: who would answer is about to leave."""
    item, idle = request(), at_rest()
    transit = holding(item, idle)
    assert transit.decide(NOW, [taker()], [2], stopping=True) == [Deliver(2, item), Drop(idle)]
    assert item.refused == STOPPING


@pytest.mark.parametrize("parcel", [
    Parcel(0, "GET / HTTP/1.1\r\n\r\n", 0.0, 0), Parcel(0, "", 0.0, 0, beside=True), Parcel(0, "GE", 0.0, 0),
])
@pytest.mark.parametrize("why", [STOPPING, FULL])
def test_what_was_read_of_a_request_is_refused_not_lost(parcel: Parcel, why: str) -> None:
    """Also if anybody might have answered it: where something waited behind a slow call, say."""
    item = Item(parcel, [3], 1, 0)
    transit = Transit(30.0, most=0 if why is FULL else 9)
    transit.note_given(item)
    assert transit.decide(NOW, [taker()], [2], stopping=why is STOPPING) == [Deliver(2, item)]
    assert item.refused == why


def test_at_the_end_with_nobody_left_all_are_closed() -> None:
    """Nobody could say anything."""
    items = [request(), at_rest()]
    assert holding(*items).decide(NOW, [], [], stopping=True) == [Drop(item) for item in items]


def test_everything_can_be_had_for_the_end() -> None:
    """Waiting or sent; afterwards nothing is here."""
    sent, waiting = request(), request(after=5)
    transit = holding(sent, waiting)
    deliveries(transit, taker())
    assert {id(item) for item in transit.drain()} == {id(sent), id(waiting)}
    assert len(transit) == 0


# ---- who takes ----------------------------------------------------------------------------------------------


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    """An empty page."""
    board = Scoreboard()
    yield board
    os.close(board.descriptor)


def test_workers_that_accept_are_takers(board: Scoreboard) -> None:
    """Those that are ready and not about to leave, with what is known of their generations."""
    roster = Roster(2, 30.0)
    roster.generations = {
        1: Generation(1, 0.0, Phase.OUTDATED, good_until=12.5, kept=True), 2: Generation(2, 0.0, Phase.LIVE),
        3: Generation(3, 0.0, Phase.LIVE, broken=True), 4: Generation(4, 0.0, Phase.LIVE, subject=3),
    }  # fmt: skip
    for key, slot, generation in ((11, 0, 1), (12, 1, 1), (13, 0, 2), (14, 1, 2), (15, 3, 9), (16, 4, 3), (17, 5, 4)):
        roster.workers[key] = Worker(key, slot, generation, 0.0)
        roster.workers[key].ready = key != 14
    roster.workers[12].leaving = True
    board.row(0).set(Counter.INFLIGHT, 2)
    assert takers(roster, board) == [
        Taker(11, 0, 1, False, 12.5, True, True),
        Taker(13, 0, 2, True, 0.0, False, True),
        Taker(15, 3, 9, True, 0.0, False, False),
        Taker(16, 4, 3, True, 0.0, False, False, hosts=False),
        Taker(17, 5, 0, True, 0.0, False, False, hosts=False),
    ]
