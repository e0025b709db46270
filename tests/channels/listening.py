"""Somebody who listens to a channel, and what he knows in the end.

Law: what is missing, twice, or out of order is found from the texts alone, which are numbers. Start at Listener.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from runner.channels.message import Message, Position, Resync
from runner.channels.reader import Reader
from tests.support.process import PATIENCE

_LOOK = 0.005


class Listener:
    """To *channel* through *reader*, from *after* on (None: from now on)."""

    def __init__(self, reader: Reader, channel: str, after: Position | None = None) -> None:
        self._reader, self._channel, self._after = reader, channel, after
        self.found: list[Message | Resync] = []
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._listen())
        await self._ready.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    @property
    def texts(self) -> list[str]:
        """Of the messages."""
        return [each.text for each in self.found if isinstance(each, Message)]

    @property
    def resyncs(self) -> list[Resync]:
        """What was said in place of messages."""
        return [each for each in self.found if isinstance(each, Resync)]

    async def wait_for(self, text: str) -> None:
        """Until that message has come."""
        await until(lambda: text in self.texts, lambda: f"{text!r} has not come, but {self.found!r}")

    async def wait_for_resync(self) -> Resync:
        """Until something was said to be missing."""
        await until(lambda: bool(self.resyncs), lambda: f"no resync has come, but {self.found!r}")
        return self.resyncs[0]

    async def _listen(self) -> None:
        stirred = asyncio.Event()
        cursor = await self._reader.join(self._channel, self._after, stirred.set)
        self._ready.set()
        try:
            while True:
                stirred.clear()
                found = await cursor.take()
                self.found.extend([found] if isinstance(found, Resync) else found)
                if not found:
                    await stirred.wait()
        finally:
            cursor.close()


async def until(true: Callable[[], bool], why: Callable[[], str], patience: float = PATIENCE) -> None:
    """Wait for it. Raises AssertionError."""
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end, why()
        await asyncio.sleep(_LOOK)
