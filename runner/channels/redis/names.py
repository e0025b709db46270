"""What a channel's keys are called in a Redis, and who is rung for it.

    {runner:NAME}:meta        epoch, and where the channel begins and stands
    {runner:NAME}:stream      its last messages
    {runner:NAME}:name ID     that a message of this name is there already
    runner@DB:NAME            who is told of each message; a subscription does not know databases, so its name does

All keys of a channel have the same hash tag, so a script may touch them together. No name of a channel has a space in
it, so no two keys are the same.

Laws: pure. Start at bell.
"""

from __future__ import annotations


def meta(channel: str) -> str:
    """Where *channel* stands."""
    return f"{{runner:{channel}}}:meta"


def stream(channel: str) -> str:
    """Its messages."""
    return f"{{runner:{channel}}}:stream"


def name(channel: str, id: str) -> str:
    """That the message *id* is there."""
    return f"{{runner:{channel}}}:name {id}"


def bell(channel: str, db: int) -> str:
    """Who follows *channel* in database *db*."""
    return f"runner@{db}:{channel}"


def rung(bell: bytes) -> str:
    """The channel of a bell. Raises ValueError for what is no text."""
    return bell.decode().partition(":")[2]
