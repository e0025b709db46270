"""A sub-request given to a sibling: what comes back, however it ends."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from runner.front.inside import Collected
from runner.request import Exchange
from runner.wire import records
from runner.worker.elsewhere import ask
from tests.front.rig import PATIENCE, Outcome
from tests.worker.inside import VARIABLES, Sibling, private_socket
from tests.worker.loops import each_loop

NOTHING = Collected(0, b"", whole=False)


def asked(answer: Callable[[Exchange], None], most: int = 1000) -> tuple[Collected, Sibling]:
    """What *answer* gives to a sub-request, and the sibling that has called it."""

    async def run() -> tuple[Collected, Sibling]:
        with private_socket() as private:
            sibling = Sibling(private, answer)
            try:
                return await asyncio.wait_for(ask(private.address, VARIABLES, b"body", most), PATIENCE), sibling
            finally:
                sibling.close()

    return asyncio.run(run())


def spoken(data: bytes) -> Collected:
    """What comes of it if the sibling says *data* and is gone."""

    async def run() -> Collected:
        def speak(sock: socket.socket) -> None:
            sock.setblocking(True)
            sock.recv(65536)
            sock.sendall(data)

        with private_socket() as private:
            sibling = Sibling(private, speak=speak)
            try:
                return await asyncio.wait_for(ask(private.address, VARIABLES, b"body", 1000), PATIENCE)
            finally:
                sibling.close()

    return asyncio.run(run())


def answer(exchange: Exchange, body: bytes, status: int = 200) -> None:
    """A whole one."""
    exchange.start(status, "Whatever", [("Content-Type", "text/plain")])
    exchange.finish(body)


@each_loop
def test_the_answer_comes_back(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Its status and its body; the sibling has got the variables and the body, and knows that it is a sub-request."""
    seen: list[Any] = []

    def application(exchange: Exchange) -> None:
        assert exchange.request.body is not None
        request = exchange.request
        seen.append((request.path, exchange.request.body.read(), request.internal))
        answer(exchange, b"answer", 201)

    async def run() -> Collected:
        with private_socket() as private:
            sibling = Sibling(private, application)
            collected = await asyncio.wait_for(ask(private.address, VARIABLES, b"body", 1000), PATIENCE)
            sibling.close()
            return collected

    with asyncio.Runner(loop_factory=factory) as runner:
        collected = runner.run(run())
    assert (collected.status, collected.body, collected.whole) == (201, b"answer", True)
    assert seen == [("/jsonrpc", b"body", True)]


def test_how_long_the_call_took_comes_with_it() -> None:
    """In the sibling, where it did not wait for anybody."""

    def slow(exchange: Exchange) -> None:
        exchange.request.began -= 2.5
        answer(exchange, b"")

    assert 2.5 <= asked(slow)[0].seconds < 3.5


@pytest.mark.parametrize(("length", "large"), [(10, False), (11, True), (300_000, True)])
def test_more_than_was_wanted_is_told(length: int, large: bool) -> None:
    """Of what is much more not everything is read, and the sibling finds that its client has left."""
    collected, _ = asked(lambda exchange: answer(exchange, b"x" * length), most=10)
    assert (collected.status, collected.large, collected.whole) == (200, large, not large)


def test_an_answer_that_is_cut_is_nothing() -> None:
    """Nobody can know what it would have become."""

    def cut(exchange: Exchange) -> None:
        exchange.start(200, "OK", [])
        exchange.send(b"abc")
        exchange.fail()

    assert asked(cut)[0] == NOTHING


STDOUT = records.stdout(1, b"Status: 200 OK\r\n\r\nabc")
ENDINGS = {
    "nothing is said": (b"", NOTHING),
    "the answer has no end": (STDOUT, Collected(200, b"abc", whole=False)),
    "it is no FastCGI": (b"HTTP/1.1 200 OK\r\n\r\n", NOTHING),
    "it is no answer": (records.stdout(1, b"what?"), NOTHING),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_sibling_that_dies_ends_only_the_part_it_had(name: str) -> None:
    """No error comes out, and it is not asked again."""
    data, expected = ENDINGS[name]
    assert spoken(data) == expected


def test_where_nobody_listens_there_is_no_answer() -> None:
    """The descriptor may have been closed by the application."""
    assert asyncio.run(ask("/proc/self/fd/999999", VARIABLES, b"", 1000)) == NOTHING


def test_a_full_queue_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """connect(2) says EAGAIN then; the part is not lost, and nobody is asked twice."""
    looked = asyncio.Event()
    sleep = asyncio.sleep

    async def look(seconds: float) -> None:
        looked.set()
        await sleep(seconds)

    async def run() -> tuple[Collected, list[Outcome]]:
        with private_socket() as private:
            private.listener.listen(0)
            others = []
            with suppress(BlockingIOError):
                while True:
                    others.append(socket.socket(socket.AF_UNIX))
                    others[-1].setblocking(False)
                    others[-1].connect(private.address)
            monkeypatch.setattr(asyncio, "sleep", look)
            asking = asyncio.ensure_future(ask(private.address, VARIABLES, b"body", 1000))
            await asyncio.wait_for(looked.wait(), PATIENCE)
            sibling = Sibling(private)
            collected = await asyncio.wait_for(asking, PATIENCE)
            sibling.close()
            for other in others:
                other.close()
            return collected, sibling.service.outcomes

    collected, outcomes = asyncio.run(run())
    assert (collected.status, collected.body, len(outcomes)) == (200, b"ok", 1)


def test_who_is_cancelled_hangs_up() -> None:
    """The sibling takes it for a client that has left."""

    async def run() -> None:
        called, left = asyncio.Event(), asyncio.Event()

        def waiting(exchange: Exchange) -> None:
            exchange.resume = left.set
            called.set()

        with private_socket() as private:
            sibling = Sibling(private, waiting)
            asking = asyncio.ensure_future(ask(private.address, VARIABLES, b"body", 1000))
            await asyncio.wait_for(called.wait(), PATIENCE)
            asking.cancel()
            await asyncio.wait_for(left.wait(), PATIENCE)
            (exchange,) = sibling.service.exchanges
            assert exchange.gone
            sibling.close()
            with suppress(asyncio.CancelledError):
                await asking

    asyncio.run(run())
