"""A request that the runner makes itself, for a part of a greater one; and its answer, collected where it was asked.

It comes over no wire, so nobody is there who could read slowly, and who asked is in this process. Everything else is as
for all requests: the rules of an answer, one end, a line in the access log.

Laws: on the loop's thread only; no more than *most* bytes are kept. Start at Inside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, cast

from runner.front.connection import Connection
from runner.front.exchange import BaseExchange
from runner.request import Request, Service
from runner.wire.headers import Block


class Collected(NamedTuple):
    """An answer; *status* 0: it never began.

    *whole*: it came to its end, and is not *large*, that is longer than wanted; *seconds*: the call's, where measured.
    """

    status: int
    body: bytes
    whole: bool
    large: bool = False
    seconds: float = 0.0


class Pocket:
    """Stands for a connection: keeps what is written. *most*: bytes; beyond, nobody is there any more."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self.trouble = False
        self.parts: list[bytes] = []
        self._loop = loop
        self._room = most

    def write(self, data: bytes) -> bool:
        """As Connection; there is always room, or there is trouble."""
        self._room -= len(data)
        if self._room < 0:
            self.trouble = True
        else:
            self.parts.append(data)
        return True

    def flush(self, timeout: float) -> None:
        """As Connection; nothing waits."""

    def broken(self, *, half: bool) -> bool:
        """As Connection."""
        return self.trouble

    def soon(self, callback: Callable[[], None]) -> None:
        """As Connection."""
        self._loop.call_soon(callback)


class Inside(BaseExchange):
    """The exchange; *collected* comes when the answer is over. *most*: bytes of its body."""

    __slots__ = ("_pocket", "collected")

    def __init__(self, request: Request, service: Service, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self._pocket = Pocket(loop, most)
        # Of a connection an exchange needs no more than a pocket has.
        super().__init__(cast(Connection, self._pocket), request, service)
        self.collected: asyncio.Future[Collected] = loop.create_future()

    def _serialize_head(self, status: int, reason: str, block: Block) -> bytes:
        return b""

    def _serialize(self, head: bytes, data: bytes, *, last: bool) -> bytes:
        return data

    def _break(self) -> None:
        """What is collected is told to be no whole answer."""

    def _release(self, *, whole: bool) -> None:
        if not self.collected.done():
            body = b"".join(self._pocket.parts)
            large = self._pocket.trouble
            status = self.status if self.committed else 0
            self.collected.set_result(Collected(status, body, whole and not large, large))
