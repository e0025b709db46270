"""What was added to the inputs, on its way to another process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.freshness.additions import Additions, File, Lookup
from runner.freshness.stamps import Stamp

_NUMBERS = st.integers(min_value=0, max_value=1 << 64)
_STAMPS = st.none() | st.builds(Stamp, *[_NUMBERS] * 6)
_NAMES = st.text(st.characters(exclude_characters="\0"))
_FILES = st.builds(File, _NAMES, _STAMPS, st.sampled_from(["", "00ff"]))
_LOOKUPS = st.builds(Lookup, _NAMES, _NAMES, st.frozensets(_NAMES))


@given(st.lists(_FILES | _LOOKUPS))
def test_all_that_can_be_named_arrives(items: list[File | Lookup]) -> None:
    """In one line without a tab: names that are no UTF-8, with quotes, with line ends."""
    text = Additions(items).to_json()
    assert Additions.from_json(text) == Additions(items)
    assert text.isascii()
    assert not any(ord(character) < 32 for character in text)


@given(st.lists(_FILES | _LOOKUPS))
def test_a_line_of_a_journal(items: list[File | Lookup]) -> None:
    """The same text, then a tab and the name of a module."""
    line = Additions(items).to_line("n\udcff")
    text, _, name = line.partition(b"\t")
    assert (Additions.from_json(text.decode()), name) == (Additions(items), b"n\xff\n")


@pytest.mark.parametrize("text", ["", "[1]", "[[1]]", '[["a",[1]]]', '[["a","b",1]]'])
def test_a_torn_message_is_an_error(text: str) -> None:
    """A line that was not written whole, as by a process that was killed, is refused."""
    with pytest.raises((ValueError, TypeError)):
        Additions.from_json(text)
