"""The channels on the web: an ASGI application that is mounted wherever the pages look for it.

    runner serve app:main --mount /live=runner.channels:endpoint

    /live             WebSocket: sockets.py; GET, text/event-stream: streams.py; POST, application/json: posts.py
    /live/client.js   what speaks to it in a browser

Laws: whatever is asked, the answer says what would have been right; of the application only its rules are called.
Start at Endpoint.__call__. ASGI 3.0.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from runner.channels.web.entrance import Entrance
from runner.channels.web.posts import post
from runner.channels.web.rights import Receive, Rights, Rule, Scope, Send, nobody, public
from runner.channels.web.sockets import Visit
from runner.channels.web.streams import parse_query, stream
from runner.errors import BadChannel, BadMessage

Headers = dict[str, str]

CLIENT = Path(__file__).with_name("client.js")
_TEXT, _JSON = "text/plain; charset=utf-8", "application/json"


class Endpoint:
    """*may_subscribe*, *may_publish*: called with the scope of the connection (a dict of ASGI's, cookies and all) and
    the channel's name; true: it may. They may be coroutine functions, and must not block.

    Without them everybody may listen to channels whose name begins with "public.", and nobody may publish.
    """

    def __init__(self, may_subscribe: Rule = public, may_publish: Rule = nobody) -> None:
        self._rights = Rights(may_subscribe, may_publish)
        self._entrance = Entrance()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI 3.0."""
        kind = scope["type"]
        if kind == "websocket":
            await Visit(self._rights, self._entrance, scope, receive, send).run()
        elif kind == "http":
            await self._answer(scope, receive, send)
        elif kind == "lifespan":
            for stage in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{stage}.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path, method = scope["path"].removeprefix(scope.get("root_path", "")).strip("/"), scope["method"]
        if path == "client.js" and method in ("GET", "HEAD"):
            await _give_client(headers, send)
        elif path == "client.js":
            await _say(send, 405, _TEXT, b"GET it\n", ("allow", "GET, HEAD"))
        elif path:
            await _say(send, 404, _TEXT, b"there is nothing here but the channels, and their client.js\n")
        elif method == "GET":
            await self._stream(scope, headers, receive, send)
        elif method == "POST":
            status, text = await post(self._rights, scope, headers, receive)
            more = [("retry-after", "1")] if status == 503 else []
            await _say(send, status, _JSON, text.encode(), ("cache-control", "no-store"), *more)
        else:
            await _say(send, 405, _TEXT, b"GET or POST\n", ("allow", "GET, POST"))

    async def _stream(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        accept = headers.get("accept", "*/*").lower()
        if not any(kind in accept for kind in ("text/event-stream", "text/*", "*/*")):
            await _say(send, 406, _TEXT, b"here are channels: open a WebSocket, or accept text/event-stream\n")
            return
        try:
            wishes = parse_query(scope["query_string"].decode("latin-1"), headers.get("last-event-id"))
        except (BadChannel, BadMessage) as error:
            await _say(send, 400, _TEXT, f"{error}\n".encode())
            return
        await stream(self._rights, scope, receive, send, wishes)


endpoint = Endpoint()
"""Everybody may listen to "public.…", nobody publishes."""


async def _give_client(headers: Headers, send: Send) -> None:
    data, tag = _load()
    kept = [("etag", tag), ("cache-control", "no-cache")]
    known = [each.strip().removeprefix("W/") for each in headers.get("if-none-match", "").split(",")]
    if tag in known or known == ["*"]:
        await _say(send, 304, "", b"", *kept)
    else:
        await _say(send, 200, "text/javascript; charset=utf-8", data, *kept)


@cache
def _load() -> tuple[bytes, str]:
    data = CLIENT.read_bytes()
    return data, f'"{hashlib.sha256(data).hexdigest()[:20]}"'


async def _say(send: Send, status: int, kind: str, body: bytes, *more: tuple[str, str]) -> None:
    headers = [*more, ("x-content-type-options", "nosniff")]
    if kind:
        headers += [("content-type", kind), ("content-length", str(len(body)))]
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
