"""A directory that Python has listed ahead, for processes that are not there yet."""

import os
import sys
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path

import pytest

from runner.freshness import recorder
from runner.freshness.bytecode import Bytecode
from runner.freshness.inputs import Inputs
from runner.freshness.recorder import Recorder
from runner.freshness.stamps import stamp
from tests.support.trouble import until

YEAR_2001 = 10**18


@pytest.fixture
def ahead() -> Recorder:
    """Who lists."""
    return Recorder(Inputs(), Bytecode(None))


@pytest.fixture
def finder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileFinder:
    """Python's own, of the folder, which has been so since 2001 by its modification time."""
    finder = FileFinder(str(tmp_path), (SourceFileLoader, [".py"]))
    monkeypatch.setitem(sys.path_importer_cache, str(tmp_path), finder)
    os.utime(tmp_path, ns=(YEAR_2001, YEAR_2001))
    return finder


def secretly(directory: Path, name: str) -> None:
    """Save a module there, and set the time of the directory back, as copying does."""
    before = stamp(str(directory))
    (directory / name).touch()

    def told() -> bool:
        os.utime(directory, ns=(YEAR_2001, YEAR_2001))
        return stamp(str(directory)) != before

    until("the clock of the file system goes on", told)


def test_it_is_listed_once(
    ahead: Recorder, finder: FileFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks for a module there need not list it again, if it is what it was."""
    monkeypatch.setattr(recorder, "OLD", -1)
    (tmp_path / "a.py").touch()
    os.utime(tmp_path, ns=(YEAR_2001, YEAR_2001))
    ahead.list_ahead(str(tmp_path))
    monkeypatch.setattr(FileFinder, "_fill_cache", None)
    ahead.look_up("a", [str(tmp_path)])
    assert finder.find_spec("a") is not None


def test_what_came_since_is_found(
    ahead: Recorder, finder: FileFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the time that Python goes by is the same again."""
    monkeypatch.setattr(recorder, "OLD", -1)
    ahead.list_ahead(str(tmp_path))
    secretly(tmp_path, "b.py")
    assert finder.find_spec("b") is None
    ahead.look_up("b", [str(tmp_path)])
    assert finder.find_spec("b") is not None


def test_what_changed_just_now_is_not_listed(ahead: Recorder, finder: FileFinder, tmp_path: Path) -> None:
    """The next change may have the same time."""
    ahead.list_ahead(str(tmp_path))
    secretly(tmp_path, "b.py")
    assert finder.find_spec("b") is not None


def test_where_nothing_is_looked_for(ahead: Recorder, tmp_path: Path) -> None:
    """There nothing is to be listed."""
    ahead.list_ahead(str(tmp_path))
    ahead.list_ahead(str(tmp_path / "none"))
    assert str(tmp_path) not in sys.path_importer_cache
