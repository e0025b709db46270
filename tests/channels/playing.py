"""A store that the test plays: what it has is in histories; nothing is heard before the test says so.

Start at Played.
"""

from __future__ import annotations

from collections.abc import Callable

from runner.channels.history import History
from runner.channels.message import Message, Page, Position
from runner.channels.store import Store
from runner.errors import ChannelsUnavailable


class Played(Store):
    """*away*: it does not answer. *followed*: from where, by channel; *reads*: how often it was asked."""

    def __init__(self, hear: Callable[[Message], None], lose: Callable[[str], None]) -> None:
        super().__init__(hear, lose)
        self.histories: dict[str, History] = {}
        self.followed: dict[str, Position] = {}
        self.away = self.closed = False
        self.reads = 0

    def history(self, channel: str) -> History:
        """What it has of a channel."""
        return self.histories.setdefault(channel, History(Position("e", 0), most=500, weight=10**7))

    def begin_anew(self, channel: str, epoch: str) -> None:
        """It has lost the channel."""
        self.histories[channel] = History(Position(epoch, 0), most=500, weight=10**7)

    def tell(self, message: Message) -> None:
        """Whoever follows hears it."""
        self._hear(message)

    def lose(self, channel: str) -> None:
        """It cannot say what came since."""
        self.followed.pop(channel, None)
        self._lose(channel)

    def add(self, channel: str, text: str) -> Message:
        """It is published, and not heard yet."""
        last = self.history(channel).last
        message = Message(channel, text, Position(last.epoch, last.offset + 1))
        self.history(channel).add(message, 0.0)
        return message

    async def publish(self, channel: str, text: str, id: str) -> Position:
        """See Store."""
        self._answer()
        message = self.add(channel, text)
        if channel in self.followed:
            self.tell(message)
        return message.position

    async def read(self, channel: str, after: Position | None, limit: int) -> Page:
        """See Store."""
        self._answer()
        history = self.history(channel)
        return Page([], history.last) if after is None else history.page(after, limit)

    def follow(self, channel: str, after: Position) -> None:
        """See Store."""
        self.followed[channel] = after

    def unfollow(self, channel: str) -> None:
        """See Store."""
        self.followed.pop(channel, None)

    async def close(self) -> None:
        """See Store."""
        self.closed = True

    def _answer(self) -> None:
        self.reads += 1
        if self.away:
            raise ChannelsUnavailable("away")
