"""What is expected to be noted is, if it is what was expected; else it is left to who looks for himself."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.freshness.additions import File, Lookup
from runner.freshness.inputs import Inputs
from runner.freshness.stamps import Stamp, stamp
from tests.support.trouble import until


@pytest.fixture
def inputs() -> Inputs:
    """An empty ledger."""
    return Inputs()


def seen(path: Path) -> Stamp:
    """Its stamp."""
    found = stamp(str(path))
    assert found is not None
    return found


def expected(path: Path) -> tuple[Lookup, Stamp]:
    """That one of its stem is found there."""
    return Lookup(str(path.parent), path.stem, frozenset({path.name})), seen(path.parent)


def changed(directory: Path, change: Callable[[], object]) -> None:
    """Until its stamp is another one."""
    before = stamp(str(directory))

    def told() -> bool:
        change()
        return stamp(str(directory)) != before

    until("the clock of the file system goes on", told)


# ---- files ----------------------------------------------------------------------------------------------------------

def test_an_expected_file_is_noted(inputs: Inputs, path: Path) -> None:
    """As if it had been looked at."""
    assert inputs.add_expected_file(file := File(str(path), seen(path)))
    assert inputs.files == {file.path: file.seen}
    assert inputs.take_additions().items == [file]


@pytest.mark.parametrize("change", [
    lambda path: path.write_text("22"),
    lambda path: path.unlink(),
    lambda path: os.link(path, path.with_suffix(".txt")),
    lambda path: (path.rename(path.with_suffix(".txt")), path.symlink_to(path.with_suffix(".txt"))),
], ids=["saved", "gone", "a second name", "a link"])  # fmt: skip
def test_another_file_than_expected_is_not(inputs: Inputs, path: Path, change: Callable[[Path], object]) -> None:
    """Of which more has to be asked than its stamp."""
    before = seen(path)
    change(path)
    assert not inputs.add_expected_file(File(str(path), before))
    assert (inputs.files, list(inputs.added)) == ({}, [])


def test_a_file_that_is_known_is_not_expected(inputs: Inputs, path: Path) -> None:
    """It was noted as it was then."""
    inputs.add_file(str(path))
    inputs.take_additions()
    assert not inputs.add_expected_file(File(str(path), seen(path)))
    assert list(inputs.added) == []


def test_a_file_that_is_ignored_is_not_expected(path: Path) -> None:
    """It is no input."""
    inputs = Inputs(ignore=[str(path)])
    assert not inputs.add_expected_file(File(str(path), seen(path)))
    assert inputs.files == {}


# ---- look-ups -------------------------------------------------------------------------------------------------------

def test_an_expected_look_up_is_noted(inputs: Inputs, path: Path) -> None:
    """As if somebody had looked; once."""
    lookup, listed = expected(path)
    assert inputs.add_expected_lookup(lookup, listed)
    assert inputs.names == {lookup.directory: {lookup.stem: lookup.names}}
    assert inputs.add_expected_lookup(lookup, listed)
    assert inputs.take_additions().items == [lookup]


def test_its_directory_is_observed_first(path: Path) -> None:
    """What comes when the watch is armed belongs to the stamp; the other order would lose it."""
    inputs = Inputs(lambda directory: changed(Path(directory), path.with_suffix(".so").touch))
    assert not inputs.add_expected_lookup(*expected(path))


def test_a_change_of_it_is_one(inputs: Inputs, path: Path) -> None:
    """And so is none."""
    assert inputs.add_expected_lookup(*expected(path))
    assert inputs.sweep() == []
    changed(path.parent, path.with_suffix(".so").touch)
    assert inputs.sweep() == [str(path.with_suffix(""))]


def test_a_directory_is_looked_at_once_in_an_import(inputs: Inputs, path: Path) -> None:
    """What is expected later is noted as of then, so that what came in between is a change."""
    lookup, listed = expected(path)
    other = lookup._replace(stem="b", names=frozenset())
    assert inputs.add_expected_lookup(lookup, listed)
    changed(path.parent, path.with_name("b.py").touch)
    assert inputs.add_expected_lookup(other, listed)
    assert inputs.sweep() == [str(path.with_name("b"))]


def test_after_the_import_it_is_looked_at_again(inputs: Inputs, path: Path) -> None:
    """Nobody proves then what is imported late: what came before that is no change of anything."""
    lookup, listed = expected(path)
    assert inputs.add_expected_lookup(lookup, listed)
    changed(path.parent, path.with_name("b.py").touch)
    inputs.forget_looks()
    assert not inputs.add_expected_lookup(lookup._replace(stem="b", names=frozenset()), listed)


@pytest.mark.parametrize("known", [False, True])
def test_where_something_came_it_is_not(inputs: Inputs, path: Path, known: bool) -> None:
    """Whatever it is: whoever looks will see."""
    lookup, listed = expected(path)
    if known:
        inputs.add_lookup("other", lookup.directory)
        inputs.take_additions()
    changed(path.parent, path.with_name("new.txt").touch)
    assert not inputs.add_expected_lookup(lookup, listed)
    assert path.stem not in inputs.names.get(lookup.directory, {}) and not inputs.added


def test_another_finding_than_expected_is_believed(inputs: Inputs, path: Path) -> None:
    """That of who has looked."""
    lookup, listed = expected(path)
    inputs.add_lookup(lookup.stem, lookup.directory)
    assert not inputs.add_expected_lookup(lookup._replace(names=frozenset()), listed)
    assert inputs.names[lookup.directory][lookup.stem] == lookup.names


# ---- listings -------------------------------------------------------------------------------------------------------

def test_what_was_listed_can_be_asked(inputs: Inputs, path: Path) -> None:
    """With the stamp that it was listed by; without a look."""
    assert inputs.listing(str(path.parent)) is None
    inputs.add_lookup("a", str(path.parent))
    assert inputs.listing(str(path.parent)) == (seen(path.parent), {"a": frozenset({"a.py"})})
