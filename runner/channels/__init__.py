"""Channels: what one publishes reaches all who listen, in every worker and on every machine, and waits for who is away.

    from runner import channels

    await channels.publish("public.guestbook", {"name": "Ada", "text": "Hello"})   # publish_sync in WSGI

    async for message in channels.subscribe("public.guestbook", after=position):   # subscribe_sync
        if isinstance(message, channels.Resync):
            ...                    # something is missing, and why: read the state again
        else:
            ...                    # message.data, message.position

    runner serve app:main --mount /live=runner.channels:endpoint    # for pages; /live/client.js says how they listen

Nothing is to be installed for one machine; `--channels redis://host` joins several.

    message    what travels, where it stands, and what is said in place of what is lost
    history    the last messages of a channel
    store      what keeps the channels, as everybody else here sees it
    reader     one for each loop: what comes from the store goes to all who listen here
    current    which store this process has
    memory, redis   the two stores
    web        `endpoint`, an ASGI application for browsers, and what speaks to it there

Laws: no process is known here, and of the web only ASGI, in web/; a generation says where its store is
(channels_place.py). A listener misses nothing silently: it is told of a gap by a Resync, or there was none.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import runner.channels.current as _current
from runner.channels.message import (
    OLDEST,
    Message,
    Page,
    Position,
    Reason,
    Resync,
    check_channel,
    check_id,
    parse_position,
    serialize,
)
from runner.channels.reader import PAGE
from runner.channels.store import Pause
from runner.channels.web.endpoint import Endpoint, endpoint
from runner.errors import BadChannel, BadMessage, ChannelError, ChannelsUnavailable

__all__ = [
    "OLDEST", "BadChannel", "BadMessage", "ChannelError", "ChannelsUnavailable", "Endpoint", "Message", "Position",
    "Reason", "Resync", "endpoint", "position", "position_sync", "publish", "publish_sync", "subscribe",
    "subscribe_sync",
]  # fmt: skip

_LONG = 30.0
"""Seconds between two looks of who waits in a thread; it is woken before."""


async def publish(channel: str, message: Any, *, id: str | None = None) -> Position:
    """Tell all who listen to *channel*, now or, as long as its history reaches back, later.

    *message*: what JSON can say. *id*: a name for it (at most message.MAX_ID characters); a second message of that name
    within five minutes is not published, and the position of the first one is returned. When this returns, the store
    has it. Raises BadChannel, BadMessage; ChannelsUnavailable if the store does not answer within store.PATIENCE
    seconds: it may have it or not, so publish it again with the same *id*.
    """
    return await _current.reader().publish(check_channel(channel), serialize(message), _name(id))


def publish_sync(channel: str, message: Any, *, id: str | None = None) -> Position:
    """`publish` for whoever may block."""
    return _current.sync_store().publish(check_channel(channel), serialize(message), _name(id))


async def position(channel: str) -> Position:
    """Where *channel* stands. Ask before reading the state that its messages change, then subscribe from there on."""
    return await _current.reader().position(check_channel(channel))


def position_sync(channel: str) -> Position:
    """`position` for whoever may block."""
    return _current.sync_store().read(check_channel(channel), None, 0).position


async def subscribe(channel: str, after: Position | str | None = None) -> AsyncIterator[Message | Resync]:
    """Each message of *channel*, in order, none twice, without end.

    *after*: a position, or its text; None: from now on, which is when the first one is waited for; OLDEST: all that are
    kept. Where something is missing there is a Resync in its place. While the store does not answer this waits. Raises
    BadChannel, BadMessage, ChannelsUnavailable (there is no store at all).
    """
    stirred = asyncio.Event()
    cursor = await _current.reader().join(check_channel(channel), _parse(after), stirred.set)
    try:
        while True:
            stirred.clear()
            found = await cursor.take()
            for each in [found] if isinstance(found, Resync) else found:
                yield each
            if not found:
                await stirred.wait()
    finally:
        cursor.close()


def subscribe_sync(
    channel: str, after: Position | str | None = None, *, timeout: float | None = None
) -> Iterator[Message | Resync]:
    """`subscribe` for whoever may block; ends when nothing has come for *timeout* seconds (None: never)."""
    check_channel(channel)
    where, since, pause = _parse(after), time.monotonic(), Pause()
    while True:
        # Each time anew: who asks for the next one may be another thread, or a forked process.
        store = _current.sync_store()
        found: Page | None = None
        try:
            found = store.read(channel, where, PAGE)
            pause.reset()
            if where is not None and found == ([], where, None, False):
                store.wait(channel, where, _LONG if timeout is None else min(_LONG, since + timeout - time.monotonic()))
        except ChannelsUnavailable:
            time.sleep(pause.next())
        if found is not None:
            where = found.position
            if found.resync is not None:
                yield Resync(channel, found.resync, found.position)
            yield from found.messages
            if found.messages:
                since = time.monotonic()
        if timeout is not None and time.monotonic() >= since + timeout:
            return


def _name(id: str | None) -> str:
    return secrets.token_hex(16) if id is None else check_id(id)


def _parse(after: Position | str | None) -> Position | None:
    return parse_position(after) if isinstance(after, str) else after


_current.load()
