"""A store inside the test's own process, whose switch is at hand. Start at Hub."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from runner.channels.history import History
from runner.channels.message import Message, Page, Position
from runner.channels.store import Store
from runner.errors import ChannelsUnavailable


def play(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run it on a new loop, for at most 10 seconds."""
    asyncio.run(asyncio.wait_for(coroutine, 10))


async def until(condition: Callable[[], object]) -> None:
    """Let others run until it is true."""
    while not condition():
        await asyncio.sleep(0)


class Hub:
    """What all stores of a test share. *most*: messages that a channel keeps.

    away       it does not answer
    published  what was, with the ids
    """

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self.epoch = "e1"
        self.away = False
        self.published: list[tuple[str, str, str]] = []
        self.stores: list[LocalStore] = []
        self._histories: dict[str, History] = {}
        self._ids: dict[str, Position] = {}

    def open_store(self, hear: Callable[[Message], None], lose: Callable[[str], None]) -> Store:
        """For runner.channels.current."""
        store = LocalStore(self, hear, lose)
        self.stores.append(store)
        return store

    def history(self, channel: str) -> History:
        """Of a channel, made when it is first needed."""
        if channel not in self._histories:
            self._histories[channel] = History(Position(self.epoch, 0), most=self.most, weight=1 << 30)
        return self._histories[channel]

    def publish(self, channel: str, text: str, id: str = "") -> Position:
        """As another process would."""
        if id and id in self._ids:
            return self._ids[id]
        history = self.history(channel)
        message = Message(channel, text, history.last._replace(offset=history.last.offset + 1))
        history.add(message, 0.0)
        self.published.append((channel, text, id))
        self._ids[id] = message.position
        for store in self.stores:
            store.tell(message)
        return message.position

    def forget(self) -> None:
        """It comes back empty."""
        self._histories.clear()
        self.epoch += "x"
        for store in self.stores:
            store.lose_all()


class LocalStore(Store):
    """One process's."""

    def __init__(self, hub: Hub, hear: Callable[[Message], None], lose: Callable[[str], None]) -> None:
        super().__init__(hear, lose)
        self._hub = hub
        self._followed: set[str] = set()

    def tell(self, message: Message) -> None:
        """If it is followed."""
        if message.channel in self._followed:
            self._hear(message)

    def lose_all(self) -> None:
        """Nothing is followed any more."""
        for channel in list(self._followed):
            self._followed.discard(channel)
            self._lose(channel)

    async def publish(self, channel: str, text: str, id: str) -> Position:
        """See Store."""
        await self._answer()
        return self._hub.publish(channel, text, id)

    async def read(self, channel: str, after: Position | None, limit: int) -> Page:
        """See Store."""
        await self._answer()
        history = self._hub.history(channel)
        return Page([], history.last) if after is None else history.page(after, limit)

    def follow(self, channel: str, after: Position) -> None:
        """See Store."""
        self._followed.add(channel)
        if self._hub.history(channel).last != after:
            self._followed.discard(channel)
            self._lose(channel)

    def unfollow(self, channel: str) -> None:
        """See Store."""
        self._followed.discard(channel)

    async def close(self) -> None:
        """See Store."""
        self._hub.stores.remove(self)

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self._hub.away:
            raise ChannelsUnavailable("it is away; wait")
