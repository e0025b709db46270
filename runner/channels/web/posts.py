"""A message that is published by POST, by who has no WebSocket: one a request, answered when the store has it.

    200  {"published": id, "position": …}
    403  the application's rule says no; or the page of another site has sent it
    415  not application/json
    400, 413  not what talk.py says of "publish"
    503  the store does not answer: repeat it, with the same id

Laws: no page of another site publishes in a visitor's name. It cannot send this content type without asking first
(CORS), and is told nothing when it asks; and an Origin that is not ours is refused. Start at post.
RFC 9110 section 15; RFC 6454 section 7.
"""

from __future__ import annotations

import json

from runner.channels.current import reader
from runner.channels.web.publishing import publish
from runner.channels.web.rights import Receive, Rights, Scope
from runner.channels.web.talk import MOST_CHARACTERS, TOO_BIG, Malformed, Publish, Refused, parse
from runner.origin import OWN_PAGES

MOST_BYTES = 4 * MOST_CHARACTERS
"""Of a body."""


async def post(rights: Rights, scope: Scope, headers: dict[str, str], receive: Receive) -> tuple[int, str]:
    """The status and the body, JSON, of the answer. Raises what the application's rule raises."""
    if not OWN_PAGES.allow(headers.get("origin"), headers.get("host", "")):
        return 403, _error("pages of other sites may not publish here")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return 415, _error("send application/json")
    body = await _read(receive)
    said = Malformed(TOO_BIG, f"{MOST_BYTES} bytes are allowed") if body is None else parse(body)
    match said:
        case Publish():
            answer = await publish(reader(), rights, scope, said)
            return (503 if answer.again else 403) if isinstance(answer, Refused) else 200, str(answer)
        case Refused():
            return 400, str(said)
        case Malformed():
            return 413 if said.code == TOO_BIG else 400, _error(said.reason)
    return 400, _error('post {"publish": channel, "data": anything, "id": "session-1"}')


async def _read(receive: Receive) -> bytes | None:
    """The body; None: it is too long."""
    parts, size, more = [], 0, True
    while more:
        event = await receive()
        part: bytes = event.get("body", b"")
        size += len(part)
        if size > MOST_BYTES:
            return None
        parts.append(part)
        more = event.get("more_body", False)  # of http.disconnect, too: what is there is not JSON then
    return b"".join(parts)


def _error(reason: str) -> str:
    return json.dumps({"error": reason})
