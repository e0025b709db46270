"""`--idle-exit`: what counts as idle."""

import pytest

from runner.process.scoreboard import Counter, Scoreboard
from runner.supervisor.idle import Idle


def test_it_is_over_when_nobody_has_asked_for_so_long() -> None:
    """The span counts from the start."""
    idle = Idle(Scoreboard(), now=100.0)
    assert [idle.over(10.0, 2, now) for now in (100.0, 109.9, 110.0)] == [False, False, True]


def test_a_request_begins_the_span_anew() -> None:
    """Each look that finds another count of requests is the new beginning."""
    board = Scoreboard()
    idle = Idle(board, now=100.0)
    board.row(1).count(Counter.REQUESTS)
    assert not idle.over(10.0, 2, 109.0)
    assert [idle.over(10.0, 2, now) for now in (118.9, 119.0)] == [False, True]


@pytest.mark.parametrize("counter", [Counter.INFLIGHT, Counter.SOCKETS])
def test_a_request_under_way_is_not_idle(counter: Counter) -> None:
    """However long it takes, and so is an open WebSocket: the span begins when it is over."""
    board = Scoreboard()
    idle = Idle(board, now=100.0)
    board.row(0).set(counter, 1)
    assert not idle.over(10.0, 2, 500.0)
    board.row(0).set(counter, 0)
    assert [idle.over(10.0, 2, now) for now in (509.9, 510.0)] == [False, True]


def test_a_stream_of_a_worker_that_leaves_is_not_idle() -> None:
    """No row tells of it: the successor has that."""
    idle = Idle(Scoreboard(), now=100.0)
    assert not idle.over(10.0, 2, 500.0, streams=True)
    assert [idle.over(10.0, 2, now) for now in (509.9, 510.0)] == [False, True]


def test_zero_is_off() -> None:
    """Without the setting nothing ends, and nobody needs to look."""
    idle = Idle(Scoreboard(), now=100.0)
    assert (idle.over(0.0, 2, 1e9), idle.next_look(0.0, 100.0)) == (False, None)


def test_it_is_looked_at_often_enough() -> None:
    """A quarter of the span, so that it ends at most a quarter late."""
    assert Idle(Scoreboard(), now=100.0).next_look(10.0, 100.0) == 102.5
