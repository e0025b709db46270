"""What travels over a channel, where it stands there, and what is said in place of what is lost.

    Position   where in a channel: epoch, offset, tag; as text "epoch.offset.tag", which clients give back unread
    Message    what was published, and its position
    Resync     something is missing between what was seen and what comes next, and why
    Page       what a store answers to "what came after this position?"

Offsets of one epoch are consecutive, so a gap cannot hide: offset 8 after offset 6 is one, whoever looks. The *epoch*
changes when a channel begins anew. The *tag* is a number given to each message by chance, where a store may lose its
end and go on (a Redis that comes back without its last second): another message with the same offset is not the one
that was seen.

Laws: pure. A message is JSON, as text: written once, by who publishes, and read by whom it reaches. Start at Position.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import Any, NamedTuple

from runner.errors import BadChannel, BadMessage

MAX_NAME = 200
"""Characters of a channel's name."""
MAX_TEXT = 1 << 20
"""Characters of a message's JSON."""
MAX_ID = 100
"""Characters of the name that a publisher gives a message."""

_NAME = re.compile(rf"[^\s\x00-\x1f\x7f\ud800-\udfff]{{1,{MAX_NAME}}}")
_ID = re.compile(rf"[^\x00-\x1f\x7f\ud800-\udfff]{{1,{MAX_ID}}}")
_POSITION = re.compile(r"([0-9a-z]{1,32})\.(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})", re.ASCII)


class Position(NamedTuple):
    """A place in a channel: that of the message with this *offset*; what comes after it is new."""

    epoch: str
    offset: int
    tag: int = 0

    def __str__(self) -> str:
        return "oldest" if self == OLDEST else f"{self.epoch}.{self.offset}.{self.tag}"


OLDEST = Position("", 0)
"""Before everything that the channel still has."""


def parse_position(text: str) -> Position:
    """What `str` made of one. Raises BadMessage for what never was a position."""
    if text == "oldest":
        return OLDEST
    found = _POSITION.fullmatch(text)
    if found is None:
        raise BadMessage(f"not a position in a channel: {text[:60]!r}; give back what came with a message, unchanged")
    epoch, offset, tag = found.groups()
    return Position(epoch, int(offset), int(tag))


class Reason(StrEnum):
    """Why something may be missing.

    EPOCH    the channel has begun anew: its store was emptied, or was another one
    GAP      the history does not reach back to the position any more
    UNKNOWN  the position was never one of this channel, or is of an end that it has lost
    """

    EPOCH = "epoch"
    GAP = "gap"
    UNKNOWN = "unknown"


class Message(NamedTuple):
    """*text*: what was published, as JSON."""

    channel: str
    text: str
    position: Position

    @property
    def data(self) -> Any:
        """What was published: what JSON can say (dict, list, str, int, float, bool, None)."""
        return json.loads(self.text)


class Resync(NamedTuple):
    """In place of messages that are lost to who asked: read the whole state again; *position* is where it goes on."""

    channel: str
    reason: Reason
    position: Position


class Page(NamedTuple):
    """What came after a position, oldest first.

    *position*: of the last message here, or where to go on if there is none. *resync*: why *messages* are not all that
    came after it; then there are none. *more*: there are others already.
    """

    messages: list[Message]
    position: Position
    resync: Reason | None = None
    more: bool = False


def check_channel(name: object) -> str:
    """*name* if a channel can be called so. Raises BadChannel."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise BadChannel(f"not a channel's name: {str(name)[:60]!r}; give 1 to {MAX_NAME} characters without spaces")
    return name


def check_id(id: object) -> str:
    """*id* if a message can be called so. Raises BadMessage."""
    if not isinstance(id, str) or _ID.fullmatch(id) is None:
        raise BadMessage(f"not a name for a message: {str(id)[:60]!r}; give 1 to {MAX_ID} characters")
    return id


def serialize(data: object) -> str:
    """*data* as JSON, on one line. Raises BadMessage for what JSON cannot say (NaN among it), or not so shortly."""
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadMessage(f"a message must be JSON: {error}; publish text, numbers, lists and dicts") from error
    if len(text) > MAX_TEXT:
        raise BadMessage(f"a message of {len(text)} characters; {MAX_TEXT} are allowed: publish where to find it")
    return text
