"""From publishing in one process to hearing in another, through each store of channels: how long, how many a second.

`python -m tests.benchmarks.stores STORE` is the process that listens: it says `ready`, and when it has heard the last
message how long each has taken. Both processes read the same clock (CLOCK_MONOTONIC). Start at run.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from runner.channels.memory.store import MemoryStore
from runner.channels.message import Message
from runner.channels.redis.store import RedisStore
from runner.channels.store import Store
from tests.benchmarks import report
from tests.benchmarks.load import Pace
from tests.support import redis
from tests.support.hub import hub
from tests.support.runner_process import environment

ALONE, CROWD = 1000, 10_000
"""Messages one after the other, and then a hundred at a time."""
AT_ONCE = 100
LAST = "last"


class Kind(NamedTuple):
    """A store: its *title*, its *place* (a URL, or a descriptor), which descriptors a process needs for it."""

    title: str
    place: str
    descriptors: tuple[int, ...] = ()


def run(directory: Path, pace: Pace) -> str:
    """Measure, and return the table."""
    rows = []
    for kind in _kinds():
        figures = [_measure(kind) for _ in range(pace.rounds)]
        median, tail, rate = (statistics.median(column) for column in zip(*figures, strict=True))
        rows.append((kind.title, f"{median * 1e6:,.0f} µs", f"{tail * 1e6:,.0f} µs", f"{rate:,.0f}"))
    columns = ("a message, published and heard", "median", "99 %", f"a second, {AT_ONCE} at a time")
    return report.table("From one process to another through the channels", columns, rows)


def _kinds() -> Iterator[Kind]:
    with hub() as house:
        yield Kind("memory:", str(house.door), (house.door,))
    with redis.run() as server:
        yield Kind("redis:, which keeps nothing", server.url)
    with redis.run("appendonly", "yes", "appendfsync", "everysec") as server:
        yield Kind("redis:, fsync each second", server.url)
    with redis.run("appendonly", "yes", "appendfsync", "always") as server:
        yield Kind("redis:, fsync before each answer", server.url)


def _open(place: str, hear: Callable[[Message], None]) -> Store:
    def lose(channel: str) -> None:
        raise AssertionError(f"{channel} was lost")

    return RedisStore(place, hear, lose) if ":" in place else MemoryStore(int(place), hear, lose)


@contextmanager
def _listener(kind: Kind) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", __name__, kind.place]
    with subprocess.Popen(
        command, pass_fds=kind.descriptors, stdout=subprocess.PIPE, text=True, env=environment(),
        cwd=Path(__file__).parents[2],
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


def _measure(kind: Kind) -> tuple[float, float, float]:
    """Seconds from publishing to hearing, median and 99 %; messages a second."""
    with _listener(kind) as listener:
        asyncio.run(_publish(kind.place))
        assert listener.stdout is not None
        delays, span = json.loads(listener.stdout.readline())
    delays.sort()
    return statistics.median(delays), delays[len(delays) * 99 // 100], CROWD / span


async def _publish(place: str) -> None:
    store = _open(place, lambda message: None)
    unique = os.urandom(4).hex()
    for number in range(ALONE):
        await store.publish("news", str(time.monotonic()), f"{unique} alone {number}")
    left = iter(range(CROWD))

    async def work() -> None:
        for number in left:
            await store.publish("news", str(time.monotonic()), f"{unique} {number}")

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    await store.publish("news", json.dumps(LAST), f"{unique} last")
    await store.close()


async def _listen(place: str) -> None:
    over, moments, delays = asyncio.Event(), list[float](), list[float]()

    def hear(message: Message) -> None:
        if message.data == LAST:
            over.set()
            return
        moments.append(time.monotonic())
        delays.append(moments[-1] - message.data)

    store = _open(place, hear)
    store.follow("news", (await store.read("news", None, 0)).position)
    print("ready", flush=True)
    await over.wait()
    await store.close()
    print(json.dumps([delays[:ALONE], moments[-1] - moments[ALONE]]), flush=True)


if __name__ == "__main__":
    asyncio.run(_listen(sys.argv[1]))
