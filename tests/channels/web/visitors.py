"""Clients of an ASGI application without a wire: what they say is what it receives. Start at Visitor and ask.

As with the runner's own host, what was handed to `send` is on its way before `send` waits for room.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from runner.channels.web.endpoint import Endpoint
from runner.channels.web.sockets import MOVE
from runner.errors import ClientGone

Event = dict[str, Any]


def scope_of(kind: str = "websocket", path: str = "/live", **more: Any) -> Event:
    """Mounted at /live."""
    return {"type": kind, "path": path, "root_path": "/live", "headers": [], "query_string": b"", **more}


class Visitor:
    """A WebSocket. *state*: what it has brought from elsewhere; *room*: what it takes before it must be read.

    accepted  what the application said to that
    last      what it said last: its close, its state, or nothing
    """

    def __init__(self, endpoint: Endpoint, *, state: str | None = None, moves: bool = True, room: int = 100) -> None:
        self._said: asyncio.Queue[Event] = asyncio.Queue()
        self._heard: asyncio.Queue[str] = asyncio.Queue()
        self._room = room
        self._taken = asyncio.Event()
        self.accepted: Event = {}
        self.last: Event | None = None
        self.gone = False
        extensions = {MOVE: {"state": state}} if moves else {}
        self._said.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(endpoint(scope_of(extensions=extensions), self._said.get, self._send))

    def say(self, said: object, **event: Any) -> None:
        """JSON, or text as it is."""
        text = said if isinstance(said, str) else json.dumps(said)
        self._said.put_nowait(event or {"type": "websocket.receive", "text": text})

    async def hear(self) -> Any:
        """What comes next."""
        text = await self._heard.get()
        self._taken.set()
        return json.loads(text)

    async def ask(self, said: object) -> Any:
        """Both."""
        self.say(said)
        return await self.hear()

    @property
    def waiting(self) -> int:
        """How much it has not heard yet."""
        return self._heard.qsize()

    async def leave(self) -> None:
        """And wait until the application has understood."""
        self.gone = True
        self._taken.set()
        self.say("", type="websocket.disconnect", code=1001)
        await self.task

    async def move(self) -> str:
        """Its state. What was said before is there to be heard."""
        self.say("", type=MOVE)
        await self.task
        assert self.last is not None
        state: str = self.last["state"]
        return state

    async def _send(self, event: Event) -> None:
        if self.gone:
            raise ClientGone("it has left")
        if event["type"] == "websocket.accept":
            self.accepted = event
        elif event["type"] == "websocket.send":
            assert self.last is None
            self._heard.put_nowait(event["text"])
            await asyncio.sleep(0)
            while self._heard.qsize() >= self._room and not self.gone:
                self._taken.clear()
                await self._taken.wait()
        else:
            self.last = event


async def ask(endpoint: Endpoint, method: str = "GET", path: str = "/live", body: bytes = b"", **more: str) -> Reply:
    """One request; *more*: its headers, and `query`."""
    query = more.pop("query", "").encode()
    headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]
    parts = [{"type": "http.request", "body": body[:10], "more_body": True},
             {"type": "http.request", "body": body[10:], "more_body": False}]
    sent: list[Event] = []

    async def receive() -> Event:
        return parts.pop(0)

    async def send(event: Event) -> None:
        sent.append(event)

    await endpoint(scope_of("http", path, method=method, headers=headers, query_string=query), receive, send)
    return Reply(sent)


class Reply:
    """What was answered."""

    def __init__(self, sent: list[Event]) -> None:
        self.status: int = sent[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        self.body = b"".join(event["body"] for event in sent[1:])


class Follower:
    """Server-sent events. *query*: behind the question mark."""

    def __init__(self, endpoint: Endpoint, query: str, last_id: str | None = None) -> None:
        self._heard: asyncio.Queue[Event] = asyncio.Queue()
        self._left = asyncio.Event()
        headers = [(b"accept", b"text/event-stream")]
        headers += [] if last_id is None else [(b"last-event-id", last_id.encode())]
        scope = scope_of("http", method="GET", query_string=query.encode(), headers=headers)
        self.task = asyncio.create_task(endpoint(scope, self._receive, self._heard.put))

    async def hear(self) -> str:
        """The next part, as it was sent."""
        event = await self._heard.get()
        return str(event["status"]) if "status" in event else event["body"].decode()

    async def data(self) -> tuple[str, Any]:
        """The next one that has data and is no beat: its id, and what they say."""
        fields = dict(line.split(": ", 1) for line in (await self.hear()).splitlines() if ": " in line)
        if "data" not in fields or fields.get("event") == "beat":
            return await self.data()
        return fields.get("id", ""), json.loads(fields["data"])

    async def leave(self) -> None:
        """And wait until the application has understood."""
        self._left.set()
        await self.task

    async def _receive(self) -> Event:
        if self._left.is_set():
            return {"type": "http.disconnect"}
        await self._left.wait()
        return {"type": "http.disconnect"}
