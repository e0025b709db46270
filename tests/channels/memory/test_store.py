"""The memory store from a loop: pipelined, heard in order, and nothing is silently lost when the hub is killed."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from runner.channels.memory import store as module
from runner.channels.memory.store import MemoryStore
from runner.channels.message import OLDEST, Message, Reason
from runner.channels.reader import Reader
from runner.errors import ChannelsUnavailable
from runner.process.private import open_private
from tests.support.hub import Hub, hub
from tests.support.memory import open_files
from tests.support.process import PATIENCE


class Rig:
    """A store of a real hub, and what it has told."""

    def __init__(self, house: Hub) -> None:
        self.house = house
        self.heard: list[Message] = []
        self.lost: list[str] = []
        self.store = MemoryStore(house.door, self.heard.append, self.lost.append)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Bounded."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.002)

    async def follow(self, channel: str) -> None:
        """From now on."""
        self.store.follow(channel, (await self.store.read(channel, None, 0)).position)

    def texts(self) -> list[str]:
        """Of what was heard."""
        return [message.text for message in self.heard]


def play(scene: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
    """One test's loop and hub."""
    async def main() -> None:
        with hub() as house:
            rig = Rig(house)
            await scene(rig)
            await rig.store.close()

    asyncio.run(main())


def test_what_is_published_is_heard_and_can_be_read() -> None:
    """A thousand at once, without waiting for each other, in the order in which they were said."""
    async def scene(rig: Rig) -> None:
        await rig.follow("c")
        texts = [str(number) for number in range(1000)]
        places = await asyncio.gather(*(rig.store.publish("c", text, f"id {text}") for text in texts))
        assert [place.offset for place in places] == list(range(1, 1001))
        await rig.until(lambda: len(rig.heard) == 1000)
        assert rig.texts() == texts and rig.heard[-1].position == places[-1]
        page = await rig.store.read("c", OLDEST, 2)
        assert [message.text for message in page.messages] == ["0", "1"] and page.more
        assert await rig.store.publish("c", "again", "id 7") == places[7]

    play(scene)


def test_who_is_not_followed_any_more_is_not_heard() -> None:
    """Nor is anything heard twice that was on its way when it was followed again."""
    async def scene(rig: Rig) -> None:
        await rig.follow("c")
        rig.store.unfollow("c")
        await rig.store.publish("c", "1", "1")
        await rig.follow("c")
        rig.store.follow("c", rig.store._followed["c"])
        await rig.store.publish("c", "2", "2")
        await rig.store.read("c", None, 0)
        assert rig.texts() == ["2"]

    play(scene)


def test_a_killed_hub_is_a_loss_that_is_told() -> None:
    """Whoever publishes meanwhile waits, and is answered by the next one."""
    async def scene(rig: Rig) -> None:
        await rig.follow("c")
        await rig.follow("d")
        before = await rig.store.publish("c", "1", "1")
        rig.house.kill()
        waiting = asyncio.ensure_future(rig.store.publish("c", "2", "2"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        rig.house.start()
        after = await waiting
        assert after.epoch != before.epoch and after.offset == 1
        await rig.until(lambda: sorted(rig.lost) == ["c", "d"])
        await rig.follow("c")
        await rig.store.publish("c", "3", "3")
        await rig.until(lambda: rig.texts() == ["1", "3"])

    play(scene)


def test_a_broken_connection_is_no_loss() -> None:
    """It is made again; what came meanwhile is heard, and what was not answered is said again, and kept once."""
    async def scene(rig: Rig) -> None:
        await rig.follow("c")
        for number in range(20):
            waiting = [rig.store.publish("c", f"{number}.{n}", f"{number}.{n}") for n in range(20)]
            tasks = [asyncio.ensure_future(each) for each in waiting]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if rig.store._line is not None:
                rig.store._line.transport.abort()
            await asyncio.gather(*tasks)
        await rig.until(lambda: len(rig.heard) == 400)
        assert [message.position.offset for message in rig.heard] == list(range(1, 401))
        assert sorted(rig.texts()) == sorted(f"{number}.{n}" for number in range(20) for n in range(20))
        assert rig.lost == []

    play(scene)


def test_nothing_is_silently_lost_while_hubs_are_killed() -> None:
    """Of three listeners each has, between two of its Resyncs, all that was published in that epoch, once."""
    async def scene(rig: Rig) -> None:
        published: dict[str, list[tuple[int, str]]] = {}
        readers = [Reader(lambda hear, lose: MemoryStore(rig.house.door, hear, lose)) for _ in range(4)]
        seen: list[list[object]] = [[], [], []]
        stirred = [asyncio.Event() for _ in seen]

        async def listen(number: int) -> None:
            cursor = await readers[number].join("c", OLDEST, stirred[number].set)
            while True:
                stirred[number].clear()
                found = await cursor.take()
                if isinstance(found, list):
                    seen[number] += found
                else:
                    seen[number].append(found)
                if not found:
                    await stirred[number].wait()

        async def publish(worker: int) -> None:
            for number in range(60):
                text = f"{worker}.{number}"
                where = await readers[3].publish("c", text)
                published.setdefault(where.epoch, []).append((where.offset, text))
                await asyncio.sleep(0.002)

        listening = [asyncio.ensure_future(listen(number)) for number in range(3)]
        publishing = [asyncio.ensure_future(publish(worker)) for worker in range(4)]
        for _ in range(3):
            await asyncio.sleep(0.05)
            rig.house.kill()
            rig.house.start()
        await asyncio.gather(*publishing)
        last = await readers[3].publish("c", "last")
        published.setdefault(last.epoch, []).append((last.offset, "last"))
        await rig.until(lambda: all(each and getattr(each[-1], "text", "") == "last" for each in seen))
        for task in listening:
            task.cancel()
        for each in seen:
            check(each, published)
        for reader in readers:
            await reader.close()

    play(scene)


def check(seen: list[object], published: dict[str, list[tuple[int, str]]]) -> None:
    """Consecutive from one Resync to the next, and what was acknowledged there is what was heard."""
    acknowledged = {(epoch, offset): text for epoch, found in published.items() for offset, text in found}
    where = None
    for each in seen:
        if isinstance(each, Message):
            if where is not None:
                assert (each.position.epoch, each.position.offset) == (where.epoch, where.offset + 1)
            assert acknowledged.get((each.position.epoch, each.position.offset), each.text) == each.text
            where = each.position
        else:
            assert each.reason is Reason.EPOCH  # type: ignore[attr-defined]
            where = each.position  # type: ignore[attr-defined]


def test_a_hub_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """After PATIENCE, and nothing is kept of the question."""
    monkeypatch.setattr(module, "PATIENCE", 0.05)

    async def main() -> None:
        private = open_private()
        assert private is not None
        store = MemoryStore(private.door, lambda message: None, lambda channel: None)
        with pytest.raises(ChannelsUnavailable, match="with the same id"):
            await store.publish("c", "1", "1")
        assert not store._asked
        await store.close()
        private.listener.close()
        os.close(private.door)

    asyncio.run(main())


def test_who_ends_leaves_nobody_waiting() -> None:
    """Who has asked is told; nothing is left open."""
    async def scene(rig: Rig) -> None:
        await rig.store.read("c", None, 0)
        before = open_files()
        rig.house.kill()
        waiting = asyncio.ensure_future(rig.store.publish("c", "1", "1"))
        await asyncio.sleep(0.01)
        await rig.store.close()
        with pytest.raises(ChannelsUnavailable, match="about to end"):
            await waiting
        assert open_files() < before

    play(scene)


def test_a_loop_that_is_left_closes_its_connection() -> None:
    """As a script does that never says so: asyncio.run cancels what is left."""
    with hub() as house:
        async def main() -> None:
            store = MemoryStore(house.door, lambda message: None, lambda channel: None)
            await store.publish("c", "1", "1")

        before = open_files(), threading.active_count()
        asyncio.run(main())
        assert (open_files(), threading.active_count()) == before


def test_where_there_is_no_door_there_is_no_store() -> None:
    """At once."""
    with pytest.raises(ChannelsUnavailable):
        MemoryStore(-1, lambda message: None, lambda channel: None)
