"""What is said between a browser and the channels, and how it is written down.

    client    {"subscribe": channel, "after": position, "n": 1}    position: null is from now on; n comes back
              {"unsubscribe": channel}
              {"publish": channel, "data": anything, "id": "session-1"}
              {"ping": 1}
    server    {"subscribed": channel, "position": position, "n": 1}    from here on everything follows
              {"channel": channel, "position": position, "data": anything}
              {"resync": channel, "reason": "epoch" | "gap" | "unknown", "position": position}
              {"published": "session-1", "position": position}
              {"refused": "publish", "id": "session-1", "reason": text, "again": true}
                        again: repeat it, the fault is not yours
              {"refused": "subscribe", "channel": channel, "reason": text, "n": 1}
              {"pong": 1}

One JSON object is one text message of a WebSocket, the `data` of a server-sent event, or the body of a POST and of its
answer. A position is text that the client gives back as it came.

Laws: pure; whatever a client says becomes a value, never an exception. Who names messages in a browser cannot take the
names that the application gives its own (store_id). Start at parse. RFC 8259; RFC 6455 section 7.4.1.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, NamedTuple

from runner.channels.message import MAX_TEXT, Message, Position, Resync, check_channel, parse_position, serialize
from runner.errors import BadChannel, BadMessage

MOST_CHARACTERS = MAX_TEXT + 4096
"""Of what a client says at once."""
MOST_DEEP = 64
"""Lists and dicts inside each other in what is published: who reads it must not run out of stack."""
MOST_CHANNELS = 100
"""That one client listens to over one connection."""

UNSUPPORTED, INVALID, VIOLATION, TOO_BIG = 1003, 1007, 1008, 1009
"""Close codes: not text; not JSON; JSON that says nothing known; too long."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MOST_PING = 2**53
_SMALL = 8192
"""Characters; the written form is kept of 256 messages up to that size, and of the last one of those beyond."""


class Subscribe(NamedTuple):
    """*after*: None is from now on. *n*: comes back with the answer, so that it is known which one is answered."""

    channel: str
    after: Position | None
    n: int | None = None


class Unsubscribe(NamedTuple):
    """Nothing of it any more."""

    channel: str


class Publish(NamedTuple):
    """*text*: the data, as JSON, checked. *id*: the client's own name for it."""

    channel: str
    text: str
    id: str

    @property
    def store_id(self) -> str:
        """The name under which the store remembers it."""
        return f"web:{self.id}"


class Ping(NamedTuple):
    """Are you there?"""

    n: int


class Refused(NamedTuple):
    """*what*: "publish" or "subscribe"; *of*: the id, or the channel. *again*: it is not the client's fault."""

    what: str
    of: str
    reason: str
    again: bool = False
    n: int | None = None

    def __str__(self) -> str:
        said = {"refused": self.what, "id" if self.what == "publish" else "channel": self.of, "reason": self.reason}
        return json.dumps(said | ({"again": True} if self.again else {}) | _number(self.n))


class Malformed(NamedTuple):
    """Who says that is hung up on, with a close code."""

    code: int
    reason: str


Said = Subscribe | Unsubscribe | Publish | Ping | Refused | Malformed


def parse(text: str | bytes) -> Said:
    """What a client has said; Refused: that is the answer to it."""
    if len(text) > MOST_CHARACTERS:
        return Malformed(TOO_BIG, f"{MOST_CHARACTERS} characters are allowed")
    try:
        said = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return Malformed(INVALID, "not JSON")
    if not isinstance(said, dict):
        return Malformed(VIOLATION, "not a JSON object")
    for name, read in _READERS.items():
        if name in said:
            return read(said[name], said)
    return Malformed(VIOLATION, "none of subscribe, unsubscribe, publish, ping")


def subscribed(channel: str, position: Position, n: int | None) -> str:
    """It is listened to, from *position* on."""
    return json.dumps({"subscribed": channel, "position": str(position)} | _number(n))


def published(id: str, position: Position) -> str:
    """The store has it."""
    return json.dumps({"published": id, "position": str(position)})


def resync(lost: Resync) -> str:
    """Something is missing."""
    return json.dumps({"resync": lost.channel, "reason": str(lost.reason), "position": str(lost.position)})


def pong(n: int) -> str:
    """I am."""
    return json.dumps({"pong": n})


def told(message: Message) -> str:
    """A message, written once for all who listen here; its data are spliced in as they are."""
    return (_tell_small if len(message.text) <= _SMALL else _tell_large)(message)


def _tell(message: Message) -> str:
    return f'{{"channel":{json.dumps(message.channel)},"position":"{message.position}","data":{message.text}}}'


_tell_small, _tell_large = lru_cache(maxsize=256)(_tell), lru_cache(maxsize=1)(_tell)


def _read_subscribe(channel: object, said: dict[str, Any]) -> Said:
    after, n = said.get("after"), said.get("n")
    if not _is_number(n) and n is not None:
        return Malformed(VIOLATION, "n must be a number")
    if not isinstance(channel, str) or not isinstance(after, str | None):
        return Malformed(VIOLATION, "subscribe wants a channel and a position, both text")
    try:
        return Subscribe(check_channel(channel), None if after is None else parse_position(after), n)
    except (BadChannel, BadMessage) as error:
        return Refused("subscribe", channel, str(error), n=n)


def _read_unsubscribe(channel: object, said: dict[str, Any]) -> Said:
    return Unsubscribe(channel) if isinstance(channel, str) else Malformed(VIOLATION, "a channel is text")


def _read_publish(channel: object, said: dict[str, Any]) -> Said:
    id = said.get("id")
    if not isinstance(id, str) or _ID.fullmatch(id) is None:
        return Malformed(VIOLATION, "publish wants an id of 1 to 64 letters, digits, - and _")
    if "data" not in said:
        return Malformed(VIOLATION, "publish wants data")
    if _is_deep(said["data"]):
        return Refused("publish", id, f"data may be {MOST_DEEP} lists or objects deep")
    try:
        return Publish(check_channel(channel), serialize(said["data"]), id)
    except (BadChannel, BadMessage) as error:
        return Refused("publish", id, str(error))


def _read_ping(n: object, said: dict[str, Any]) -> Said:
    return Ping(n) if _is_number(n) else Malformed(VIOLATION, "ping wants a number")  # type: ignore[arg-type]


_READERS = {
    "subscribe": _read_subscribe, "unsubscribe": _read_unsubscribe, "publish": _read_publish, "ping": _read_ping,
}  # fmt: skip


def _is_number(n: object) -> bool:
    return type(n) is int and abs(n) < _MOST_PING


def _is_deep(data: object) -> bool:
    level = [data]
    for _ in range(MOST_DEEP):
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [child for children in inner for child in children if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def _number(n: int | None) -> dict[str, int]:
    return {} if n is None else {"n": n}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
