"""Where one HTTP message ends, and its body without the framing: httptools, with its corners filled.

The parser says that a message is complete but not at which byte, and would read on into whatever follows.
So it is never given a byte of the next message: a body of known length is counted, and a chunked one is fed
in slices that end behind an empty line, because a chunked message ends with one.

Laws: no socket, no clock; a parser is used for one message, so that no state of one reaches the next; it
must agree with http_head.py about every head, or the request is refused; chunk extensions and trailers may
not outweigh the body without bound. Start at Framing.take. RFC 9112 sections 6 and 7.1.
"""

from __future__ import annotations

import httptools

from runner.errors import RemoteProtocolError

SLACK = 16384
"""Bytes of trailers and of chunk extensions in one message."""
SLACK_PER_CHUNK = 256
"""And so many more for each chunk: signatures of chunks (about 90 bytes) are in real use."""

_BLANK = b"\r\n\r\n"
_CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
_COUNTED = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n"


class _Events:
    """What the parser calls; not Framing itself, or each would keep the other until a garbage collection."""

    __slots__ = ("chunks", "complete", "parts")

    def __init__(self) -> None:
        self.complete = False
        self.chunks = 0
        self.parts: list[bytes] = []

    def on_body(self, data: bytes) -> None:
        self.parts.append(data)

    def on_chunk_header(self) -> None:
        self.chunks += 1

    def on_message_complete(self) -> None:
        self.complete = True


class Framing:
    """One message with the head *raw*; *length* is http_head.Head's.

    Raises RemoteProtocolError: 501 for an unknown method, 400 for whatever else the parser refuses.
    """

    __slots__ = ("_events", "_left", "_overhead", "_parser", "_stopped")

    def __init__(self, raw: bytes, length: int | None) -> None:
        self._left = length
        self._overhead = 0
        self._start(raw)
        if self._stopped and length != 0:
            # The parser takes what follows for the other protocol; the body comes first (RFC 9110 7.8).
            self._start(_CHUNKED if length is None else _COUNTED % length)
        if self._events.complete != (length == 0):
            raise RemoteProtocolError("the request head can be read in two ways")

    @property
    def complete(self) -> bool:
        """The last byte of the message was taken."""
        return self._events.complete

    def take(self, buffer: bytearray) -> bytes:
        """Take what belongs to this message off the front of *buffer*; returns the body in it.

        Raises RemoteProtocolError (400) for wrong framing; nothing behind it may be read as a request.
        """
        if self._left is None:
            taken = self._feed_chunks(buffer)
        else:
            taken = min(self._left, len(buffer))
            self._feed(buffer[:taken])
            self._left -= taken
        del buffer[:taken]
        parts, self._events.parts = self._events.parts, []
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if self._left is None:
            self._weigh(taken - len(data))
        return data

    def _feed_chunks(self, buffer: bytearray) -> int:
        """Feed what cannot reach beyond this message; returns its length.

        A message ends with two line ends in a row, and the first of them ends a line with something in it
        ("0", or a trailer). So a pair found earlier, in the body, cannot reach into that last pair, and the
        search may go on behind each. A pair of which only the beginning has arrived waits in the buffer.
        """
        at = 0
        while not self._events.complete:
            found = buffer.find(_BLANK, at)
            end = found + len(_BLANK) if found >= 0 else len(buffer) - _begun(buffer, at)
            self._feed(buffer[at:end])
            at = end
            if found < 0:
                break
        return at

    def _weigh(self, overhead: int) -> None:
        self._overhead += overhead
        if self._overhead > SLACK + SLACK_PER_CHUNK * self._events.chunks:
            raise RemoteProtocolError("the chunk extensions or trailers of the request body are too long")

    def _start(self, head: bytes) -> None:
        self._events = _Events()
        self._parser = httptools.HttpRequestParser(self._events)
        self._stopped = False
        self._feed(head)

    def _feed(self, data: bytes | bytearray) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Whether to change the protocol is the application's affair.
            self._stopped = True
        except httptools.HttpParserInvalidMethodError:
            raise RemoteProtocolError("the request method is none that HTTP knows", 501) from None
        except httptools.HttpParserError as error:
            raise RemoteProtocolError(f"the request cannot be parsed: {error}") from None


def _begun(buffer: bytearray, start: int) -> int:
    """How many bytes at the end of *buffer*, behind *start*, may be the beginning of an empty line."""
    return next((size for size in (3, 2, 1) if buffer.endswith(_BLANK[:size], start)), 0)
