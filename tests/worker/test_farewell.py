"""WebSockets at a stop: told one after the other."""

import asyncio
import time
from typing import cast

import pytest

from runner.request import Served
from runner.worker.farewell import Farewell


class Hall:
    """Sockets that note when they are told to go."""

    def __init__(self, count: int, *, workers: int, within: float) -> None:
        self.open = [f"socket {number}" for number in range(count)]
        self.times: list[float] = []
        self.farewell = Farewell(asyncio.get_running_loop(), self.sockets, workers, within)

    def sockets(self) -> list[Served]:
        """Those that are open."""
        return [cast(Served, _Socket(self, name)) for name in self.open]


class _Socket:
    def __init__(self, hall: Hall, name: str) -> None:
        self.hall, self.name = hall, name

    def cut(self) -> None:
        """See runner.request.Served."""
        if self.name in self.hall.open:
            self.hall.open.remove(self.name)
            self.hall.times.append(time.monotonic())


async def empty(hall: Hall) -> None:
    """Wait until nobody is there."""
    async with asyncio.timeout(5):
        while hall.open:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("workers", "within", "least"), [(1, 60.0, 0.095), (4, 60.0, 0.38), (4, 0.1, 0.095), (1, 0.0, 0.0)]
)
def test_they_go_one_after_the_other(workers: int, within: float, least: float) -> None:
    """200 a second from all workers together, but all of them in the time that is there."""

    async def play() -> None:
        hall = Hall(20, workers=workers, within=within)
        hall.farewell.begin()
        await empty(hall)
        assert len(hall.times) == 20
        assert hall.times[-1] - hall.times[0] >= least

    asyncio.run(play())


def test_who_comes_later_is_told_as_well() -> None:
    """A request that was under way may still become one."""

    async def play() -> None:
        hall = Hall(0, workers=1, within=0.0)
        hall.farewell.begin()
        for number in range(2):
            hall.open.append(f"late {number}")
            await empty(hall)

    asyncio.run(play())
