"""The store in memory, as the tasks of a loop see it: one connection to the hub, over which all is said in one stream.

What waits for an answer is said again on the next connection, by the same names, and what is followed is followed
again from where it was heard last. So when a hub ends nobody here notices more than a pause - but whose channels have
lost something, which the new hub finds out (wire.Lost).

Laws: on the loop's thread only; one system call for what is said in one turn of the loop. Start at MemoryStore.publish.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from itertools import count
from typing import cast

from runner.channels.memory.door import check_door, connect, unanswered
from runner.channels.memory.wire import (
    Follow,
    Found,
    Heard,
    Lines,
    Lost,
    Publish,
    Published,
    Read,
    Unfollow,
    check_found,
    parse_told,
    serialize,
)
from runner.channels.message import Message, Page, Position
from runner.channels.store import PATIENCE, Pause, Store, ending
from runner.errors import ProtocolError

_Answer = asyncio.Future[Published | Found]


class MemoryStore(Store):
    """*door*: see memory/door.py. Raises ChannelsUnavailable if there is none."""

    def __init__(self, door: int, hear: Callable[[Message], None], lose: Callable[[str], None]) -> None:
        super().__init__(hear, lose)
        self._door = check_door(door)
        self._numbers = count(1)
        self._asked: dict[int, tuple[bytes, _Answer]] = {}
        self._followed: dict[str, Position] = {}  # up to where they were heard
        self._unsaid: list[bytes] = []
        self._pause = Pause()
        self._line: _Line | None = None
        self._task: asyncio.Task[None] | None = None

    async def publish(self, channel: str, text: str, id: str) -> Position:
        """See Store."""
        number = next(self._numbers)
        found = await self._ask(number, serialize(Publish(number, channel, text, id)))
        return Position(found.epoch, found.offset)

    async def read(self, channel: str, after: Position | None, limit: int) -> Page:
        """See Store."""
        number = next(self._numbers)
        where = "" if after is None else str(after)
        found = await self._ask(number, serialize(Read(number, channel, where, limit)))
        return check_found(found).page(channel)

    def follow(self, channel: str, after: Position) -> None:
        """See Store."""
        self._followed[channel] = after
        self._say(serialize(Follow(channel, str(after))))

    def unfollow(self, channel: str) -> None:
        """See Store."""
        if self._followed.pop(channel, None) is not None:
            self._say(serialize(Unfollow(channel)))

    async def close(self) -> None:
        """See Store."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for _, answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ending())

    # ---- say ------------------------------------------------------------------------------------------------

    async def _ask(self, number: int, line: bytes) -> Published | Found:
        answer: _Answer = asyncio.get_running_loop().create_future()
        self._asked[number] = line, answer
        self._say(line)
        try:
            async with asyncio.timeout(PATIENCE):
                return await answer
        except TimeoutError:
            raise unanswered() from None
        finally:
            del self._asked[number]

    def _say(self, line: bytes) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_connected())
        if self._line is not None:
            if not self._unsaid:
                asyncio.get_running_loop().call_soon(self._flush)
            self._unsaid.append(line)

    def _flush(self) -> None:
        lines, self._unsaid = self._unsaid, []
        if self._line is not None and lines:
            self._line.transport.write(b"".join(lines))

    # ---- hear -----------------------------------------------------------------------------------------------

    def _take(self, line: bytes) -> None:
        match parse_told(line):
            case Heard(channel, epoch, offset, text):
                last = self._followed.get(channel)
                # What was on its way when it was followed from another place: not any more, or once already.
                if last is None or (epoch == last.epoch and offset <= last.offset):
                    return
                position = self._followed[channel] = Position(epoch, offset)
                self._hear(Message(channel, text, position))
            case Lost(channel):
                if self._followed.pop(channel, None) is not None:
                    self._lose(channel)
            case (Published() | Found()) as found:
                _, answer = self._asked.get(found.number, (b"", None))
                if answer is not None and not answer.done():
                    answer.set_result(found)

    async def _keep_connected(self) -> None:
        """For ever: connect, say what is not answered and what is followed, wait until the connection is gone."""
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(OSError):
                sock = connect(self._door)
                _, line = await loop.create_unix_connection(lambda: _Line(self._take, self._pause.reset), sock=sock)
                try:
                    lines = [serialize(Follow(channel, str(after))) for channel, after in self._followed.items()]
                    lines += [asked for asked, _ in self._asked.values()]
                    self._line, self._unsaid = line, []
                    line.transport.write(b"".join(lines))
                    await line.gone
                finally:
                    self._line = None
                    line.transport.abort()
            await asyncio.sleep(self._pause.next())


class _Line(asyncio.Protocol):
    """One connection. *take* is given each line, *heard* is called when there was one; *gone*: it is over."""

    transport: asyncio.Transport

    def __init__(self, take: Callable[[bytes], None], heard: Callable[[], None]) -> None:
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._take, self._heard = take, heard
        self._lines = Lines()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        try:
            for line in self._lines.feed(data):
                self._take(line)
        except ProtocolError:
            # Two versions are mixed, or it is not the hub; others are told by what they wait for in vain.
            self.transport.abort()
        self._heard()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio."""
        if not self.gone.done():
            self.gone.set_result(None)
