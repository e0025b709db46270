"""Where checkpoints are taken."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.generation.placement import FIRST_STEP, WORTH, Placement


def walk(placement: Placement, seconds: float, modules: int) -> list[float]:
    """An import of so many modules in so long; the moments at which checkpoints are left in the end."""
    taken: dict[int, float] = {}
    for number in range(modules):
        now = seconds * (number + 1) / modules
        if placement.wants(f"/{number}.py", now):
            taken[number] = now
            for dropped in placement.note_taken(number, f"/{number}.py", now):
                del taken[dropped]
    return list(taken.values())


def test_none_are_wanted() -> None:
    """Then none are taken, not even before what was edited last."""
    assert walk(Placement(0, frozenset(["/3.py"])), 1.0, 100) == []


def test_a_short_import_has_none() -> None:
    """What costs less than a fork is not worth one."""
    assert walk(Placement(6), FIRST_STEP / 2, 10) == []


@given(most=st.integers(1, 10), seconds=st.floats(0.001, 60.0), modules=st.integers(1, 2000))
def test_they_are_never_too_many_and_evenly_spread(most: int, seconds: float, modules: int) -> None:
    """However long the import takes, nothing lies further from the one before it than two steps, and a module."""
    placement = Placement(most)
    moments = [0.0, *walk(placement, seconds, modules), seconds]
    assert len(moments) - 2 <= most
    widest = max(after - before for before, after in pairwise(moments))
    assert widest <= 2 * placement.step + 2 * seconds / modules


def test_what_takes_long_must_be_worth_it() -> None:
    """After a fork that took long the next one is further away, but for what was edited last."""
    placement = Placement(6, frozenset(["/hot.py"]))
    placement.note_taken(1, "/a.py", 1.0, cost=FIRST_STEP)
    assert not placement.wants("/b.py", 1.0 + (WORTH - 1) * FIRST_STEP)
    assert placement.wants("/hot.py", 1.0 + FIRST_STEP)
    assert placement.wants("/b.py", 1.0 + (WORTH + 1) * FIRST_STEP)


def test_a_long_import_pays_for_few_forks_more() -> None:
    """Each doubling of its length costs half as many as there may be."""
    placement, forks = Placement(6), 0
    for number in range(10_000):
        if placement.wants("/a.py", number / 100):
            forks += 1
            placement.note_taken(number, "/a.py", number / 100)
    assert forks < 6 + 3 * 14


@pytest.mark.parametrize(("path", "wanted"), [("/srv/view.py", True), ("/srv/other.py", False)])
def test_what_was_edited_last_is_worth_one_in_any_case(path: str, wanted: bool) -> None:
    """Whatever the time."""
    assert Placement(6, frozenset(["/srv/view.py"])).wants(path, 0.0) is wanted


def test_one_before_what_was_edited_last_is_not_thinned_out() -> None:
    """It is likelier to be of use than any other."""
    placement = Placement(1, frozenset(["/hot.py"]))
    assert placement.note_taken(1, "/hot.py", 1.0) == []
    assert placement.note_taken(2, "/a.py", 2.0) == []
    assert placement.note_taken(3, "/b.py", 3.0) == [2]
