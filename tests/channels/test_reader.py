"""The reader: whoever listens gets each message once and in order, or is told that some are missing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from runner.channels.message import OLDEST, Message, Position, Reason, Resync
from runner.channels.reader import KEPT, PAGE, Cursor, Reader
from runner.errors import ChannelsUnavailable
from tests.channels.playing import Played


class Rig:
    """A reader of a played store."""

    def __init__(self) -> None:
        self.reader = Reader(self._open)
        self.stirred = 0

    def _open(self, hear: Callable[[Message], None], lose: Callable[[str], None]) -> Played:
        self.store = Played(hear, lose)
        return self.store

    async def join(self, after: Position | None = None, *, followed: bool = True) -> Cursor:
        """Somebody who listens to channel c."""
        cursor = await self.reader.join("c", after, self._stir)
        if followed:
            await self.until(lambda: "c" in self.store.followed)
        return cursor

    def _stir(self) -> None:
        self.stirred += 1

    async def until(self, condition: Callable[[], bool]) -> None:
        """Bounded."""
        async with asyncio.timeout(10.0):
            while not condition():
                await asyncio.sleep(0)

    async def publish(self, *texts: str) -> None:
        """To channel c."""
        for text in texts:
            await self.reader.publish("c", text)


def play(scene: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
    """One test's loop."""
    async def main() -> None:
        rig = Rig()
        await scene(rig)
        await rig.reader.close()

    asyncio.run(main())


async def taken(cursor: Cursor) -> list[str]:
    """The texts of all that is to be taken now."""
    texts: list[str] = []
    while found := await cursor.take():
        assert not isinstance(found, Resync), found
        texts += [message.text for message in found]
    return texts


def test_who_is_at_the_end_takes_from_the_feed() -> None:
    """The store is not asked, and who waits is stirred."""
    async def scene(rig: Rig) -> None:
        cursor = await rig.join()
        reads, stirred = rig.store.reads, rig.stirred
        await rig.publish("1", "2")
        assert rig.stirred == stirred + 2
        assert await taken(cursor) == ["1", "2"]
        assert rig.store.reads == reads + 2  # the two publications

    play(scene)


def test_nothing_is_asked_twice_by_two_who_listen() -> None:
    """One feed for both."""
    async def scene(rig: Rig) -> None:
        cursors = [await rig.join(), await rig.join()]
        await rig.publish("1")
        assert [await taken(cursor) for cursor in cursors] == [["1"], ["1"]]
        assert len(rig.store.followed) == 1

    play(scene)


def test_who_comes_back_takes_from_the_store_first() -> None:
    """Then from the feed; none is missed between the two."""
    async def scene(rig: Rig) -> None:
        await rig.publish(*(str(number) for number in range(PAGE + 50)))
        cursor = await rig.join(OLDEST)
        await rig.publish("last")
        assert await taken(cursor) == [*(str(number) for number in range(PAGE + 50)), "last"]

    play(scene)


def test_what_comes_while_it_joins_is_not_missed() -> None:
    """Published after its position was found, before the store was told to follow."""
    async def scene(rig: Rig) -> None:
        cursor = await rig.join(followed=False)
        rig.store.add("c", "1")
        await rig.until(lambda: "c" in rig.store.followed)
        await rig.publish("2")
        assert await taken(cursor) == ["1", "2"]

    play(scene)


def test_who_is_slow_goes_back_to_the_store() -> None:
    """What the feed has forgotten the store still has."""
    async def scene(rig: Rig) -> None:
        cursor = await rig.join()
        numbers = [str(number) for number in range(KEPT + 50)]
        await rig.publish(*numbers)
        assert await taken(cursor) == numbers

    play(scene)


def test_who_is_too_slow_is_told() -> None:
    """When the store's history has moved on as well; then it goes on."""
    async def scene(rig: Rig) -> None:
        cursor = await rig.join()
        await rig.publish(*(str(number) for number in range(501)))
        assert await cursor.take() == Resync("c", Reason.GAP, Position("e", 501))
        await rig.publish("next")
        assert await taken(cursor) == ["next"]

    play(scene)


@pytest.mark.parametrize("heard", [[2], [2, 3], [1, 3], [3, 1, 2]])
def test_what_is_heard_out_of_order_is_put_right(heard: list[int]) -> None:
    """A message that the store has left out, or told too soon, is read."""
    async def scene(rig: Rig) -> None:
        cursor = await rig.join()
        messages = [rig.store.add("c", str(number)) for number in range(1, 4)]
        for number in heard:
            rig.store.tell(messages[number - 1])
        await rig.until(lambda: "c" in rig.store.followed)
        assert await taken(cursor) == ["1", "2", "3"]

    play(scene)


def test_a_store_that_has_begun_anew_is_a_gap() -> None:
    """Its loss is followed by a Resync, and that by what is new."""
    async def scene(rig: Rig) -> None:
        cursor = await rig.join()
        await rig.publish("1")
        rig.store.begin_anew("c", "f")
        rig.store.lose("c")
        await rig.until(lambda: "c" in rig.store.followed)
        assert await cursor.take() == Resync("c", Reason.EPOCH, Position("f", 0))
        await rig.publish("2")
        assert await taken(cursor) == ["2"]

    play(scene)


def test_a_loss_that_was_none_is_not_told() -> None:
    """The store knew no better; by the positions nothing is missing."""
    async def scene(rig: Rig) -> None:
        cursor = await rig.join()
        await rig.publish("1")
        rig.store.lose("c")
        rig.store.lose("c")
        await rig.until(lambda: "c" in rig.store.followed)
        await rig.publish("2")
        assert await taken(cursor) == ["1", "2"]

    play(scene)


def test_a_store_that_does_not_answer_is_waited_for() -> None:
    """By who listens."""
    async def scene(rig: Rig) -> None:
        cursor = await rig.join()
        await rig.publish(*(str(number) for number in range(KEPT + 1)))
        rig.store.away = True
        take = asyncio.ensure_future(taken(cursor))
        reads = rig.store.reads
        await rig.until(lambda: rig.store.reads > reads + 1)
        rig.store.away = False
        assert len(await take) == KEPT + 1

    play(scene)


def test_where_there_is_no_store_nobody_waits() -> None:
    """It is said at once, with a position or without."""
    def refuse(*_: object) -> Played:
        raise ChannelsUnavailable("none")

    async def main() -> None:
        for after in (None, OLDEST):
            with pytest.raises(ChannelsUnavailable):
                await Reader(refuse).join("c", after, lambda: None)

    asyncio.run(main())


def test_the_last_one_leaves_the_channel() -> None:
    """Then it is not followed any more; who comes again begins anew."""
    async def scene(rig: Rig) -> None:
        first, second = await rig.join(), await rig.join()
        first.close()
        first.close()
        assert "c" in rig.store.followed
        second.close()
        assert "c" not in rig.store.followed
        third = await rig.join()
        await rig.publish("1")
        assert await taken(third) == ["1"]

    play(scene)


def test_who_leaves_at_once_is_never_followed() -> None:
    """Before the store was asked."""
    async def scene(rig: Rig) -> None:
        cursor = await rig.join(OLDEST, followed=False)
        cursor.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not rig.store.followed

    play(scene)


def test_after_the_end_nothing_is_published() -> None:
    """It is said so; the store is closed."""
    async def scene(rig: Rig) -> None:
        await rig.join()
        await rig.reader.close()
        assert rig.store.closed
        with pytest.raises(ChannelsUnavailable, match="about to end"):
            await rig.publish("1")

    play(scene)
