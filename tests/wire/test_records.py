"""Records and name-value pairs: each row of the tables below is parsed and serialized."""

import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import RemoteProtocolError
from runner.wire import records
from runner.wire.records import Limits, Pair, Record

ParseBody = Callable[[bytes], tuple[int, int]]

RECORDS = [
    (Record(records.PARAMS, 1, b""), b"\1\4\0\1\0\0\0\0"),
    (Record(records.STDIN, 1, b"body"), b"\1\5\0\1\0\4\4\0body\0\0\0\0"),
    (Record(records.STDOUT, 65535, b"12345678"), b"\1\6\xff\xff\0\x08\0\x0012345678"),
    (Record(records.GET_VALUES, 0, b"x" * 65535), b"\1\x09\0\0\xff\xff\1\0" + b"x" * 65535 + b"\0"),
    (Record(255, 256, b"?"), b"\1\xff\1\0\0\1\7\0?\0\0\0\0\0\0\0"),
]

PAIRS: list[tuple[list[Pair], bytes]] = [
    ([], b""),
    ([(b"", b"")], b"\0\0"),
    ([(b"A", b"")], b"\1\0A"),
    ([(b"", b"b")], b"\0\1b"),
    ([(b"A", b"b"), (b"A", b"c")], b"\1\1Ab\1\1Ac"),
    ([(b"n=\0\n", b"\xff")], b"\4\1n=\0\n\xff"),
    ([(b"n" * 127, b"v" * 127)], b"\x7f\x7f" + b"n" * 127 + b"v" * 127),
    ([(b"n" * 128, b"v")], b"\x80\0\0\x80\1" + b"n" * 128 + b"v"),
    ([(b"n", b"v" * 128)], b"\1\x80\0\0\x80n" + b"v" * 128),
    ([(b"n" * 300, b"v" * 70000)], b"\x80\0\1\x2c\x80\1\x11\x70" + b"n" * 300 + b"v" * 70000),
]

BROKEN_PAIRS = {
    "one length only": (b"\1", 400),
    "a name too short": (b"\2\0n", 400),
    "a value too short": (b"\1\2nv", 400),
    "nothing behind the lengths": (b"\1\1", 400),
    "a long length cut after 1 byte": (b"\x80", 400),
    "a long length cut after 3 bytes": (b"\x80\0\0", 400),
    "a long value length cut": (b"\1\x80\0\0", 400),
    "the second pair cut": (b"\1\1Ab\1", 400),
    "the longest name there is": (b"\xff\xff\xff\xff\0n", 431),
    "the longest value there is": (b"\0\xff\xff\xff\xffv", 431),
    "a sum of more than 32 bits": (b"\xff\xff\xff\xff\xff\xff\xff\xff", 431),
    "2 GiB declared": (b"\x80\0\0\1\xff\xff\xff\xffn", 431),
    "as much as the limit": (b"\1\x80\x03\xff\xfan", 400),
    "one byte more than the limit": (b"\1\x80\x03\xff\xfbn", 431),
}


@pytest.mark.parametrize(("record", "raw"), RECORDS)
def test_a_record_and_its_bytes_are_the_same_thing(record: Record, raw: bytes) -> None:
    """A record is written as these bytes, padded to 8, and read back from them with anything behind it."""
    assert records.serialize_record(*record) == raw
    assert records.parse_record(raw) == (record, len(raw))
    assert records.parse_record(b"junk" + raw + b"junk", 4) == (record, 4 + len(raw))


@pytest.mark.parametrize(("record", "raw"), RECORDS[:3])
def test_part_of_a_record_is_no_record(record: Record, raw: bytes) -> None:
    """Up to its last padding byte, a record asks for more."""
    assert [records.parse_record(raw[:size]) for size in range(len(raw))] == [None] * len(raw)


@pytest.mark.parametrize("padding", [0, 1, 8, 255])
def test_the_padding_can_be_chosen(padding: int) -> None:
    """As many zeros as asked for follow the content, and the header says so."""
    raw = records.serialize_record(records.STDIN, 1, b"abc", padding)
    assert raw == bytes((1, 5, 0, 1, 0, 3, padding, 0)) + b"abc" + bytes(padding)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused_at_its_first_byte(version: int) -> None:
    """Nothing but version 1 is read, not even a whole header."""
    with pytest.raises(RemoteProtocolError, match=f"version {version};"):
        records.parse_record(bytes((version,)))


def test_poison_is_a_record_nobody_accepts() -> None:
    """What is sent to break an answer off has a version that does not exist."""
    with pytest.raises(RemoteProtocolError, match="version 0"):
        records.parse_record(records.POISON)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 65527, 65528, 65529, 65535, 65536, 65537, 131056, 1 << 20])
def test_a_stream_is_cut_into_aligned_records(size: int) -> None:
    """Any amount of data comes back whole from records that are multiples of 8 and never empty."""
    data = bytes(range(256)) * (size // 256 + 1)
    raw = records.stdout(7, data[:size])
    position, contents = 0, []
    while parsed := records.parse_record(raw, position):
        assert (parsed[1] - position) % 8 == 0
        record, position = parsed
        assert record[:2] == (records.STDOUT, 7)
        assert 0 < len(record.content) <= records.MAX_PAYLOAD
        contents.append(record.content)
    assert position == len(raw)
    assert b"".join(contents) == data[:size]


def test_the_end_of_a_request_is_one_record_of_sixteen_bytes() -> None:
    """END_REQUEST carries a 32-bit appStatus and a protocolStatus."""
    assert records.end(258, 0x01020304, records.OVERLOADED) == b"\1\3\1\2\0\x08\0\0\1\2\3\4\2\0\0\0"


@pytest.mark.parametrize("size", [0, 1, 8, 65528, 65529, 200000])
def test_a_whole_answer_is_its_parts_in_one(size: int) -> None:
    """STDOUT data, the empty STDOUT and END_REQUEST are the same whether written at once or one by one."""
    data = b"x" * size
    parts = records.stdout(9, data), records.serialize_record(records.STDOUT, 9), records.end(9, 3, 2)
    assert records.whole(9, data, 3, 2) == b"".join(parts)


@pytest.mark.parametrize("parse", [records.parse_begin, records.parse_end])
def test_a_short_body_is_refused(parse: ParseBody) -> None:
    """The bodies of BEGIN_REQUEST and END_REQUEST have 8 bytes."""
    with pytest.raises(RemoteProtocolError, match="of 7 bytes"):
        parse(bytes(7))


@pytest.mark.parametrize("parse", [records.parse_begin, records.parse_end])
def test_a_long_body_is_read_as_far_as_it_is_known(parse: ParseBody) -> None:
    """Bytes behind the eighth are left to a later version of the protocol."""
    assert parse(bytes(9)) == (0, 0)


@pytest.mark.parametrize(("pairs", "raw"), PAIRS)
def test_pairs_and_their_bytes_are_the_same_thing(pairs: list[Pair], raw: bytes) -> None:
    """Pairs are written as these bytes, each length in its shortest form, and read back in order."""
    assert records.serialize_pairs(pairs) == raw
    assert records.parse_pairs(raw) == pairs


@pytest.mark.parametrize(
    "raw", [b"\x80\0\0\1\1Ab", b"\1\x80\0\0\1Ab", b"\x80\0\0\1\x80\0\0\1Ab"], ids=["name", "value", "both"]
)
def test_a_short_length_may_come_in_the_long_form(raw: bytes) -> None:
    """Four bytes for a length below 128 are legal to receive, for each of the two lengths."""
    assert records.parse_pairs(raw + b"\1\1Cd") == [(b"A", b"b"), (b"C", b"d")]


@pytest.mark.parametrize(("raw", "status"), BROKEN_PAIRS.values(), ids=BROKEN_PAIRS)
def test_broken_pairs_are_refused(raw: bytes, status: int) -> None:
    """Pairs that do not fit their stream are an error: 431 if the limit forbids them, 400 otherwise."""
    with pytest.raises(RemoteProtocolError) as caught:
        records.parse_pairs(raw)
    assert caught.value.status == status


def test_every_cut_of_the_last_pair_is_noticed() -> None:
    """However little is missing at the end of a stream, it is not taken for a whole one."""
    raw = records.serialize_pairs([(b"n", b"v"), (b"n" * 200, b"v" * 130)])
    for size in (*range(1, 4), *range(5, len(raw))):
        with pytest.raises(RemoteProtocolError):
            records.parse_pairs(raw[:size])


def test_as_many_pairs_as_allowed_are_read() -> None:
    """The limit itself is still allowed."""
    assert len(records.parse_pairs(b"\0\0" * 1000)) == 1000


def test_one_pair_too_many_is_refused() -> None:
    """Behind the limit, the answer to the peer is 431."""
    with pytest.raises(RemoteProtocolError, match="1000") as caught:
        records.parse_pairs(b"\0\0" * 1001)
    assert caught.value.status == 431


def test_too_many_pairs_cost_nothing() -> None:
    """Half a million pairs in 1 MiB are refused after a thousand, not collected first."""
    raw = b"\0\0" * (1 << 19)
    tracemalloc.start()
    with pytest.raises(RemoteProtocolError):
        records.parse_pairs(raw)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 18


def test_a_declared_length_costs_nothing() -> None:
    """A pair that declares 4 GiB is refused without that memory being asked for."""
    tracemalloc.start()
    with pytest.raises(RemoteProtocolError):
        records.parse_pairs(b"\xff\xff\xff\xff\xff\xff\xff\xff" + b"n" * 100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 16


@given(st.lists(st.tuples(st.binary(max_size=200), st.binary(max_size=200)), max_size=30))
def test_pairs_survive_the_wire(pairs: list[Pair]) -> None:
    """Any names and values come back as they were sent."""
    assert records.parse_pairs(records.serialize_pairs(pairs)) == pairs


@given(st.binary(max_size=400))
def test_any_stream_is_pairs_or_an_error(raw: bytes) -> None:
    """Garbage is pairs within the limits or a RemoteProtocolError, and never longer than itself."""
    try:
        pairs = records.parse_pairs(raw, Limits(params_bytes=400, params_count=9))
    except RemoteProtocolError:
        return
    assert len(pairs) <= 9
    assert sum(len(name) + len(value) for name, value in pairs) <= len(raw)


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=20), st.sampled_from([0, 1, 255])), max_size=9))
def test_the_records_of_one_request_are_told_from_others(parts: list[tuple[int, bytes, int]]) -> None:
    """Byte for byte and in their order; nothing of the others is among them."""
    whole = [
        (owner, records.serialize_record(records.STDIN, owner, content, padding)) for owner, content, padding in parts
    ]
    found = records.select(b"".join(raw for _, raw in whole), 2)
    assert found == b"".join(raw for owner, raw in whole if owner == 2)
