"""What comes after a position, as a table: the same for the history in a process and for every store.

Law: a case knows messages by their numbers, from 1 on; 0 is the place before the first one. Start at CASES.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from runner.channels.message import OLDEST, Page, Position, Reason

MOST = 4
"""Messages that are kept where these cases are tried."""


class Place(NamedTuple):
    """After message *number*; with a *tag*, an *epoch* or an offset (*further*) that it never had; None: the oldest."""

    number: int | None
    tag: int = 0
    further: int = 0
    epoch: str = ""

    def among(self, positions: Sequence[Position]) -> Position:
        """As a position; *positions* are those of the messages, from 0 on."""
        if self.number is None:
            return OLDEST
        position = positions[self.number]
        return Position(self.epoch or position.epoch, position.offset + self.further, position.tag + self.tag)


class Case(NamedTuple):
    """Of so many *published*, *limit* are asked for that came after *place*: which ones? *more*: are there others?"""

    name: str
    published: int
    place: Place
    expected: list[int] | Reason
    limit: int = 100
    more: bool = False


CASES = [
    Case("at the end nothing is missing", 3, Place(3), []),
    Case("nothing was ever published", 0, Place(0), []),
    Case("the oldest of nothing", 0, Place(None), []),
    Case("all that came since", 3, Place(1), [2, 3]),
    Case("from the beginning", 3, Place(0), [1, 2, 3]),
    Case("the oldest, and all are kept", 3, Place(None), [1, 2, 3]),
    Case("exactly as many as are kept", 4, Place(0), [1, 2, 3, 4]),
    Case("the oldest that are kept", 9, Place(None), [6, 7, 8, 9]),
    Case("the last one that was dropped was seen", 9, Place(5), [6, 7, 8, 9]),
    Case("the last one that was dropped was another one", 9, Place(5, tag=1), Reason.GAP),
    Case("one that was dropped was not seen", 9, Place(4), Reason.GAP),
    Case("the beginning was dropped", 5, Place(0), Reason.GAP),
    Case("another message has this offset", 3, Place(2, tag=1), Reason.UNKNOWN),
    Case("another message is the last one", 3, Place(3, tag=1), Reason.UNKNOWN),
    Case("further than there ever was anything", 3, Place(3, further=1), Reason.UNKNOWN),
    Case("much further", 3, Place(3, further=10**16), Reason.UNKNOWN),
    Case("another epoch", 3, Place(2, epoch="0"), Reason.EPOCH),
    Case("another epoch, at the end", 3, Place(3, epoch="0"), Reason.EPOCH),
    Case("another epoch, nothing here", 0, Place(0, epoch="0"), Reason.EPOCH),
    Case("not more than were asked for", 4, Place(1), [2, 3], limit=2, more=True),
    Case("just as many as were asked for", 3, Place(1), [2, 3], limit=2),
    Case("the first of the oldest", 9, Place(None), [6], limit=1, more=True),
    Case("the first after the last one that was dropped", 9, Place(5), [6, 7, 8], limit=3, more=True),
]


def check(case: Case, positions: Sequence[Position], page: Page) -> None:
    """*page* is what the case says."""
    last = positions[-1]
    if isinstance(case.expected, Reason):
        assert page == Page([], last, case.expected)
        return
    assert [message.text for message in page.messages] == [str(number) for number in case.expected]
    assert [message.position for message in page.messages] == [positions[number] for number in case.expected]
    assert page.position == (positions[case.expected[-1]] if case.expected else last)
    assert (page.resync, page.more) == (None, case.more)
