"""What is watched of directories: missing ones, links on the way, roots that move, new ones below a glob."""

import os
import shutil
from pathlib import Path

import pytest

from runner.freshness.watch import State, Watch
from tests.freshness.watched import quieted, settled, watching
from tests.support.project import edit, project


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """Two releases, and `current`, a link to the first."""
    project(tmp_path, {"one/a.py": "X = 1", "one/same.py": "", "two/a.py": "X = 2", "two/same.py": ""})
    (tmp_path / "current").symlink_to("one")
    return tmp_path


def swap(releases: Path) -> None:
    """Make the second release the current one, as deployments do."""
    (releases / "next").symlink_to("two")
    os.replace(releases / "next", releases / "current")


def test_a_swapped_link(releases: Path) -> None:
    """A link on the way to an input that leads elsewhere is a change."""
    watch = watching(releases / "current")
    swap(releases)
    assert watch.pending()
    assert settled(watch) is State.STALE


def test_a_swapped_root(releases: Path) -> None:
    """The application's directory swapped for one with the same code is a change: the processes are in the old."""
    watch = Watch()
    watch.watch_root(f"{releases}/current")
    watching(releases / "current", "same.py", watch=watch)
    swap(releases)
    assert watch.pending()
    assert settled(watch) is State.STALE
    assert watch.stale == (f"{releases}/current",)


def test_a_link_in_the_middle(releases: Path) -> None:
    """So is one of a chain of links, or one above the directory that is named."""
    project(releases, {"one/package/b.py": "", "two/package/b.py": "X = 2"})
    (releases / "outer").symlink_to("current")
    watch = watching(releases / "outer" / "package", "b.py")
    swap(releases)
    assert watch.pending()
    assert settled(watch) is State.STALE


@pytest.mark.parametrize("again", ["one", "two", None])
def test_a_link_that_is_swapped_while_it_is_followed(
    releases: Path, monkeypatch: pytest.MonkeyPatch, again: str | None
) -> None:
    """Deployments remove it and make it anew; between two looks of ours it is gone, and what is there next counts."""
    watch = watching(releases / "current")
    (releases / "current").unlink()
    (releases / "current").symlink_to("one")  # an event for which links are followed again
    swapped: list[bool] = []
    readlink = os.readlink

    def swapping(path: str) -> str:
        if path == str(releases / "current") and not swapped:
            swapped.append(True)
            (releases / "current").unlink()
            try:
                return readlink(path)
            finally:
                if again:
                    (releases / "current").symlink_to(again)
        return readlink(path)

    monkeypatch.setattr(os, "readlink", swapping)
    assert settled(watch) is (State.FRESH if again == "one" else State.STALE)
    assert swapped
    if again == "one":
        swap(releases)
        assert watch.pending()
        assert settled(watch) is State.STALE


@pytest.mark.parametrize("above", [1, 2, 3])
def test_an_ancestor_is_renamed(tmp_path: Path, above: int) -> None:
    """The root, or any directory above it, renamed: what is at the path now is not what was read."""
    root = tmp_path / "x" / "y" / "root"
    project(root, {"a.py": ""})
    watch = Watch()
    watch.watch_root(str(root))
    watching(root, watch=watch)
    place = [root, *root.parents][above - 1]
    place.rename(tmp_path / "moved")
    assert watch.pending()
    assert settled(watch) is State.STALE


@pytest.mark.parametrize("above", ["x/y", "x"])
def test_a_directory_above_data_is_replaced(tmp_path: Path, above: str) -> None:
    """A file far below what is looked up or listed: a directory above it is replaced by one with other content."""
    project(tmp_path, {"x/y/z/data": "1", "new/y/z/data": "2", "new/z/data": "2"})
    watch = watching(tmp_path / "x" / "y" / "z", "data")
    (tmp_path / above).rename(tmp_path / "old")
    (tmp_path / "new").rename(tmp_path / above)
    assert watch.pending()
    assert settled(watch) is State.STALE


@pytest.mark.parametrize("change", ["write", "rename", "link", "middle"])
def test_a_file_that_is_a_link(tmp_path: Path, change: str) -> None:
    """What it leads to is written, or renamed over; the link itself, or one in the middle, leads elsewhere."""
    project(tmp_path, {"one/a.py": "X = 1", "two/a.py": "X = 22", "place/other": ""})
    (tmp_path / "current").symlink_to("one")
    (tmp_path / "place" / "a.py").symlink_to("../current/a.py")
    watch = watching(tmp_path / "place")
    match change:
        case "write":
            (tmp_path / "one" / "a.py").write_text("X = 33")
        case "rename":
            (tmp_path / "two" / "a.py").rename(tmp_path / "one" / "a.py")
        case "link":
            (tmp_path / "place" / "next").symlink_to("../two/a.py")
            (tmp_path / "place" / "next").rename(tmp_path / "place" / "a.py")
        case "middle":
            swap(tmp_path)
    assert watch.pending()
    assert settled(watch) is State.STALE


def test_a_link_that_led_elsewhere_for_a_while(tmp_path: Path) -> None:
    """After a link was swapped to a file of the same content the new file is the one that is watched."""
    project(tmp_path, {"one/a.py": "X = 1", "two/a.py": "X = 1"})
    (tmp_path / "current").symlink_to("one")
    (tmp_path / "a.py").symlink_to("current/a.py")
    watch = watching(tmp_path)
    swap(tmp_path)
    assert settled(watch) is State.FRESH
    (tmp_path / "two" / "a.py").write_text("X = 2")
    assert watch.pending()
    assert settled(watch) is State.STALE


def test_a_busy_parent_is_of_no_interest(tmp_path: Path) -> None:
    """What happens beside the root fills no queue."""
    project(tmp_path / "root", {"a.py": ""})
    watch = Watch()
    watch.watch_root(f"{tmp_path}/root")
    watching(tmp_path / "root", watch=watch)
    (tmp_path / "noise").touch()
    assert not watch.pending()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """An absent file in an absent directory is an input; the directory's coming is noticed, and then the file's."""
    watch = watching(tmp_path / "x" / "y", "local.toml")
    (tmp_path / "x").mkdir()
    assert watch.pending()
    assert settled(watch) is State.FRESH
    (tmp_path / "x" / "y").mkdir()
    assert watch.pending()
    assert settled(watch) is State.FRESH
    (tmp_path / "x" / "y" / "local.toml").touch()
    assert watch.pending()
    assert settled(watch) is State.STALE


def test_a_directory_that_comes_back(tmp_path: Path) -> None:
    """A directory removed and made again with the same content has not changed, and is watched again."""
    project(tmp_path / "d", {"a.py": "X = 1"})
    watch = watching(tmp_path / "d")
    shutil.rmtree(tmp_path / "d")
    project(tmp_path / "d", {"a.py": "X = 1"})
    assert settled(watch) is State.FRESH
    (tmp_path / "d" / "a.py").write_text("X = 2")
    assert watch.pending()
    assert settled(watch) is State.STALE


@pytest.mark.parametrize("inotify", [True, False], ids=["inotify", "sweep"])
def test_a_new_directory_below_a_glob(tmp_path: Path, inotify: bool) -> None:
    """A file that a glob matches is found in a directory that did not exist, at once or later."""
    project(tmp_path, {"t/a.html": ""})
    watch = Watch(inotify=inotify)
    watch.inputs.add_glob(f"{tmp_path}/t/**/*.html")
    assert watch.prove() == ()
    (tmp_path / "t" / "new").mkdir()
    assert settled(watch) is State.FRESH
    (tmp_path / "t" / "new" / "b.html").touch()
    assert watch.pending()
    assert settled(watch) is State.STALE
    assert watch.stale == (f"{tmp_path}/t/new/b.html",)


def test_a_glob_without_its_directory(tmp_path: Path) -> None:
    """A glob may name what is not there yet."""
    watch = Watch()
    watch.inputs.add_glob(f"{tmp_path}/later/*.html")
    assert watch.prove() == ()
    project(tmp_path, {"later/a.html": ""})
    assert watch.pending()
    assert settled(watch) is State.STALE


def test_a_foreign_file_system() -> None:
    """Where others can write unseen the files are looked at, every time, and that is said."""
    watch = Watch()
    watch.inputs.add_file("/proc/sys/fs/inotify/max_user_watches")
    assert watch.swept == {"/proc/sys/fs/inotify"}
    assert watch.pending()
    assert watch.notes == [
        "/proc/sys/fs/inotify is on proc, where others can write: its files are looked at before each request"
    ]


def test_a_file_that_becomes_a_link(tmp_path: Path) -> None:
    """With equal content it is no change; but from now on it is written where it leads to."""
    project(tmp_path, {"app/a.py": "X = 1\n", "store/a.py": "X = 1\n"})
    watch = watching(tmp_path / "app")
    (tmp_path / "app" / "next").symlink_to(tmp_path / "store" / "a.py")
    os.replace(tmp_path / "app" / "next", tmp_path / "app" / "a.py")
    assert settled(watch) is State.FRESH
    edit(tmp_path / "store" / "a.py", "X = 2\n")
    assert settled(watch) is State.STALE


def test_the_target_of_a_link_beside_a_busy_log(tmp_path: Path) -> None:
    """Where only names and inodes are heard it is watched by its inode, too."""
    project(tmp_path, {"data/a.py": "X = 1\n", "app/b.py": ""})
    (tmp_path / "app" / "a.py").symlink_to("../data/a.py")
    watch = quieted(watching(tmp_path / "app"), tmp_path / "data")
    edit(tmp_path / "data" / "a.py", "X = 2\n")
    assert watch.pending()
    assert settled(watch) is State.STALE


@pytest.mark.parametrize("inotify", [True, False])
def test_a_broken_link_of_a_modules_name(tmp_path: Path, inotify: bool) -> None:
    """It is no module until there is something where it leads to; then it is, without a change where the link is."""
    project(tmp_path, {"app/b.py": "", "store/b.py": ""})
    (tmp_path / "app" / "a.py").symlink_to(tmp_path / "store" / "a.py")
    watch = Watch(inotify=inotify)
    watch.inputs.add_lookup("a", f"{tmp_path}/app")
    assert watch.prove() == ()
    (tmp_path / "store" / "a.py").write_text("X = 1\n")
    assert settled(watch) is State.STALE
