"""The web server's end of a FastCGI connection, alone and against the application's end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import RemoteProtocolError
from runner.wire import records
from runner.wire.fastcgi import Abort, Body, BodyEnd, Event, Head, Responder
from runner.wire.records import Limits, Pair, serialize_record
from runner.wire.requester import End, Reply, Requester, Stderr, Stdout, Unknown, Values

ANSWERS: dict[str, tuple[bytes, list[Reply]]] = {
    "nothing": (b"", []),
    "an answer": (records.whole(1, b"Status: 200"), [Stdout(b"Status: 200"), End(0, 0)]),
    "an empty answer": (records.whole(1, b"", 7), [End(7, 0)]),
    "text for the log": (
        serialize_record(records.STDERR, 1, b"oh") + records.stdout(1, b"a"), [Stderr(b"oh"), Stdout(b"a")],
    ),
    "the end of STDERR": (serialize_record(records.STDERR, 1), []),
    "two requests": (records.end(2, 0, 1) + records.end(1), [End(0, 1, request_id=2), End(0, 0)]),
    "values": (serialize_record(records.GET_VALUES_RESULT, 0, b"\1\1Ab"), [Values({b"A": b"b"})]),
    "no values": (serialize_record(records.GET_VALUES_RESULT, 0), [Values({})]),
    "an unknown type": (serialize_record(records.UNKNOWN_TYPE, 0, b"\x4d" + bytes(7)), [Unknown(77)]),
    "what no application sends": (serialize_record(records.PARAMS, 1, b"x") + serialize_record(99, 1), []),
}

answers = pytest.mark.parametrize(("raw", "replies"), ANSWERS.values(), ids=ANSWERS)


@answers
def test_what_an_application_says_is_understood(raw: bytes, replies: list[Reply]) -> None:
    """These bytes mean these replies."""
    assert Requester().feed(raw) == replies


@answers
def test_every_cut_in_two_means_the_same(raw: bytes, replies: list[Reply]) -> None:
    """A cut at any byte changes nothing."""
    for place in range(len(raw)):
        machine = Requester()
        assert machine.feed(raw[:place]) + machine.feed(raw[place:]) == replies


@pytest.mark.parametrize(
    "raw",
    [records.POISON, b"HTTP/1.1 200", serialize_record(3, 1, bytes(7)), serialize_record(10, 0, b"\5\5x")],
    ids=["poison", "HTTP", "a short END_REQUEST", "broken pairs"],
)
def test_a_broken_application_is_an_error(raw: bytes) -> None:
    """What is no FastCGI is refused, POISON among it."""
    with pytest.raises(RemoteProtocolError):
        Requester().feed(raw)


@pytest.mark.parametrize("poison", [records.POISON, records.POISON[:1]])
def test_poison_spoils_an_answer_that_is_not_finished(poison: bytes) -> None:
    """Between two records of an answer, the first byte of the poison is enough."""
    machine = Requester()
    assert machine.feed(records.stdout(1, b"half an ans")) == [Stdout(b"half an ans")]
    with pytest.raises(RemoteProtocolError):
        machine.feed(poison)


def test_an_abort_is_heard() -> None:
    """What abort() writes is an Abort at the other end, and the End it waits for comes back."""
    client, server = Requester(), Responder()
    assert server.feed(client.request(1, []) + client.abort(1)) == [Head(b"", True), Abort()]
    assert client.feed(server.finish(b"", 1)) == [End(1, 0)]


def test_values_are_asked_for_and_answered() -> None:
    """The figures of the application come back to the one who asked, without an event for the application."""
    client, server = Requester(), Responder(max_conns=3)
    assert server.feed(client.get_values([b"FCGI_MAX_CONNS", b"FCGI_MPXS_CONNS", b"FCGI_X"])) == []
    assert client.feed(server.take()) == [Values({b"FCGI_MAX_CONNS": b"3", b"FCGI_MPXS_CONNS": b"0"})]


def test_a_second_request_is_refused_in_the_middle_of_an_answer() -> None:
    """The refusal goes out between two records of the running answer and disturbs neither end."""
    client, server = Requester(), Responder()
    server.feed(client.request(1, []) + client.stdin(1, b""))
    written = records.stdout(1, b"a")
    server.feed(client.request(2, []))
    written += server.take() + server.finish(b"b")
    assert client.feed(written) == [Stdout(b"a"), End(0, 1, request_id=2), Stdout(b"b"), End(0, 0)]


def test_a_refused_role_is_told() -> None:
    """An application that is no authorizer says so."""
    client, server = Requester(), Responder()
    server.feed(client.request(1, [], role=records.AUTHORIZER))
    assert client.feed(server.take()) == [End(0, records.UNKNOWN_ROLE)]


def texts(longest: int) -> st.SearchStrategy[bytes]:
    """Bytes of any content, short or up to *longest*."""
    repeated = st.builds(
        lambda seed, size: (seed * (size // len(seed) + 1))[:size],
        st.binary(min_size=1, max_size=8),
        st.integers(0, longest) | st.sampled_from([127, 128, 65527, 65528, 65529, 65535, 65536]),
    )
    return st.binary(max_size=20) | repeated


def joined(events: list[Event]) -> bytes:
    """The body these events carry."""
    return b"".join(event.data for event in events if isinstance(event, Body))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(texts(70000), texts(70000)), max_size=5),
    st.lists(texts(200000), max_size=3),
    st.booleans(),
    st.integers(1, 65535),
    st.integers(1, 1 << 18),
)
def test_a_request_survives_the_wire(
    params: list[Pair], body: list[bytes], keep: bool, request_id: int, size: int
) -> None:
    """Parameters, body, flag and id arrive as they were sent, in pieces of any size."""
    client, server = Requester(), Responder(Limits(params_bytes=1 << 20))
    raw = client.request(request_id, params, keep)
    raw += b"".join(client.stdin(request_id, piece) for piece in (*filter(None, body), b""))
    events: list[Event] = []
    for start in range(0, len(raw), size):
        events += server.feed(raw[start : start + size])
    assert events[0] == Head(records.serialize_pairs(params), keep)
    assert joined(events) == b"".join(body)
    assert events[-1] == BodyEnd()
    assert server.request_id == request_id


@settings(max_examples=60)
@given(st.lists(texts(200000), max_size=3), texts(70000), st.integers(0, 0xFFFFFFFF), st.integers(1, 1 << 18))
def test_an_answer_survives_the_wire(pieces: list[bytes], last: bytes, status: int, size: int) -> None:
    """What the application writes arrives whole, and its End comes last."""
    client, server = Requester(), Responder()
    server.feed(client.request(4, []) + client.stdin(4, b""))
    raw = b"".join(records.stdout(4, piece) for piece in pieces) + server.finish(last, status)
    replies: list[Reply] = []
    for start in range(0, len(raw), size):
        replies += client.feed(raw[start : start + size])
    assert replies.pop() == End(status, 0, request_id=4)
    assert b"".join(reply.data for reply in replies if isinstance(reply, Stdout)) == b"".join(pieces) + last


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"\1\3\0\1\0\x08\0\0" + tail))
def test_garbage_is_replies_or_an_error(raw: bytes) -> None:
    """Whatever an application writes is understood or refused."""
    try:
        replies = Requester().feed(raw)
    except RemoteProtocolError:
        return
    assert all(isinstance(reply, Reply) for reply in replies)
