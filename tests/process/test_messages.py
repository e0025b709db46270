"""What is said comes out as it went in; what is no message is refused."""

from collections.abc import Sequence
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import RunnerError
from runner.process.messages import (
    MESSAGES,
    Begin,
    Parcel,
    Retire,
    Taken,
    parse,
    serialize,
)

TEXTS = st.text(st.characters(exclude_categories=()), max_size=50)   # with lone surrogates, as file names have them
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    str: TEXTS, int: st.integers(-(2**40), 2**40), float: st.floats(allow_nan=False, allow_infinity=False),
    list[str]: st.lists(TEXTS, max_size=5), Sequence[str]: st.lists(TEXTS, max_size=5),
    list[list[Any]]: st.lists(st.lists(st.integers(), max_size=3), max_size=3),
}


@st.composite
def any_message(draw: st.DrawFn) -> Any:
    """One of any kind, with any content."""
    kind = draw(st.sampled_from(list(MESSAGES.values())))
    return kind(*(draw(VALUES[hint]) for hint in get_type_hints(kind).values()))


@given(any_message())
def test_a_message_survives_the_way(message: Any) -> None:
    """Each kind, with each content."""
    assert parse(serialize(message)) == message


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data: bytes) -> None:
    """With the runner's own error, never another one."""
    try:
        parse(data)
    except RunnerError:
        pass


@pytest.mark.parametrize("data", [
    b"", b"{}", b"[]", b"1", b'["Retire", 1, 2]', b'["Parcel", 1]', b'["Nothing"]', b'[["Retire"]]', b"\xff",
])
def test_what_is_almost_a_message_is_refused(data: bytes) -> None:
    """Wrong shape, unknown name, wrong number of values."""
    with pytest.raises(RunnerError, match="not a message between processes"):
        parse(data)


def test_orders_are_never_cut() -> None:
    """Settings that were cut would be other settings."""
    settings = "x" * 150_000
    begin = parse(serialize(Begin(settings, 1, -1, [], 3, 4, "", 0, 0.0)))
    assert isinstance(begin, Begin) and begin.settings == settings


def test_descriptors_get_the_numbers_that_they_have_here() -> None:
    """In the order in which they came along; what is not there stays so."""
    begin = Begin("", 1, -1, [[7, "http", "a", []], [5, "fastcgi", "b", []]], 3, 4, "", 0, 0.0)
    assert begin.descriptors == [3, 4, 7, 5]
    here = begin.with_descriptors([13, 14, 17, 15])
    assert (here.scoreboard, here.journal, here.lifeline) == (13, 14, -1)
    assert here.listeners == [[17, "http", "a", []], [15, "fastcgi", "b", []]]


def test_a_descriptor_that_has_not_come_along_is_missed() -> None:
    """No number was free for it; with the others it would be taken for another one."""
    with pytest.raises(RunnerError, match="ulimit"):
        Begin("", 1, -1, [], 3, 4, "", 0, 0.0, lifeline=5).with_descriptors([13, 14])


def test_what_is_not_said_is_the_usual() -> None:
    """Retiring is not the end of the service, a parcel is not refused, what was taken was whole."""
    assert (Retire(), Parcel(0, "", 0.0, 0), Taken()) == (Retire(False), Parcel(0, "", 0.0, 0, ""), Taken(True))


@given(st.binary(min_size=1, max_size=64))
def test_a_parcel_is_never_cut(data: bytes) -> None:
    """Of the largest that travels in the message itself each byte arrives, whatever its value."""
    parcel = Parcel(3, (data * 8192)[:8192].decode("latin-1"), 12.5, 4, "r" * 100)
    assert parse(serialize(parcel)) == parcel
