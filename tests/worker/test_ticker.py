"""How often an idle and a busy worker look at their connections' deadlines."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.worker.ticker import AT_REST, TICK, Ticker


class Kept:
    """As far as a ticker knows a connection."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.told: list[bool] = []

    def overdue(self) -> None:
        """See Connection."""
        self.told.append(True)


class Clockwork:
    """A loop that only writes down when it is to call back."""

    def __init__(self) -> None:
        self.connections: set[Any] = set()
        self.busy = False
        self.looks = 0
        self.pauses: list[float] = []
        self.cancelled = 0
        loop = cast("asyncio.AbstractEventLoop", SimpleNamespace(call_later=self._call_later))
        self.ticker = Ticker(loop, self.connections, lambda: self.busy, self._looked)

    def connect(self, deadline: float) -> Kept:
        """A connection that must have something happen so many seconds from now; 0 for never."""
        connection = Kept(time.monotonic() + deadline if deadline else 0.0)
        self.connections.add(connection)
        return connection

    def tick(self) -> None:
        """The timer has run out."""
        self._call()

    def _call_later(self, pause: float, call: Any) -> Any:
        self.pauses.append(pause)
        self._call = call
        return SimpleNamespace(cancel=self._cancel)

    def _cancel(self) -> None:
        self.cancelled += 1

    def _looked(self) -> None:
        self.looks += 1


@pytest.fixture
def works() -> Clockwork:
    """See Clockwork."""
    return Clockwork()


def test_nothing_ticks_before_there_is_a_connection(works: Clockwork) -> None:
    """And one timer is enough for any number of them."""
    assert works.pauses == []
    works.ticker.hasten()
    assert works.pauses == []
    works.connect(10)
    works.ticker.start()
    works.ticker.start()
    assert works.pauses == [TICK]


def test_it_ends_with_the_last_connection(works: Clockwork) -> None:
    """And begins again with the next one."""
    works.ticker.start()
    works.tick()
    assert (works.pauses, works.looks) == ([TICK], 1)
    works.connect(10)
    works.ticker.start()
    assert works.pauses == [TICK, TICK]


def test_who_is_overdue_is_told(works: Clockwork) -> None:
    """And nobody else."""
    late, early, never = works.connect(-1), works.connect(60), works.connect(0)
    works.ticker.start()
    works.tick()
    assert [each.told for each in (late, early, never)] == [[True], [], []]


@pytest.mark.parametrize(
    ("busy", "deadlines", "least", "most"),
    [
        (True, (60,), TICK, TICK),
        (False, (60,), AT_REST, AT_REST),
        (False, (0,), AT_REST, AT_REST),
        (False, (60, 1), 0.5, 1.0),
        (False, (0.01,), TICK, TICK),
    ],
)
def test_the_pause_to_the_next_look(
    works: Clockwork, busy: bool, deadlines: tuple[float, ...], least: float, most: float
) -> None:
    """Short while something is under way, else until the nearest deadline, but never for long."""
    works.busy = busy
    for deadline in deadlines:
        works.connect(deadline)
    works.ticker.start()
    works.tick()
    assert least <= works.pauses[-1] <= most


def test_who_is_about_to_end_looks_soon(works: Clockwork) -> None:
    """A long pause that has begun is cut short."""
    works.connect(60)
    works.ticker.start()
    works.tick()
    works.ticker.hasten()
    assert (works.pauses[-1], works.cancelled) == (TICK, 1)
