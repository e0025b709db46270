"""One client's channels: in turn, in order, and no message lost, whatever interrupts."""

import asyncio
import random

import pytest

from runner.channels.current import reader
from runner.channels.message import OLDEST, Message, Position, Resync
from runner.channels.web.lines import Line, Lines, words
from tests.channels.web.local_store import Hub, play, until


def texts(found: list[Message] | Resync | None) -> list[str]:
    """Of the messages."""
    assert isinstance(found, list)
    return [message.text for message in found]


def test_first_that_it_is_joined_then_what_follows(hub: Hub) -> None:
    """From now on, where no position was given."""

    async def main() -> None:
        hub.publish("a", "0")
        lines = Lines(reader())
        line = lines.add("a", None, 5)
        assert await lines.take() == (line, None)
        assert (line.position, line.n) == (Position("e1", 1), 5)
        hub.publish("a", "1")
        assert texts((await lines.take())[1]) == ["1"]
        lines.close()

    play(main())


def test_a_busy_channel_keeps_no_other_waiting(hub: Hub) -> None:
    """They take turns, a page each."""

    async def main() -> None:
        for number in range(1000):
            hub.publish("busy", str(number))
        hub.publish("quiet", "here")
        lines = Lines(reader())
        lines.add("busy", OLDEST, joined=True)
        lines.add("quiet", OLDEST, joined=True)
        assert [(await lines.take())[0].channel for _ in range(3)] == ["busy", "quiet", "busy"]
        lines.close()

    play(main())


@pytest.mark.parametrize("again", [True, False])
def test_who_is_taken_out_says_no_more(hub: Hub, again: bool) -> None:
    """Also while what it says is handed on; and if the same channel is added anew, that is another line."""

    async def main() -> None:
        for number in range(3):
            hub.publish("a", str(number))
        lines = Lines(reader())
        older = lines.add("a", OLDEST, joined=True)
        told = words(*await lines.take())
        next(told)
        newer = lines.add("a", OLDEST, joined=True) if again else None
        if newer is None:
            lines.remove("a")
        assert list(told) == []
        assert older.gone
        if newer is not None:
            assert (await lines.take())[0] is newer
        lines.close()
        assert not reader()._feeds

    play(main())


def test_who_is_taken_out_while_it_is_joined_is_left(hub: Hub) -> None:
    """No feed goes on for nobody."""

    async def main() -> None:
        hub.away = True
        lines = Lines(reader())
        lines.add("a", None)
        taking = asyncio.create_task(lines.take())
        await asyncio.sleep(0.01)
        lines.remove("a")
        hub.away = False
        other = lines.add("b", None)
        assert await taking == (other, None)
        assert list(reader()._feeds) == ["b"]
        lines.close()

    play(main())


def test_its_position_is_that_of_what_was_said(hub: Hub) -> None:
    """Not of what was only taken: it is where another process goes on."""

    async def main() -> None:
        for number in range(3):
            hub.publish("a", str(number))
        lines = Lines(reader())
        line = lines.add("a", OLDEST, joined=True)
        told = words(*await lines.take())
        seen = []
        for _ in told:
            seen.append(line.position)
        assert seen == [Position("e1", offset) for offset in (1, 2, 3)]
        lines.close()

    play(main())


def test_what_is_missing_is_said(hub: Hub) -> None:
    """And where it goes on."""

    async def main() -> None:
        hub.most = 2
        for number in range(5):
            hub.publish("a", str(number))
        lines = Lines(reader())
        line = lines.add("a", Position("e1", 1), joined=True)
        _, found = await lines.take()
        assert isinstance(found, Resync)
        assert list(words(line, found)) == ['{"resync": "a", "reason": "gap", "position": "e1.5.0"}']
        assert line.position == Position("e1", 5)
        lines.close()

    play(main())


@pytest.mark.parametrize("seed", range(10))
def test_interrupted_at_any_moment_it_loses_nothing(hub: Hub, seed: int) -> None:
    """`take` is cancelled over and over; each message comes once, in order."""

    async def main() -> None:
        chance = random.Random(seed)
        lines = Lines(reader())
        heard: dict[str, list[str]] = {"a": [], "b": []}
        for channel in heard:
            lines.add(channel, OLDEST, joined=True)
        sent: dict[str, list[str]] = {"a": [], "b": []}

        def collect(line: Line, found: list[Message] | Resync | None) -> None:
            heard[line.channel] += texts(found)

        for number in range(200):
            channel = chance.choice("ab")
            hub.publish(channel, str(number))
            sent[channel].append(str(number))
            taking = asyncio.create_task(lines.take())
            for _ in range(chance.randrange(6)):
                await asyncio.sleep(0)
            taking.cancel()
            await asyncio.wait([taking])
            if not taking.cancelled():
                collect(*taking.result())
            hub.away = chance.random() < 0.2
        hub.away = False
        while heard != sent:
            collect(*await lines.take())
        lines.close()

    play(main())


def test_a_stir_for_who_has_left_is_harmless(hub: Hub) -> None:
    """As one that comes twice."""

    async def main() -> None:
        lines = Lines(reader())
        line = lines.add("a", None)
        line.stir()
        assert (await lines.take())[0] is line
        lines.close()
        line.stir()
        taking = asyncio.create_task(lines.take())
        await until(lambda: not lines._ready)
        await asyncio.sleep(0.01)
        assert not taking.done()
        taking.cancel()
        assert len(lines) == 0
        assert "a" not in lines

    play(main())
