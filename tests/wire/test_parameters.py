"""The usual request's parameters: read at once or left to the long way, by both twins alike."""

import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import RemoteProtocolError
from runner.wire import records
from runner.wire.parameters import ParseKnown
from runner.wire.records import Pair, serialize_pairs
from tests.support.compiled import TWINS, twin
from tests.wire.test_records import BROKEN_PAIRS

MANY = 1000
KNOWN = {name: name for name in ("A", "REQUEST_METHOD", "HTTP_X", "HTTP_ACCEPT_LANGUAGE", "n" * 200, "\xe9")}


@pytest.fixture(scope="module", params=TWINS)
def parse(request: pytest.FixtureRequest) -> ParseKnown:
    """Both of them, one after the other."""
    return twin(request.param)


def as_text(pairs: list[Pair]) -> list[tuple[str, str]]:
    """The same as latin-1."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs]


def expected(stream: bytes, known: dict[str, str], limit: int) -> dict[str, str] | None:
    """The law in a few lines, by way of the pairs."""
    try:
        pairs = as_text(records.parse_pairs(stream, records.Limits(params_count=limit)))
    except RemoteProtocolError:
        return None
    found = dict(pairs)
    usual = 0 < len(found) == len(pairs) and found.keys() <= known.keys() and "\0" not in "".join(found.values())
    return found if usual else None


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65536, 1 << 17])
def test_known_names_and_their_values_are_read(parse: ParseKnown, size: int) -> None:
    """In the order sent, as latin-1 text, lengths in either form; names are long, too."""
    pairs = [(b"HTTP_X", b"\xff" * size), (b"n" * 200, b"v"), (b"\xe9", b""), (b"A", bytes(range(1, 256)))]
    found = parse(serialize_pairs(pairs), KNOWN, MANY)
    assert found is not None
    assert list(found.items()) == as_text(pairs)


def test_a_short_length_may_come_in_the_long_form(parse: ParseKnown) -> None:
    """Four bytes for a length below 128 are legal to receive."""
    assert parse(b"\x80\0\0\1\x80\0\0\1Ab", KNOWN, MANY) == {"A": "b"}
    assert parse(b"\1\x80\0\0\1Ab", KNOWN, MANY) == {"A": "b"}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "pair",
    [
        (b"B", b""), (b"a", b""), (b"", b""), (b"A\0", b""), (b"HTTP_X", b"again"), (b"A", b"\0"), (b"A", b"a\0b"),
        (b"A", b"b\0"),
    ],
)  # fmt: skip
def test_the_unusual_is_left_to_the_long_way(parse: ParseKnown, pair: Pair, place: int) -> None:
    """A name that is not known, one sent twice, and a NUL in a value, wherever they stand."""
    usual: list[Pair] = [(b"HTTP_X", b"1"), (b"REQUEST_METHOD", b"GET")]
    assert parse(serialize_pairs(usual), KNOWN, MANY)
    assert parse(serialize_pairs([*usual[:place], pair, *usual[place:]]), KNOWN, MANY) is None


@pytest.mark.parametrize("raw", [raw for raw, _ in BROKEN_PAIRS.values()], ids=BROKEN_PAIRS)
def test_a_broken_stream_is_left_to_the_long_way(parse: ParseKnown, raw: bytes) -> None:
    """Which says what is wrong with it."""
    assert parse(raw, {"n": "n", **KNOWN}, MANY) is None


def test_every_cut_is_noticed(parse: ParseKnown) -> None:
    """Only where one pair ends and the next begins may a stream end."""
    pairs = [(b"A", b"b"), (b"n" * 200, b"v" * 130), (b"HTTP_X", b"")]
    raw = serialize_pairs(pairs)
    ends = [len(serialize_pairs(pairs[:count])) for count in (1, 2, 3)]
    assert [size for size in range(len(raw) + 1) if parse(raw[:size], KNOWN, MANY) is not None] == ends


def test_as_many_pairs_as_allowed_are_read(parse: ParseKnown) -> None:
    """The limit itself is still allowed, one more is not."""
    names = {f"X{number}": f"X{number}" for number in range(9)}
    raw = serialize_pairs((name.encode(), b"") for name in names)
    assert parse(raw, names, 9) == dict.fromkeys(names, "")
    assert parse(raw, names, 8) is None


def test_what_a_peer_declares_costs_nothing(parse: ParseKnown) -> None:
    """Neither 4 GiB in one pair nor half a million pairs are given memory."""
    flood = b"\1\0A" * (1 << 16)
    parse(flood, KNOWN, MANY)
    tracemalloc.start()
    assert parse(b"\xff" * 8 + b"A" * 100, KNOWN, MANY) is None
    assert parse(b"\1\xff\xff\xff\xffA", KNOWN, MANY) is None
    assert tracemalloc.get_traced_memory()[1] < 1 << 16
    assert parse(flood, KNOWN, MANY) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 19


@pytest.mark.parametrize("arguments", [(), (b"",), ("", {}, 1), (b"", [], 1), (b"", {}, "1"), (b"", {}, 1, 1)])
def test_a_wrong_call_is_a_type_error(arguments: tuple[object, ...]) -> None:
    """What the types forbid does no harm in C either."""
    with pytest.raises(TypeError):
        twin("C")(*arguments)  # type: ignore[arg-type]


def test_every_reference_is_given_back() -> None:
    """After a thousand calls of each kind, the names and what is known are held by nobody else than before."""
    parse = twin("C")
    name = "HTTP_" + "X" * 50
    known = {name: name}
    raw = serialize_pairs([(name.encode(), b"some value")])
    before = sys.getrefcount(name), sys.getrefcount(known), sys.getrefcount(raw), sys.getrefcount(None)
    for _ in range(1000):
        for stream in (raw, raw + raw, raw[:-1], raw[:9], raw + b"\1\0B", serialize_pairs([(name.encode(), b"\0")])):
            parse(stream, known, MANY)
    assert (sys.getrefcount(name), sys.getrefcount(known), sys.getrefcount(raw)) == before[:3]
    assert abs(sys.getrefcount(None) - before[3]) < 100


names = st.sampled_from([name.encode("latin-1") for name in KNOWN]) | st.binary(max_size=3)
values = st.binary(max_size=6) | st.sampled_from([b"v" * 127, b"v" * 128, b"v" * 300])
streams = st.lists(st.tuples(names, values), max_size=7).map(serialize_pairs) | st.binary(max_size=60)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A stream with a byte changed, or cut, or with something behind it."""
    raw = bytearray(draw(streams))
    if raw:
        raw[draw(st.integers(0, len(raw) - 1))] = draw(st.sampled_from([0, 1, 127, 128, 255]))
    return bytes(raw[: draw(st.integers(0, len(raw)))] + draw(st.binary(max_size=4)))


@given(stream=streams | damaged(), limit=st.integers(1, 8))
def test_any_stream_is_what_its_pairs_say(parse: ParseKnown, stream: bytes, limit: int) -> None:
    """Both twins do nothing else than the long way does where nothing is unusual."""
    found = parse(stream, KNOWN, limit)
    wanted = expected(stream, KNOWN, limit)
    assert (found and list(found.items())) == (wanted and list(wanted.items()))
    assert (found is None) == (wanted is None)
