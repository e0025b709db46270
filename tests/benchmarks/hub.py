"""Channels in memory, process to process: how many messages a second. How long one is on its way: stores.py.

    pipelined   eight tasks of one process publish, each message is heard by so many other processes
    one by one  a thread publishes, and says the next one when the last is kept

Start at run.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from runner.channels.memory.store import MemoryStore
from runner.channels.memory.sync_store import MemorySyncStore
from runner.channels.message import Message
from tests.benchmarks import report
from tests.benchmarks.load import Pace
from tests.support.hub import hub

_FORK = multiprocessing.get_context("fork")
_END = '"end"'
_TASKS = 8


def run(directory: Path, pace: Pace) -> str:
    """Markdown."""
    rows = []
    for ears, size in ((1, 100), (4, 100), (16, 100), (1, 10_000)):
        found = [_pipelined(ears, size, pace.seconds) for _ in range(pace.rounds)]
        said, heard = (statistics.median(each[place] for each in found) for place in (0, 1))
        rows.append([f"pipelined, {ears} listening, {size} bytes", f"{said:,.0f}", f"{heard:,.0f}"])
    rates = [_one_by_one(pace.seconds) for _ in range(pace.rounds)]
    rows.append(["one by one, 1 listening, 100 bytes", *[f"{statistics.median(rates):,.0f}"] * 2])
    table = report.table("Channels in memory", ["messages", "published/s", "heard/s"], rows)
    return f"{table}\n{_cost()}\n"


async def _listen(door: int, line: Connection) -> None:
    """Tell when it listens; then how many messages were heard."""
    heard = 0
    ended = asyncio.get_running_loop().create_future()

    def hear(message: Message) -> None:
        nonlocal heard
        if message.text == _END:
            ended.set_result(None)
        else:
            heard += 1

    store = MemoryStore(door, hear, lambda channel: ended.set_exception(RuntimeError("something was lost")))
    store.follow("c", (await store.read("c", None, 0)).position)
    await store.read("c", None, 0)
    line.send("listening")
    await ended
    line.send(heard)
    await store.close()


def _ear(door: int, line: Connection) -> None:
    asyncio.run(_listen(door, line))
    os._exit(0)


class _Ears:
    """So many processes that listen."""

    def __init__(self, door: int, count: int) -> None:
        pairs = [_FORK.Pipe() for _ in range(count)]
        self._lines = [ours for ours, _ in pairs]
        self._processes = [_FORK.Process(target=_ear, args=(door, theirs)) for _, theirs in pairs]
        for process in self._processes:
            process.start()
        for line in self._lines:
            line.recv()

    def close(self) -> list[int]:
        """How much they have heard, when the last word has been said."""
        found: list[int] = [line.recv() for line in self._lines]
        for process in self._processes:
            process.join()
        return found


def _text(size: int) -> str:
    return f'"{"x" * (size - 2)}"'


def _pipelined(ears: int, size: int, seconds: int) -> tuple[float, float]:
    async def publish(door: int) -> int:
        store = MemoryStore(door, lambda message: None, lambda channel: None)
        end, said = time.monotonic() + seconds, 0

        async def talk(name: int) -> None:
            nonlocal said
            number = 0
            while time.monotonic() < end:
                number += 1
                await store.publish("c", _text(size), f"{name} {number}")
                said += 1

        await asyncio.gather(*map(talk, range(_TASKS)))
        await store.publish("c", _END, "end")
        await store.close()
        return said

    with hub() as house:
        listening = _Ears(house.door, ears)
        began = time.monotonic()
        said = asyncio.run(publish(house.door))
        heard = listening.close()
        took = time.monotonic() - began
        assert heard == [said] * ears, (said, heard)
    return said / took, sum(heard) / took


def _one_by_one(seconds: int) -> float:
    with hub() as house:
        listening, store = _Ears(house.door, 1), MemorySyncStore(house.door)
        end, said = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            said += 1
            store.publish("c", _text(100), str(said))
        store.publish("c", _END, "end")
        assert listening.close() == [said]
        store.close()
    return said / seconds


def _cost() -> str:
    """What a hub needs: memory, and time to begin."""
    starts = []
    for _ in range(10):
        began = time.monotonic()
        with hub() as house:
            store = MemorySyncStore(house.door)
            store.publish("c", "1", "1")
            starts.append(time.monotonic() - began)
            store.close()
            with open(f"/proc/{house.popen.pid}/smaps_rollup", encoding="ascii") as file:
                sizes = dict(line.split(maxsplit=1) for line in file.readlines()[1:])
    resident, own = (int(sizes[name].split()[0]) / 1024 for name in ("Rss:", "Pss:"))
    memory = f"{resident:.1f} MiB resident, {own:.1f} its own"
    return f"A hub: {memory}; {statistics.median(starts) * 1000:.0f} ms to its first answer ({sys.version.split()[0]})."
