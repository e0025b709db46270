"""One connection to the Redis, many calls in flight.

Calls that come while others are on their way are sent together next, and their answers come in the same order. Only one
task ever touches the connection, so who is cancelled leaves nothing behind: the answer comes, and is thrown away.

Laws: a call is made once; who may say it again does so. An idle link has no task. Start at Link.call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

from runner.channels.redis.address import ANSWER, Address, AsyncConnection
from runner.channels.redis.faults import answered, judge, unknown_script
from runner.channels.redis.scripts import Call
from runner.channels.store import ending

_BATCH, _HEAVY = 128, 1 << 18
"""Calls that are sent together, and about how many bytes: they are to be sent within ANSWER seconds."""

Answer = asyncio.Future[Any]


class Link:
    """To the Redis at *address*, for the running loop."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: AsyncConnection | None = None
        self._waiting: deque[tuple[list[bytes], Answer]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def call(self, *words: str) -> Any:
        """The answer to a command. Raises what the library raises: the call may have been made or not.

        Raises ChannelsUnavailable once the link is closed.
        """
        if self._closed:
            raise ending()
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting.append(([word.encode() for word in words], answer))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())
        return await answer

    async def run(self, call: Call) -> Any:
        """The answer of a script."""
        try:
            return await self.call(*call.short())
        except Exception as error:
            if not unknown_script(error):
                raise
        return await self.call(*call.long())

    async def close(self) -> None:
        """Whoever still waits is told so."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        _fail(self._waiting, ending())
        self._waiting.clear()
        await self._leave()

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._exchange()
        finally:
            self._task = None

    async def _exchange(self) -> None:
        """Send what has come together, and give everybody his answer."""
        batch: list[tuple[list[bytes], Answer]] = []
        weight = 0
        while self._waiting and len(batch) < _BATCH and weight < _HEAVY:
            words, answer = self._waiting.popleft()
            if not answer.done():
                batch.append((words, answer))
                weight += sum(map(len, words))
        if not batch:
            return
        try:
            await self._send_and_read(batch)
        except Exception as error:
            # Of any kind: after a broken answer the next one would be somebody else's.
            await self._leave()
            _fail(batch, error)
        finally:
            _fail(batch, ending())  # nobody is left, unless this was cancelled

    async def _send_and_read(self, batch: list[tuple[list[bytes], Answer]]) -> None:
        if self._connection is None:
            self._connection = await self._address.connect_async()
        connection, leave = self._connection, False
        async with asyncio.timeout(ANSWER):
            await connection.send_packed_command(connection.pack_commands([words for words, _ in batch]), False)
        for _, answer in batch:
            try:
                async with asyncio.timeout(ANSWER):
                    found = await connection.read_response()
            except Exception as error:
                if not answered(error):
                    raise
                leave = leave or judge(error).leave
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(found)
        if leave:
            await self._leave()

    async def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


def _fail(calls: Iterable[tuple[list[bytes], Answer]], error: Exception) -> None:
    for _, answer in calls:
        if not answer.done():
            answer.set_exception(error)
