"""FastCGI 1.0 from the web server's end: requests as bytes, and what an application answers as events.

For sub-requests, and for tests: it is the other side of the machine in `fastcgi`, so each proves the other.

Laws: no socket, no clock, no thread. It keeps no account of requests: the caller gives each an id and waits
for its End. Whatever an application sends, what comes out is an event or a RemoteProtocolError.
Start at Requester.request. Spec: 4 management records, 5 application records, 6.2 responder.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from runner.wire import records
from runner.wire.records import Pair, serialize_record


@dataclass(slots=True)
class Stdout:
    """A piece of a response, never empty."""

    data: bytes
    request_id: int = 1


@dataclass(slots=True)
class Stderr:
    """A piece of what the application says to the error log, never empty."""

    data: bytes
    request_id: int = 1


@dataclass(slots=True)
class End:
    """A request is over, or was refused: *protocol_status* tells which (5.5)."""

    app_status: int
    protocol_status: int
    request_id: int = 1


@dataclass(slots=True)
class Values:
    """The answer to get_values(), for instance {b"FCGI_MPXS_CONNS": b"0"}."""

    values: dict[bytes, bytes]


@dataclass(slots=True)
class Unknown:
    """The application does not know the management record *type* that was sent to it (4.2)."""

    type: int


Reply = Stdout | Stderr | End | Values | Unknown


class Requester:
    """The web server's end of one connection: for sub-requests and for tests.

    It keeps no account of its requests; the caller gives each an id and waits for its End.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = b""  # an unfinished record

    def request(
        self, request_id: int, params: Iterable[Pair], keep: bool = True, role: int = records.RESPONDER
    ) -> bytes:
        """A request up to the end of its parameters; its body follows as stdin(), the last one of b""."""
        body = records.BEGIN_BODY.pack(role, records.KEEP_CONN if keep else 0)
        begin = serialize_record(records.BEGIN_REQUEST, request_id, body)
        stream = records.serialize_stream(records.PARAMS, request_id, records.serialize_pairs(params))
        return begin + stream + serialize_record(records.PARAMS, request_id)

    def stdin(self, request_id: int, data: bytes) -> bytes:
        """A piece of the request body; b"" ends it."""
        if not data:
            return serialize_record(records.STDIN, request_id)
        return records.serialize_stream(records.STDIN, request_id, data)

    def abort(self, request_id: int) -> bytes:
        """Tell the application that nobody waits for the answer; its End still comes (5.4)."""
        return serialize_record(records.ABORT_REQUEST, request_id)

    def get_values(self, names: Iterable[bytes]) -> bytes:
        """Ask for FCGI_MAX_CONNS, FCGI_MAX_REQS or FCGI_MPXS_CONNS (4.1)."""
        return serialize_record(records.GET_VALUES, 0, records.serialize_pairs((name, b"") for name in names))

    def feed(self, data: bytes) -> list[Reply]:
        """What the bytes that arrived mean. Raises RemoteProtocolError."""
        data = self._kept + data
        replies: list[Reply] = []
        position = 0
        while parsed := records.parse_record(data, position):
            record, position = parsed
            reply = _parse_reply(record)
            if reply is not None:
                replies.append(reply)
        self._kept = data[position:]
        return replies


def _parse_reply(record: records.Record) -> Reply | None:
    """The event of one record; None for the end of a stream and for what no application may send."""
    kind, request_id, content = record
    match kind:
        case records.STDOUT if content:
            return Stdout(content, request_id)
        case records.STDERR if content:
            return Stderr(content, request_id)
        case records.END_REQUEST:
            app_status, protocol_status = records.parse_end(content)
            return End(app_status, protocol_status, request_id)
        case records.GET_VALUES_RESULT:
            return Values(dict(records.parse_pairs(content)))
        case records.UNKNOWN_TYPE if content:
            return Unknown(content[0])
    return None
