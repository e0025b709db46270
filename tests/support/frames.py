"""WebSocket by hand: frames as bytes, right or wrong, and what a server's bytes say. Start at frame and Reader.

RFC 6455 sections 4.1 and 5.2.
"""

import struct
from typing import NamedTuple

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""What RFC 6455 section 1.3 says to that key."""
MASK = b"\x37\xfa\x21\x3d"


class Heard(NamedTuple):
    """A frame of the server's."""

    opcode: int
    data: bytes
    fin: bool = True
    rsv: int = 0


def handshake(target: str = "/", **headers: str | None) -> bytes:
    """A request for a WebSocket; *headers* (`Sec_WebSocket_Key="x"`) win, and None leaves one out."""
    lines: dict[str, str | None] = {
        "Host": "localhost", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }  # fmt: skip
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"GET {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1")


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    """One frame, however wrong."""
    length = len(data)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    flag = 0x80 if mask else 0
    if length < 126:
        head += bytes([flag | length])
    elif length < 65536:
        head += bytes([flag | 126]) + struct.pack("!H", length)
    else:
        head += bytes([flag | 127]) + struct.pack("!Q", length)
    return head + MASK + masked(data) if mask else head + data


def masked(data: bytes) -> bytes:
    """*data* under MASK."""
    whole = int.from_bytes((MASK * (len(data) // 4 + 1))[: len(data)], "big")
    return (int.from_bytes(data, "big") ^ whole).to_bytes(len(data), "big")


def close(code: int, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(CLOSE, struct.pack("!H", code) + reason)


def code_of(heard: Heard) -> int:
    """The code of a close frame, 1005 if it has none."""
    assert heard.opcode == CLOSE, heard
    return int.from_bytes(heard.data[:2], "big") if heard.data else 1005


class Reader:
    """Takes a server's bytes as they come."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Heard]:
        """The frames that are complete now."""
        self._buffer += data
        found = []
        while (one := self._next()) is not None:
            found.append(one)
        return found

    def _next(self) -> Heard | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        assert not buffer[1] & 0x80, "a server masks nothing (section 5.1)"
        size, begin = buffer[1], 2
        if size == 126:
            size, begin = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:
            size, begin = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < begin + size:
            return None
        self._buffer = buffer[begin + size :]
        return Heard(buffer[0] & 15, buffer[begin : begin + size], bool(buffer[0] & 0x80), buffer[0] >> 4 & 7)
