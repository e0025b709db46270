"""One request of plain HTTP/1.1 and the way its answer takes back.

Laws: where a body ends is said by its length, by chunks, or by the connection's end, in this order of preference; an
answer that stays incomplete is made to look so: no last chunk, missing bytes, or a reset where only the close would
have told the end. Start at HTTPExchange. RFC 9112 sections 6 and 9.6.
"""

from __future__ import annotations

import re
import socket
import struct
import time
from email.utils import formatdate
from functools import lru_cache
from typing import Protocol

from runner.front.connection import Connection
from runner.front.exchange import BaseExchange
from runner.front.machine import Machine
from runner.request import Request, Service
from runner.wire.headers import Block

_RESET = struct.pack("ii", 1, 0)
"""struct linger: on, zero seconds; close then sends a reset (socket(7))."""
_LENGTH = re.compile(r"^content-length:.*\r\n", re.IGNORECASE | re.MULTILINE)


class Turns(Protocol):
    """The front, as its exchanges know it."""

    def next(self, *, keep: bool) -> None:
        """The present request was answered: take the next one, or close."""

    def forget(self) -> None:
        """Its answer stays incomplete; the connection is closed, and nothing more is taken from it."""

    def leave_to(self, machine: Machine) -> bytes:
        """Another protocol is spoken from here on, by *machine*; return what has arrived of it."""


class HTTPExchange(BaseExchange):
    """The answer as one HTTP/1.1 message; *keep* if another request may follow on this connection."""

    __slots__ = ("_chunked", "_front", "_keep", "_modern", "_sized")

    def __init__(
        self, front: Turns, request: Request, connection: Connection, service: Service, *, keep: bool
    ) -> None:
        super().__init__(connection, request, service)
        self._front = front
        self._keep = keep
        self._modern = request.variables["SERVER_PROTOCOL"] == "HTTP/1.1"
        self._sized = False
        self._chunked = False

    def _serialize_head(self, status: int, reason: str, block: Block) -> bytes:
        text = block.text
        self._sized = self._mute or block.content_length is not None
        if status == 204 and block.content_length is not None:
            # RFC 9110 section 8.6 forbids it here, and applications set it all the same.
            text = _LENGTH.sub("", text)
        date = "" if block.has_date else _date(int(time.time()))
        return f"HTTP/1.1 {status} {reason}\r\n{text}{date}".encode("latin-1")

    def _size(self, length: int) -> None:
        if self._head is not None:
            self._head += b"Content-Length: %d\r\n" % length
            self._sized = True

    def _serialize(self, head: bytes, data: bytes, *, last: bool) -> bytes:
        if head:
            head += self._frame()
        if self._chunked:
            if data:
                head += b"%x\r\n%b\r\n" % (len(data), data)
            return head + b"0\r\n\r\n" if last else head
        return head + data if head else data

    def _frame(self) -> bytes:
        """The end of the head: how the body's end will be known, and what becomes of the connection."""
        frame = b""
        if not self._sized:
            if self._modern:
                self._chunked = True
                frame = b"Transfer-Encoding: chunked\r\n"
            else:
                self._keep = False
        if self.service.closing:
            self._keep = False
        if not self._keep:
            frame += b"Connection: close\r\n"
        elif not self._modern:
            frame += b"Connection: keep-alive\r\n"
        return frame + b"\r\n"

    def _break(self) -> None:
        if self.committed and not self._sized and not self._chunked:
            self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def _release(self, *, whole: bool) -> None:
        if whole:
            self._front.next(keep=self._keep)
        else:
            self._front.forget()
            self.connection.close(linger=False)


# A memo of a pure function: the text is the same for a second.
@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return f"Date: {formatdate(second, usegmt=True)}\r\n"
