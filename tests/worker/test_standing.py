"""What a worker is doing, on the scoreboard."""

import pytest

from runner.process.scoreboard import Counter, Moment, Row, Scoreboard
from runner.worker.standing import Standing


@pytest.fixture
def row() -> Row:
    """Of a slot whose last worker was in the middle of something."""
    row = Scoreboard().row(3)
    row.set(Counter.PID, 1)
    row.set(Counter.INFLIGHT, 7)
    row.mark(Moment.DEADLINE, 5.0)
    row.count(Counter.REQUESTS, 9)
    return row


def state(row: Row) -> tuple[int, int]:
    """What waits for an answer, and what stays open."""
    return row.get(Counter.INFLIGHT), row.get(Counter.SOCKETS)


def test_a_worker_begins_with_nothing_under_way(row: Row) -> None:
    """What its predecessors have counted goes on counting."""
    Standing(row).begin(4)
    assert (state(row), row.get(Counter.GENERATION), row.when(Moment.DEADLINE)) == ((0, 0), 4, 0.0)
    assert row.get(Counter.REQUESTS) == 9


def test_a_websocket_is_none_of_the_requests_that_somebody_waits_for(row: Row) -> None:
    """From the moment it is one to its end."""
    standing = Standing(row)
    standing.begin(1)
    standing.tally(1)
    standing.tally(1)
    assert state(row) == (2, 0)
    standing.tally(0, sockets=1)
    assert state(row) == (1, 1)
    standing.tally(-1, sockets=-1)
    standing.tally(-1)
    assert state(row) == (0, 0)


def test_who_has_a_successor_is_silent(row: Row) -> None:
    """Before its own begin, too: the row is its predecessor's."""
    standing = Standing(row)
    standing.tally(1)
    standing.note(Moment.DEADLINE, 8.0)
    assert (state(row), row.when(Moment.DEADLINE)) == ((7, 0), 5.0)
    standing.begin(1)
    standing.note(Moment.DEADLINE, 8.0)
    assert (state(row), row.when(Moment.DEADLINE)) == ((1, 0), 8.0)
