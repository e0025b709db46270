"""What those who wait at a checkpoint get ready: what all would look at; and what will be imported."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.freshness import ahead
from runner.freshness.additions import Additions, File, Lookup
from runner.freshness.git import Trees
from runner.freshness.stamps import stamp
from runner.generation import importing, readiness
from runner.generation.learned import Learned
from runner.generation.readiness import Readiness, imported
from runner.settings import resolve


@pytest.fixture
def journal() -> Iterator[int]:
    """An empty one."""
    descriptor = os.memfd_create("journal")
    yield descriptor
    os.close(descriptor)


class Ahead(ahead.Ahead):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.listed: list[str] = []
        self.names: list[str] = []

    def rest(self) -> None:
        """Nothing is known."""

    def list_directory(self, directory: str) -> None:
        """As told."""
        self.listed.append(directory)

    def get_ready(self, name: str, path: str) -> None:
        """As told."""
        assert os.path.basename(path) == name
        self.names.append(name)


@pytest.fixture
def waiting(tmp_path: Path, journal: int) -> tuple[Readiness, Ahead]:
    """Before the file view.py, with that journal from byte 3 on."""
    os.write(journal, b"...")
    return wait(tmp_path, str(tmp_path / "shop" / "view.py"), journal, Learned(""))


def wait(place: Path, path: str, journal: int, learned: Learned) -> tuple[Readiness, Ahead]:
    """Before the file *path*, with that journal from byte 3 on."""
    watch, recorder = importing.record(resolve({"target": "app"}, {}, str(place)).settings, inotify=False)
    notes = recorder.ahead = Ahead()
    return Readiness(path, journal, 3, Trees(watch.note), watch, recorder, learned), notes


def note(journal: int, place: Path, *names: str) -> None:
    """As an import does."""
    for name in names:
        path = str(place / name)
        items: list[File | Lookup] = [Lookup(str(place), "x", frozenset()), File(path, stamp(path))]
        os.write(journal, Additions(items).to_line(name))


def get_ready(waiting: tuple[Readiness, Ahead], *, expected: bool = True) -> list[str]:
    """The modules that are had ready then."""
    ready, notes = waiting
    ready.get_ready(expected=expected)
    notes.names = []
    assert list(ready.each()) == notes.names
    return notes.names


def test_the_next_directory_is_listed_once(waiting: tuple[Readiness, Ahead], tmp_path: Path) -> None:
    """For all who go on."""
    get_ready(waiting)
    get_ready(waiting, expected=False)
    assert waiting[1].listed == [str(tmp_path / "shop")]


def test_what_was_imported_next_is_read(waiting: tuple[Readiness, Ahead], journal: int, tmp_path: Path) -> None:
    """In that order: sources that were noted right before a module's code ran; also what is noted later."""
    for name in ("a.py", "b.py", "c.txt"):
        (tmp_path / name).touch()
    note(journal, tmp_path, "b.py", "c.txt")
    os.write(journal, b"[]\tnoted before\n")
    assert get_ready(waiting) == ["b.py"]
    note(journal, tmp_path, "a.py")
    assert get_ready(waiting) == ["b.py", "a.py"]


def test_before_the_application_that_is_what_an_earlier_start_has_taught(journal: int, tmp_path: Path) -> None:
    """Even if that is learned only after it began to wait; once; a file that is no more is passed over."""
    for name in ("app.py", "view.py"):
        (tmp_path / name).touch()
    earlier, learned = Learned(str(tmp_path / "learned.json")), Learned(str(tmp_path / "learned.json"))
    waiting = wait(tmp_path, "", journal, learned)
    assert get_ready(waiting, expected=False) == []
    earlier.learn_own([(name, str(tmp_path / name)) for name in ("app.py", "gone.py", "view.py")])
    assert get_ready(waiting) == ["app.py", "view.py"]
    assert get_ready(waiting) == ["app.py", "view.py"]


def test_where_nobody_is_expected_nothing_is_read(
    waiting: tuple[Readiness, Ahead], journal: int, tmp_path: Path
) -> None:
    """It would be memory for nothing."""
    (tmp_path / "a.py").touch()
    note(journal, tmp_path, "a.py")
    assert get_ready(waiting, expected=False) == []
    assert get_ready(waiting) == ["a.py"]


def test_there_is_a_bound(
    waiting: tuple[Readiness, Ahead], journal: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For all of them together, in bytes of their sources."""
    for name, size in (("a.py", 3), ("b.py", 2), ("c.py", 1)):
        (tmp_path / name).write_bytes(bytes(size))
    waiting[0]._left = 4
    note(journal, tmp_path, "a.py", "b.py", "c.py")
    assert get_ready(waiting) == ["a.py", "c.py"]
    assert readiness.MOST > 0


def test_what_has_no_hash_is_hashed_meanwhile(waiting: tuple[Readiness, Ahead], tmp_path: Path) -> None:
    """Once somebody has gone on."""
    (tmp_path / "a.py").touch()
    ready = waiting[0]
    ready._watch.inputs.add_file(str(tmp_path / "a.py"))
    list(ready.idle())
    assert str(tmp_path / "a.py") in ready._watch.inputs.hashes


def test_what_an_import_has_noted(journal: int, tmp_path: Path) -> None:
    """Its source modules, in order; then what it has noted since."""
    for name in ("a.py", "b.so", "c.py"):
        (tmp_path / name).touch()
    note(journal, tmp_path, "a.py", "b.so")
    found, end = imported(journal)
    assert found == [("a.py", str(tmp_path / "a.py"))]
    note(journal, tmp_path, "c.py")
    assert imported(journal, end)[0] == [("c.py", str(tmp_path / "c.py"))]
