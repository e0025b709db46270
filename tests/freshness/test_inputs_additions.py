"""What one process read late, and tells the others: they see it with the first one's eyes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.freshness.additions import Additions, File
from runner.freshness.inputs import Inputs


def told(note: Callable[[Inputs], object]) -> Additions:
    """What a process tells the others of what it came across late."""
    there = Inputs()
    note(there)
    return there.take_additions()


def heard(told: list[Additions], newest_first: bool) -> Inputs:
    """The ledger of one who was told all that, in this order or the other."""
    here = Inputs()
    for additions in reversed(told) if newest_first else told:
        here.adopt(additions)
    return here


def test_additions_travel(tmp_path: Path) -> None:
    """What one process read late another adopts with the first one's eyes: a change since then is a change."""
    there, here = Inputs(), Inputs()
    path = tmp_path / "née\udcff.py"
    path.write_text("1")
    there.add_file(str(path))
    there.add_lookup("ujson", str(tmp_path))
    path.write_text("2")
    (tmp_path / "ujson.py").touch()
    here.adopt(Additions.from_json(there.take_additions().to_json()))
    assert here.sweep() == [str(path), str(tmp_path / "ujson")]
    assert there.take_additions().items == []


def test_additions_know_nothing_yet(tmp_path: Path) -> None:
    """What is adopted and has not changed is fresh, and is not sent back."""
    there, here = Inputs(), Inputs()
    (tmp_path / "a.py").write_text("1")
    there.add_lookup("a", str(tmp_path))
    there.add_file(str(tmp_path / "a.py"))
    additions = there.take_additions()
    assert additions.items[-1][:2] == File(str(tmp_path / "a.py"), there.files[str(tmp_path / "a.py")])[:2]
    here.adopt(additions)
    assert here.sweep() == []
    assert not here.added


@pytest.mark.usefixtures("tick")
@pytest.mark.parametrize("adopted_first", [False, True])
def test_additions_within_a_tick(path: Path, adopted_first: bool) -> None:
    """A save of the same size and times after another process read: what it read travels, the stamp proves nothing."""
    here = Inputs()
    additions = Additions.from_json(told(lambda there: there.add_file(str(path))).to_json())
    if adopted_first:
        here.adopt(additions)
        assert here.sweep() == []
    path.write_text("2")
    here.adopt(additions)
    assert here.sweep() == [str(path)]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("clock", ["it runs", "tick"])
def test_of_two_versions_the_old_one_is_remembered(
    path: Path, clock: str, newest_first: bool, request: pytest.FixtureRequest
) -> None:
    """Two processes have read two versions, and perhaps only their content tells: whoever tells first, it changed."""
    if clock == "tick":
        request.getfixturevalue(clock)
    before = told(lambda there: there.add_file(str(path)))
    path.write_text("2")
    after = told(lambda there: there.add_file(str(path)))
    assert heard([before, after], newest_first).sweep() == [str(path)]


@pytest.mark.parametrize("newest_first", [False, True])
def test_of_two_findings_the_old_one_is_remembered(tmp_path: Path, newest_first: bool) -> None:
    """The same for a look-up that found nothing in one process and something in the other."""
    before = told(lambda there: there.add_lookup("optional", str(tmp_path)))
    (tmp_path / "optional.py").touch()
    after = told(lambda there: there.add_lookup("optional", str(tmp_path)))
    assert heard([before, after], newest_first).sweep() == [str(tmp_path / "optional")]
