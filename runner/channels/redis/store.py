"""Channels in a Redis, for the tasks of one event loop.

What is published has a name, and what is read changes nothing: both are said again until there is an answer, or
PATIENCE is over, or an answer that will not change (faults).

Laws: as of every Store. Start at RedisStore.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from runner.channels.message import Message, Page, Position
from runner.channels.reader import PAGE
from runner.channels.redis import scripts
from runner.channels.redis.address import Address
from runner.channels.redis.faults import judge
from runner.channels.redis.follower import Follower
from runner.channels.redis.link import Link
from runner.channels.store import PATIENCE, Pause, Store
from runner.errors import ChannelsUnavailable
from runner.log import Log


class RedisStore(Store):
    """*url*: as in --channels. *log*: is told, once a minute, why nothing is heard. Raises ChannelsUnavailable."""

    def __init__(
        self, url: str, hear: Callable[[Message], None], lose: Callable[[str], None], log: Log | None = None
    ) -> None:
        super().__init__(hear, lose)
        self._log = log or Log("channels")
        self._address = Address(url)
        self._link = Link(self._address)
        self._follower = Follower(self._address, self._link, self._read_on, hear, lose, self._warn)

    async def publish(self, channel: str, text: str, id: str) -> Position:
        """See Store."""
        call = scripts.publish(self._address.limits, channel, text, id, self._address.db)
        return scripts.position_of(await self._patiently(call))

    async def read(self, channel: str, after: Position | None, limit: int) -> Page:
        """See Store. Why it cannot is logged, too: who listens waits, and would never know."""
        try:
            answer = await self._patiently(scripts.read(self._address.limits, channel, after, limit))
        except ChannelsUnavailable as error:
            self._warn(error)
            raise
        return scripts.page_of(channel, after, answer)

    def follow(self, channel: str, after: Position) -> None:
        """See Store."""
        self._follower.follow(channel, after)

    def unfollow(self, channel: str) -> None:
        """See Store."""
        self._follower.unfollow(channel)

    async def close(self) -> None:
        """See Store."""
        await self._follower.close()
        await self._link.close()

    async def _read_on(self, channel: str, after: Position) -> Page:
        return await self.read(channel, after, PAGE)

    async def _patiently(self, call: scripts.Call) -> Any:
        pause = Pause()
        last: Exception = TimeoutError()
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        return await self._link.run(call)
                    except ChannelsUnavailable:
                        raise
                    except Exception as error:
                        last = error
                    if judge(last).final:
                        raise self._address.unavailable(last)
                    await asyncio.sleep(pause.next())
        except TimeoutError:
            raise self._address.unavailable(last) from None

    def _warn(self, error: BaseException) -> None:
        told = error if isinstance(error, ChannelsUnavailable) else self._address.unavailable(error)
        self._log.once_a_minute("redis", f"nothing is heard: {told}")
