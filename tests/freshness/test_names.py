"""A process's own queue for directories in which names come and go."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.freshness.inotify import CREATE, LOST
from runner.freshness.names import Names


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Names]:
    """One for a folder in which "dull" concerns nothing."""
    made = Names()
    made.listen({str(tmp_path): ["dull"]})
    yield made
    made.close()


def test_what_is_dull_is_no_news(names: Names, tmp_path: Path) -> None:
    """However often it comes and goes."""
    for _ in range(3):
        (tmp_path / "dull").touch()
        os.unlink(tmp_path / "dull")
        assert names.news() == []


def test_another_name_is_news(names: Names, tmp_path: Path) -> None:
    """With its directory; and once."""
    (tmp_path / "dull").touch()
    (tmp_path / "new.py").touch()
    (event,) = [each for each in names.news() if each.mask & CREATE]
    assert (names.places(event), event.name) == ((str(tmp_path),), "new.py")
    assert names.news() == []


def test_what_is_written_is_not_heard(names: Names, tmp_path: Path) -> None:
    """That is heard by each file's own watch."""
    (tmp_path / "a.py").touch()
    names.news()
    (tmp_path / "a.py").write_text("X = 1\n")
    assert names.news() == []


def test_what_was_dull_may_become_news(names: Names, tmp_path: Path) -> None:
    """Also if it had been heard before."""
    (tmp_path / "dull").touch()
    assert names.news() == []
    os.unlink(tmp_path / "dull")
    assert names.news() == []
    names.note_dull({str(tmp_path): ["other"]})
    (tmp_path / "dull").touch()
    assert {each.name for each in names.news()} == {"dull"}


def test_the_same_name_elsewhere_is_news(names: Names, tmp_path: Path) -> None:
    """A name is dull in one directory."""
    (tmp_path / "pack").mkdir()
    names.listen({str(tmp_path): ["dull", "pack"], str(tmp_path / "pack"): []})
    names.news()
    (tmp_path / "pack" / "dull").touch()
    assert {each.name for each in names.news()} == {"dull"}


def test_what_is_lost_is_news(names: Names, tmp_path: Path) -> None:
    """The directory itself goes: nothing of it will be heard any more."""
    (tmp_path / "dull").touch()
    shutil.rmtree(tmp_path)
    assert any(each.mask & LOST for each in names.news())


def test_more_than_one_reading_takes(names: Names, tmp_path: Path) -> None:
    """What stands behind thousands of dull events is found."""
    for number in range(4000):
        os.utime(tmp_path) if number % 2 else (tmp_path / "dull").touch()
        (tmp_path / "dull").unlink(missing_ok=True)
    (tmp_path / "new.py").touch()
    assert "new.py" in {each.name for each in names.news()}
