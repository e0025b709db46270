"""The application's end of a FastCGI connection: what a peer may send, in any pieces, and what it means."""

import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import RemoteProtocolError
from runner.wire import records
from runner.wire.fastcgi import MAX_PIPELINED, MAX_REPLIES, Abort, Body, BodyEnd, Event, Head, Responder
from runner.wire.records import Limits, Pair, serialize_record

PARAMS = [(b"REQUEST_METHOD", b"POST"), (b"HTTP_X", b"1"), (b"HTTP_X", b"2"), (b"", b""), (b"X", b"v" * 200)]
STREAM = records.serialize_pairs(PARAMS)
HEAD = Head(STREAM, True)


def record(kind: int, request_id: int = 1, content: bytes = b"", padding: int = 0) -> bytes:
    """A record whose reserved byte and padding are not zero: neither may matter."""
    raw = bytearray(serialize_record(kind, request_id, content, padding))
    raw[7] = 0xAA
    raw[8 + len(content) :] = b"\xff" * padding
    return bytes(raw)


def begin(request_id: int = 1, keep: bool = True, role: int = records.RESPONDER) -> bytes:
    """A BEGIN_REQUEST."""
    return record(records.BEGIN_REQUEST, request_id, records.BEGIN_BODY.pack(role, keep))


def params(*contents: bytes, request_id: int = 1) -> bytes:
    """A PARAMS stream in these records, and its end."""
    return b"".join(record(records.PARAMS, request_id, content) for content in (*contents, b""))


def stdin(*contents: bytes, request_id: int = 1) -> bytes:
    """A STDIN stream in these records, and its end."""
    return b"".join(record(records.STDIN, request_id, content) for content in (*contents, b""))


def abort(request_id: int = 1) -> bytes:
    """An ABORT_REQUEST."""
    return record(records.ABORT_REQUEST, request_id)


def unknown(kind: int) -> bytes:
    """The answer to a management record nobody knows."""
    return serialize_record(records.UNKNOWN_TYPE, 0, bytes((kind, 0, 0, 0, 0, 0, 0, 0)))


def get_values(*names: bytes) -> bytes:
    """A question for these values."""
    return record(records.GET_VALUES, 0, records.serialize_pairs((name, b"") for name in names))


def values(*pairs: Pair) -> bytes:
    """The answer to it."""
    return serialize_record(records.GET_VALUES_RESULT, 0, records.serialize_pairs(pairs))


def written(
    stream: bytes, request_id: int = 1, keep: bool = True, role: int = records.RESPONDER, padding: int | None = None
) -> bytes:
    """A request without a body byte for byte as web servers write it, which is mostly read in one piece."""
    return (
        serialize_record(records.BEGIN_REQUEST, request_id, records.BEGIN_BODY.pack(role, keep))
        + serialize_record(records.PARAMS, request_id, stream, padding)
        + serialize_record(records.PARAMS, request_id)
        + serialize_record(records.STDIN, request_id)
    )


class Talk(NamedTuple):
    """What a peer sends, and what it means."""

    raw: bytes
    events: list[Event]
    replies: bytes = b""


GET = begin() + params(STREAM) + stdin()
GOT: list[Event] = [HEAD, BodyEnd()]
BUSY = records.end(2, 0, records.CANT_MPX_CONN)
STRAY = params(b"x", request_id=7) + stdin(b"y", request_id=7)
DROPPED = records.whole(1, b"", 1)

TALKS = {
    "nothing": Talk(b"", []),
    "a request without a body": Talk(GET, GOT),
    "a request without parameters": Talk(begin() + params() + stdin(), [Head(b"", True), BodyEnd()]),
    "a request as web servers write it": Talk(written(STREAM), GOT),
    "the same, not kept": Talk(written(STREAM, keep=False), [Head(STREAM, False), BodyEnd()]),
    "the same of another id": Talk(written(STREAM, 258), GOT),
    "the same of another role": Talk(written(STREAM, role=2), [], records.end(1, 0, records.UNKNOWN_ROLE)),
    "the same with much padding": Talk(written(STREAM, padding=255), GOT),
    "the same with none": Talk(written(STREAM, padding=0), GOT),
    "the same without parameters": Talk(written(b""), [Head(b"", True), BodyEnd()]),
    "the same with as many as allowed": Talk(written(bytes(4096)), [Head(bytes(4096), True), BodyEnd()]),
    "the same in two records": Talk(
        written(STREAM)[:-16] + params(STREAM) + stdin(), [Head(STREAM * 2, True), BodyEnd()]
    ),
    "the same with a body": Talk(written(STREAM)[:-8] + stdin(b"a"), [HEAD, Body(b"a"), BodyEnd()]),
    "the same aborted": Talk(written(STREAM) + abort(), [*GOT, Abort()]),
    "the same behind a question": Talk(get_values() + written(STREAM), GOT, values()),
    "the same before a question": Talk(written(STREAM) + get_values(), GOT, values()),
    "a connection not kept": Talk(begin(keep=False) + params() + stdin(), [Head(b"", False), BodyEnd()]),
    "flags nobody defined": Talk(
        record(records.BEGIN_REQUEST, 1, b"\0\1\xfe\1\2\3\4\5") + params(), [Head(b"", False)]
    ),
    "a longer BEGIN_REQUEST": Talk(
        record(records.BEGIN_REQUEST, 1, b"\0\1\1" + bytes(6)) + params(), [Head(b"", True)]
    ),
    "a body in three records": Talk(
        begin() + params(STREAM) + stdin(b"a", b"bc", b"d" * 300),
        [HEAD, Body(b"a"), Body(b"bc"), Body(b"d" * 300), BodyEnd()],
    ),
    "the largest id": Talk(
        begin(65535) + params(STREAM, request_id=65535) + stdin(b"a", request_id=65535),
        [HEAD, Body(b"a"), BodyEnd()],
    ),
    "one byte of parameters a record": Talk(
        begin() + params(*(bytes((byte,)) for byte in STREAM)) + stdin(), GOT
    ),
    "STDIN ended twice": Talk(GET + stdin(), GOT),
    "STDIN after its end": Talk(GET + stdin(b"late", b"later"), GOT),
    "PARAMS after their end": Talk(GET + params(STREAM), GOT),
    "PARAMS after their end, in the body": Talk(begin() + params(STREAM) + params(b"x") + stdin(), GOT),
    "other ids before BEGIN": Talk(STRAY + abort(7) + GET, GOT),
    "other ids everywhere": Talk(begin() + STRAY + params(STREAM) + abort(7) + stdin() + STRAY, GOT),
    "abort before the parameters": Talk(begin() + abort() + params(STREAM) + stdin(b"x"), [], DROPPED),
    "abort inside the parameters": Talk(
        begin() + record(records.PARAMS, 1, STREAM[:9]) + abort() + GET, GOT, DROPPED
    ),
    "abort before the parameters, not kept": Talk(begin(keep=False) + abort() + GET + b"junk", [], DROPPED),
    "abort before the body": Talk(begin() + params(STREAM) + abort() + stdin(b"x"), [HEAD, Abort()]),
    "abort inside the body": Talk(
        begin() + params(STREAM) + record(records.STDIN, 1, b"x") + abort() + stdin(b"y"),
        [HEAD, Body(b"x"), Abort()],
    ),
    "abort after the body": Talk(GET + abort(), [*GOT, Abort()]),
    "abort twice": Talk(GET + abort() + abort(), [*GOT, Abort()]),
    "abort of another id": Talk(GET + abort(2), GOT),
    "another request before the parameters": Talk(begin() + begin(2) + params(STREAM) + stdin(), GOT, BUSY),
    "another request inside the body": Talk(
        begin() + params(STREAM) + begin(2) + params(b"x", request_id=2) + stdin(request_id=2) + stdin(b"z"),
        [HEAD, Body(b"z"), BodyEnd()],
        BUSY,
    ),
    "another request after the body": Talk(GET + begin(2) + begin(2, role=9), GOT, BUSY + BUSY),
    "another request, not kept": Talk(begin() + begin(2, keep=False) + params(STREAM) + stdin(), GOT, BUSY),
    "an authorizer": Talk(
        begin(role=records.AUTHORIZER) + params(b"x") + stdin(b"y") + GET, GOT, records.end(1, 0, 3)
    ),
    "a filter": Talk(begin(5, role=records.FILTER) + GET, GOT, records.end(5, 0, 3)),
    "role 0": Talk(begin(role=0) + GET, GOT, records.end(1, 0, records.UNKNOWN_ROLE)),
    "role 65535": Talk(begin(role=65535) + GET, GOT, records.end(1, 0, records.UNKNOWN_ROLE)),
    "an unknown role, not kept, and junk": Talk(begin(1, False, 9) + b"junk", [], records.end(1, 0, 3)),
    "an unknown role, not kept": Talk(begin(1, False, 9) + GET + b"junk", [], records.end(1, 0, 3)),
    "values before a request": Talk(
        get_values(b"FCGI_MAX_CONNS", b"FCGI_MAX_REQS", b"FCGI_MPXS_CONNS") + GET,
        GOT,
        values((b"FCGI_MAX_CONNS", b"64"), (b"FCGI_MAX_REQS", b"64"), (b"FCGI_MPXS_CONNS", b"0")),
    ),
    "values inside the parameters": Talk(
        begin() + record(records.PARAMS, 1, STREAM[:5]) + get_values(b"FCGI_MPXS_CONNS") + params(STREAM[5:]),
        [HEAD],
        values((b"FCGI_MPXS_CONNS", b"0")),
    ),
    "values after the body": Talk(GET + get_values(b"FCGI_MAX_REQS"), GOT, values((b"FCGI_MAX_REQS", b"64"))),
    "values unknown and twice": Talk(
        get_values(b"X", b"FCGI_MAX_REQS", b"", b"FCGI_MAX_REQS"), [], values((b"FCGI_MAX_REQS", b"64"))
    ),
    "no known value": Talk(get_values(b"fcgi_max_reqs"), [], values()),
    "no value at all": Talk(get_values(), [], values()),
    "unknown management records": Talk(
        record(77, 0, b"x") + begin() + record(12, 0) + params(STREAM) + record(255, 0) + stdin(),
        GOT,
        unknown(77) + unknown(12) + unknown(255),
    ),
    "two replies in the order asked": Talk(
        begin() + begin(2) + get_values() + abort(), [], BUSY + values() + DROPPED
    ),
}

# Garbled connections: the bytes, the status they deserve, and what the message says.
BROKEN = {
    "version 0": (b"\0", 400, "version 0; only version 1 exists$"),
    "version 2": (b"\2" + GET[1:], 400, "version 2"),
    "version 255 after a request": (GET + b"\xff", 400, "version 255"),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", 400, "use fastcgi_pass, not proxy_pass"),
    "one letter": (b"g", 400, "use fastcgi_pass, not proxy_pass"),
    "TLS": (b"\x16\3\1\2\0\1\0\1\xfc\3\3", 400, "use fastcgi_pass, not proxy_pass"),
    "HTTP after a request": (GET + b"GET / HTTP/1.1\r\n\r\n", 400, "version 71; only version 1 exists$"),
    "id 0": (begin(0), 400, "id 0"),
    "id 0 in a request": (begin() + begin(0), 400, "id 0"),
    "a short BEGIN_REQUEST": (record(records.BEGIN_REQUEST, 1, b"\0\1\1\0\0\0\0"), 400, "of 7 bytes"),
    "an empty BEGIN_REQUEST": (record(records.BEGIN_REQUEST, 1), 400, "of 0 bytes"),
    "the same id again": (begin() + begin(), 400, "active id 1"),
    "the same id again in the body": (begin() + params() + begin(), 400, "active id 1"),
    "STDIN before PARAMS": (begin() + stdin(b"x"), 400, "STDIN before"),
    "an empty STDIN before PARAMS": (begin() + stdin(), 400, "STDIN before"),
    "STDIN inside PARAMS": (begin() + params(STREAM)[:-8] + stdin(b"x"), 400, "STDIN before"),
    "too many bytes in one record": (begin() + params(b"\0" * 4097), 431, "more than 4096 bytes"),
    "too many bytes as web servers write it": (written(bytes(4097)), 431, "more than 4096 bytes"),
    "version 2 within": (written(STREAM)[:16] + b"\2" + written(STREAM)[17:], 400, "version 2"),
    "too many bytes in all": (begin() + params(b"\0" * 4000, b"\0" * 97), 431, "more than 4096 bytes"),
    "broken names of values": (record(records.GET_VALUES, 0, b"\5\0n"), 400, "too early"),
    "too many names of values": (record(records.GET_VALUES, 0, b"\0\0" * 51), 431, "more than 50"),
}


def responder() -> Responder:
    """A fresh connection with small limits."""
    return Responder(Limits(params_bytes=4096, params_count=50), max_conns=64)


def play(pieces: Iterable[bytes]) -> tuple[list[Event], bytes]:
    """Feed *pieces* to a fresh connection; its events and its replies."""
    machine = responder()
    events: list[Event] = []
    replies = b""
    for piece in pieces:
        events += machine.feed(piece)
        replies += machine.take()
    return events, replies


def bytewise(raw: bytes) -> Iterator[bytes]:
    """One byte a piece."""
    return (raw[at : at + 1] for at in range(len(raw)))


def cut(raw: bytes, places: Iterable[int]) -> list[bytes]:
    """*raw* in pieces, cut at these places."""
    edges = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[start:stop] for start, stop in pairwise(edges)]


talks = pytest.mark.parametrize(("raw", "events", "replies"), TALKS.values(), ids=TALKS)
broken = pytest.mark.parametrize(("raw", "status", "message"), BROKEN.values(), ids=BROKEN)
places = st.lists(st.integers(0, 1 << 16), max_size=12)


@talks
def test_what_a_peer_says_is_understood(raw: bytes, events: list[Event], replies: bytes) -> None:
    """These bytes at once mean these events and these replies."""
    assert play([raw]) == (events, replies)


@talks
def test_one_byte_at_a_time_means_the_same(raw: bytes, events: list[Event], replies: bytes) -> None:
    """However slowly it comes, it means the same."""
    assert play(bytewise(raw)) == (events, replies)


@talks
def test_every_cut_in_two_means_the_same(raw: bytes, events: list[Event], replies: bytes) -> None:
    """A cut at any byte changes neither events nor replies."""
    for place in range(len(raw)):
        assert play([raw[:place], raw[place:]]) == (events, replies)


@given(st.sampled_from(list(TALKS.values())), places)
def test_random_cuts_mean_the_same(talk: Talk, places: list[int]) -> None:
    """Any number of cuts changes neither events nor replies."""
    assert play(cut(talk.raw, places)) == (talk.events, talk.replies)


@broken
def test_a_broken_peer_is_told_from_a_good_one(raw: bytes, status: int, message: str) -> None:
    """These bytes are an error with this status, and the message says what is wrong."""
    with pytest.raises(RemoteProtocolError, match=message) as caught:
        play([raw])
    assert caught.value.status == status


@broken
def test_a_broken_peer_is_noticed_bytewise(raw: bytes, status: int, message: str) -> None:
    """The same error comes of the same bytes one by one."""
    with pytest.raises(RemoteProtocolError, match=message) as caught:
        play(bytewise(raw))
    assert caught.value.status == status


@broken
def test_nothing_is_read_after_an_error(raw: bytes, status: int, message: str) -> None:
    """An error is the end of reading: the connection has to be closed, and a good request changes nothing."""
    machine = responder()
    with pytest.raises(RemoteProtocolError):
        machine.feed(raw)
    assert machine.must_close
    assert machine.feed(GET) == []


def test_a_request_too_large_can_still_be_answered() -> None:
    """After the 431, the request is active: finish() gives it an answer."""
    machine = responder()
    with pytest.raises(RemoteProtocolError):
        machine.feed(begin(6) + params(bytes(4097), request_id=6))
    assert machine.active
    assert machine.finish(b"Status: 431 Too Large\r\n\r\n")[:4] == records.stdout(6, b"x")[:4]


@pytest.mark.parametrize("padding", range(256))
def test_padding_is_skipped_on_every_record(padding: int) -> None:
    """Any padding, also behind the empty records that end a stream, costs nothing but itself."""
    raw = (
        record(records.BEGIN_REQUEST, 1, b"\0\1\1\0\0\0\0\0", padding)
        + record(records.PARAMS, 1, STREAM[:7], padding)
        + record(records.PARAMS, 1, STREAM[7:], padding)
        + record(records.PARAMS, 1, b"", padding)
        + record(records.STDIN, 1, b"body", padding)
        + record(records.STDIN, 1, b"", padding)
        + record(records.GET_VALUES, 0, b"", padding)
    )
    assert play([raw]) == ([HEAD, Body(b"body"), BodyEnd()], values())


def test_pairs_may_straddle_records_anywhere() -> None:
    """PARAMS cut in two records at any byte, lengths included, are the same parameters."""
    for place in range(1, len(STREAM)):
        assert play([begin() + params(STREAM[:place], STREAM[place:])]) == ([HEAD], b"")


STATES = {
    "fresh": (b"", GET),
    "in params": (begin() + record(records.PARAMS, 1, STREAM[:9]), params(STREAM[9:]) + stdin()),
    "in stdin": (begin() + params(STREAM) + record(records.STDIN, 1, b"a"), stdin(b"b")),
}
states = pytest.mark.parametrize(("before", "after"), STATES.values(), ids=STATES)


@states
def test_management_records_of_any_type_are_answered(before: bytes, after: bytes) -> None:
    """With id 0, each type but BEGIN_REQUEST is answered at once and disturbs no request."""
    events, _ = play([before + after])
    for kind in sorted({*range(256)} - {records.BEGIN_REQUEST}):
        reply = values() if kind == records.GET_VALUES else unknown(kind)
        assert play([before + record(kind, 0, bytes(8)) + after]) == (events, reply), kind


@states
def test_records_of_another_id_are_ignored(before: bytes, after: bytes) -> None:
    """With an id that is not active, each type but BEGIN_REQUEST is skipped."""
    expected = play([before + after])
    for kind in sorted({*range(256)} - {records.BEGIN_REQUEST}):
        assert play([before + record(kind, 65535, bytes(8)) + after]) == expected, kind


@states
def test_records_an_application_does_not_get_are_skipped(before: bytes, after: bytes) -> None:
    """With the active id, what only an application sends and what nobody defined changes nothing."""
    expected = play([before + after])
    mine = {records.BEGIN_REQUEST, records.ABORT_REQUEST, records.PARAMS, records.STDIN}
    for kind in sorted({*range(256)} - mine):
        assert play([before + record(kind, 1, bytes(8)) + after]) == expected, kind


def test_a_request_is_active_from_begin_to_finish() -> None:
    """`active`, `request_id` and `keep` tell which request is here."""
    machine = responder()
    assert (machine.active, machine.request_id) == (False, 0)
    machine.feed(begin(300))
    assert (machine.active, machine.request_id, machine.keep) == (True, 300, True)
    machine.finish()
    assert (machine.active, machine.request_id, machine.keep) == (False, 0, True)


def test_finish_writes_the_answer_and_its_end() -> None:
    """The last piece, the empty STDOUT and END_REQUEST are one piece of bytes with the request's id."""
    machine = responder()
    machine.feed(begin(300))
    assert machine.finish(b"Status: 200 OK", 5, records.OVERLOADED) == (
        records.stdout(300, b"Status: 200 OK")
        + serialize_record(records.STDOUT, 300)
        + records.end(300, 5, records.OVERLOADED)
    )


def test_finish_without_a_request_is_a_mistake_of_ours() -> None:
    """A second finish() for one request must not end another one."""
    machine = responder()
    machine.feed(GET)
    machine.finish()
    with pytest.raises(RuntimeError, match="once for each Head"):
        machine.finish()


@pytest.mark.parametrize("keep", [True, False])
def test_the_peer_decides_whether_the_connection_is_kept(keep: bool) -> None:
    """KEEP_CONN of the finished request says whether to close; before finish(), nothing does."""
    machine = responder()
    machine.feed(begin(keep=keep) + params() + stdin())
    assert not machine.must_close
    machine.finish()
    assert machine.must_close is not keep


@pytest.mark.parametrize("keep", [True, False])
def test_a_refused_role_closes_what_is_not_kept(keep: bool) -> None:
    """A refusal is an answer too: without KEEP_CONN the connection is closed after it."""
    machine = responder()
    machine.feed(begin(keep=keep, role=2))
    assert (machine.must_close, machine.active) == (not keep, False)


def test_a_refused_second_request_closes_nothing() -> None:
    """The first request keeps its connection whatever the flag of the refused one says."""
    machine = responder()
    machine.feed(begin(1) + begin(2, keep=False))
    machine.finish()
    assert not machine.must_close


@pytest.mark.parametrize("keep", [True, False])
def test_an_early_abort_closes_what_is_not_kept(keep: bool) -> None:
    """A request ended by the machine itself honours KEEP_CONN like any other."""
    machine = responder()
    machine.feed(begin(keep=keep) + abort())
    assert (machine.must_close, machine.active) == (not keep, False)


def test_body_ended_tells_of_unread_stdin() -> None:
    """It is true from the end of STDIN on, stays so after finish(), and starts anew with each request."""
    machine = responder()
    machine.feed(GET)
    machine.finish()
    assert machine.body_ended
    machine.feed(begin() + params())
    assert not machine.body_ended


def test_what_comes_late_is_ignored() -> None:
    """Records of a request that was answered before they came are nobody's; the next request is served."""
    machine = responder()
    machine.feed(begin() + params())
    machine.finish(b"Status: 403 Forbidden\r\n\r\n")
    assert machine.feed(stdin(b"late", b"later") + abort() + params(b"x") + GET) == GOT
    assert machine.take() == b""


@pytest.mark.parametrize("raw", [GET, written(STREAM)])
def test_an_id_can_be_used_again(raw: bytes) -> None:
    """Ten requests of one id follow each other on a kept connection."""
    machine = responder()
    for _ in range(10):
        assert machine.feed(raw) == GOT
        assert (machine.request_id, machine.keep, machine.body_ended, machine.active) == (1, True, True, True)
        machine.finish()
        assert machine.between


@pytest.mark.parametrize("keep", [True, False])
def test_a_request_seen_at_a_glance_waits_like_any_other(keep: bool) -> None:
    """For the end of the present one; and after a connection that is not kept, nothing is read any more."""
    machine = responder()
    machine.feed(written(STREAM, keep=keep))
    assert machine.feed(written(STREAM)) == []
    assert machine.pending
    machine.finish()
    assert (machine.feed(b""), machine.feed(written(STREAM))) == ((GOT, []) if keep else ([], []))


def test_parameters_of_two_requests_are_never_mixed() -> None:
    """What an aborted head left behind is not in the next request's parameters."""
    machine = responder()
    raw = begin() + record(records.PARAMS, 1, b"\1\1Ab") + abort() + begin() + params(b"\1\1Cd")
    assert machine.feed(raw) == [Head(b"\1\1Cd", True)]


def test_the_next_request_waits_for_the_end_of_this_one() -> None:
    """What a peer pipelines gives no event before finish(), and then all of them by feed(b"")."""
    machine = responder()
    assert machine.feed(GET + GET + get_values()) == GOT
    assert (machine.pending, machine.take()) == (True, b"")
    assert machine.feed(b"") == []
    machine.finish()
    assert machine.feed(b"") == GOT
    assert (machine.pending, machine.take()) == (False, values())


def test_pipelined_requests_come_one_at_a_time() -> None:
    """Each finish() lets exactly one more request through, whatever is cut where."""
    machine = responder()
    machine.feed(GET * 3 + GET[:20])
    for _ in range(2):
        machine.finish()
        assert machine.feed(b"") == GOT
    machine.finish()
    assert machine.feed(b"") == []
    assert machine.feed(GET[20:]) == GOT


def test_the_next_request_may_follow_an_abort() -> None:
    """After an abort the id is the peer's again, but its next request waits for finish()."""
    machine = responder()
    assert machine.feed(begin() + params(STREAM) + abort() + GET) == [HEAD, Abort()]
    machine.finish(b"", 1)
    assert machine.feed(b"") == GOT


def test_a_peer_that_does_not_keep_the_connection_cannot_pipeline() -> None:
    """Without KEEP_CONN, what follows the request is dropped with the connection."""
    machine = responder()
    machine.feed(begin(keep=False) + params() + stdin() + GET)
    machine.finish()
    assert (machine.must_close, machine.pending, machine.feed(b"")) == (True, False, [])


@pytest.mark.parametrize("pieces", [1, 2, 1000])
def test_what_is_pipelined_is_bounded(pieces: int) -> None:
    """More than MAX_PIPELINED bytes of the next request before the end of this one are an error."""
    machine = responder()
    raw = begin() + params() + stdin(*[bytes(65000)] * 5)
    machine.feed(GET)
    size = len(raw) // pieces + 1
    with pytest.raises(RemoteProtocolError, match="wait for END_REQUEST"):
        for start in range(0, len(raw), size):
            machine.feed(raw[start : start + size])
    assert len(raw) > MAX_PIPELINED


@given(st.sampled_from([GET, written(STREAM)]), places)
def test_pipelined_requests_are_the_same_however_cut(raw: bytes, places: list[int]) -> None:
    """Three requests, each finished as soon as its body is there, are three requests for any cuts."""
    machine = responder()
    events: list[Event] = []
    for piece in cut((raw + begin() + params(STREAM) + stdin(b"ab")) * 3, places):
        new = machine.feed(piece)
        while new:
            events += new
            if new[-1] != BodyEnd():
                break
            machine.finish()
            new = machine.feed(b"")
    assert events == [*GOT, HEAD, Body(b"ab"), BodyEnd()] * 3


def test_replies_are_given_out_once() -> None:
    """take() empties what it returns."""
    machine = responder()
    machine.feed(get_values())
    assert machine.take() == values()
    assert machine.take() == b""


def test_replies_nobody_takes_are_bounded() -> None:
    """65,535 requests begun at once are an error after MAX_REPLIES refusals and little memory."""
    raw = b"".join(begin(request_id) for request_id in range(1, 65536))
    machine = responder()
    tracemalloc.start()
    with pytest.raises(RemoteProtocolError, match="at once"):
        machine.feed(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 18
    assert machine.take() == b"".join(records.end(n, 0, 1) for n in range(2, MAX_REPLIES + 2))


def test_replies_that_are_taken_are_not_counted() -> None:
    """A patient peer may be refused as often as it likes; the request that is here goes on."""
    machine = responder()
    machine.feed(begin())
    for request_id in range(2, MAX_REPLIES + 100):
        machine.feed(begin(request_id))
        assert machine.take() == records.end(request_id, 0, records.CANT_MPX_CONN)
    assert machine.feed(params(STREAM) + stdin()) == GOT


def test_endless_parameters_are_cut_off_early() -> None:
    """A PARAMS stream without end, in small records, costs no more than its limit."""
    machine = Responder()
    machine.feed(begin())
    piece = record(records.PARAMS, 1, b"x" * 16) * 1000
    tracemalloc.start()
    with pytest.raises(RemoteProtocolError) as caught:
        for _ in range(20):
            machine.feed(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.status == 431
    assert peak < 1 << 20


class Outcome(NamedTuple):
    """All that can be seen of a conversation."""

    events: list[Event] | None  # None if it ended in an error
    replies: bytes
    state: tuple[bool, bool, int]


def outcome(pieces: Iterable[bytes]) -> Outcome:
    """Feed *pieces*; what an error cuts short is not compared, as whole calls are lost with it."""
    machine = responder()
    events: list[Event] | None = []
    replies = b""
    try:
        for piece in pieces:
            assert events is not None
            events += machine.feed(piece)
            replies += machine.take()
    except RemoteProtocolError:
        events, replies = None, b""
    for event in events or ():
        if isinstance(event, Head):
            assert len(event.params) <= 4096
    return Outcome(events, replies, (machine.active, machine.must_close, machine.request_id))


headers = st.builds(
    record, st.integers(0, 12), st.integers(0, 3), st.binary(max_size=20), st.sampled_from([0, 1, 255])
)
valid = st.sampled_from([*(talk.raw for talk in TALKS.values()), *(row[0] for row in BROKEN.values())])
garbage = st.lists(st.one_of(headers, valid, st.binary(max_size=30)), max_size=8).map(b"".join)


@given(garbage, places)
def test_garbage_is_events_or_an_error(raw: bytes, places: list[int]) -> None:
    """Whatever comes is understood or refused, within the limits, and the same way in any pieces."""
    whole = outcome([raw])
    assert outcome(cut(raw, places)) == whole
    assert outcome(bytewise(raw)) == whole


def test_any_wrong_byte_means_the_same_at_a_glance() -> None:
    """Each byte of a short request with each value it can have is the same in one piece as in two."""
    good = written(b"\1\1Ab")
    for place in range(len(good)):
        for value in range(256):
            raw = good[:place] + bytes((value,)) + good[place + 1 :]
            assert outcome([raw]) == outcome([raw[:9], raw[9:]]), (place, value)


@settings(max_examples=300)
@given(st.sampled_from(list(TALKS.values())), st.sampled_from([GET, written(STREAM)]), st.data())
def test_a_flipped_byte_is_events_or_an_error(talk: Talk, more: bytes, data: st.DataObject) -> None:
    """A valid conversation with a few wrong bytes never does more harm than a RemoteProtocolError."""
    raw = bytearray(talk.raw + more)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    assert outcome([bytes(raw)]) == outcome(bytewise(bytes(raw)))
