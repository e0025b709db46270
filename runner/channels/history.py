"""The last messages of one channel: as many, as large and as old as they may be.

The same class keeps what the memory store has (a thousand messages, five minutes), and what a process has at hand for
its own subscribers. The position of the last message outlives it: who has seen all there was has missed nothing,
however long ago that is.

Laws: pure: the time is an argument. Consecutive: what is added has the next offset. Start at History.page.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from runner.channels.message import OLDEST, Message, Page, Position, Reason

_OBJECTS = 400
"""Bytes that a message needs beside its text."""


def weigh(message: Message) -> int:
    """Bytes of memory that it needs at most: a single character beyond ASCII may make all of them wide ones."""
    return _OBJECTS + len(message.text) * (1 if message.text.isascii() else 4)


class History:
    """Begins after *base*. At most *most* messages, *weight* bytes, and *age* seconds each; the last one in any case.

    last    the position of the last message, or *base*
    weighs  bytes of what is here, see `weigh`
    """

    __slots__ = ("_age", "_answered", "_base", "_messages", "_most", "_times", "_weight", "last", "weighs")

    def __init__(self, base: Position, *, most: int, weight: int, age: float = float("inf")) -> None:
        self._base = self.last = base  # _base: of what came just before the oldest that is here
        self._most, self._weight, self._age = most, weight, age
        self._messages: deque[Message] = deque()
        self._times: deque[float] = deque()
        self._answered: tuple[Position, int, Page] | None = None  # most listeners are at the same place
        self.weighs = 0

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: Message, now: float) -> None:
        """It was published at *now* (seconds, of whichever clock)."""
        self._answered = None
        self._messages.append(message)
        self._times.append(now)
        self.weighs += weigh(message)
        self.last = message.position
        while len(self._messages) > self._most or (self.weighs > self._weight and len(self._messages) > 1):
            self.forget()
        self.expire(now)

    def expire(self, now: float) -> None:
        """Forget what has become too old."""
        while self._times and self._times[0] <= now - self._age:
            self.forget()

    def forget(self) -> None:
        """Forget the oldest message. Raises IndexError if there is none."""
        self._answered = None
        message = self._messages.popleft()
        self._times.popleft()
        self.weighs -= weigh(message)
        self._base = message.position

    def page(self, after: Position, limit: int) -> Page:
        """At most *limit* messages after that position."""
        if after == self.last:
            return Page([], after)
        if self._answered is None or self._answered[:2] != (after, limit):
            self._answered = after, limit, self._page(after, limit)
        return self._answered[2]

    def _page(self, after: Position, limit: int) -> Page:
        skip = self._place(after)
        if isinstance(skip, Reason):
            return Page([], self.last, resync=skip)
        messages = list(islice(self._messages, skip, skip + limit))
        position = messages[-1].position if messages else self.last
        return Page(messages, position, more=skip + len(messages) < len(self._messages))

    def _place(self, after: Position) -> int | Reason:
        """How many of those here came no later than that position."""
        if after in (OLDEST, self._base):
            return 0
        if after.epoch != self.last.epoch:
            return Reason.EPOCH
        if after.offset <= self._base.offset:
            return Reason.GAP
        place = after.offset - self._base.offset
        if place > len(self._messages) or self._messages[place - 1].position != after:
            return Reason.UNKNOWN
        return place
