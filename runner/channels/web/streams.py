"""Channels as server-sent events, for who cannot open a WebSocket: curl, and browsers behind proxies that know none.

    GET /live?channel=public.news&channel=public.weather      Accept: text/event-stream

    id: e1.7.0,e1.3.0                          the positions of all channels, in the order of the URL
    data: {"channel": "public.news", "position": "e1.7.0", "data": …}           what a WebSocket would say, see talk.py

    event: beat                                each 15 to 20 s: proxies hang up on what is idle, and a client that
    data: 0                                    hears none for longer knows that nobody is there

Who comes back gives the last id, as `Last-Event-ID` (a browser does by itself) or as `&after=`, and misses nothing.

Laws: a position that cannot be read is an error, and not "from now on": nothing is missed silently. Start at
parse_query, then stream. HTML, section 9.2 "Server-sent events".
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from urllib.parse import parse_qs

from runner.channels.current import reader
from runner.channels.message import Position, check_channel, parse_position
from runner.channels.web.lines import Line, Lines, words
from runner.channels.web.rights import Receive, Rights, Scope, Send
from runner.channels.web.talk import MOST_CHANNELS, Refused
from runner.errors import BadMessage

BEAT = (15.0, 20.0)
"""Seconds of silence, at least and at most, before the next beat."""
RETRY = (500, 3000)
"""Milliseconds after which a browser comes back, at least and at most: not all at the same moment."""

_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store, no-transform")]
_BEATING = b"event: beat\ndata: 0\n\n"
_random = random.SystemRandom()
"""Not that of the application, which may have seeded it: all processes would beat in step."""


def parse_query(query: str, last_id: str | None) -> dict[str, Position | None]:
    """Channels, and where to begin in each. Raises BadChannel, BadMessage."""
    fields = parse_qs(query, keep_blank_values=True)
    channels = list(dict.fromkeys(check_channel(each) for each in fields.get("channel", [])))
    if not 1 <= len(channels) <= MOST_CHANNELS:
        raise BadMessage(f"name 1 to {MOST_CHANNELS} channels: ?channel=public.news&channel=public.weather")
    places = (last_id or fields.get("after", [""])[-1]).split(",")
    if places == [""]:
        places *= len(channels)
    if len(places) != len(channels):
        raise BadMessage(f"{len(channels)} channels and {len(places)} positions; give back the last id, unchanged")
    return {
        channel: parse_position(place) if place else None for channel, place in zip(channels, places, strict=True)
    }


async def stream(
    rights: Rights, scope: Scope, receive: Receive, send: Send, wishes: dict[str, Position | None]
) -> None:
    """Until the client leaves. What it may not listen to it is told of, and the others go on."""
    lines = Lines(reader())
    listed: list[Line | None] = []
    head = [f"retry: {_random.randint(*RETRY)}\n\n"]
    for channel, after in wishes.items():
        if await rights.may_subscribe(scope, channel):
            listed.append(lines.add(channel, after))
        else:
            listed.append(None)
            head.append(f"data: {Refused('subscribe', channel, f'you may not listen to {channel}')}\n\n")
    try:
        async with asyncio.TaskGroup() as tasks:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await _send_part(send, "".join(head).encode())
            writing = tasks.create_task(_write(lines, listed, send))
            while (await receive())["type"] != "http.disconnect":
                pass
            writing.cancel()
    finally:
        lines.close()


async def _write(lines: Lines, listed: list[Line | None], send: Send) -> None:
    try:
        while True:
            try:
                async with asyncio.timeout(_random.uniform(*BEAT)):
                    taken = await lines.take()
            except TimeoutError:
                await _send_part(send, _BEATING)
                continue
            for text in words(*taken):
                await _send_part(send, f"id: {_serialize(listed)}\ndata: {text}\n\n".encode())
    except OSError:
        return  # the client has left, of which `receive` tells


async def _send_part(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


def _serialize(listed: Iterable[Line | None]) -> str:
    return ",".join("" if line is None or line.position is None else str(line.position) for line in listed)
