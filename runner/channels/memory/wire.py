"""What is said between the hub and its clients: one JSON array a line, whose first item says what it is.

    Publish, Read       a client asks; its *number* comes back with the answer
    Follow, Unfollow    a client says
    Published, Found    the answers
    Heard, Lost         what a client follows

A position's tag is always 0 here: a store in memory does not come back without its end. In a text of one (to read, ""
for None) it is there all the same, for it is somebody's who may have it from elsewhere.

Laws: pure. A line is at most LINE bytes, and what is no message is a ProtocolError, never a guess. Start at Wire.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, get_args, get_type_hints

from runner.channels.message import (
    MAX_TEXT,
    Message,
    Page,
    Position,
    Reason,
    check_channel,
    check_id,
    parse_position,
)
from runner.errors import ChannelsUnavailable, ProtocolError

LINE = 4 * MAX_TEXT + 65536
"""Bytes: a character is four at most, for one that JSON must escape is one byte of UTF-8 and two so."""


class Publish(NamedTuple):
    """See Store.publish."""

    number: int
    channel: str
    text: str
    id: str


class Read(NamedTuple):
    """See Store.read."""

    number: int
    channel: str
    after: str
    limit: int


class Follow(NamedTuple):
    """From now on what comes after that position."""

    channel: str
    after: str


class Unfollow(NamedTuple):
    """No longer."""

    channel: str


class Published(NamedTuple):
    """It is kept, and has this position."""

    number: int
    epoch: str
    offset: int


class Found(NamedTuple):
    """A Page; the position is that of the last of its *texts*, or where to go on. *reason*: "" for none."""

    number: int
    epoch: str
    offset: int
    reason: str
    more: bool
    texts: list[Any]

    def page(self, channel: str) -> Page:
        """The same, as the question was about *channel*."""
        first = self.offset - len(self.texts) + 1
        messages = [Message(channel, text, Position(self.epoch, first + n)) for n, text in enumerate(self.texts)]
        reason = Reason(self.reason) if self.reason else None
        return Page(messages, Position(self.epoch, self.offset), reason, self.more)


class Heard(NamedTuple):
    """Somebody has published this."""

    channel: str
    epoch: str
    offset: int
    text: str


class Lost(NamedTuple):
    """What came after the position is not here any more; the channel is not followed any more."""

    channel: str


Said = Publish | Read | Follow | Unfollow
Told = Published | Found | Heard | Lost

_SAID, _TOLD = get_args(Said), get_args(Told)
_CODES: dict[type[Any], str] = {
    Publish: "p", Read: "r", Follow: "f", Unfollow: "u", Published: "P", Found: "F", Heard: "h", Lost: "l",
}  # fmt: skip
_SHAPES = {
    code: (kind, [list if hint == list[Any] else hint for hint in get_type_hints(kind).values()])
    for kind, code in _CODES.items()
}
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def serialize(message: Said | Told) -> bytes:
    """One line."""
    return _encode((_CODES[type(message)], *message)).encode() + b"\n"


def parse_said(line: bytes) -> Said:
    """What a client says. Raises ProtocolError, also for what could not be told to others."""
    message = _parse(line)
    if not isinstance(message, _SAID):
        raise ProtocolError(f"not what a client says: {line[:60]!r}")
    found: Said = message
    try:
        check_channel(found.channel)
        if isinstance(found, Publish):
            check_id(found.id)
            found.text.encode()
            if len(found.text) > MAX_TEXT:
                raise ProtocolError(f"a message of {len(found.text)} characters")
        elif isinstance(found, Follow) or (isinstance(found, Read) and found.after):
            parse_position(found.after)
    except ValueError as error:
        raise ProtocolError(str(error)) from error
    return found


def parse_told(line: bytes) -> Told:
    """What the hub says. Raises ProtocolError."""
    message = _parse(line)
    if not isinstance(message, _TOLD):
        raise ProtocolError(f"not what the hub says: {line[:60]!r}")
    found: Told = message
    return found


def _parse(line: bytes) -> Any:
    try:
        code, *values = json.loads(line.decode())
        kind, types = _SHAPES[code]
        fits = list(map(type, values)) == types
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProtocolError(f"not a message of the channels: {line[:60]!r}") from error
    if not fits:
        raise ProtocolError(f"not a message of the channels: {line[:60]!r}")
    return kind._make(values)


class Lines:
    """What is read, in whichever pieces it comes, as lines."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that end in *data*, without their ends. Raises ProtocolError: one is too long."""
        first, *others = data.split(b"\n")
        self._parts.append(first)
        self._size += len(first)
        if self._size > LINE:
            raise ProtocolError(f"a line of more than {LINE} bytes")
        if not others:
            return []
        # The parts are joined once, at the end: a line of a megabyte comes in many.
        lines = [b"".join(self._parts), *others[:-1]]
        self._parts, self._size = [others[-1]], len(others[-1])
        return lines


def check_found(told: Published | Found) -> Found:
    """The answer to Read, which *told* is. Raises ChannelsUnavailable: it is another one."""
    if not isinstance(told, Found):
        raise ChannelsUnavailable("another answer than was asked for; are two versions mixed?")
    return told
