"""The alphabet of FastCGI 1.0: its numbers, its records and its name-value pairs.

Every function here is pure and knows nothing of what was said before; who may say what when is for `fastcgi`.

Laws: no socket, no clock, no state. A length a peer declares is never trusted with memory: what is cut out of
a buffer can only be as long as that buffer is.
Start at serialize_record; of the usual PARAMS stream, `parameters` makes more with less than parse_pairs.
Spec: 3.3 records, 3.4 name-value pairs, 8 constants.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple

from runner.errors import RemoteProtocolError

VERSION_1: Final = 1

# Record types (8).
BEGIN_REQUEST: Final = 1
ABORT_REQUEST: Final = 2
END_REQUEST: Final = 3
PARAMS: Final = 4
STDIN: Final = 5
STDOUT: Final = 6
STDERR: Final = 7
DATA: Final = 8
GET_VALUES: Final = 9
GET_VALUES_RESULT: Final = 10
UNKNOWN_TYPE: Final = 11

# Roles and the one flag of a BEGIN_REQUEST (5.1).
RESPONDER: Final = 1
AUTHORIZER: Final = 2
FILTER: Final = 3
KEEP_CONN: Final = 1

# Protocol statuses of an END_REQUEST (5.5).
REQUEST_COMPLETE: Final = 0
CANT_MPX_CONN: Final = 1
OVERLOADED: Final = 2
UNKNOWN_ROLE: Final = 3

NULL_REQUEST_ID: Final = 0  # management records, which belong to the connection and not to a request (3.3)
MAX_CONTENT: Final = 65535  # what a 16-bit contentLength can say
MAX_PAYLOAD: Final = 65528  # the largest multiple of 8 below it: whole chunks then need no padding

POISON: Final = bytes(8)
"""A record of version 0, for a response that must not look finished.

Without `fastcgi_keep_conn on`, nginx takes a connection that closes for the end of a complete answer and
hands the client a valid last chunk: a worker that fails half-way looks like success. A bad version makes
nginx cut the client off in every mode. Send it after the last byte that may still be believed, then close.
"""

HEADER: Final = Struct("!BBHHBx")  # version, type, request id, content length, padding length, reserved
BEGIN_BODY: Final = Struct("!HB5x")  # role, flags
END_BODY: Final = Struct("!IB3x")  # app status, protocol status
END_RECORD: Final = Struct("!BBHHBxIB3x")  # the header and body of an END_REQUEST
TAIL: Final = Struct("!BBHHBxBBHHBxIB3x")  # an empty STDOUT and an END_REQUEST
LONG_LENGTH: Final = Struct("!I")  # the four-byte form of a length, its top bit set

_PADDING: Final = tuple(bytes(length) for length in range(8))

Pair = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a peer may make us hold: bytes of one PARAMS stream (lengths included), and pairs in it."""

    params_bytes: int = 256 * 1024
    params_count: int = 1000


DEFAULT_LIMITS: Final = Limits()


class Record(NamedTuple):
    """One record without its padding."""

    kind: int
    request_id: int
    content: bytes


def serialize_record(kind: int, request_id: int, content: bytes = b"", padding: int | None = None) -> bytes:
    """One record; *padding* bytes of zeros behind it, by default as many as make it a multiple of 8 (3.3).

    Raises struct.error when *content* is longer than MAX_CONTENT or *padding* more than 255.
    """
    if padding is None:
        padding = -len(content) & 7
    return HEADER.pack(VERSION_1, kind, request_id, len(content), padding) + content + bytes(padding)


def parse_record(buffer: bytes, position: int = 0) -> tuple[Record, int] | None:
    """The record at *position* and where the next one begins; None means "feed me more".

    Raises RemoteProtocolError for any version but 1, as soon as its byte is there.
    """
    if position < len(buffer) and buffer[position] != VERSION_1:
        raise RemoteProtocolError(f"FastCGI version {buffer[position]}; only version 1 exists", status=502)
    if len(buffer) - position < 8:
        return None
    _, kind, request_id, length, padding = HEADER.unpack_from(buffer, position)
    stop = position + 8 + length
    if stop + padding > len(buffer):
        return None
    return Record(kind, request_id, buffer[position + 8 : stop]), stop + padding


def select(buffer: bytes, request_id: int) -> bytes:
    """Of the whole records in *buffer* those of this request, as they came."""
    found, position = [], 0
    while position < len(buffer):
        _, _, owner, length, padding = HEADER.unpack_from(buffer, position)
        start, position = position, position + 8 + length + padding
        if owner == request_id:
            found.append(buffer[start:position])
    return b"".join(found)


def parse_begin(content: bytes) -> tuple[int, int]:
    """Role and flags of a BEGIN_REQUEST (5.1)."""
    if len(content) < 8:
        raise RemoteProtocolError(f"a BEGIN_REQUEST of {len(content)} bytes; it has 8")
    role, flags = BEGIN_BODY.unpack_from(content)
    return role, flags


def parse_end(content: bytes) -> tuple[int, int]:
    """App status and protocol status of an END_REQUEST (5.5)."""
    if len(content) < 8:
        raise RemoteProtocolError(f"an END_REQUEST of {len(content)} bytes; it has 8", status=502)
    app_status, protocol_status = END_BODY.unpack_from(content)
    return app_status, protocol_status


def serialize_stream(kind: int, request_id: int, data: bytes) -> bytes:
    """*data* as records of one stream, each padded to 8; nothing for b"", which would end it (3.3)."""
    length = len(data)
    if 0 < length <= MAX_PAYLOAD:
        padding = -length & 7
        return HEADER.pack(VERSION_1, kind, request_id, length, padding) + data + _PADDING[padding]
    return b"".join(_split(kind, request_id, data))


def _split(kind: int, request_id: int, data: bytes) -> Iterator[bytes | memoryview]:
    """The parts of a long stream. Slices of a view copy nothing, so the caller's join is the only copy."""
    view = memoryview(data)
    for start in range(0, len(data), MAX_PAYLOAD):
        chunk = view[start : start + MAX_PAYLOAD]
        padding = -len(chunk) & 7
        yield HEADER.pack(VERSION_1, kind, request_id, len(chunk), padding)
        yield chunk
        yield _PADDING[padding]


def stdout(request_id: int, data: bytes) -> bytes:
    """A piece of the response as STDOUT records; b"" for b"": it is Responder.finish that ends the stream."""
    return serialize_stream(STDOUT, request_id, data)


def end(request_id: int, app_status: int = 0, protocol_status: int = REQUEST_COMPLETE) -> bytes:
    """An END_REQUEST record (5.5), 16 bytes. To end the request a Responder is in, use its finish()."""
    return END_RECORD.pack(VERSION_1, END_REQUEST, request_id, 8, 0, app_status, protocol_status)


def whole(request_id: int, data: bytes, app_status: int = 0, protocol_status: int = 0) -> bytes:
    """The last (or only) piece of a response, the end of STDOUT and END_REQUEST, to go out in one write."""
    tail = TAIL.pack(
        VERSION_1, STDOUT, request_id, 0, 0,
        VERSION_1, END_REQUEST, request_id, 8, 0, app_status, protocol_status,
    )  # fmt: skip
    length = len(data)
    if 0 < length <= MAX_PAYLOAD:
        padding = -length & 7
        header = HEADER.pack(VERSION_1, STDOUT, request_id, length, padding)
        return b"".join((header, data, _PADDING[padding], tail))
    return b"".join((*_split(STDOUT, request_id, data), tail))


def serialize_pairs(pairs: Iterable[Pair]) -> bytes:
    """Name-value pairs one after the other, each length in its shortest form (3.4)."""
    parts: list[bytes] = []
    for name, value in pairs:
        parts += (_serialize_length(len(name)), _serialize_length(len(value)), name, value)
    return b"".join(parts)


def _serialize_length(length: int) -> bytes:
    return length.to_bytes(1, "big") if length < 128 else LONG_LENGTH.pack(length | 0x80000000)


def parse_pairs(stream: bytes, limits: Limits = DEFAULT_LIMITS) -> list[Pair]:
    """The name-value pairs of a whole stream, in its order, duplicates and empty names included (3.4).

    Raises RemoteProtocolError when the last pair runs past the end (400), or when there are more pairs, or
    a pair wants more bytes, than *limits* allows (431).
    """
    pairs: list[Pair] = []
    append = pairs.append
    position, size = 0, len(stream)
    if not size:
        return pairs
    try:
        for _ in range(limits.params_count):
            name_length = stream[position]
            value_length = stream[position + 1]
            if name_length < 128 and value_length < 128:
                position += 2
            else:
                name_length, value_length, position = parse_long_lengths(stream, position)
            middle = position + name_length
            stop = middle + value_length
            # No check against the end for each pair: a slice cannot be longer than the stream, and a pair
            # that wants more leaves `stop` behind the end, where the test after the loop finds it.
            append((stream[position:middle], stream[middle:stop]))
            position = stop
            if position >= size:
                break
        else:
            limit = limits.params_count
            raise RemoteProtocolError(f"more than {limit} FastCGI parameters; send fewer", status=431)
    except IndexError:
        raise RemoteProtocolError("FastCGI parameters end inside a length; the peer is broken") from None
    if position > size:
        raise _overrun(position, size, limits)
    return pairs


def parse_long_lengths(stream: bytes, position: int) -> tuple[int, int, int]:
    """The two lengths at *position*, each of one or of four bytes, and where the name begins (3.4).

    Raises IndexError when the stream ends inside them.
    """
    name_length, position = _parse_length(stream, position)
    value_length, position = _parse_length(stream, position)
    return name_length, value_length, position


def _parse_length(stream: bytes, position: int) -> tuple[int, int]:
    first = stream[position]
    if first < 128:
        return first, position + 1
    low = stream[position + 3]  # the last byte first, so that a cut length is an IndexError
    high = (first & 0x7F) << 24 | stream[position + 1] << 16 | stream[position + 2] << 8
    return high | low, position + 4


def _overrun(wanted: int, size: int, limits: Limits) -> RemoteProtocolError:
    limit = limits.params_bytes
    if wanted > limit:
        return RemoteProtocolError(f"FastCGI parameters of {wanted} bytes; the limit is {limit}", status=431)
    return RemoteProtocolError(f"FastCGI parameters end {wanted - size} bytes too early; the peer is broken")
