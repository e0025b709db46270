"""A process of a crowd: `python -m tests.channels.redis.crowd listen|publish|publish_sync URL CHANNELS COUNT NAME`.

    listen        COUNT listeners, spread over the channels; some of them slow
    publish       COUNT messages, spread over the channels, a hundred at a time
    publish_sync  the same from a thread that blocks, one at a time

It says `ready`; listeners end when each has heard the last message of his channel, and say what they found, as JSON.

Law: what is heard is judged where it is heard, so that a process may hear a million messages. Start at main.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys

from runner.channels.message import Message, Position, Resync
from runner.channels.reader import Cursor, Reader
from runner.channels.redis.store import RedisStore
from runner.channels.redis.sync_store import RedisSyncStore

LAST = "last"
_AT_ONCE = 100


def channel(number: int) -> str:
    """Its name."""
    return f"channel.{number}"


class Judge:
    """What one listener finds: silent gaps, repetitions, resyncs; and a sum of all the texts in their order."""

    def __init__(self, slow: bool) -> None:
        self._slow = slow
        self._last: Position | None = None
        self._seen: set[str] = set()
        self._sum = hashlib.sha256()
        self._silent = self._twice = 0
        self._resyncs: list[str] = []

    def hear(self, found: Message | Resync) -> None:
        """The next one."""
        if isinstance(found, Resync):
            self._resyncs.append(found.reason)
            self._last = found.position
            return
        position = found.position
        if self._last is not None:
            self._silent += (position.epoch, position.offset) != (self._last.epoch, self._last.offset + 1)
        self._last = position
        self._twice += found.text in self._seen
        self._seen.add(found.text)
        self._sum.update(found.text.encode() + b"\n")

    def verdict(self) -> dict[str, object]:
        """For the test."""
        return {
            "slow": self._slow, "count": len(self._seen), "sum": self._sum.hexdigest(), "silent": self._silent,
            "twice": self._twice, "resyncs": self._resyncs,
        }  # fmt: skip


async def _listen_on(cursor: Cursor, stirred: asyncio.Event, judge: Judge, slow: bool) -> None:
    while True:
        stirred.clear()
        found = await cursor.take()
        for each in [found] if isinstance(found, Resync) else found:
            if isinstance(each, Message) and each.text == LAST:
                cursor.close()
                return
            judge.hear(each)
        if slow:
            await asyncio.sleep(0.1)
        if not found:
            await stirred.wait()


async def listen(url: str, channels: int, count: int) -> None:
    """Until all have heard the last one."""
    reader = Reader(lambda hear, lose: RedisStore(url, hear, lose))
    judges, listening = list[tuple[str, Judge]](), []
    for number in range(count):
        name, slow, stirred = channel(number % channels), number % 25 == 0, asyncio.Event()
        judges.append((name, Judge(slow)))
        cursor = await reader.join(name, None, stirred.set)
        listening.append(_listen_on(cursor, stirred, judges[-1][1], slow))
    print("ready", flush=True)
    await asyncio.gather(*listening)
    await reader.close()
    print("found", json.dumps([{"channel": name} | judge.verdict() for name, judge in judges]), flush=True)


async def publish(url: str, channels: int, count: int, name: str) -> None:
    """All of them, a hundred at a time."""
    store = RedisStore(url, lambda message: None, lambda channel: None)
    left = iter(range(count))

    async def work() -> None:
        for number in left:
            await store.publish(channel(number % channels), f"{name} {number}", f"{name} {number}")

    print("ready", flush=True)
    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    await store.close()
    print("published", flush=True)


def publish_sync(url: str, channels: int, count: int, name: str) -> None:
    """All of them."""
    store = RedisSyncStore(url)
    print("ready", flush=True)
    for number in range(count):
        store.publish(channel(number % channels), f"{name} {number}", f"{name} {number}")
    store.close()
    print("published", flush=True)


def main() -> None:
    """See the module."""
    role, url, channels, count, name = sys.argv[1:]
    if role == "listen":
        asyncio.run(listen(url, int(channels), int(count)))
    elif role == "publish":
        asyncio.run(publish(url, int(channels), int(count), name))
    else:
        publish_sync(url, int(channels), int(count), name)


if __name__ == "__main__":
    main()
