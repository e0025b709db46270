"""What the hub keeps: each channel's history, and the names of messages, so that none is published twice.

    a channel   begins, with an epoch of its own, when somebody first asks about it; it ends when nobody has asked, said
                or followed anything for an hour, or when there are too many. If it begins again that is another epoch
    a name      is known for as long as a message is kept, five minutes at least; of all channels a bounded number
    memory      is bounded for all of them together: the channel that has most forgets the older half of it

Laws: pure: the time is an argument, chance a function. Bounded, whatever is published and asked; a channel that is
followed stays. Start at Ledger.publish.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container

from runner.channels.history import History
from runner.channels.message import Message, Page, Position

CHANNELS = 50_000
"""Channels that are kept."""
NAMES = 200_000
"""Names of messages, of all channels."""
NAMES_AGE = 300.0
"""Seconds for which a name is known, at least."""
IDLE = 3600.0
"""Seconds after which a channel is forgotten that nobody cares about."""
WEIGHT, WEIGHT_OF_ALL = 64 << 20, 256 << 20
"""Bytes of one channel's messages, and of everything."""
_CHANNEL = 2000
"""Bytes that a channel needs without a message."""
_TRIES = 100
"""Channels that are followed, and therefore stay, after which the search for one that may go is given up."""


class _Channel:
    __slots__ = ("history", "name", "used")

    def __init__(self, name: str, history: History, used: float) -> None:
        self.name = name  # which its messages share: each who publishes has sent his own
        self.history = history
        self.used = used  # when somebody last cared


class Ledger:
    """*most* messages of a channel, for *age* seconds; *draw* a new epoch; channels that are *followed* stay.

    messages  how many are kept
    weighs    bytes
    shed      messages that were forgotten for want of memory
    """

    def __init__(
        self, most: int, age: float, draw: Callable[[], str], followed: Container[str], *,
        channels: int = CHANNELS, names: int = NAMES, weight: int = WEIGHT, weight_of_all: int = WEIGHT_OF_ALL,
    ) -> None:  # fmt: skip
        self.messages = self.weighs = self.shed = 0
        self._most, self._age, self._draw, self._followed = most, age, draw, followed
        self._room, self._names_room, self._weight, self._weight_of_all = channels, names, weight, weight_of_all
        # Both with what was used last at the end.
        self._channels: OrderedDict[str, _Channel] = OrderedDict()
        self._names: OrderedDict[tuple[str, str], tuple[Position, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._channels)

    def publish(self, channel: str, text: str, id: str, now: float) -> tuple[Position, Message | None]:
        """Its position, and the message; None if one of this name was published before, and that is its position."""
        found = self._find(channel, now)
        channel, history = found.name, found.history
        self._forget_names(now)
        known = self._names.get((channel, id))
        # The channel may have ended since, being one of too many, and begun again.
        if known is not None and known[0].epoch == history.last.epoch:
            return known[0], None
        position = Position(history.last.epoch, history.last.offset + 1)
        message = Message(channel, text, position)
        messages, weighs = len(history), history.weighs
        history.add(message, now)
        self._count(history, messages, weighs)
        self._names[channel, id] = (position, now)
        if len(self._names) > self._names_room:
            self._names.popitem(last=False)
        if self.weighs > self._weight_of_all:
            self._shed()
        return position, message

    def read(self, channel: str, after: Position | None, limit: int, now: float) -> Page:
        """See Store.read."""
        found = self._find(channel, now)
        if after is None:
            return Page([], found.history.last)
        self._expire(found.history, now)
        return found.history.page(after, limit)

    def tidy(self, now: float) -> None:
        """From time to time: forget what has become too old."""
        self._forget_names(now)
        for each in self._channels.values():
            self._expire(each.history, now)
        for name, each in list(self._channels.items()):
            if each.used > now - max(IDLE, self._age):
                return
            if name in self._followed:
                self._find(name, now)
            else:
                self._end(name)

    def _find(self, name: str, now: float) -> _Channel:
        found = self._channels.get(name)
        if found is None:
            if len(self._channels) >= self._room:
                self._make_room()
            base = Position(self._draw(), 0)
            history = History(base, most=self._most, weight=self._weight, age=self._age)
            found = self._channels[name] = _Channel(name, history, now)
            self.weighs += _CHANNEL
        else:
            self._channels.move_to_end(name)
            found.used = now
        return found

    def _make_room(self) -> None:
        for _ in range(min(_TRIES, len(self._channels))):
            name = next(iter(self._channels))
            if name not in self._followed:
                self._end(name)
                return
            self._channels.move_to_end(name)

    def _end(self, name: str) -> None:
        history = self._channels.pop(name).history
        self.messages -= len(history)
        self.weighs -= history.weighs + _CHANNEL

    def _expire(self, history: History, now: float) -> None:
        messages, weighs = len(history), history.weighs
        history.expire(now)
        self._count(history, messages, weighs)

    def _count(self, history: History, messages: int, weighs: int) -> None:
        """It had so many *messages* and *weighs* before."""
        self.messages += len(history) - messages
        self.weighs += history.weighs - weighs

    def _forget_names(self, now: float) -> None:
        oldest = now - max(NAMES_AGE, self._age)
        while self._names and self._names[next(iter(self._names))][1] <= oldest:
            self._names.popitem(last=False)

    def _shed(self) -> None:
        while self.weighs > self._weight_of_all:
            history = max((each.history for each in self._channels.values()), key=lambda each: each.weighs)
            if not history:
                return  # nothing but channels: of those there is a bounded number
            messages, weighs = len(history), history.weighs
            for _ in range((messages + 1) // 2):
                history.forget()
            self._count(history, messages, weighs)
            self.shed += messages - len(history)
