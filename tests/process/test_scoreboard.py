"""One page for all processes: what one writes another reads."""

import os

from hypothesis import given
from hypothesis import strategies as st

from runner.process.scoreboard import SLOTS, Counter, Moment, Scoreboard


def test_who_maps_the_descriptor_sees_the_numbers() -> None:
    """Over a fork as over an exec."""
    board = Scoreboard()
    other = Scoreboard(board.descriptor)
    other.row(3).count(Counter.REQUESTS, 5)
    other.row(3).mark(Moment.DEADLINE, 12.5)
    assert (board.row(3).get(Counter.REQUESTS), board.row(3).when(Moment.DEADLINE)) == (5, 12.5)
    os.close(board.descriptor)


@given(st.dictionaries(st.tuples(st.integers(0, SLOTS - 1), st.sampled_from(Counter)), st.integers(0, 2**64 - 1)))
def test_no_number_touches_another(values: dict[tuple[int, Counter], int]) -> None:
    """In any row, at any position, of any size."""
    board = Scoreboard()
    for (slot, counter), value in values.items():
        board.row(slot).set(counter, value)
        board.row(slot).mark(Moment.DEADLINE, float(slot))
    for (slot, counter), value in values.items():
        assert board.row(slot).get(counter) == value
        assert board.row(slot).when(Moment.DEADLINE) == slot
    os.close(board.descriptor)


def test_a_slot_once_used_is_remembered() -> None:
    """Whether it has a process now or not."""
    board = Scoreboard()
    assert board.used() == []
    for slot in (0, 7, SLOTS - 1):
        board.row(slot).set(Counter.GENERATION, 3)
        board.row(slot).set(Counter.PID, 0)
    assert board.used() == [0, 7, SLOTS - 1]
    os.close(board.descriptor)


def test_what_is_under_way_is_counted_over_all_slots() -> None:
    """Those that have ever had a worker."""
    board = Scoreboard()
    for slot, requests in ((0, 2), (3, 0), (7, 1)):
        board.row(slot).set(Counter.GENERATION, 1)
        board.row(slot).set(Counter.INFLIGHT, requests)
    assert board.inflight() == 3
    os.close(board.descriptor)


def test_a_new_page_is_empty() -> None:
    """All zero, no deadline."""
    board = Scoreboard()
    row = board.row(SLOTS - 1)
    assert {row.get(counter) for counter in Counter} | {row.when(moment) for moment in Moment} == {0}
    os.close(board.descriptor)
