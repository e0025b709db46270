"""The clock of --timeout: the oldest running call counts, and nothing counts when none runs."""

from typing import cast

import pytest

from runner.host.timer import Timer
from runner.request import Exchange


class Clock:
    """Time that stands still."""

    now = 100.0

    def monotonic(self) -> float:
        """As time.monotonic."""
        return self.now


def call(name: str) -> Exchange:
    """As far as a timer knows one."""
    return cast(Exchange, name)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The timer's clock, in the test's hand."""
    clock = Clock()
    monkeypatch.setattr("runner.host.timer.time", clock)
    return clock


def test_a_call_has_a_deadline_while_it_runs(clock: Clock) -> None:
    """Its start and the timeout; then none."""
    marks: list[float] = []
    timer = Timer(5.0, marks.append)
    timer.start(call("a"))
    timer.stop(call("a"))
    assert marks == [105.0, 0.0]


def test_of_several_the_oldest_counts(clock: Clock) -> None:
    """In whatever order they end."""
    marks: list[float] = []
    timer = Timer(5.0, marks.append)
    for name in "abc":
        timer.start(call(name))
        clock.now += 1
    assert marks == [105.0, 105.0, 105.0]
    for name in "bac":
        timer.stop(call(name))
    assert marks[3:] == [105.0, 107.0, 0.0]


def test_each_part_of_a_stream_begins_anew(clock: Clock) -> None:
    """A long stream of short parts is never late."""
    marks: list[float] = []
    timer = Timer(5.0, marks.append)
    for _ in range(3):
        timer.start(call("stream"))
        clock.now += 4
        timer.stop(call("stream"))
    assert marks == [105.0, 0.0, 109.0, 0.0, 113.0, 0.0]
