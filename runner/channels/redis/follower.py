"""The connection that is told of new messages, and what is done when it may have missed some.

    listen    what the Redis tells
    tell      whom else to tell of, whom no more; and, every few seconds, whether anybody is there at all
    look      every few seconds: does each channel still stand where it was heard last? (FLUSHALL says nothing)

A channel is read from its last position when its subscription is confirmed, after each reconnection too, and whenever
what is told does not continue it. What is read is heard, or the channel is lost.

Laws: there is a connection as soon as there has been something to follow. Everything is on the loop's thread. Start at
Follower.follow, then _run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from runner.channels.message import Message, Page, Position
from runner.channels.redis import names, scripts
from runner.channels.redis.address import ANSWER, Address, AsyncConnection
from runner.channels.redis.link import Link
from runner.channels.redis.track import Told, Track
from runner.channels.store import Pause

_LOOK = 5.0
"""Seconds between two looks; a Redis of which nothing is heard for that and ANSWER is given up."""
_CHUNK = 500
"""Channels that are said in one command."""
_READS = 64
"""Channels that are read at the same time; each may have a page of large messages."""


class Follower:
    """*read* is patient; *hear* and *lose* as of the store; *warn* is told what is wrong."""

    def __init__(
        self,
        address: Address,
        link: Link,
        read: Callable[[str, Position], Awaitable[Page]],
        hear: Callable[[Message], None],
        lose: Callable[[str], None],
        warn: Callable[[BaseException], None],
    ) -> None:
        self._address, self._link = address, link
        self._read, self._hear, self._lose, self._warn = read, hear, lose, warn
        self._tracks: dict[str, Track] = {}
        self._asked: dict[str, None] = {}
        """Of which the Redis is to be told whether they are followed."""
        self._stirred = asyncio.Event()
        self._reads = asyncio.Semaphore(_READS)
        self._pause = Pause()
        self._task: asyncio.Task[None] | None = None
        self._catching: set[asyncio.Task[None]] = set()

    def follow(self, channel: str, after: Position) -> None:
        """See Store."""
        self._tracks[channel] = Track(channel, after)
        self._ask(channel)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def unfollow(self, channel: str) -> None:
        """See Store."""
        if self._tracks.pop(channel, None) is not None:
            self._ask(channel)

    async def close(self) -> None:
        """Hear nothing more."""
        self._tracks.clear()
        await _end([*self._catching, *([self._task] if self._task is not None else [])])

    def _ask(self, channel: str) -> None:
        self._asked[channel] = None
        self._stirred.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._attend()
            except Exception as error:
                self._warn(error)
            await asyncio.sleep(self._pause.next())

    async def _attend(self) -> None:
        """With one connection, until it is lost. Raises what was wrong with it."""
        connection = await self._address.connect_async()
        tasks: list[asyncio.Task[None]] = []
        try:
            self._asked = dict.fromkeys(self._tracks)
            work = (self._listen(connection), self._tell(connection), self._look())
            tasks = [asyncio.get_running_loop().create_task(each) for each in work]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await _end(tasks)
            await connection.disconnect(nowait=True)

    async def _listen(self, connection: AsyncConnection) -> None:
        while True:
            told = await connection.read_response(timeout=_LOOK + ANSWER)
            if told is None:
                raise TimeoutError
            self._pause.reset()
            if isinstance(told, list):  # else the answer to a PING where nothing is followed
                self._take(told)

    async def _tell(self, connection: AsyncConnection) -> None:
        loop = asyncio.get_running_loop()
        look = loop.time() + _LOOK
        while True:
            self._stirred.clear()
            while self._asked:
                chunk = list(self._asked)[:_CHUNK]
                for channel in chunk:
                    del self._asked[channel]
                for verb, followed in ("SUBSCRIBE", True), ("UNSUBSCRIBE", False):
                    bells = [names.bell(each, self._address.db) for each in chunk if (each in self._tracks) is followed]
                    if bells:
                        await _send(connection, verb, *bells)
            try:
                async with asyncio.timeout_at(look):
                    await self._stirred.wait()
            except TimeoutError:
                pass
            if loop.time() >= look:
                await _send(connection, "PING")
                look = loop.time() + _LOOK

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            tracks = [track for track in self._tracks.values() if track.settled]
            for start in range(0, len(tracks), _CHUNK):
                chunk = [(track, track.position) for track in tracks[start : start + _CHUNK]]
                asked = [self._link.call("HMGET", names.meta(track.channel), "epoch", "last") for track, _ in chunk]
                for (track, place), end in zip(chunk, await asyncio.gather(*asked), strict=True):
                    # Of one that has moved meanwhile this is old news. One that ends further on may only be slow to be
                    # told so, or whoever published may not PUBLISH.
                    if track.settled and track.position == place and not _is_there(place, end):
                        self._doubt(track)

    def _take(self, told: list[Any]) -> None:
        """What the Redis has told: [kind, bell, text], or the answer to a PING."""
        kind, bell, text = told[0], told[1], told[-1]
        track = self._tracks.get(names.rung(bell))
        if track is None or kind not in (b"subscribe", b"message"):
            return
        if kind == b"subscribe":
            self._doubt(track)
            return
        try:
            message = scripts.rung(track.channel, text)
        except ValueError:
            self._doubt(track)  # Of somebody else's hand.
            return
        match track.told(message):
            case Told.HEAR:
                self._hear(message)
            case Told.DOUBT:
                self._doubt(track)

    def _doubt(self, track: Track) -> None:
        if self._tracks.get(track.channel) is track and track.doubt():
            task = asyncio.get_running_loop().create_task(self._catch_up(track))
            self._catching.add(task)
            task.add_done_callback(self._catching.discard)

    async def _catch_up(self, track: Track) -> None:
        pause, more = Pause(), True
        while more and self._tracks.get(track.channel) is track:
            async with self._reads:
                track.begin()
                try:
                    page = await self._read(track.channel, track.position)
                except Exception as error:
                    self._warn(error)
                else:
                    more = self._heard(track, page)
                    continue
            await asyncio.sleep(pause.next())

    def _heard(self, track: Track, page: Page) -> bool:
        """Hear a page; is there one more to be read?"""
        if page.resync is not None and self._tracks.get(track.channel) is track:
            self.unfollow(track.channel)
            self._lose(track.channel)
        for message in page.messages:
            if self._tracks.get(track.channel) is not track:
                return False  # Nobody listens any more; perhaps since the message before this one.
            self._hear(message)
        return page.resync is None and track.read(page)


def _is_there(place: Position, end: list[bytes | None]) -> bool:
    return end == [place.epoch.encode(), f"{place.offset}-{place.tag}".encode()]


async def _send(connection: AsyncConnection, *words: str) -> None:
    async with asyncio.timeout(ANSWER):
        await connection.send_packed_command(connection.pack_command(*words), False)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
