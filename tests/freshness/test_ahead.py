"""What an import will ask for, had ready before: a directory listed, a module's code read."""

import os
import sys
from collections.abc import Callable
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from runner.freshness import ahead as module
from runner.freshness.ahead import Ahead
from runner.freshness.bytecode import Bytecode
from runner.freshness.inputs import Inputs
from runner.freshness.recorder import Recorder
from runner.freshness.stamps import stamp
from tests.freshness.recorded import record
from tests.support.project import edit, project, replace
from tests.support.trouble import until

YEAR_2001 = 10**18


@pytest.fixture
def recorder() -> Recorder:
    """Who looks."""
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
    recorder: Recorder, finder: FileFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks for a module there need not list it again, if it is what it was."""
    monkeypatch.setattr(module, "OLD", -1)
    (tmp_path / "a.py").touch()
    os.utime(tmp_path, ns=(YEAR_2001, YEAR_2001))
    recorder.ahead.list(str(tmp_path))
    monkeypatch.setattr(FileFinder, "_fill_cache", None)
    recorder.look_up("a", [str(tmp_path)])
    assert finder.find_spec("a") is not None


def test_what_came_since_is_found(
    recorder: Recorder, finder: FileFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the time that Python goes by is the same again."""
    monkeypatch.setattr(module, "OLD", -1)
    recorder.ahead.list(str(tmp_path))
    secretly(tmp_path, "b.py")
    assert finder.find_spec("b") is None
    recorder.look_up("b", [str(tmp_path)])
    assert finder.find_spec("b") is not None


def test_what_changed_just_now_is_not_listed(recorder: Recorder, finder: FileFinder, tmp_path: Path) -> None:
    """The next change may have the same time."""
    recorder.ahead.list(str(tmp_path))
    secretly(tmp_path, "b.py")
    assert finder.find_spec("b") is not None


def test_where_nothing_is_looked_for(recorder: Recorder, tmp_path: Path) -> None:
    """There nothing is to be listed."""
    recorder.ahead.list(str(tmp_path))
    recorder.ahead.list(str(tmp_path / "none"))
    assert str(tmp_path) not in sys.path_importer_cache


# ---- code -----------------------------------------------------------------------------------------------------------

@pytest.fixture
def ahead(tmp_path: Path) -> Ahead:
    """With a cache."""
    return Ahead(Bytecode(str(tmp_path / "cache")))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A module with X = 1, compiled, that was saved long ago: as far as the clock of the modification times tells."""
    path = tmp_path / "view.py"
    path.write_text("X = 1\n")
    Bytecode(str(tmp_path / "cache")).load(str(path), SourceFileLoader("view", str(path)))
    return path


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is recent."""
    monkeypatch.setattr(module, "is_recent", lambda seen: False)


def taken(ahead: Ahead, path: Path, loader: type[SourceFileLoader] = SourceFileLoader) -> object:
    """What X is by the code that was ready; None if there was none."""
    found = ahead.take(str(path), loader("view", str(path)))
    if found is None:
        return None
    assert found[1] == stamp(str(path))
    space: dict[str, object] = {}
    exec(found[0], space)
    return space["X"]


@pytest.mark.usefixtures("calm")
def test_code_is_taken_once(ahead: Ahead, source: Path) -> None:
    """Who imports it again gets it from the file."""
    ahead.read(str(source))
    assert [taken(ahead, source), taken(ahead, source)] == [1, None]


def test_what_was_saved_a_moment_ago_is_not_read(ahead: Ahead, source: Path) -> None:
    """The next save may be a part of that one."""
    ahead.read(str(source))
    assert taken(ahead, source) is None


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("save", [edit, replace])
def test_what_was_saved_since_is_not_taken(ahead: Ahead, source: Path, save: Callable[[Path, str], None]) -> None:
    """Even of the same size."""
    ahead.read(str(source))
    before = stamp(str(source))

    def saved() -> bool:
        save(source, "X = 2\n")
        return stamp(str(source)) != before

    until("the clock of the file system goes on", saved)
    assert taken(ahead, source) is None


@pytest.mark.usefixtures("calm")
def test_what_is_saved_while_it_is_read_is_not_taken(
    ahead: Ahead, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code may be that of either state."""
    find = Bytecode.find

    def slow(rule: Bytecode, path: str) -> CodeType | None:
        code = find(rule, path)
        replace(source, "X = 2\n")
        return code

    monkeypatch.setattr(Bytecode, "find", slow)
    ahead.read(str(source))
    assert taken(ahead, source) is None


@pytest.mark.usefixtures("calm")
def test_who_makes_code_in_another_way_takes_none(ahead: Ahead, source: Path) -> None:
    """A loader such as those of typeguard and beartype."""

    class Loader(SourceFileLoader):
        def source_to_code(self, data: Any, path: Any) -> CodeType:  # type: ignore[override]
            return super().source_to_code(b"X = 3\n", path)

    ahead.read(str(source))
    assert taken(ahead, source, Loader) is None


@pytest.mark.usefixtures("calm")
def test_what_nobody_has_compiled_is_not_ready(ahead: Ahead, tmp_path: Path) -> None:
    """Nor what is not there."""
    (tmp_path / "new.py").write_text("X = 1\n")
    for path in (tmp_path / "new.py", tmp_path / "none.py"):
        ahead.read(str(path))
        assert taken(ahead, path) is None


READY = """
import sys
from runner.freshness import ahead
ahead.is_recent = lambda seen: False
recorder = sys.meta_path[0]._recorder
with recorder.own_reads():
    recorder.ahead.read({path!r})
recorder._bytecode.load = None
import view
print(view.X)
"""


def test_an_import_takes_what_is_ready(tmp_path: Path) -> None:
    """And notes the file as if it had read it now."""
    place, cache = project(tmp_path / "project", {"view.py": "X = 1"}), tmp_path / "cache"
    record(place, "import view", cache=cache)
    seen = record(place, READY.format(path=str(place / "view.py")), cache=cache)
    assert (seen.output, seen.changed) == ("1\n", [])
    assert "view.py" in seen.files
