"""FastCGI 1.0 as a conversation, from the application's end: bytes in, events and replies out.

Feed what arrived and act on the events; write what take(), records.stdout() and finish() return.

Laws: no socket, no clock, no thread, no application. Whatever a peer sends, what comes out is an event, a
reply or a RemoteProtocolError, and what is kept is bounded. One request at a time: a connection that carried
several could not be handed to another process, and no web server asks for it. Nothing is volunteered: web
servers give up a request when a management record they did not ask for comes in its answer.
Start at Responder.feed. Spec: 3 protocol basics, 4 management records, 5 application records, 6.2 responder.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

from runner.errors import RemoteProtocolError
from runner.wire import records
from runner.wire.records import BEGIN_REQUEST, PARAMS, STDIN, VERSION_1, serialize_record

MAX_REPLIES: Final = 1024  # refusals and results not yet taken; one feed of 1 MiB could ask for 65,535
MAX_PIPELINED: Final = 256 * 1024  # bytes of the next request held while the present one is answered
ABORTED_STATUS: Final = 1  # the appStatus of a request given up before its application was told of it

# How web servers send a request without a body, mostly in one piece: BEGIN_REQUEST, all parameters in one record, and
# the ends of both streams. A web server that has one request on a connection calls it 1.
_OPENING: Final = Struct("!10sB5x4sHBx")  # BEGIN_REQUEST up to its flags, the flags; type, length, padding of a PARAMS
_BEGIN_1: Final = records.HEADER.pack(VERSION_1, BEGIN_REQUEST, 1, 8, 0) + records.RESPONDER.to_bytes(2, "big")
_PARAMS_1: Final = records.HEADER.pack(VERSION_1, PARAMS, 1, 0, 0)[:4]
_ENDS_1: Final = serialize_record(PARAMS, 1) + serialize_record(STDIN, 1)
_SHORTEST: Final = _OPENING.size + len(_ENDS_1)

# How far the peer is with its request. Plain integers in rising order: they are compared for every record.
_IDLE: Final = 0  # no request
_HEAD: Final = 1  # BEGIN_REQUEST came, PARAMS has not ended; nobody was told
_BODY: Final = 2  # Head was given out, STDIN has not ended
_COMPLETE: Final = 3  # the peer has sent all of it; the answer is ours to finish
_ABORTED: Final = 4  # the same, but nobody waits for the answer


# Not frozen: that would double the price of making one. Nobody writes to an event.
@dataclass(slots=True)
class Head:
    """A request has begun: its PARAMS stream, whole but not parsed, and whether the connection is kept after it."""

    params: bytes
    keep: bool


@dataclass(slots=True)
class Body:
    """A piece of the request body, never empty."""

    data: bytes


@dataclass(slots=True)
class BodyEnd:
    """The body is over; whether it is as long as CONTENT_LENGTH says is for the reader to check (6.2)."""


@dataclass(slots=True)
class Abort:
    """Nobody waits for the answer any more: clean up, then finish() soon (5.4)."""


Event = Head | Body | BodyEnd | Abort

_BODY_END: Final = BodyEnd()
_ABORT: Final = Abort()


class Responder:
    """The application's end of one connection.

    `request_id` is the request being received or answered, 0 between requests; `keep` is the KEEP_CONN flag
    of the newest one, `body_ended` whether its STDIN was terminated (both stay readable after finish()).
    `must_close`: no further request is read here; close once nothing is `active` and all is written.
    `pending`: the peer has begun its next request before the end of this one; stop reading, and feed b""
    after finish().
    """

    __slots__ = ("_began", "_fresh", "_kept", "_limits", "_params", "_read", "_replies", "_stage", "_values",
                 "body_ended", "keep", "must_close", "pending", "request_id")  # fmt: skip

    def __init__(self, limits: records.Limits = records.DEFAULT_LIMITS, max_conns: int = 1) -> None:
        self.request_id = 0
        self.keep = False
        self.body_ended = False
        self.must_close = False
        self.pending = False
        self._stage = _IDLE
        self._limits = limits
        # As many requests as connections, since a connection carries one at a time (4.1).
        figure = b"%d" % max_conns
        self._values = {b"FCGI_MAX_CONNS": figure, b"FCGI_MAX_REQS": figure, b"FCGI_MPXS_CONNS": b"0"}
        self._kept = b""  # the beginning of a record; while `pending`, of the next request
        self._read: bytes | bytearray = b""  # the records of a request that was not yet acted upon
        self._began = 0  # where in what is being fed they begin
        self._params: bytes | bytearray = b""  # the PARAMS stream so far
        self._replies: list[bytes] = []
        self._fresh = True  # until the first whole record

    @property
    def active(self) -> bool:
        """Whether a request has begun here and is not finished; its Head may not be out yet."""
        return self._stage != _IDLE

    @property
    def between(self) -> bool:
        """Whether no byte of an unfinished request or record is here: nothing is lost if the connection ends now."""
        return self._stage == _IDLE and not self._kept

    @property
    def unread(self) -> bytes:
        """Every byte of a request that nobody has acted upon: another Responder that is fed them goes on from there.

        Valid between requests, while a head is incomplete, and when feed() has just returned a Head.
        """
        # What lies between the records of the request was answered here, and must not be answered twice.
        return records.select(bytes(self._read), self.request_id) + self._kept

    def feed(self, data: bytes) -> list[Event]:
        """What the bytes that arrived mean. Look at take(), `must_close` and `pending` afterwards.

        How the bytes are cut into calls makes no difference to events and replies.
        Raises RemoteProtocolError, which costs the events of this call; `must_close` is set then, and a
        request that is `active` may still be answered with the error's status.
        """
        if self._stage == _IDLE and len(data) >= _SHORTEST and not self._kept and not self.must_close:
            whole = self._whole(data)
            if whole is not None:
                return whole
        events: list[Event] = []
        try:
            if self._kept:
                data = self._with_kept(data)
            reading = self._stage <= _HEAD
            self._began = 0
            position = self._parse(data, events)
            if reading and self._stage != _IDLE:
                self._read = self._read or bytearray()
                self._read += data[self._began : position]
            if position < len(data) and not self.must_close:
                self._keep_rest(data, position)
        except RemoteProtocolError:
            self._stop_reading()
            raise
        return events

    def _whole(self, data: bytes) -> list[Event] | None:
        """The events of one whole request without a body, seen at a glance; None if *data* is anything else.

        They are those that _parse would find walking from record to record, and most of what ever arrives.
        """
        begin, flags, params, length, padding = _OPENING.unpack_from(data)
        start = _OPENING.size
        stop = start + length
        if begin != _BEGIN_1 or params != _PARAMS_1 or data[stop + padding :] != _ENDS_1:
            return None
        if length > self._limits.params_bytes:
            return None
        self.request_id = 1
        self.keep = bool(flags & records.KEEP_CONN)
        self.body_ended = True
        self._stage = _COMPLETE
        self._fresh = False
        self._read = data
        return [Head(data[start:stop], self.keep), _BODY_END]

    def _parse(self, data: bytes, events: list[Event]) -> int:
        """Append the events of all whole records to *events*; return where the first unused byte is."""
        position, size = 0, len(data)
        mine = self.request_id or -1  # between requests nothing must match, not even a management record
        unpack = records.HEADER.unpack_from
        while size - position >= 8 and not self.must_close:
            version, kind, request_id, length, padding = unpack(data, position)
            if version != VERSION_1:
                raise self._bad_version(version, position)
            start = position + 8
            stop = start + length
            if stop + padding > size:
                break
            if request_id == mine:
                if kind == STDIN and length and self._stage == _BODY:
                    events.append(Body(data[start:stop]))
                elif not self._advance(kind, data[start:stop], events):
                    break
                else:
                    mine = self.request_id or -1
            elif kind == BEGIN_REQUEST:
                if self._stage == _IDLE:
                    self._began = position
                self._begin(request_id, data[start:stop])
                mine = self.request_id or -1
            elif request_id == records.NULL_REQUEST_ID:
                self._manage(kind, data[start:stop])
            # Everything else is for an inactive id, and ignored (3.3).
            position = stop + padding
        if position:
            self._fresh = False
        return position

    def _advance(self, kind: int, content: bytes, events: list[Event]) -> bool:
        """Take a record of the present request; False if it begins the next one and has to wait.

        Ignored are streams that go on after their end, types only an application sends, and unknown types.
        """
        stage = self._stage
        if kind == PARAMS:
            if stage == _HEAD and content:
                self._collect(content)
            elif stage == _HEAD:
                events.append(self._head())
        elif kind == STDIN:
            if stage == _BODY:
                self._stage = _COMPLETE
                self.body_ended = True
                events.append(_BODY_END)
            elif stage == _HEAD:
                # Kept, it would be memory of a request nobody can judge yet; dropped, a body with a hole;
                # read as parameters, a way in. No web server does it.
                raise RemoteProtocolError("STDIN before the end of PARAMS; send an empty PARAMS first")
        elif kind == records.ABORT_REQUEST:
            self._abort(events)
        elif kind == BEGIN_REQUEST:
            if stage < _COMPLETE:
                # The peer would read a refusal as the end of the request that is here.
                raise RemoteProtocolError(f"BEGIN_REQUEST for the active id {self.request_id}; end it first")
            self.pending = True
            return False
        return True

    def _begin(self, request_id: int, content: bytes) -> None:
        if request_id == records.NULL_REQUEST_ID:
            raise RemoteProtocolError("BEGIN_REQUEST for id 0, which belongs to no request; use 1 to 65535")
        role, flags = records.parse_begin(content)
        if self._stage != _IDLE:
            # Its KEEP_CONN flag counts for nothing: to close would end the request that was here first.
            self._reply(records.end(request_id, 0, records.CANT_MPX_CONN))
        elif role != records.RESPONDER:
            # A page taken for the answer to "may this user come in?" would let everybody in (6.3).
            self._reply(records.end(request_id, 0, records.UNKNOWN_ROLE))
            if not flags & records.KEEP_CONN:
                self._stop_reading()
        else:
            self.request_id = request_id
            self.keep = bool(flags & records.KEEP_CONN)
            self.body_ended = False
            self._stage = _HEAD

    def _collect(self, content: bytes) -> None:
        """Add to the PARAMS stream: often one record, but pairs may straddle records at any byte (3.4)."""
        limit = self._limits.params_bytes
        if len(self._params) + len(content) > limit:
            raise RemoteProtocolError(f"FastCGI parameters of more than {limit} bytes; send less", status=431)
        if not self._params:
            self._params = content
        elif isinstance(self._params, bytearray):
            self._params += content
        else:
            # From the second record on: many small ones must not cost a copy of the whole stream each.
            self._params = bytearray(self._params + content)

    def _head(self) -> Head:
        params, self._params = bytes(self._params), b""
        self._stage = _BODY
        return Head(params, self.keep)

    def _abort(self, events: list[Event]) -> None:
        if self._stage == _HEAD:
            # Nobody was told of the request, so nobody else can end it.
            self._reply(self.finish(b"", ABORTED_STATUS))
        elif self._stage != _ABORTED:
            self._stage = _ABORTED
            events.append(_ABORT)

    def _manage(self, kind: int, content: bytes) -> None:
        """A management record: legal at any time, and answered here without anybody's knowledge (4)."""
        if kind == records.GET_VALUES:
            asked = dict.fromkeys(name for name, _ in records.parse_pairs(content, self._limits))
            known = [(name, self._values[name]) for name in asked if name in self._values]
            self._reply(serialize_record(records.GET_VALUES_RESULT, 0, records.serialize_pairs(known)))
        else:
            self._reply(serialize_record(records.UNKNOWN_TYPE, 0, bytes((kind, 0, 0, 0, 0, 0, 0, 0))))

    def _reply(self, reply: bytes) -> None:
        if len(self._replies) >= MAX_REPLIES:
            raise RemoteProtocolError(f"{MAX_REPLIES} replies due on one connection; ask for less at once")
        self._replies.append(reply)

    def _with_kept(self, data: bytes) -> bytes:
        """What there is to parse: *data* behind what was kept; nothing while the next request has to wait."""
        data, self._kept = self._kept + data, b""
        if self.pending and self.active:
            self._keep_rest(data, 0)
            return b""
        self.pending = False
        return data

    def _keep_rest(self, data: bytes, position: int) -> None:
        if data[position] != VERSION_1:
            raise self._bad_version(data[position], position)
        if self.pending and len(data) - position > MAX_PIPELINED:
            raise RemoteProtocolError("too much of the next request too early; wait for END_REQUEST")
        self._kept = data[position:]

    def _stop_reading(self) -> None:
        self.must_close = True
        self.pending = False
        self._kept = b""

    def _bad_version(self, version: int, position: int) -> RemoteProtocolError:
        message = f"FastCGI version {version}; only version 1 exists"
        if self._fresh and position == 0 and (version == 0x16 or bytes((version,)).isalpha()):
            message += " (looks like HTTP/TLS: use fastcgi_pass, not proxy_pass)"
        return RemoteProtocolError(message)

    def take(self) -> bytes:
        """Results and refusals, to be written at once; between any two records of a response is legal."""
        if not self._replies:
            return b""
        replies = b"".join(self._replies)
        self._replies.clear()
        return replies

    def finish(
        self, data: bytes = b"", app_status: int = 0, protocol_status: int = records.REQUEST_COMPLETE
    ) -> bytes:
        """The last or only piece of the response, the end of STDOUT and END_REQUEST, to go out in one write.

        The request is over with this call: its late records are ignored; if `pending`, feed(b"") reads on.
        Raises RuntimeError when no request is active.
        """
        if self._stage == _IDLE:
            raise RuntimeError("finish() without a request; call it once for each Head")
        response = records.whole(self.request_id, data, app_status, protocol_status)
        self._forget()
        if not self.keep:
            self._stop_reading()
        return response

    def _forget(self) -> None:
        self.request_id = 0
        self._stage = _IDLE
        self._params = self._read = b""
