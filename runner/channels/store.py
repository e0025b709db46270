"""What keeps the channels, as everybody else here sees it: two stores, each spoken to from a loop and from a thread.

    Store       for the tasks of one event loop; tells of what others publish
    SyncStore   for whoever may block; asked again and again

Whatever happens to the store - it ends, it comes back, it comes back empty - nobody here is told by an error but who
publishes: it is waited for, with a growing pause between two attempts (Pause), and what may be missing then is found
by positions. Who publishes gives each message a name (*id*), so that it can be said again when no answer came: a store
keeps the names for a while, and answers with the position of the first time.

Laws: nothing of an application, a wire to a browser or a process is known here. `hear` and `lose` are called on the
loop's thread. Start at Store.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable

from runner.channels.message import Message, Page, Position
from runner.errors import ChannelsUnavailable

PATIENCE = 10.0
"""Seconds for which somebody who publishes, or asks, waits for a store that does not answer."""

_random = random.SystemRandom()
"""Not that of the application, which may have seeded it: all processes would come back in step."""


class Store(ABC):
    """For one event loop. *hear* is called with each message of what is followed, *lose* if some may be missing.

    `hear`: in order, none twice, from the position on that was given to `follow`. `lose`: the store cannot say what
    came since; nothing is heard of that channel from then on until it is followed again.
    """

    def __init__(self, hear: Callable[[Message], None], lose: Callable[[str], None]) -> None:
        self._hear = hear
        self._lose = lose

    @abstractmethod
    async def publish(self, channel: str, text: str, id: str) -> Position:
        """Keep it, and tell those who follow; its position. Raises ChannelsUnavailable: it may or may not be kept."""

    @abstractmethod
    async def read(self, channel: str, after: Position | None, limit: int) -> Page:
        """What came after a position; None: only where the channel stands. Raises ChannelsUnavailable."""

    @abstractmethod
    def follow(self, channel: str, after: Position) -> None:
        """From now on `hear` what comes after that position, which `read` has given."""

    @abstractmethod
    def unfollow(self, channel: str) -> None:
        """Nobody listens any more."""

    @abstractmethod
    async def close(self) -> None:
        """Leave."""


class SyncStore(ABC):
    """For one thread at a time; every method blocks."""

    @abstractmethod
    def publish(self, channel: str, text: str, id: str) -> Position:
        """See Store."""

    @abstractmethod
    def read(self, channel: str, after: Position | None, limit: int) -> Page:
        """See Store."""

    @abstractmethod
    def wait(self, channel: str, after: Position, timeout: float) -> None:
        """Until there may be something after that position, or *timeout* seconds. Raises ChannelsUnavailable."""

    @abstractmethod
    def close(self) -> None:
        """Leave."""


def ending() -> ChannelsUnavailable:
    """For whoever waits, or comes, when his loop ends."""
    return ChannelsUnavailable("this process is about to end; publish and subscribe before that")


class Pause:
    """How long to wait before the next attempt: seconds, by chance up to a bound that doubles each time, to *most*."""

    def __init__(self, least: float = 0.05, most: float = 5.0) -> None:
        self._least, self._most = least, most
        self._next = least

    def next(self) -> float:
        """Seconds to wait now."""
        step, self._next = self._next, min(self._most, self._next * 2)
        return _random.uniform(0.0, step)

    def reset(self) -> None:
        """It has worked."""
        self._next = self._least
