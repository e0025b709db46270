"""Channels in a Redis, for the tasks of one loop: who publishes and who asks, in good days and in bad ones."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runner.channels.message import OLDEST, Message
from runner.channels.redis import link, store
from runner.channels.redis.store import RedisStore
from runner.errors import ChannelsUnavailable
from runner.log import Log
from tests.channels.listening import until
from tests.channels.reading import CASES, MOST, check
from tests.support.redis import RedisServer

Start = Callable[..., RedisServer]
ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def opened(url: str, heard: list[Message] | None = None, log: Log | None = None) -> AsyncIterator[RedisStore]:
    """A store for the block; what is followed goes to *heard*."""
    store = RedisStore(url, (heard if heard is not None else []).append, lambda channel: None, log)
    try:
        yield store
    finally:
        await store.close()


def test_pages_are_what_the_table_says(server: RedisServer) -> None:
    """The same table for every store."""

    async def main() -> None:
        async with opened(f"{server.url}?history={MOST}") as store:
            for case in CASES:
                positions = [(await store.read(case.name, None, 0)).position]
                for number in range(1, case.published + 1):
                    positions.append(await store.publish(case.name, str(number), f"id {number}"))
                check(case, positions, await store.read(case.name, case.place.among(positions), case.limit))

    asyncio.run(main())


def test_two_databases_are_two_stores(server: RedisServer) -> None:
    """The same channel in each; also for those who follow, though a subscription knows no databases."""

    async def main() -> None:
        heard: list[Message] = []
        async with opened(server.url, heard) as one, opened(server.url[:-1] + "1") as other:
            one.follow("news", (await one.read("news", None, 0)).position)
            await other.publish("news", "1", "id")
            await one.publish("news", "2", "id")
            await until(lambda: bool(heard), lambda: "nothing was heard")
            assert [message.text for message in heard] == ["2"]

    asyncio.run(main())


def test_a_unix_socket_serves(start_redis: Start) -> None:
    """As good as a port."""
    server = start_redis("unixsocket", "redis.sock")

    async def main() -> None:
        async with opened(f"unix://{server.directory}/redis.sock") as store:
            position = await store.publish("news", "1", "id")
            assert (await store.read("news", None, 0)).position == position

    asyncio.run(main())


def test_who_publishes_during_a_restart_is_late_and_that_is_all(start_redis: Start) -> None:
    """Each is there once, though some were said twice; and in memory nothing else would be."""
    server = start_redis("appendonly", "yes", "appendfsync", "always")

    async def main() -> None:
        async with opened(server.url) as store:
            await store.publish("news", "0", "id 0")
            publishing = [asyncio.create_task(store.publish("news", str(n), f"id {n}")) for n in range(1, 200)]
            await asyncio.sleep(0)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await asyncio.gather(*publishing)
            page = await store.read("news", OLDEST, 1000)
            assert sorted(int(message.text) for message in page.messages) == list(range(200))

    asyncio.run(main())


def test_a_cancelled_publisher_disturbs_nobody(server: RedisServer) -> None:
    """His message may be there or not; everybody else's is, with its own position."""

    async def main() -> None:
        async with opened(server.url) as store:
            for number in range(100):
                task = asyncio.create_task(store.publish("news", f"cancelled {number}", f"cancelled {number}"))
                for _ in range(number % 7):
                    await asyncio.sleep(0)
                task.cancel()
                position = await store.publish("news", str(number), f"id {number}")
                assert (await store.read("news", None, 0)).position == position

    asyncio.run(main())


def test_full_memory_is_said_at_once_and_what_is_there_is_read(start_redis: Start) -> None:
    """Only whoever publishes has to do something about it."""
    server = start_redis()

    async def main() -> None:
        async with opened(server.url) as store:
            position = await store.publish("news", "1", "id 1")
            server.ask("CONFIG", "SET", "maxmemory", 1)
            with pytest.raises(ChannelsUnavailable, match=r"memory is full; raise its maxmemory"):
                await store.publish("news", "2", "id 2")
            page = await store.read("news", OLDEST, 10)
            assert (page.position, [message.text for message in page.messages]) == (position, ["1"])
            server.ask("CONFIG", "SET", "maxmemory", 0)
            assert (await store.publish("news", "2", "id 2")).offset == position.offset + 1

    asyncio.run(main())


@pytest.mark.parametrize("password", ["", "ann:wrong@"])
def test_a_wrong_password_is_said_at_once_and_never_shown(start_redis: Start, password: str) -> None:
    """Whoever follows goes on trying, and says so in the log, once."""
    server = start_redis("requirepass", "right")

    async def main() -> None:
        reading, writing = os.pipe()
        heard: list[Message] = []
        url = server.url.replace("redis://", f"redis://{password}")
        async with opened(url, heard, Log("channels", descriptor=writing)) as store:
            with pytest.raises(ChannelsUnavailable, match=r"refuses the name or the password; write") as caught:
                await store.publish("news", "1", "id")
            assert "wrong" not in str(caught.value)
            store.follow("news", OLDEST)
            line = await asyncio.to_thread(os.read, reading, 4096)
            assert line.count(b"\n") == 1 and b"refuses" in line and b"wrong" not in line
        os.close(reading)
        os.close(writing)

    asyncio.run(main())


def test_patience_ends(start_redis: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is said where and why, and what to do."""
    monkeypatch.setattr(store, "PATIENCE", 1.0)
    server = start_redis()

    async def main() -> None:
        async with opened(server.url.replace("redis://", "redis://:secret@")) as store:
            server.kill()
            with pytest.raises(ChannelsUnavailable, match=r"111.*; see whether it runs") as caught:
                await store.publish("news", "1", "id")
            assert "secret" not in str(caught.value)

    asyncio.run(main())


def test_a_replica_is_waited_for_until_it_is_the_primary(start_redis: Start) -> None:
    """A failover behind one name or address."""
    server = start_redis("replicaof", "127.0.0.1 1")

    async def main() -> None:
        async with opened(server.url) as store:
            publishing = asyncio.create_task(store.publish("news", "1", "id"))
            await until(lambda: "errorstat_READONLY" in str(server.ask("INFO", "errorstats")), lambda: server.output)
            assert not publishing.done()
            server.ask("REPLICAOF", "NO", "ONE")
            assert (await publishing).offset

    asyncio.run(main())


def test_a_paused_server_is_waited_for(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connections are given up and made again, and the message is there once."""
    monkeypatch.setattr(link, "ANSWER", 0.05)

    async def main() -> None:
        async with opened(server.url) as store:
            await store.publish("news", "0", "id 0")
            begun = time.monotonic()
            server.ask("CLIENT", "PAUSE", 300)
            await store.publish("news", "1", "id 1")
            assert time.monotonic() - begun > 0.25
            assert [message.text for message in (await store.read("news", OLDEST, 10)).messages] == ["0", "1"]

    asyncio.run(main())


def test_a_busy_server_is_waited_for(start_redis: Start) -> None:
    """Somebody's script runs too long; when it is ended everything goes on."""
    server = start_redis("busy-reply-threshold", "10")

    async def main() -> None:
        async with opened(server.url) as store:
            await store.publish("news", "0", "id 0")
            endless = asyncio.create_task(asyncio.to_thread(_run_endless_script, server))
            await until(lambda: _is_busy(server), lambda: server.output)
            publishing = asyncio.create_task(store.publish("news", "1", "id 1"))
            await asyncio.sleep(0.05)
            assert not publishing.done()
            server.ask("SCRIPT", "KILL")
            await publishing
            await endless

    asyncio.run(main())


def _run_endless_script(server: RedisServer) -> None:
    with pytest.raises(Exception, match=r"killed|Timeout"):
        server.ask("EVAL", "while true do end", 0)


def _is_busy(server: RedisServer) -> bool:
    try:
        server.ask("PING")
    except Exception as error:
        return "BUSY" in str(error)
    return False


def test_a_script_beside_the_runner_publishes(server: RedisServer) -> None:
    """It is told by its environment where the channels are; who listens elsewhere hears it, once."""
    code = (
        "from runner import channels\n"
        "for _ in range(2): print(channels.publish_sync('news', {'name': 'Ada'}, id='a name'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "RUNNER_CHANNELS": server.url},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    async def main() -> None:
        async with opened(server.url) as store:
            page = await store.read("news", OLDEST, 10)
            assert [message.data for message in page.messages] == [{"name": "Ada"}]
            assert done.stdout == f"{page.position}\n" * 2

    asyncio.run(main())
