"""Who listens to channels in a Redis misses nothing silently, whatever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from runner.channels.message import OLDEST, Message, Reason
from runner.channels.reader import Reader
from runner.channels.redis import follower, link, names
from runner.channels.redis.store import RedisStore
from runner.errors import ChannelsUnavailable
from tests.channels.listening import Listener, until
from tests.support.redis import RedisServer

Start = Callable[..., RedisServer]
KEEPING = ("appendonly", "yes", "appendfsync", "always")


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Reader]:
    """A reader for the block."""
    reader = Reader(lambda hear, lose: RedisStore(url, hear, lose))
    try:
        yield reader
    finally:
        await reader.close()


def followed(server: RedisServer, channel: str = "news") -> int:
    """How many connections follow it."""
    return int(server.ask("PUBSUB", "NUMSUB", names.bell(channel, 0))[1])


def test_what_is_published_is_heard_everywhere(server: RedisServer) -> None:
    """Two processes with several listeners each."""

    async def main() -> None:
        async with reading(server.url) as one, reading(server.url) as other, AsyncExitStack() as stack:
            listeners = [await stack.enter_async_context(Listener(each, "news")) for each in (one, one, other, other)]
            for number in range(100):
                await (one if number % 2 else other).publish("news", str(number))
            for listener in listeners:
                await listener.wait_for("99")
                assert listener.texts == [str(number) for number in range(100)] and not listener.resyncs

    asyncio.run(main())


def test_the_first_message_of_a_channel_is_heard(server: RedisServer) -> None:
    """Who waits for a channel that nobody has used before is not told to read the state again."""

    async def main() -> None:
        async with reading(server.url) as reader, Listener(reader, "news") as listener:
            await reader.publish("news", "1")
            await listener.wait_for("1")
            assert not listener.resyncs

    asyncio.run(main())


def test_kills_while_many_publish_lose_nothing_and_repeat_nothing(start_redis: Start) -> None:
    """What was acknowledged is there once, and heard once, in order; several times, with fsync for each message."""
    server = start_redis(*KEEPING)

    async def publish(reader: Reader, published: list[str], over: asyncio.Event) -> None:
        while not over.is_set():
            text = str(len(published))
            published.append(text)
            await reader.publish("news", text)
            await asyncio.sleep(0.001)

    async def main() -> None:
        over, published = asyncio.Event(), list[str]()
        async with reading(server.url) as one, reading(server.url) as other, Listener(other, "news") as listener:
            publishers = [asyncio.create_task(publish(one, published, over)) for _ in range(4)]
            for _ in range(3):
                count = len(listener.found) + 20
                await until(lambda: len(listener.found) > count, lambda: f"{len(listener.found)}\n{server.output}")  # noqa: B023
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
            over.set()
            await asyncio.gather(*publishers)
            await one.publish("news", "last")
            await listener.wait_for("last")
            assert not listener.resyncs
            assert sorted(listener.texts) == sorted([*published, "last"])
            kept = (await one.read("news", OLDEST)).messages
            assert [message.text for message in kept] == listener.texts[: len(kept)]

    asyncio.run(main())


def test_a_redis_that_comes_back_empty_is_noticed(start_redis: Start) -> None:
    """It is another epoch; what is published then is heard."""
    server = start_redis()

    async def main() -> None:
        async with reading(server.url) as reader, Listener(reader, "news") as listener:
            await reader.publish("news", "1")
            await listener.wait_for("1")
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            assert (await listener.wait_for_resync()).reason == Reason.EPOCH
            await reader.publish("news", "2")
            await listener.wait_for("2")

    asyncio.run(main())


def test_a_redis_that_is_still_loading_is_waited_for(start_redis: Start) -> None:
    """It answers everybody, but nothing of what it is asked."""
    server = start_redis(*KEEPING)

    async def main() -> None:
        async with reading(server.url) as reader, Listener(reader, "news") as listener:
            await asyncio.gather(*(reader.publish("news", str(number)) for number in range(300)))
            await until(lambda: len(listener.texts) == 300, lambda: f"{len(listener.texts)} were heard")
            server.kill()
            # It looks up from its file after every 1,024 commands; a message is eight.
            server.start("key-load-delay", "1000")
            await reader.publish("news", "last")
            await listener.wait_for("last")
            assert len(listener.texts) == 301 and not listener.resyncs
            assert "LOADING" in str(server.ask("INFO", "errorstats"))

    asyncio.run(main())


@pytest.mark.parametrize("again", [0, 1, 2, 5])
def test_a_redis_that_has_lost_its_end_is_noticed(start_redis: Start, tmp_path: Path, again: int) -> None:
    """Also when it gives the same offsets away again, and more of them, before anybody is back."""
    server = start_redis(*KEEPING)

    async def main() -> None:
        async with reading(server.url) as reader, Listener(reader, "news") as listener:
            await reader.publish("news", "kept")
            await listener.wait_for("kept")
            server.kill()
            server.keep(tmp_path / "kept")
            server.start()
            await reader.publish("news", "lost 1")
            await reader.publish("news", "lost 2")
            await listener.wait_for("lost 2")
            server.kill()
            server.return_to(tmp_path / "kept")
            elsewhere = RedisServer(server.directory, *KEEPING)
            elsewhere.start()
            async with reading(elsewhere.url) as other:
                for number in range(again):
                    await other.publish("news", f"other {number}")
            elsewhere.kill()
            server.start()
            assert (await listener.wait_for_resync()).reason == Reason.UNKNOWN
            await reader.publish("news", "last")
            await listener.wait_for("last")
            assert listener.texts == ["kept", "lost 1", "lost 2", "last"]

    asyncio.run(main())


@pytest.mark.parametrize("command", [("FLUSHALL",), ("DEL", names.meta("news"), names.stream("news"))])
def test_losing_everything_without_a_word_is_noticed(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """No connection is lost, nothing is published: one has to look."""
    monkeypatch.setattr(follower, "_LOOK", 0.05)

    async def main() -> None:
        async with reading(server.url) as reader, Listener(reader, "news") as listener:
            await reader.publish("news", "1")
            await listener.wait_for("1")
            server.ask(*command)
            assert (await listener.wait_for_resync()).reason == Reason.EPOCH
            await reader.publish("news", "2")
            await listener.wait_for("2")

    asyncio.run(main())


def test_what_nobody_was_told_of_is_found(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its publisher may write, and not PUBLISH: he is told to look after that, and it is heard a little later."""
    monkeypatch.setattr(follower, "_LOOK", 0.05)
    server.ask("ACL", "SETUSER", "bob", "on", ">secret", "~*", "+@all", "resetchannels")

    async def main() -> None:
        async with reading(server.url) as reader, Listener(reader, "news") as listener:
            async with reading(server.url.replace("redis://", "redis://bob:secret@")) as other:
                with pytest.raises(ChannelsUnavailable, match=r"may not do that; allow it"):
                    await other.publish("news", "1", "id")
            await listener.wait_for("1")
            assert not listener.resyncs
        server.ask("ACL", "DELUSER", "bob")

    asyncio.run(main())


def test_losing_everything_is_noticed_at_once_by_the_next_message(server: RedisServer) -> None:
    """Before anybody looks."""

    async def main() -> None:
        async with reading(server.url) as reader, Listener(reader, "news") as listener:
            await reader.publish("news", "1")
            await listener.wait_for("1")
            await until(lambda: followed(server) == 1, lambda: "nobody follows")
            server.ask("FLUSHALL")
            await reader.publish("news", "2")
            assert (await listener.wait_for_resync()).reason == Reason.EPOCH
            await reader.publish("news", "3")
            await listener.wait_for("3")

    asyncio.run(main())


def test_who_was_away_longer_than_the_history_reaches_is_told(server: RedisServer) -> None:
    """And of nothing else."""

    async def main() -> None:
        async with reading(f"{server.url}?history=10") as reader:
            first = await reader.publish("news", "0")
            for number in range(1, 12):
                await reader.publish("news", str(number))
            async with Listener(reader, "news", first) as listener:
                assert (await listener.wait_for_resync()).reason == Reason.GAP
                await reader.publish("news", "last")
                await listener.wait_for("last")
                assert listener.texts == ["last"]

    asyncio.run(main())


def test_a_lost_connection_is_made_up_for(server: RedisServer) -> None:
    """What was published while nobody listened is read, and heard once."""

    async def main() -> None:
        async with reading(server.url) as reader, reading(server.url) as other, Listener(reader, "news") as listener:
            for number in range(5):
                await until(lambda: followed(server) == 1, lambda: "nobody follows")
                server.ask("CLIENT", "KILL", "TYPE", "PUBSUB")
                await other.publish("news", str(number))
                await listener.wait_for(str(number))
            assert listener.texts == ["0", "1", "2", "3", "4"] and not listener.resyncs

    asyncio.run(main())


def test_a_silent_connection_is_given_up(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-open, or paused: a PING goes out and nothing comes back."""
    monkeypatch.setattr(follower, "_LOOK", 0.05)
    monkeypatch.setattr(follower, "ANSWER", 0.1)
    monkeypatch.setattr(link, "ANSWER", 0.1)

    async def main() -> None:
        async with reading(server.url) as reader, Listener(reader, "news") as listener:
            await until(lambda: followed(server) == 1, lambda: "nobody follows")
            before = _subscribers(server)
            server.ask("CLIENT", "PAUSE", 500, "ALL")
            await asyncio.sleep(0.5)  # as long as it says nothing
            await until(
                lambda: followed(server) == 1 and not before & _subscribers(server), lambda: "the old one is kept"
            )
            await reader.publish("news", "1")
            await listener.wait_for("1")
            assert not listener.resyncs

    asyncio.run(main())


def _subscribers(server: RedisServer) -> set[str]:
    listed = server.ask("CLIENT", "LIST", "TYPE", "PUBSUB")
    return {line.split()[0] for line in (listed.decode() if isinstance(listed, bytes) else str(listed)).splitlines()}


def test_a_quiet_connection_is_kept(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its PINGs are answered."""
    monkeypatch.setattr(follower, "_LOOK", 0.02)
    monkeypatch.setattr(follower, "ANSWER", 10.0)

    async def main() -> None:
        async with reading(server.url) as reader, Listener(reader, "news"):
            await until(lambda: followed(server) == 1, lambda: "nobody follows")
            before = _subscribers(server)
            pings = _pings(server)
            await until(lambda: _pings(server) >= pings + 10, lambda: "nobody asks")
            assert before == _subscribers(server)

    asyncio.run(main())


def _pings(server: RedisServer) -> int:
    found = server.ask("INFO", "commandstats")
    return int(found.get("cmdstat_ping", {"calls": 0})["calls"])


def test_who_leaves_is_not_told_any_more(server: RedisServer) -> None:
    """And who comes back hears again."""

    async def main() -> None:
        async with reading(server.url) as reader:
            for number in range(3):
                async with Listener(reader, "news") as listener:
                    await reader.publish("news", str(number))
                    await listener.wait_for(str(number))
                    assert listener.texts == [str(number)]
                await until(lambda: followed(server) == 0, lambda: "it is followed still")

    asyncio.run(main())


def test_thousands_of_channels_are_followed_by_one_connection(start_redis: Start) -> None:
    """After a restart, too."""
    server = start_redis(*KEEPING[:2], "appendfsync", "no")

    async def main() -> None:
        heard: list[Message] = []
        store = RedisStore(server.url, heard.append, lambda channel: heard.clear())
        channels = [f"channel.{number}" for number in range(1000)]
        pages = await asyncio.gather(*(store.read(channel, None, 0) for channel in channels))
        for channel, page in zip(channels, pages, strict=True):
            store.follow(channel, page.position)
        for count in 1000, 2000:
            await asyncio.gather(*(store.publish(channel, "1", f"id {count}") for channel in channels))
            await until(lambda: len(heard) == count, lambda: f"{len(heard)} were heard")  # noqa: B023
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
        assert len(set(heard)) == 2000
        await store.close()

    asyncio.run(main())


@pytest.mark.parametrize("told", ["", "nonsense", "a.1.1 \udcff", "a.b.c text", "0.99999999999999.1 text"])
def test_what_somebody_else_tells_is_not_heard(server: RedisServer, told: str) -> None:
    """It makes the channel be read, and that is all."""

    async def main() -> None:
        async with reading(server.url) as reader, Listener(reader, "news") as listener:
            await until(lambda: followed(server) == 1, lambda: "nobody follows")
            server.ask("PUBLISH", names.bell("news", 0), told.encode("utf-8", "surrogateescape"))
            await reader.publish("news", "1")
            await listener.wait_for("1")
            assert listener.texts == ["1"] and not listener.resyncs

    asyncio.run(main())


def test_a_slow_listener_stops_nobody(server: RedisServer) -> None:
    """He takes from his own place; if the history has moved on meanwhile, he is told."""

    async def main() -> None:
        async with reading(f"{server.url}?history=300") as reader, Listener(reader, "news") as quick:
            slow = await reader.join("news", None, lambda: None)
            for number in range(1000):
                await reader.publish("news", str(number))
            await quick.wait_for("999")
            assert len(quick.texts) == 1000
            taken = await slow.take()
            assert getattr(taken, "reason", None) == Reason.GAP
            slow.close()

    asyncio.run(main())
