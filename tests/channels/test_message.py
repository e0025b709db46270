"""What travels over a channel: positions that are given back unread, names, and what JSON can say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.channels.message import (
    MAX_TEXT,
    OLDEST,
    Message,
    Position,
    check_channel,
    check_id,
    parse_position,
    serialize,
)
from runner.errors import BadChannel, BadMessage

OFFSETS = st.integers(0, 10**18 - 1)
POSITIONS = st.builds(Position, st.from_regex(r"[0-9a-z]{1,32}", fullmatch=True), OFFSETS, OFFSETS)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8,
)  # fmt: skip


@given(POSITIONS | st.just(OLDEST))
def test_a_position_is_its_text(position: Position) -> None:
    """What clients are given is what they mean when they give it back."""
    assert parse_position(str(position)) == position


@pytest.mark.parametrize("text", [
    "", "a.1", "a.1.2.3", "A.1.2", "a.01.2", "a.-1.2", ".1.2", "a.1.2\n", "a.1." + "9" * 19,
])  # fmt: skip
def test_what_never_was_a_position_is_refused(text: str) -> None:
    """Nothing is guessed from a text that no position has."""
    with pytest.raises(BadMessage, match="give back what came"):
        parse_position(text)


@given(VALUES)
def test_what_json_can_say_arrives(value: Any) -> None:
    """On one line, and the same again."""
    try:
        text = serialize(value)
    except BadMessage:
        assert "\\ud" in json.dumps(value)  # half a surrogate pair
        return
    assert "\n" not in text
    assert Message("c", text, OLDEST).data == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes", object(), "\ud800", "x" * MAX_TEXT])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    """NaN among it, and what is too long."""
    with pytest.raises(BadMessage):
        serialize(value)


def test_what_is_nested_without_end_is_refused() -> None:
    """Not by a RecursionError."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(BadMessage):
        serialize(value)


@pytest.mark.parametrize("name", ["a", "public.guestbook", "straße/☃", "x" * 200])
def test_a_channel_can_be_called_so(name: str) -> None:
    """Whatever has no space in it."""
    assert check_channel(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a\n", "\x00", "x" * 201, "\ud800", None, 7, b"a"])
def test_a_channel_cannot_be_called_so(name: object) -> None:
    """Nor by half a surrogate pair, which cannot be sent."""
    with pytest.raises(BadChannel, match="without spaces"):
        check_channel(name)


@pytest.mark.parametrize("id", ["", "\n", "x" * 101, "\ud800", 7])
def test_a_message_cannot_be_called_so(id: object) -> None:
    """A name that could not be sent."""
    with pytest.raises(BadMessage, match="1 to 100"):
        check_id(id)
    assert check_id("order 17") == "order 17"
