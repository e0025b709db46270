"""Application threads (`--threads N`): the call happens there, every byte still leaves on the loop's thread.

Laws: a thread touches its exchange only through the loop, except `start`, which only writes down; a `send` returns when
there is room for the next one, so a thread is held back by its slow reader and by nobody else's.
Start at Threads.handling.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from runner.host.turns import ask
from runner.host.wsgi import Host
from runner.request import Answer, Exchange, Request

Result = TypeVar("Result")


class Threads:
    """A bounded number of application threads; `idle` is how many could begin a call at once.

    With fewer than none, calls wait for a thread.
    """

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop, freed: Callable[[], None]) -> None:
        self.idle = count
        self._loop = loop
        self._freed = freed
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="application")

    def handling(self, host: Host) -> Callable[[Exchange], None]:
        """What has an exchange answered by *host* in one of the threads."""

        def handle(exchange: Exchange) -> None:
            self.idle -= 1
            future = self._pool.submit(_run, host, ThreadExchange(exchange, self._loop))
            future.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._done))

        return handle

    def close(self) -> None:
        """Start no further call; those that run go on."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _done(self) -> None:
        self.idle += 1
        self._freed()


def _run(host: Host, exchange: ThreadExchange) -> None:
    """Not if its client has left while it waited for the thread."""
    if exchange.gone:
        exchange.fail()
    else:
        host.run(exchange)


class ThreadExchange:
    """What a host in another thread sees of an exchange. See runner.request.Exchange."""

    __slots__ = ("_exchange", "_loop", "_room", "request", "resume")

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self._exchange = exchange
        self._loop = loop
        self._room: Future[None] | None = None
        self.request: Request = exchange.request
        self.resume: Callable[[], None] | None = None

    @property
    def plain(self) -> Exchange:
        """See runner.request.Exchange."""
        return self._exchange

    @property
    def committed(self) -> bool:
        """See runner.request.Exchange."""
        return self._exchange.committed

    @property
    def mute(self) -> bool:
        """See runner.request.Exchange."""
        return self._exchange.mute

    @property
    def gone(self) -> bool:
        """See runner.request.Exchange."""
        return self._exchange.gone

    @property
    def shut(self) -> bool:
        """See runner.request.Exchange."""
        return self._exchange.shut

    def look(self) -> bool:
        """See runner.request.Exchange. The loop is free to notice by itself."""
        return self._exchange.gone

    def start(self, status: int, reason: str, headers: list[tuple[str, str]]) -> None:
        """See runner.request.Exchange. Nothing leaves yet, so this needs no turn of the loop."""
        self._exchange.start(status, reason, headers)

    def send(self, data: bytes) -> bool:
        """Returns when there is room for more."""
        room = ask(self._loop, lambda: self._send(data)).result()
        if room is not None:
            room.result()
        return True

    def commit(self) -> None:
        """See runner.request.Exchange."""
        ask(self._loop, self._exchange.commit).result()

    def finish(self, data: bytes = b"") -> None:
        """See runner.request.Exchange."""
        ask(self._loop, lambda: self._exchange.finish(data)).result()

    def answer(self, answer: Answer) -> None:
        """See runner.request.Exchange."""
        ask(self._loop, lambda: self._exchange.answer(answer)).result()

    def fail(self) -> None:
        """See runner.request.Exchange."""
        ask(self._loop, self._exchange.fail).result()

    def flush(self, timeout: float) -> None:
        """`send` has waited already."""

    def websocket(self) -> None:
        """See runner.request.Exchange. A call in a thread is never one."""

    def soon(self, callback: Callable[[], None]) -> None:
        """See runner.request.Exchange. The thread itself simply goes on."""
        self._loop.call_soon_threadsafe(callback)

    def _send(self, data: bytes) -> Future[None] | None:
        if self._exchange.send(data):
            return None
        room: Future[None] = Future()
        self._exchange.resume = lambda: room.set_result(None)
        return room
