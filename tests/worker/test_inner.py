"""The private socket of a generation, as its workers serve it."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.front.inside import Collected
from runner.process.private import Private
from runner.request import Answer
from runner.settings import resolve
from runner.worker.elsewhere import ask
from runner.worker.hosting import Hosting
from runner.worker.inner import Inner
from tests.front.rig import PATIENCE, FakeService
from tests.worker.inside import VARIABLES, private_socket

SETTINGS = resolve({"target": "app", "root_path": "/app"}, {}, "/").settings


class Worker:
    """One of them: what its Inner knows of it. *idle*: threads, None for inline; *asking*: it has parts elsewhere."""

    def __init__(self, private: Private, *, idle: int | None = None, asking: bool = False) -> None:
        self.outer = FakeService()
        threads = None if idle is None else SimpleNamespace(idle=idle)
        self.hosting: Any = SimpleNamespace(threads=threads, asking=asking)
        self.inner = Inner(private, self.outer, SETTINGS, cast(Hosting, self.hosting))
        self.inner.listen()

    def close(self) -> None:
        """For good."""
        self.inner.leave()
        for connection in list(self.inner._acceptor.connections):
            connection.abort()
        self.outer.close()


def play(scene: Callable[[Private], Awaitable[object]]) -> None:
    """A test with a private socket, on a loop."""

    async def run() -> None:
        with private_socket() as private:
            await asyncio.wait_for(scene(private), PATIENCE)

    asyncio.run(run())


async def sub_request(private: Private, **more: str) -> Collected:
    """One, as a sibling makes it."""
    return await ask(private.address, {**VARIABLES, "SCRIPT_NAME": "/app", **more}, b"body", 1000)


async def until(claim: Callable[[], object]) -> None:
    """Let the loop turn."""
    while not claim():
        await asyncio.sleep(0.001)


def test_the_worker_answers() -> None:
    """And is told of the end, as of any request."""

    async def scene(private: Private) -> None:
        worker = Worker(private)
        collected = await sub_request(private)
        assert (collected.status, collected.body) == (200, b"ok")
        assert [each.status for each in worker.outer.outcomes] == [200]
        worker.close()

    play(scene)


def test_nothing_is_asked_of_a_part() -> None:
    """Its request was let in; so nobody looks at the disk, and it is refused for nothing."""

    async def scene(private: Private) -> None:
        worker = Worker(private)
        worker.outer.refusal = Answer(503, [], b"too many")
        worker.outer.draining = worker.outer.closing = True
        assert (await sub_request(private)).status == 200
        assert worker.outer.requests == []
        worker.close()

    play(scene)


def test_its_variables_are_those_of_its_request() -> None:
    """The prefix is part of its path, and who was found to be somebody stays that."""

    async def scene(private: Private) -> None:
        worker = Worker(private)
        await sub_request(private, REMOTE_USER="ann", HTTPS="on")
        (exchange,) = worker.outer.exchanges
        variables = exchange.request.variables
        assert (variables["SCRIPT_NAME"], variables["PATH_INFO"]) == ("/app", "/jsonrpc")
        assert (variables["REMOTE_USER"], exchange.request.scheme, exchange.request.internal) == ("ann", "https", True)
        worker.close()

    play(scene)


def test_without_a_free_thread_it_is_left_to_others() -> None:
    """Until one is free here."""

    async def scene(private: Private) -> None:
        worker = Worker(private, idle=0)
        asking = asyncio.ensure_future(sub_request(private))
        await until(lambda: not worker.inner._acceptor._listening)
        assert not asking.done()
        worker.hosting.threads.idle = 1
        worker.inner.listen()
        assert (await asking).status == 200
        worker.close()

    play(scene)


def test_who_asks_lets_others_go_first() -> None:
    """An idle sibling takes all of it."""

    async def scene(private: Private) -> None:
        asking, other = Worker(private, asking=True), Worker(private)
        for _ in range(10):
            await sub_request(private)
        assert (len(asking.outer.outcomes), len(other.outer.outcomes)) == (0, 10)
        asking.close()
        other.close()

    play(scene)


def test_who_asks_takes_what_nobody_else_takes() -> None:
    """Or two that ask each other would wait for ever."""

    async def scene(private: Private) -> None:
        worker = Worker(private, asking=True)
        for _ in range(3):
            assert (await sub_request(private)).status == 200
        worker.close()

    play(scene)


def test_a_worker_is_busy_with_a_connection_it_has_taken() -> None:
    """Nothing has been read of it yet, and yet nobody else will answer it."""

    async def scene(private: Private) -> None:
        worker = Worker(private)
        assert not worker.inner.busy
        with socket.socket(socket.AF_UNIX) as sibling:
            sibling.connect(private.address)
            await until(lambda: worker.inner.busy)
        await until(lambda: not worker.inner.busy)
        worker.close()

    play(scene)


def test_a_part_that_was_cancelled_in_the_queue_is_not_begun() -> None:
    """Nobody waits for it any more; it is logged as any request whose client left first."""

    async def scene(private: Private) -> None:
        asking = asyncio.ensure_future(sub_request(private))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait((asking,))
        worker = Worker(private)
        await until(lambda: worker.outer.outcomes)
        assert worker.outer.exchanges == []
        assert [(each.status, each.whole) for each in worker.outer.outcomes] == [(499, False)]
        worker.close()

    play(scene)


@pytest.mark.parametrize("said_later", [False, True])
def test_a_worker_that_leaves_takes_nothing_more(said_later: bool) -> None:
    """Whatever is said to it later; somebody else gets it."""

    async def scene(private: Private) -> None:
        leaving = Worker(private)
        leaving.inner.leave()
        if said_later:
            leaving.inner.listen()
        asking = asyncio.ensure_future(sub_request(private))
        await asyncio.sleep(0)
        other = Worker(private)
        assert (await asking).status == 200
        assert (len(leaving.outer.outcomes), len(other.outer.outcomes)) == (0, 1)
        leaving.close()
        other.close()

    play(scene)
