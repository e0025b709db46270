"""What goes along with a WebSocket arrives as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.front.luggage import Luggage

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.builds(
        Luggage, st.binary(), TEXT, TEXT, st.none() | TEXT, st.floats(0, 1e9), st.integers(0, 1 << 60),
        st.floats(0, 1e9),
    )
)  # fmt: skip
def test_it_arrives_as_it_was(luggage: Luggage) -> None:
    """Every byte of the head, every letter of the state, and the moments to the last bit."""
    assert Luggage.unpack(luggage.pack()) == luggage


def test_letters_cost_what_they_cost_in_utf_8() -> None:
    """A large state in another script is not six times as large on its way."""
    assert len(Luggage(b"", "ж" * 1000, "", None, 0.0, 0, 0.0).pack()) < 2100


def test_half_a_letter_is_no_text() -> None:
    """A lone surrogate has no UTF-8; who asks for a state looks for that."""
    with pytest.raises(UnicodeEncodeError):
        Luggage(b"", "\ud800", "", None, 0.0, 0, 0.0).pack()
