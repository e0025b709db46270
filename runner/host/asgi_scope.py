"""Request -> the connection scope of an ASGI application.

Laws: pure; each request has a scope of its own, which its application may change. What CGI joins (a header sent twice)
stays joined: RFC 9110 section 5.3 says that it means the same. Start at http_scope.
ASGI 3.0, "HTTP & WebSocket ASGI Message Format" 2.5, "HTTP Connection Scope" and "WebSocket Connection Scope".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import quote

from runner.request import Request

Scope = dict[str, Any]

SPECIFICATION = {"version": "3.0", "spec_version": "2.3"}
"""From 2.4 on a `send` after the client has left raises; frameworks then stop waiting for `http.disconnect`, and a
stream that has nothing to say would never be told."""
_BARE = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}
_MOST_KNOWN = 512


def http_scope(request: Request, state: dict[str, Any]) -> Scope:
    """The scope of *request*; *state*: what the lifespan has left for all requests, of which each has a copy."""
    variables = request.variables
    port, peer = variables.get("SERVER_PORT", ""), variables.get("REMOTE_ADDR", "")
    return {
        "type": "http",
        "asgi": SPECIFICATION.copy(),
        "http_version": _version(variables["SERVER_PROTOCOL"]),
        "method": request.method.upper(),
        "scheme": request.scheme,
        "path": _decode(variables["SCRIPT_NAME"] + variables["PATH_INFO"]),
        "raw_path": _raw_path(variables),
        "query_string": request.query.encode("latin-1"),
        "root_path": _decode(variables["SCRIPT_NAME"]),
        "headers": _headers(variables),
        "client": (peer, _number(variables.get("REMOTE_PORT", "")) or 0) if peer else None,
        "server": (variables.get("SERVER_NAME", ""), _number(port)),
        "state": state.copy(),
        "extensions": {},
    }


def websocket_scope(
    request: Request, state: dict[str, Any], subprotocols: list[str], extensions: dict[str, dict[str, Any]]
) -> Scope:
    """That of a WebSocket that *request* asks for; the same but where the specification wants it otherwise."""
    scope = http_scope(request, state)
    del scope["method"]
    return scope | {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "scheme": "wss" if request.scheme == "https" else "ws",
        "subprotocols": subprotocols,
        "extensions": {"websocket.http.response": {}, **extensions},
    }


def _decode(path: str) -> str:
    """CGI's text of bytes as the text that they mean; what is no UTF-8 is visibly not."""
    return path if path.isascii() else path.encode("latin-1").decode("utf-8", "replace")


def _raw_path(variables: dict[str, str]) -> bytes:
    """As the client sent it, without the query; made again where the web server does not say."""
    uri = variables.get("REQUEST_URI", "").partition("?")[0]
    if not uri.startswith("/"):
        uri = quote((variables["SCRIPT_NAME"] + variables["PATH_INFO"]).encode("latin-1"), safe="/:@!$&'()*+,;=~")
    return uri.encode("latin-1")


class _HeaderNames(dict[str, bytes]):
    """Variable -> header, b"" for what is none; filled as they come, and bounded, for it is clients who choose them."""

    def __missing__(self, variable: str) -> bytes:
        name = variable[5:].lower().replace("_", "-") if variable.startswith("HTTP_") else _BARE.get(variable, "")
        if len(self) >= _MOST_KNOWN:
            self.clear()
        made = self[variable] = name.encode("latin-1")
        return made


_NAMES = _HeaderNames()


def _headers(variables: dict[str, str]) -> list[tuple[bytes, bytes]]:
    names = _NAMES
    return [(names[name], value.encode("latin-1")) for name, value in variables.items() if names[name]]


@lru_cache(maxsize=16)
def _version(protocol: str) -> str:
    """ "1.1" of "HTTP/1.1", "2" of "HTTP/2.0"."""
    return protocol.partition("/")[2].removesuffix(".0") if protocol != "HTTP/1.0" else "1.0"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else None
