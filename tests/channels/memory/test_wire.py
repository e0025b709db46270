"""What is said between the hub and its clients: it arrives as it was said, however it is cut; garbage is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.channels.memory.wire import (
    LINE,
    Follow,
    Found,
    Heard,
    Lines,
    Lost,
    Publish,
    Published,
    Read,
    Said,
    Told,
    Unfollow,
    parse_said,
    parse_told,
    serialize,
)
from runner.channels.message import MAX_TEXT, Message, Page, Position, Reason
from runner.errors import ProtocolError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
NAMES = st.from_regex(r"[a-zé☃.]{1,20}", fullmatch=True)
NUMBERS = st.integers(0, 10**9)
PLACES = st.just("") | st.builds(lambda offset: str(Position("e1", offset)), NUMBERS)
SAID = st.one_of(
    st.builds(Publish, NUMBERS, NAMES, TEXTS, NAMES), st.builds(Read, NUMBERS, NAMES, PLACES, NUMBERS),
    st.builds(Follow, NAMES, PLACES.filter(bool)), st.builds(Unfollow, NAMES),
)  # fmt: skip
TOLD = st.one_of(
    st.builds(Published, NUMBERS, NAMES, NUMBERS), st.builds(Heard, NAMES, NAMES, NUMBERS, TEXTS),
    st.builds(Found, NUMBERS, NAMES, NUMBERS, st.just(""), st.booleans(), st.lists(TEXTS, max_size=4)),
    st.builds(Lost, NAMES),
)  # fmt: skip


@given(st.lists(SAID, max_size=8), st.lists(st.integers(1, 300), max_size=20))
def test_what_clients_say_arrives(messages: list[Said], cuts: list[int]) -> None:
    """In order, in whichever pieces it is read."""
    assert [parse_said(line) for line in cut(messages, cuts)] == messages


@given(st.lists(TOLD, max_size=8), st.lists(st.integers(1, 300), max_size=20))
def test_what_the_hub_says_arrives(messages: list[Told], cuts: list[int]) -> None:
    """The same, the other way."""
    assert [parse_told(line) for line in cut(messages, cuts)] == messages


def cut(messages: list[Said] | list[Told], cuts: list[int]) -> list[bytes]:
    """The lines of what was said, read in pieces of so many bytes."""
    data, lines, found = b"".join(map(serialize, messages)), Lines(), []
    for size in [*cuts, len(data) or 1]:
        found += lines.feed(data[:size])
        data = data[size:]
    return found


@pytest.mark.parametrize("line", [
    b"", b"[]", b"{}", b"7", b"null", b'["p"]', b'["?",1]', b'["p",1,"c","t",2]', b'["p","1","c","t","i"]', b"\xff",
    b'["p",true,"c","t","i"]', b'["p",1,"c","t","i",1]', b'["p",1,"a b","t","i"]', b'["p",1,"c","\\ud800","i"]',
    b'["p",1,"\\ud800","t","i"]', b'["p",1,"c","t",""]', b'["r",1,"c","no position",1]', b'["h","c","e",1,"t"]',
    b'["f","c",""]', b'[["p"],1]', b"[" * 100_000,
])  # fmt: skip
def test_garbage_is_no_message(line: bytes) -> None:
    """Each is a ProtocolError, in few words."""
    with pytest.raises(ProtocolError) as caught:
        parse_said(line)
    assert len(str(caught.value)) < 300


@given(st.binary(max_size=60))
def test_any_line_is_a_message_or_a_protocol_error(line: bytes) -> None:
    """Nothing else comes out of the parsers."""
    for parse in (parse_said, parse_told):
        try:
            parse(line)
        except ProtocolError:
            pass


def test_a_text_is_no_longer_than_a_message() -> None:
    """Or what the hub says of it would not fit into a line."""
    assert parse_said(serialize(Publish(1, "c", "x" * MAX_TEXT, "i")))
    with pytest.raises(ProtocolError):
        parse_said(serialize(Publish(1, "c", "x" * (MAX_TEXT + 1), "i")))


@pytest.mark.parametrize("character", ["x", '"', "\\", "é", "\N{GRINNING FACE}"])
def test_the_longest_text_fits_into_a_line(character: str) -> None:
    """Of whatever it is made."""
    line = serialize(Heard("c" * 200, "e" * 32, 10**18, character * MAX_TEXT))
    assert len(line) <= LINE


def test_a_line_without_end_is_refused() -> None:
    """As soon as it is too long."""
    lines = Lines()
    with pytest.raises(ProtocolError):
        for _ in range(LINE // 65536 + 1):
            assert lines.feed(b"x" * 65536) == []


def test_found_is_a_page() -> None:
    """The positions are counted back from the last one."""
    assert Found(1, "e", 5, "", True, ["a", "b"]).page("c") == Page(
        [Message("c", "a", Position("e", 4)), Message("c", "b", Position("e", 5))], Position("e", 5), None, True
    )
    assert Found(1, "e", 5, "gap", False, []).page("c") == Page([], Position("e", 5), Reason.GAP)
