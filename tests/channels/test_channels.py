"""runner.channels as applications use it, before a real hub."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from runner import channels, channels_place
from runner.channels import OLDEST, Message, Position, Reason, Resync, current
from runner.channels_place import furnish
from runner.errors import BadChannel, BadMessage
from tests.support.hub import Hub, hub
from tests.support.process import PATIENCE


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that keeps ten messages, and this process told of it."""
    monkeypatch.setattr(channels_place, "_place", None)
    with hub("memory:?history=10") as found:
        furnish("memory:", found.door)
        yield found
        current.hang_up()


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """One test's loop."""
    async def main() -> None:
        async with asyncio.timeout(PATIENCE):
            await scene()
        await current.close()

    asyncio.run(main())


async def first(count: int, channel: str, after: Position | str | None) -> list[Any]:
    """What comes first: data, or the reason of a Resync."""
    found: list[Any] = []
    listening = channels.subscribe(channel, after)
    async for each in listening:
        found.append(each.reason if isinstance(each, Resync) else each.data)
        if len(found) == count:
            break
    await listening.aclose()  # type: ignore[attr-defined]
    return found


def test_what_is_published_reaches_who_subscribes(house: Hub) -> None:
    """From a position on, or its text, or the oldest; none twice."""
    async def scene() -> None:
        places = [await channels.publish("c", {"number": number}) for number in range(3)]
        assert await first(3, "c", OLDEST) == [{"number": 0}, {"number": 1}, {"number": 2}]
        assert await first(2, "c", places[0]) == [{"number": 1}, {"number": 2}]
        assert await first(1, "c", str(places[1])) == [{"number": 2}]
        assert await channels.position("c") == places[2] == channels.position_sync("c")

    play(scene)


def test_who_gives_no_position_hears_from_now_on(house: Hub) -> None:
    """Now is when the first one is waited for."""
    async def scene() -> None:
        await channels.publish("c", "before")
        listening = channels.subscribe("c")
        waiting = asyncio.ensure_future(anext(listening))
        await asyncio.sleep(0.05)
        await channels.publish("c", "after")
        message = await waiting
        assert isinstance(message, Message) and message.data == "after"

    play(scene)


def test_who_comes_too_late_is_told_and_goes_on(house: Hub) -> None:
    """A Resync, then what is new."""
    async def scene() -> None:
        start = await channels.publish("c", -1)
        for number in range(20):
            await channels.publish("c", number)
        waiting = asyncio.ensure_future(first(2, "c", start))
        await asyncio.sleep(0.05)
        await channels.publish("c", "new")
        assert await waiting == [Reason.GAP, "new"]

    play(scene)


def test_a_name_is_published_once(house: Hub) -> None:
    """Whoever says it, and however."""
    async def scene() -> None:
        where = await channels.publish("c", 1, id="order 17")
        assert channels.publish_sync("c", 2, id="order 17") == where
        assert await channels.publish("c", 3) == where._replace(offset=2)

    play(scene)


def test_a_thread_hears_what_a_loop_publishes(house: Hub) -> None:
    """While it waits for that."""
    found: list[Any] = []

    def listen() -> None:
        heard = channels.subscribe_sync("c", OLDEST, timeout=PATIENCE)
        found.extend(next(each.data for each in heard if isinstance(each, Message)) for _ in range(5))
        current.hang_up()

    async def scene() -> None:
        thread = threading.Thread(target=listen)
        thread.start()
        for number in range(5):
            await channels.publish("c", number)
            await asyncio.sleep(0.02)
        await asyncio.to_thread(thread.join)

    play(scene)
    assert found == [0, 1, 2, 3, 4]


def test_waiting_in_a_thread_is_bounded(house: Hub) -> None:
    """By the timeout, also where there was never anything."""
    began = time.monotonic()
    assert list(channels.subscribe_sync("c", timeout=0.1)) == []
    assert list(channels.subscribe_sync("c", timeout=0.0)) == []
    assert 0.1 <= time.monotonic() - began < PATIENCE


def test_a_thread_is_told_of_a_gap(house: Hub) -> None:
    """And of a hub that has begun anew, which it waits for."""
    start = channels.publish_sync("c", -1)
    for number in range(20):
        channels.publish_sync("c", number)
    assert [type(each) for each in channels.subscribe_sync("c", start, timeout=0.05)] == [Resync]
    listening = channels.subscribe_sync("c", channels.position_sync("c"), timeout=PATIENCE)
    house.kill()
    timer = threading.Timer(0.1, house.start)
    timer.start()
    found = next(listening)
    timer.join()
    assert isinstance(found, Resync) and found.reason is Reason.EPOCH


@pytest.mark.parametrize("ask", [
    lambda: channels.publish_sync("a b", 1), lambda: channels.position_sync(""),
    lambda: next(channels.subscribe_sync("a b")), lambda: asyncio.run(first(1, "a b", None)),
])  # fmt: skip
def test_a_bad_name_is_refused(house: Hub, ask: Callable[[], object]) -> None:
    """Before anything is sent."""
    with pytest.raises(BadChannel):
        ask()


def test_a_bad_message_is_refused(house: Hub) -> None:
    """Or a bad name for one, or a bad position."""
    for ask in (
        lambda: channels.publish_sync("c", {1}), lambda: channels.publish_sync("c", 1, id=""),
        lambda: next(channels.subscribe_sync("c", "yesterday")), lambda: asyncio.run(first(1, "c", "yesterday")),
    ):  # fmt: skip
        with pytest.raises(BadMessage):
            ask()
