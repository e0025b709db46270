"""A JSON-RPC batch gateway (runner.batch) as an application: POST a batch, get its answer.

It is an application of tasks like any other, so that it holds up nobody while its items run.

Its items are sent as JSON, so it must be declared to be that: a page of another site can have any browser post a form
or plain text here, with the visitor's cookies, but JSON only after asking (Fetch Standard, "CORS-preflight request").
An endpoint that relies on that is as safe behind the gateway as alone.

Laws: whose client leaves has its items cancelled, and is answered no more; nothing runs that was not posted as JSON.
Start at application_of.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from runner.batch import JSONRPCBatch
from runner.host.asgi_call import Application, Event, Receive, Send
from runner.request import Answer, Request, current

_JSON = re.compile(r"application/(json|json-rpc|jsonrequest|[^;, ]+\+json)\s*(;|$)", re.IGNORECASE)
_JSON_ONLY = Answer(
    415, [("Accept", "application/json"), ("Content-Type", "text/plain")],
    b"Send it with the header Content-Type: application/json.\n",
)  # fmt: skip
_POST_ONLY = Answer(405, [("Allow", "POST"), ("Content-Type", "text/plain")], b"Send a JSON-RPC batch by POST.\n")


def application_of(batch: JSONRPCBatch) -> Application:
    """*batch* as an ASGI application."""

    async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = _refused(current()) or await _run(batch, receive)
        if answer is not None:
            length = (b"content-length", b"%d" % len(answer.body))
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
            begin: Event = {"type": "http.response.start", "status": answer.status}
            await send({**begin, "headers": headers if answer.status == 204 else [*headers, length]})
            await send({"type": "http.response.body", "body": answer.body})

    return application


def _refused(request: Request) -> Answer | None:
    if request.method != "POST":
        return _POST_ONLY
    return None if _JSON.match(request.variables.get("CONTENT_TYPE", "")) else _JSON_ONLY


async def _run(batch: JSONRPCBatch, receive: Receive) -> Answer | None:
    """Its answer; None if the client has left."""
    parts, more = [], True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        parts.append(event["body"])
        more = event["more_body"]
    running = asyncio.ensure_future(batch.run(b"".join(parts), current()))
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait((running, leaving), return_when=asyncio.FIRST_COMPLETED)
        return running.result() if running.done() else None
    finally:
        for task in (running, leaving):
            task.cancel()
        await asyncio.wait((running, leaving))
