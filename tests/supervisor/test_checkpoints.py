"""Which checkpoint is asked first, and which are too many."""

import pytest

from runner.supervisor.checkpoints import Checkpoints


def book(most: int, *places: tuple[str, int]) -> Checkpoints:
    """Checkpoints before these modules, taken in this order."""
    book = Checkpoints(most)
    for module, modules in places:
        book.note_taken(module, modules)
    return book


def test_there_may_be_none() -> None:
    """Then everything begins at the beginning."""
    assert book(6).deepest() is None
    assert book(6).surplus() == []


@pytest.mark.parametrize(("places", "deepest"), [
    ([("", 0)], ("", 0)),
    ([("", 0), ("a", 3), ("b", 7)], ("b", 7)),
    ([("", 0), ("b", 7), ("a", 3)], ("b", 7)),
])
def test_who_has_imported_most_is_asked_first(places: list[tuple[str, int]], deepest: tuple[str, int]) -> None:
    """In whichever order they were taken."""
    found = book(6, *places).deepest()
    assert found is not None
    assert (found.module, found.modules) == deepest


def test_of_two_at_one_place_the_younger_is_asked_first() -> None:
    """The older one is of an older import."""
    found = book(6, ("", 0), ("a", 3), ("a", 3)).deepest()
    assert found is not None
    assert found.key == 3


def test_who_is_of_no_use_is_asked_no_more() -> None:
    """The next deepest is."""
    checkpoints = book(6, ("", 0), ("a", 3), ("b", 7))
    checkpoints.note_gone(3)
    checkpoints.note_gone(3)
    found = checkpoints.deepest()
    assert found is not None
    assert found.module == "a"
    assert len(checkpoints) == 2


def test_the_oldest_are_too_many() -> None:
    """Beyond so many, in the order in which they were taken."""
    checkpoints = book(2, ("", 0), ("a", 3), ("b", 7), ("c", 9), ("b", 7))
    assert [each.key for each in checkpoints.surplus()] == [2, 3]


def test_who_has_imported_less_than_the_zygote_is_too_much() -> None:
    """It was taken in a start that had nothing loaded before; who stands where the zygote stands is of its line."""
    checkpoints = book(6, ("", 0), ("pandas", 300), ("shop", 700), ("", 650), ("app", 650))
    assert [each.key for each in checkpoints.surplus()] == [1, 2]


def test_the_zygote_is_never_too_much() -> None:
    """But one of them is enough."""
    checkpoints = book(0, ("", 0), ("a", 3), ("", 0))
    assert [each.key for each in checkpoints.surplus()] == [1, 2]
