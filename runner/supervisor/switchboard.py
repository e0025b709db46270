"""The channels of all processes: what each says is passed on, and its end is told once.

Law: nobody is called for a channel after its end was told. Start at Switchboard.attend.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable

from runner.errors import RunnerError
from runner.process.messages import Channel, Message

Hear = Callable[[Message, list[int]], object]
"""Told a message, and the descriptors that came along, which are then its own to close."""


class Switchboard:
    """Over the supervisor's *selector*."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._gone: dict[Channel, Callable[[], object]] = {}
        self._hear: dict[Channel, Hear] = {}

    def attend(self, channel: Channel, hear: Hear, gone: Callable[[], object]) -> None:
        """From now on *hear* is told what comes, and *gone* when nothing will come any more."""
        self._hear[channel], self._gone[channel] = hear, gone
        self._selector.register(channel, selectors.EVENT_READ, lambda: self._read(channel))

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
            self._selector.unregister(channel)
            channel.close()
            gone()
