"""How far one channel has been heard, and whether what is told next can be believed.

    settled     all up to `position` has been heard; what is told next continues it
    doubted     something may be missing, or the store may have lost its end: it is being read

What is told while it is doubted is not taken from there: the reading will find it, now or the next time (`again`).

Laws: pure. Start at Track.told.
"""

from __future__ import annotations

from enum import Enum, auto

from runner.channels.message import Message, Page, Position


class Told(Enum):
    """What to do about a message that was told.

    HEAR    it is the next one
    LEAVE   it is known, or will be found by who reads
    DOUBT   it does not continue what was heard: read
    """

    HEAR = auto()
    LEAVE = auto()
    DOUBT = auto()


class Track:
    """*channel* has been heard up to *position*."""

    __slots__ = ("_again", "_reading", "channel", "position", "settled")

    def __init__(self, channel: str, position: Position) -> None:
        self.channel = channel
        self.position = position
        self.settled = self._reading = self._again = False

    def doubt(self) -> bool:
        """Something may be missing. Is somebody to begin to read?"""
        self.settled = False
        self._again = self._reading
        begins, self._reading = not self._reading, True
        return begins

    def told(self, message: Message) -> Told:
        """Somebody has published it just now; if it is the next one, it counts as heard."""
        if not self.settled:
            self._again = True
            return Told.LEAVE
        position = message.position
        if position.epoch != self.position.epoch or position.offset > self.position.offset + 1:
            return Told.DOUBT
        if position.offset <= self.position.offset:
            return Told.LEAVE
        self.position = position
        return Told.HEAR

    def begin(self) -> None:
        """The next page is asked for: whatever is told from now on may not be in it."""
        self._again = False

    def read(self, page: Page) -> bool:
        """It has come, and its messages count as heard. Is there one more to be read?"""
        self.position = page.position
        self.settled = not (page.more or self._again)
        self._reading = not self.settled
        return self._reading
