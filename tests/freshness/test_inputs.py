"""The ledger: what is an input, and what counts as a change of it."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.freshness import inputs as module
from runner.freshness import stamps
from runner.freshness.inputs import Inputs


@pytest.fixture
def inputs() -> Inputs:
    """An empty ledger."""
    return Inputs()


def hashed(inputs: Inputs, path: Path) -> Inputs:
    """*inputs* with *path* in it and everything hashed."""
    inputs.add_file(str(path))
    for _ in inputs.unhashed():
        pass
    return inputs


def test_the_directory_is_observed_before_the_stamp(tmp_path: Path) -> None:
    """A save that happens when the watch is armed belongs to the stamp; the other order would lose it."""
    path = tmp_path / "a.py"
    inputs = Inputs(lambda directory: (path.write_text("armed"), None)[1])
    inputs.add_file(str(path))
    assert inputs.sweep() == []


@pytest.mark.usefixtures("tick")
def test_two_saves_within_a_tick(inputs: Inputs, tmp_path: Path, path: Path) -> None:
    """A save of the same size so soon after the one that was read that all times are equal: a change all the same."""
    inputs.add_file(str(path))
    assert inputs.sweep() == []
    path.write_text("2")
    hashed(inputs, path)
    assert inputs.changed(str(tmp_path), "a.py") == str(path)
    assert inputs.sweep() == [str(path)]


def test_the_same_time_twice(
    inputs: Inputs, path: Path, stop_the_clock: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock was set back and has come to the time of the last save again, at which there is another one."""
    now, hour = 2 * 10**18, 3600 * 10**9
    stop_the_clock(now)
    monkeypatch.setattr(time, "time_ns", lambda: now - hour)
    inputs.add_file(str(path))
    assert inputs.sweep() == []
    path.write_text("2")
    assert inputs.sweep() == [str(path)]


@pytest.mark.usefixtures("tick")
def test_a_save_within_the_tick_of_a_touch(inputs: Inputs, path: Path) -> None:
    """The same where the stamp is that of a touch which was seen through by the hash."""
    hashed(inputs, path)
    seen = inputs.files[str(path)]
    assert seen is not None
    inputs.files[str(path)] = seen._replace(ctime_ns=0)
    assert inputs.sweep() == []
    path.write_text("2")
    assert inputs.sweep() == [str(path)]


def test_an_old_stamp_costs_no_reading(inputs: Inputs, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stamp that was young is proven by content once it is old, and from then on by itself."""
    inputs.add_file(str(path))
    monkeypatch.setattr(stamps, "TICK", 0)
    assert inputs.sweep() == []
    monkeypatch.setattr(module, "digest", lambda path: pytest.fail("read again"))
    assert inputs.sweep() == []


def test_what_was_young_is_settled_when_there_is_time(
    inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nobody who is in a hurry has to read it; but what was changed within the tick is a change for good."""
    monkeypatch.setattr(stamps, "TICK", 10**18)
    for name in ("same.py", "changed.py"):
        (tmp_path / name).write_text("1")
        inputs.add_file(str(tmp_path / name))
        assert inputs._young[str(tmp_path / name)]
    monkeypatch.setattr(stamps, "TICK", 0)
    (tmp_path / "changed.py").write_text("2")
    inputs.files[f"{tmp_path}/changed.py"] = stamps.stamp(f"{tmp_path}/changed.py")
    for _ in inputs.unhashed():
        pass
    assert list(inputs._young) == [f"{tmp_path}/changed.py"]
    assert inputs.sweep() == [f"{tmp_path}/changed.py"]


def test_a_second_note_keeps_the_first_stamp(inputs: Inputs, path: Path) -> None:
    """What was read first is what the application is made of, however often it is read again."""
    inputs.add_file(str(path))
    path.write_text("2")
    inputs.add_file(str(path))
    assert inputs.sweep() == [str(path)]


def test_touched_is_not_changed(inputs: Inputs, path: Path) -> None:
    """A file with new times and the same content is the same, as soon as its hash is known."""
    inputs.add_file(str(path))
    os.utime(path, (1, 1))
    assert inputs.sweep() == [str(path)]
    hashed(Inputs(), path)
    known = hashed(Inputs(), path)
    os.utime(path, (2, 2))
    assert known.sweep() == []
    path.write_text("2")
    assert known.sweep() == [str(path)]


def test_an_older_file_is_a_change(inputs: Inputs, tmp_path: Path) -> None:
    """Restoring a backup with its old times is a change."""
    path, backup = tmp_path / "a.py", tmp_path / "a.bak"
    backup.write_text("0")
    os.utime(backup, (1, 1))
    path.write_text("1")
    hashed(inputs, path)
    shutil.copy2(backup, path)
    assert inputs.changed(str(tmp_path), "a.py") == str(path)


def test_there_and_back_again(inputs: Inputs, path: Path) -> None:
    """A file that vanished and came back with the same content has not changed."""
    hashed(inputs, path)
    path.unlink()
    assert inputs.sweep() == [str(path)]
    path.write_text("1")
    assert inputs.sweep() == []


def test_an_absent_file_appears(inputs: Inputs, tmp_path: Path) -> None:
    """A file that was asked for in vain is an input."""
    inputs.add_file(str(tmp_path / ".env"))
    (tmp_path / ".env").touch()
    assert inputs.sweep() == [str(tmp_path / ".env")]


@pytest.mark.parametrize("made", ["json.py", "json.so", "json/"])
def test_a_new_module_shadows(inputs: Inputs, tmp_path: Path, made: str) -> None:
    """A name that was looked for and absent is a change when it appears, as a source, a library or a directory."""
    inputs.add_lookup("json", str(tmp_path))
    (tmp_path / made).mkdir() if made.endswith("/") else (tmp_path / made).touch()
    assert inputs.interesting(str(tmp_path), made.rstrip("/"))
    assert inputs.changed(str(tmp_path), made.rstrip("/")) == str(tmp_path / made.rstrip("/"))
    assert inputs.sweep() == [str(tmp_path / "json")]


def test_a_package_gets_its_init(inputs: Inputs, tmp_path: Path) -> None:
    """`__init__.py` added to what was a namespace package is a change."""
    (tmp_path / "space").mkdir()
    inputs.add_lookup("space", str(tmp_path))
    (tmp_path / "space" / "__init__.py").touch()
    assert inputs.sweep() == [str(tmp_path / "space" / "__init__")]


def test_others_are_of_no_interest(inputs: Inputs, tmp_path: Path) -> None:
    """A log, a database, an editor's own file and a module nobody asked for are no changes."""
    inputs.add_lookup("app", str(tmp_path))
    for name in ("app.log", "db.sqlite3-journal", ".app.py.swp", "app.py~", "4913", "test_app.py"):
        (tmp_path / name).touch()
        assert not inputs.interesting(str(tmp_path), name)
    assert inputs.sweep() == []


def test_a_later_look_up_hides_no_earlier_change(inputs: Inputs, tmp_path: Path) -> None:
    """What appeared between two look-ups in one directory is a change for the first and the baseline of the second."""
    inputs.add_lookup("one", str(tmp_path))
    (tmp_path / "one.py").touch()
    (tmp_path / "two.py").touch()
    inputs.add_lookup("two", str(tmp_path))
    assert inputs.sweep() == [str(tmp_path / "one")]


def test_globs(inputs: Inputs, tmp_path: Path) -> None:
    """What a glob matches is an input: its change, a new one, one in a new directory; hidden directories are not."""
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.html").touch()
    inputs.add_glob(f"{tmp_path}/t/**/*.html")
    assert list(inputs.files) == [f"{tmp_path}/t/a.html"]
    (tmp_path / "t" / "b.html").touch()
    assert inputs.changed(f"{tmp_path}/t", "b.html") == f"{tmp_path}/t/b.html"
    assert inputs.sweep() == [f"{tmp_path}/t/b.html"]
    assert inputs.in_tree(f"{tmp_path}/t")
    (tmp_path / "t" / "new").mkdir()
    (tmp_path / "t" / "new" / "c.html").touch()
    (tmp_path / "t" / ".hidden").mkdir()
    (tmp_path / "t" / ".hidden" / "d.html").touch()
    assert inputs.search() == [f"{tmp_path}/t/b.html", f"{tmp_path}/t/new/c.html"]


def test_a_sweep_of_some_directories(inputs: Inputs, tmp_path: Path) -> None:
    """What was read and what was looked for there; not in others, nor below."""
    for place in ("t", "t/below", "u"):
        (tmp_path / place).mkdir()
        inputs.add_file(f"{tmp_path}/{place}/a.txt")
        inputs.add_lookup("b", f"{tmp_path}/{place}")
        for name in ("a.txt", "b.py"):
            (tmp_path / place / name).touch()
    assert inputs.within(f"{tmp_path}/t") == [f"{tmp_path}/t/a.txt"]
    assert sorted(inputs.sweep({f"{tmp_path}/t", f"{tmp_path}/unknown"})) == [f"{tmp_path}/t/a.txt", f"{tmp_path}/t/b"]
    assert len(inputs.sweep()) == 6


def test_ignored_is_no_input(tmp_path: Path) -> None:
    """`--ignore` wins over everything that would be an input."""
    inputs = Inputs(ignore=[f"{tmp_path}/gen/**"])
    (tmp_path / "gen").mkdir()
    inputs.add_file(f"{tmp_path}/gen/a.py")
    inputs.add_lookup("b", f"{tmp_path}/gen")
    inputs.add_glob(f"{tmp_path}/**/*.txt")
    for name in ("b.py", "c.txt"):
        (tmp_path / "gen" / name).touch()
        assert not inputs.interesting(f"{tmp_path}/gen", name)
    assert inputs.files == {}


def test_a_scanned_directory(inputs: Inputs, tmp_path: Path) -> None:
    """In a directory that was listed a new module is a change; other files and directories come and go."""
    inputs.add_scan(str(tmp_path))
    (tmp_path / "cache").mkdir()
    (tmp_path / "a.log").touch()
    assert inputs.sweep() == []
    (tmp_path / "plug.py").touch()
    assert inputs.interesting(str(tmp_path), "plug.py")
    assert inputs.changed(str(tmp_path), "plug.py") == inputs.sweep()[0] == str(tmp_path / "plug.py")


def test_a_scanned_module_goes(inputs: Inputs, tmp_path: Path) -> None:
    """Who listed a directory saw what is gone now, whether it was imported or not."""
    (tmp_path / "plug.py").touch()
    inputs.add_scan(str(tmp_path))
    (tmp_path / "plug.py").unlink()
    assert inputs.interesting(str(tmp_path), "plug.py")
    assert inputs.changed(str(tmp_path), "plug.py") == inputs.sweep()[0] == str(tmp_path / "plug.py")


def test_a_directory_is_scanned_twice(inputs: Inputs, tmp_path: Path) -> None:
    """For one kind of names and then for another: each counts from its own listing on."""
    inputs.add_scan(str(tmp_path), (".pth",))
    (tmp_path / "a.py").touch()
    assert inputs.sweep() == []
    inputs.add_scan(str(tmp_path))
    assert inputs.sweep() == []
    (tmp_path / "b.pth").touch()
    (tmp_path / "c.py").touch()
    assert inputs.sweep() == [str(tmp_path / "b.pth"), str(tmp_path / "c.py")]


def test_own_writes_become_the_baseline(inputs: Inputs, tmp_path: Path) -> None:
    """What the application wrote while it was imported is accepted: content, appearance, disappearance."""
    for name in ("read", "gone.py"):
        (tmp_path / name).touch()
    inputs.add_file(str(tmp_path / "read"))
    for stem in ("made", "gone"):
        inputs.add_lookup(stem, str(tmp_path))
    (tmp_path / "read").write_text("2")
    (tmp_path / "made.py").touch()
    (tmp_path / "gone.py").unlink()
    for name in ("read", "made.py", "gone.py"):
        inputs.accept(str(tmp_path / name))
    assert inputs.sweep() == []


def test_a_partial_sweep(inputs: Inputs, tmp_path: Path) -> None:
    """A sweep of some directories sees changes there, new modules too, and nothing elsewhere."""
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()
        inputs.add_file(f"{tmp_path}/{name}/a.py")
        inputs.add_lookup("b", f"{tmp_path}/{name}")
        (tmp_path / name / "a.py").touch()
        (tmp_path / name / "b.py").touch()
    assert inputs.sweep({f"{tmp_path}/remote"}) == [f"{tmp_path}/remote/a.py", f"{tmp_path}/remote/b"]


def test_hashing_does_not_take_the_change_for_the_baseline(inputs: Inputs, path: Path) -> None:
    """A file that changed before it was hashed stays a change: the hash belongs to the stamped state or to none."""
    inputs.add_file(str(path))
    path.write_text("2")
    hashed(inputs, path)
    assert inputs.sweep() == [str(path)]


def test_a_linked_file_is_followed(tmp_path: Path) -> None:
    """Whoever watches is told of a file that is a symbolic link before it is stamped, and of no other."""
    followed: list[str] = []
    (tmp_path / "real.py").touch()
    (tmp_path / "link.py").symlink_to("real.py")
    followed_first = Inputs(follow=lambda path: followed.append(path) if path not in followed_first.files else None)
    followed_first.add_file(str(tmp_path / "link.py"))
    followed_first.add_file(str(tmp_path / "real.py"))
    assert followed == [str(tmp_path / "link.py")]


def test_what_was_saved_beside_what_the_import_wrote(inputs: Inputs, tmp_path: Path) -> None:
    """Only its own file is accepted: of another one that came meanwhile the application knows nothing."""
    inputs.add_scan(str(tmp_path))
    for name in ("gen.py", "new.py"):
        (tmp_path / name).touch()
    inputs.accept(f"{tmp_path}/gen.py")
    assert inputs.sweep() == [f"{tmp_path}/new.py"]
