"""The channels of all processes: what each says is passed on, and its end is told once; orders are sent to each.

The supervisor waits for nobody: an order that finds a channel full, because its process has been in a long call while
much was sent to it, stays here until there is room. An order that was lost would be obeyed never.

Law: nobody is called for a channel after its end was told. Start at Switchboard.attend.
"""

from __future__ import annotations

import selectors
from collections import deque
from collections.abc import Callable

from runner.errors import RunnerError
from runner.process.channel import Channel
from runner.process.messages import Message

Hear = Callable[[Message, list[int]], object]
"""Told a message, and the descriptors that came along, which are then its own to close."""


class Switchboard:
    """Over the supervisor's *selector*."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._gone: dict[Channel, Callable[[], object]] = {}
        self._unsent: dict[Channel, deque[Message]] = {}
        self._hear: dict[Channel, Hear] = {}

    def attend(self, channel: Channel, hear: Hear, gone: Callable[[], object]) -> None:
        """From now on *hear* is told what comes, and *gone* when nothing will come any more."""
        self._hear[channel], self._gone[channel] = hear, gone
        self._selector.register(channel, selectors.EVENT_READ, lambda: self._look(channel))

    def hand_on(self, channel: Channel, hear: Hear, gone: Callable[[], object]) -> None:
        """The same for one that somebody else was told about until now."""
        self._hear[channel], self._gone[channel] = hear, gone

    def send(self, channel: Channel, order: Message) -> None:
        """Now or as soon as there is room; never, if its process is gone by then."""
        waiting = self._unsent.get(channel)
        if waiting is not None:
            waiting.append(order)
        elif not channel.send(order) and channel in self._gone:
            self._unsent[channel] = deque([order])
            self._selector.modify(
                channel, selectors.EVENT_READ | selectors.EVENT_WRITE, lambda: self._look(channel)
            )

    def finish(self, channel: Channel) -> None:
        """Its process has ended, even if a child of it still holds that end open; or nobody wants to hear of it."""
        if channel in self._gone:
            self._read(channel)
            self._end(channel)

    def leave(self, channel: Channel) -> None:
        """Hear no more of it, not even its end."""
        if channel in self._gone:
            self._gone[channel] = lambda: None
            self._end(channel)

    def _look(self, channel: Channel) -> None:
        waiting = self._unsent.get(channel)
        while waiting and channel.send(waiting[0]):
            waiting.popleft()
        if waiting is not None and not waiting:
            del self._unsent[channel]
            self._selector.modify(channel, selectors.EVENT_READ, lambda: self._look(channel))
        self._read(channel)

    def _read(self, channel: Channel) -> None:
        try:
            while channel in self._gone and (received := channel.receive()) is not None:
                self._hear[channel](*received)
        except (EOFError, RunnerError):
            # What is no message is not ours: code of the application wrote to a descriptor that is not its own.
            self._end(channel)

    def _end(self, channel: Channel) -> None:
        gone = self._gone.pop(channel, None)
        if gone is not None:
            del self._hear[channel]
            self._unsent.pop(channel, None)
            self._selector.unregister(channel)
            channel.close()
            gone()
