"""Who reads a common change queue, and what he leaves to the next one."""

import os

import pytest

from runner.freshness.baton import SIZE, Baton, Word
from tests.freshness.forked import forked

FOUND = Word((("/srv/shop", "view.py"),), ("/srv/shop",), lost=False)


@pytest.fixture
def baton() -> Baton:
    """Held by this process."""
    return Baton()


def test_what_was_left_is_found_by_the_next_one(baton: Baton) -> None:
    """In another process, forked before."""
    with forked(lambda: repr(baton.take())) as answer:
        baton.leave(FOUND)
        assert answer() == repr(FOUND)


def test_who_ended_without_a_word(baton: Baton) -> None:
    """Nobody knows what he has read."""
    with forked(lambda: repr(baton.take())) as answer:
        assert answer() == "None"


def test_it_is_held_by_one(baton: Baton) -> None:
    """Whoever has taken it has it until he leaves it."""
    baton.leave(FOUND)
    assert baton.take() == FOUND
    with forked(lambda: repr(baton.take())) as answer:
        assert answer() == "None"


def test_everything_that_was_found_is_kept_once(baton: Baton) -> None:
    """Who was paused first hears of the first reader, too."""
    later = Word((("/srv/shop", "view.py"), ("/srv/shop", "cart.py")), ("/srv",), lost=True)
    baton.leave(FOUND)
    assert baton.take() is not None
    baton.leave(later)
    assert baton.take() == Word((*FOUND.entries, ("/srv/shop", "cart.py")), ("/srv/shop", "/srv"), lost=True)


def test_the_second_word_does_not_count(baton: Baton) -> None:
    """Somebody else may be reading by now."""
    baton.leave(FOUND)
    baton.leave(Word(lost=True))
    assert baton.take() == FOUND


def test_who_does_not_hold_it_leaves_nothing(baton: Baton) -> None:
    """He was too late, and has a queue of his own."""

    def late() -> str:
        taken = baton.take()
        baton.leave(FOUND)
        return repr(taken)

    with forked(late) as answer:
        assert answer() == "None"
    baton.leave(Word())
    assert baton.take() == Word()


def test_too_much_to_be_told(baton: Baton) -> None:
    """Then only that it was much; and so it stays."""
    baton.leave(Word(tuple(("/srv/shop", f"{number}.py") for number in range(SIZE // 16))))
    assert baton.take() == Word(lost=True)
    baton.leave(FOUND)
    assert baton.take() == FOUND._replace(lost=True)


@pytest.mark.parametrize("name", ["größe.py", os.fsdecode(b"\xff.py"), 'a"b\n.py'])
def test_any_name_can_be_told(baton: Baton, name: str) -> None:
    """A file's name is any bytes."""
    baton.leave(Word((("/srv", name),)))
    assert baton.take() == Word((("/srv", name),))
