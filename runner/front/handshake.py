"""A request that asks for a WebSocket -> the protocol that will be spoken, or why not.

    405   another method than GET
    426   HTTP/1.0, or another version of the protocol than 13, or no `Connection: Upgrade`
    400   no key, or one that is none; extensions that cannot be read
    403   a page of a site that may not (runner/origin.py)

Laws: the application is not asked about what is refused here; it alone chooses the subprotocol. The only module, with
websocket.py, that knows the `websockets` library. Start at shake. RFC 6455 sections 4.2 and 4.4; RFC 7692.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import enable_server_permessage_deflate
from websockets.http11 import Request, Response
from websockets.protocol import State

from runner.errors import LocalProtocolError
from runner.front.connection import Connection
from runner.front.websocket import MAX_MESSAGE, Protocol, Socket
from runner.origin import Origins
from runner.request import Answer
from runner.wire.headers import Block

_TEXT = ("Content-Type", "text/plain; charset=utf-8")
_VERSION = ("Sec-WebSocket-Version", "13")
_ASKED = {
    "HTTP_CONNECTION": "Connection", "HTTP_UPGRADE": "Upgrade", "HTTP_SEC_WEBSOCKET_KEY": "Sec-WebSocket-Key",
    "HTTP_SEC_WEBSOCKET_VERSION": "Sec-WebSocket-Version",
    "HTTP_SEC_WEBSOCKET_EXTENSIONS": "Sec-WebSocket-Extensions",
}  # fmt: skip
_SILENT = logging.Logger("runner.websocket", logging.CRITICAL + 1)
"""In no hierarchy: how an application sets up logging is its own affair, and lines about each connection ours."""
_DEFLATE = enable_server_permessage_deflate(None)
"""The library's own choice: windows of 4 KiB, so that a compressed socket costs about 32 KiB and not 300."""


def shake(variables: dict[str, str], origins: Origins, *, again: bool = False) -> Handshake | Answer:
    """What to do with the request of these CGI *variables*; *again*: it was accepted already, by another process."""
    if variables["REQUEST_METHOD"] != "GET":
        return _refuse(405, "a WebSocket is opened by GET", ("Allow", "GET"))
    if variables["SERVER_PROTOCOL"] == "HTTP/1.0":
        return _refuse(426, "a WebSocket needs HTTP/1.1 (nginx: proxy_http_version 1.1)", _VERSION)
    if variables.get("HTTP_SEC_WEBSOCKET_VERSION") != "13":
        return _refuse(426, "only version 13 of the WebSocket protocol is spoken here", _VERSION)
    origin, host = variables.get("HTTP_ORIGIN"), variables.get("HTTP_HOST", "")
    if not origins.allow(origin, host):
        return _refuse(403, f"pages of {origin} may not open a WebSocket to {host}; --allow-origin lists who may")
    offered = variables.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")
    if again:
        protocol = Protocol(state=State.OPEN, max_size=MAX_MESSAGE, logger=_SILENT)
        return Handshake(protocol, Response(101, "", Headers()), offered)
    asked = {name: variables[variable] for variable, name in _ASKED.items() if variable in variables}
    if strange := next((name for name, value in asked.items() if not value.isascii()), None):
        return _refuse(400, f"{strange} has letters that it cannot have")
    protocol = Protocol(extensions=_DEFLATE, max_size=MAX_MESSAGE, logger=_SILENT)
    protocol.receive_data(Request("/", Headers(asked)).serialize())  # its parser goes on from there
    request = next(iter(protocol.events_received()), None)
    response = protocol.accept(request) if isinstance(request, Request) else protocol.reject(400, "")
    if response.status_code != 101:
        return _refuse(response.status_code, str(protocol.handshake_exc), ("Upgrade", "websocket"))
    return Handshake(protocol, response, offered)


class Handshake:
    """A good request for a WebSocket, not yet answered. *subprotocols*: the client's, its favourite first."""

    __slots__ = ("_protocol", "_response", "subprotocols")

    def __init__(self, protocol: Protocol, response: Response, offered: str) -> None:
        self._protocol = protocol
        self._response = response
        self.subprotocols = [each.strip() for each in offered.split(",") if each.strip()]

    def renounce(self) -> None:
        """Speak without compression: what it remembers of former messages could not go along with a socket."""
        self._protocol.extensions = []
        if "Sec-WebSocket-Extensions" in self._response.headers:
            del self._response.headers["Sec-WebSocket-Extensions"]

    def complete(self, subprotocol: str | None, more: Block) -> bytes:
        """The answer that accepts it, with *more* headers. Raises LocalProtocolError."""
        if subprotocol is not None:
            if subprotocol not in self.subprotocols:
                raise LocalProtocolError(f"the client did not offer the subprotocol {subprotocol!r}: choose one of "
                                         f"{self.subprotocols}, or none")
            self._response.headers["Sec-WebSocket-Protocol"] = subprotocol
        if "\r\nsec-websocket-" in f"\r\n{more.text.lower()}":
            raise LocalProtocolError("Sec-WebSocket-* is the server's to say; give the subprotocol as such")
        return self._response.serialize()[:-2] + more.text.encode("latin-1") + b"\r\n"

    def open(self, connection: Connection, stir: Callable[[], None]) -> Socket:
        """What speaks over *connection* from then on."""
        return Socket(connection, self._protocol, stir)


def _refuse(status: int, reason: str, *headers: tuple[str, str]) -> Answer:
    return Answer(status, [_TEXT, *headers], f"{reason}\n".encode("utf-8", "backslashreplace"))
