"""One reader for each event loop: what comes from the store goes to all who listen in this process.

    Feed     a channel that is followed, once, however many listen: its last messages, and who is to be stirred
    Cursor   how far one listener is in it

A listener has no queue, only a place. Who is at the end waits for `stir`; who is a little behind takes from the feed;
who is far behind, or comes back, takes from the store, page by page, and is then at the feed again: no message is
missed between the two, and none is seen twice, for both say the same positions. So a slow listener costs nobody
anything, and is told (Resync) when even the store's history has moved on.

Laws: on the loop's thread only. Nothing is kept for a listener. Start at Reader.join, then Cursor.take.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from runner.channels.history import History
from runner.channels.message import OLDEST, Message, Page, Position, Resync
from runner.channels.store import Pause, Store, ending
from runner.errors import ChannelsUnavailable

PAGE = 100
"""Messages that a listener takes at once."""
KEPT, KEPT_WEIGHT = 256, 1 << 20
"""Messages of a channel, and their bytes, that a process has at hand."""

Opener = Callable[[Callable[[Message], None], Callable[[str], None]], Store]


class Feed:
    """*channel*, as it is heard here. *history* is None while the place to go on from is not known."""

    __slots__ = ("_stirs", "channel", "history")

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.history: History | None = None
        self._stirs: dict[Cursor, Callable[[], None]] = {}

    def __len__(self) -> int:
        return len(self._stirs)

    def add(self, cursor: Cursor, stir: Callable[[], None]) -> None:
        """Somebody listens."""
        self._stirs[cursor] = stir

    def remove(self, cursor: Cursor) -> None:
        """Not any more; harmless if it is not there."""
        self._stirs.pop(cursor, None)

    def stir(self) -> None:
        """There may be something to take."""
        for stir in list(self._stirs.values()):
            stir()


class Reader:
    """*open_store* makes the store of this loop, when the first one asks for something."""

    def __init__(self, open_store: Opener) -> None:
        self._open_store = open_store
        self._store: Store | None = None
        self._feeds: dict[str, Feed] = {}
        self._joining: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def store(self) -> Store:
        """Opened when it is first needed. Raises ChannelsUnavailable."""
        if self._closed:
            raise ending()
        if self._store is None:
            self._store = self._open_store(self._hear, self._rejoin)
        return self._store

    async def publish(self, channel: str, text: str, id: str | None = None) -> Position:
        """See Store.publish. *id*: a name for the message; one that a store has seen is not published again."""
        return await self.store.publish(channel, text, id or secrets.token_hex(16))

    async def position(self, channel: str) -> Position:
        """Where the channel stands."""
        return (await self.store.read(channel, None, 0)).position

    async def join(self, channel: str, after: Position | None, stir: Callable[[], None]) -> Cursor:
        """Listen from *after* on, None: from now on. *stir*: there may be something to take (Cursor.take).

        Raises ChannelsUnavailable where there is no store at all; one that does not answer is waited for.
        """
        store = self.store
        after = after if after is not None else (await self._patiently(store, channel, None)).position
        feed = self._feeds.get(channel)
        if feed is None:
            feed = self._feeds[channel] = Feed(channel)
            self._rejoin(channel)
        cursor = Cursor(self, feed, after)
        feed.add(cursor, stir)
        return cursor

    async def close(self) -> None:
        """The loop is about to end."""
        self._closed = True
        for task in list(self._joining):
            task.cancel()
        await asyncio.gather(*self._joining, return_exceptions=True)
        if self._store is not None:
            await self._store.close()

    def leave(self, feed: Feed) -> None:
        """One listener less."""
        if not feed and self._feeds.get(feed.channel) is feed:
            del self._feeds[feed.channel]
            if self._store is not None and feed.history is not None:
                self._store.unfollow(feed.channel)

    async def read(self, channel: str, after: Position) -> Page:
        """Of the store, however long it takes."""
        return await self._patiently(self.store, channel, after)

    def _hear(self, message: Message) -> None:
        feed = self._feeds.get(message.channel)
        if feed is None or feed.history is None:
            return
        last = feed.history.last
        if (message.position.epoch, message.position.offset) != (last.epoch, last.offset + 1):
            self.store.unfollow(message.channel)
            self._rejoin(message.channel)
            return
        feed.history.add(message, 0.0)
        feed.stir()

    def _rejoin(self, channel: str) -> None:
        """Find out where the channel stands, and follow it from there; who listens finds out what he has missed."""
        feed = self._feeds.get(channel)
        if feed is not None and not self._closed:
            feed.history = None
            task = asyncio.get_running_loop().create_task(self._follow(feed))
            self._joining.add(task)
            task.add_done_callback(self._joining.discard)

    async def _follow(self, feed: Feed) -> None:
        store = self.store
        position = (await self._patiently(store, feed.channel, None)).position
        if self._feeds.get(feed.channel) is feed and feed.history is None:
            feed.history = History(position, most=KEPT, weight=KEPT_WEIGHT)
            store.follow(feed.channel, position)
            feed.stir()

    async def _patiently(self, store: Store, channel: str, after: Position | None) -> Page:
        pause = Pause()
        while True:
            try:
                return await store.read(channel, after, PAGE)
            except ChannelsUnavailable:
                if self._closed:
                    raise
                await asyncio.sleep(pause.next())


class Cursor:
    """*position*: of the last message that was taken."""

    __slots__ = ("_feed", "_reader", "position")

    def __init__(self, reader: Reader, feed: Feed, position: Position) -> None:
        self._reader = reader
        self._feed = feed
        self.position = position

    @property
    def channel(self) -> str:
        """Its name."""
        return self._feed.channel

    @property
    def behind(self) -> bool:
        """There is something to take, or it is not known whether there is."""
        history = self._feed.history
        return history is None or history.last != self.position

    async def take(self) -> list[Message] | Resync:
        """What came since; an empty list: nothing yet, wait to be stirred. It waits for nothing but the store."""
        page = self._at_hand() or await self._reader.read(self.channel, self.position)
        self.position = page.position
        return page.messages if page.resync is None else Resync(self.channel, page.resync, page.position)

    def close(self) -> None:
        """Listen no more."""
        self._feed.remove(self)
        self._reader.leave(self._feed)

    def _at_hand(self) -> Page | None:
        history = self._feed.history
        if history is None or self.position == OLDEST:
            return None
        page = history.page(self.position, PAGE)
        return page if page.resync is None else None
