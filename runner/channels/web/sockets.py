"""One WebSocket that listens and publishes: a task reads, a task writes, and one publishes while there is something.

    reads      what the client says, and answers pings; waits for the application's rules, and for nothing else
    writes     takes what comes next from its channels (lines.py), at the client's pace
    publishes  one message after another (publishing.py)

When newer code is there the runner asks for the socket's state in words: its channels with the position of what was
last handed to `send`. It goes on with that in another process, and the client notices nothing; the rules, which may be
newer, too, are asked again.

Laws: what a client may make this process keep is bounded. Whoever breaks the rules of talk.py is hung up on, with the
reason. Start at Visit.run. ASGI 3.0, "HTTP & WebSocket ASGI Message Format" 2.5; runner/host/asgi_websocket.py.
"""

from __future__ import annotations

import asyncio
import json

from runner.channels.current import reader
from runner.channels.message import parse_position
from runner.channels.web.entrance import Entrance
from runner.channels.web.lines import Lines, words
from runner.channels.web.publishing import Outbox
from runner.channels.web.rights import Event, Receive, Rights, Scope, Send
from runner.channels.web.talk import (
    MOST_CHANNELS,
    UNSUPPORTED,
    Malformed,
    Ping,
    Publish,
    Refused,
    Subscribe,
    Unsubscribe,
    parse,
    pong,
)

MOVE = "runner.websocket.move"
PATIENCE = 5.0
"""Seconds in which what was received may still be published, when the client has left or the socket moves."""


class _Left(Exception):
    """The client has, while something was said to it. Not an OSError: the application's rules may raise such, too."""


class Visit:
    """A client, from its handshake to its end, or to its move."""

    def __init__(
        self, rights: Rights, entrance: Entrance, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._entrance = entrance
        self._rights, self._scope, self._receive, self._send = rights, scope, receive, send
        self._lines = Lines(reader())
        self._outbox = Outbox(reader(), rights, scope, self._answer)
        self._publishing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """All of it. Raises what the application's rules raise."""
        extension = (self._scope.get("extensions") or {}).get(MOVE)
        moved = extension is not None and extension["state"] is not None
        await self._receive()
        if not moved:
            await self._entrance.enter()
        await self._send({"type": "websocket.accept"} | ({} if extension is None else {MOVE: True}))
        try:
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._write())
                if extension is not None and moved:
                    await self._unpack(extension["state"])
                last = await self._read(tasks)
                writing.cancel()
                await self._end(writing, last)
        except BaseExceptionGroup as several:
            others = several.split(_Left)[1]
            if others is not None:
                raise others.exceptions[0] from None
        finally:
            self._lines.close()

    async def _read(self, tasks: asyncio.TaskGroup) -> Event | None:
        """Until the end; the last word, or None: the client has had it."""
        while True:
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                return None
            if event["type"] == MOVE:
                return {"type": MOVE}
            text = event.get("text")
            said = Malformed(UNSUPPORTED, "say it as text") if text is None else parse(text)
            match said:
                case Subscribe():
                    await self._subscribe(said)
                case Unsubscribe():
                    self._lines.remove(said.channel)
                case Publish():
                    if await self._outbox.put(said):
                        self._publishing = tasks.create_task(self._outbox.run())
                case Ping():
                    await self._say(pong(said.n))
                case Refused():
                    await self._say(str(said))
                case Malformed():
                    return {"type": "websocket.close", "code": said.code, "reason": said.reason}

    async def _write(self) -> None:
        while True:
            for text in words(*await self._lines.take()):
                await self._say(text)

    async def _end(self, writing: asyncio.Task[None], last: Event | None) -> None:
        publishing = self._publishing
        if publishing is not None and not publishing.done():
            await asyncio.wait([publishing], timeout=PATIENCE)
            publishing.cancel()
            await asyncio.wait([publishing])
        await asyncio.wait([writing])
        if last is None:
            return
        if last["type"] == MOVE:
            await self._outbox.refuse()
            last["state"] = self._pack()
        await self._say_event(last)

    async def _subscribe(self, wish: Subscribe) -> None:
        channel, lines = wish.channel, self._lines
        lines.remove(channel)
        if len(lines) >= MOST_CHANNELS:
            await self._say(str(Refused("subscribe", channel, f"{MOST_CHANNELS} channels are allowed", n=wish.n)))
        elif not await self._rights.may_subscribe(self._scope, channel):
            await self._say(str(Refused("subscribe", channel, f"you may not listen to {channel}", n=wish.n)))
        else:
            lines.add(channel, wish.after, wish.n)

    # ---- from process to process --------------------------------------------------------------------------------

    def _pack(self) -> str:
        lines = [
            [line.channel, None if line.position is None else str(line.position), line.n, line.joined]
            for line in self._lines.all
        ]
        return json.dumps({"lines": lines, "held": self._outbox.held}, ensure_ascii=False)

    async def _unpack(self, state: str) -> None:
        known = json.loads(state)
        self._outbox.held = known["held"]
        for channel, position, n, joined in known["lines"]:
            if await self._rights.may_subscribe(self._scope, channel):
                self._lines.add(channel, None if position is None else parse_position(position), n, joined=joined)
            else:
                refused = Refused("subscribe", channel, f"you may not listen to {channel} any more", n=n)
                await self._say(str(refused))

    # ---- to the client ------------------------------------------------------------------------------------------

    async def _say(self, text: str) -> None:
        await self._say_event({"type": "websocket.send", "text": text})

    async def _say_event(self, event: Event) -> None:
        try:
            await self._send(event)
        except OSError as error:
            raise _Left from error

    async def _answer(self, text: str) -> None:
        """To what was published, which goes on when nobody is there to hear of it."""
        try:
            await self._say(text)
        except _Left:
            pass
