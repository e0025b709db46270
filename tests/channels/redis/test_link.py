"""One connection, many calls in flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from runner.channels.redis import address, scripts
from runner.channels.redis.address import Address
from runner.channels.redis.link import Link
from runner.errors import ChannelsUnavailable
from tests.support.redis import RedisServer

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def linked(url: str) -> AsyncIterator[Link]:
    """A link for the block."""
    link = Link(Address(url))
    try:
        yield link
    finally:
        await link.close()


@asynccontextmanager
async def speaking(serve: Serve) -> AsyncIterator[str]:
    """The URL of a server that speaks as *serve* does, then closes."""
    serving: set[asyncio.Task[None] | None] = set()

    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve_and_close, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        await asyncio.gather(*(each for each in serving if each is not None))


def test_each_call_gets_its_own_answer(server: RedisServer) -> None:
    """A thousand at once, over one connection."""

    async def main() -> None:
        async with linked(server.url) as link:
            answers = await asyncio.gather(*(link.call("ECHO", str(number)) for number in range(1000)))
            assert answers == [str(number).encode() for number in range(1000)]
            assert len(server.ask("CLIENT", "LIST", "TYPE", "NORMAL").splitlines()) == 2  # this question's, and ours

    asyncio.run(main())


def test_large_calls_are_sent_one_after_the_other(server: RedisServer) -> None:
    """Not together: the whole must not take longer than a Redis is waited for."""

    async def main() -> None:
        async with linked(server.url) as link:
            texts = [f"{number} {'x' * 300_000}" for number in range(30)]
            assert await asyncio.gather(*(link.call("ECHO", text) for text in texts)) == [t.encode() for t in texts]

    asyncio.run(main())


def test_an_error_is_one_calls_own(server: RedisServer) -> None:
    """The others get their answers, over the same connection."""

    async def main() -> None:
        async with linked(server.url) as link:
            found = await asyncio.gather(*(link.call(*words) for words in [
                ("ECHO", "1"), ("INCR", "a", "b", "c"), ("ECHO", "2"),
            ]), return_exceptions=True)  # fmt: skip
            assert (found[0], type(found[1]), found[2]) == (b"1", ResponseError, b"2")

    asyncio.run(main())


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
def test_who_is_cancelled_leaves_no_answer_behind(server: RedisServer, turns: int) -> None:
    """Whenever it happens: before it is sent, on the way, or just as the answer comes."""

    async def main() -> None:
        async with linked(server.url) as link:
            for number in range(50):
                task = asyncio.create_task(link.call("ECHO", f"cancelled {number}"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                assert await link.call("ECHO", str(number)) == str(number).encode()
            assert int(server.ask("CLIENT", "ID")) >= 0

    asyncio.run(main())


def test_a_call_after_a_restart_is_told_of_the_lost_connection_and_the_next_one_is_answered(
    start_redis: Callable[..., RedisServer],
) -> None:
    """Each is made once; to say it again is for who knows whether it may be."""
    server = start_redis()

    async def main() -> None:
        async with linked(server.url) as link:
            assert await link.call("PING") == b"PONG"
            server.kill()
            with pytest.raises(RedisError):
                await link.call("PING")
            with pytest.raises(RedisError, match=r"111"):
                await link.call("PING")
            server.start()
            assert await link.call("PING") == b"PONG"

    asyncio.run(main())


def test_a_script_that_was_forgotten_is_said_in_full(server: RedisServer) -> None:
    """And after that only by its name."""

    async def main() -> None:
        async with linked(server.url) as link:
            server.ask("SCRIPT", "FLUSH")
            call = scripts.publish(scripts.Limits(), "news", "1", "id", 0)
            position = await link.run(call)
            assert await link.run(call) == position
            assert server.ask("SCRIPT", "EXISTS", call.script.sha) == [True]

    asyncio.run(main())


def test_a_replica_is_left(start_redis: Callable[..., RedisServer]) -> None:
    """At the same name there may be the primary by now."""
    server = start_redis("replicaof", "127.0.0.1 1")

    async def main() -> None:
        async with linked(server.url) as link:
            first = await link.call("CLIENT", "ID")
            with pytest.raises(ReadOnlyError):
                await link.call("SET", "a", "1")
            assert await link.call("CLIENT", "ID") != first

    asyncio.run(main())


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*a\r\n", b"$-7\r\n", b"$5\r\nab"])
def test_what_is_no_redis_is_an_error(answer: bytes) -> None:
    """Whatever it says; the next call begins anew."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)

    async def main() -> None:
        async with speaking(serve) as url, linked(url) as link:
            for _ in range(2):
                with pytest.raises(Exception, match=r".*") as caught:
                    await link.call("ECHO", "1")
                assert not isinstance(caught.value, TimeoutError)

    asyncio.run(main())


def test_who_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-open connection takes what is sent and says nothing for hours."""
    monkeypatch.setattr(address, "ANSWER", 0.05)
    monkeypatch.setattr(address, "_CONNECT", 0.05)
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read()

    async def main() -> None:
        async with speaking(serve) as url, linked(url) as link:
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    await link.call("PING")
        assert connections == 2

    asyncio.run(main())


def test_who_waits_while_it_is_closed_is_told(start_redis: Callable[..., RedisServer]) -> None:
    """Nobody waits for ever, whether his call was sent or not; and who comes later is told the same."""
    server = start_redis()

    async def main() -> None:
        async with linked(server.url) as link:
            await link.call("CLIENT", "PAUSE", "60000", "ALL")
            calls = [asyncio.create_task(link.call("ECHO", "1")) for _ in range(300)]
            for _ in range(20):
                await asyncio.sleep(0)
        for call in calls:
            with pytest.raises(ChannelsUnavailable, match=r"about to end"):
                await call
        with pytest.raises(ChannelsUnavailable, match=r"about to end"):
            await link.call("PING")

    asyncio.run(main())
