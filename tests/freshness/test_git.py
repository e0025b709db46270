"""While git rewrites a work tree nobody imports from it."""

import os
import threading
import time
from pathlib import Path

import pytest

from runner.freshness import git
from runner.freshness.git import Trees
from tests.support.trouble import until


class Told(Trees):
    """With what it has told."""

    def __init__(self, patience: float = git.PATIENCE) -> None:
        self.notes: list[str] = []
        super().__init__(self.notes.append, patience)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A work tree as far as names go, with a directory two levels down."""
    return make(tmp_path / "tree")


def make(place: Path) -> Path:
    """See tree."""
    (place / ".git").mkdir(parents=True)
    (place / "src" / "app").mkdir(parents=True)
    return place


def test_no_lock_no_wait(tree: Path) -> None:
    """Without a lock, or without git, it is over at once, and there is nothing to tell."""
    trees = Told(30.0)
    began = time.monotonic()
    assert trees.wait([str(tree / "src" / "app"), "/proc", "/nowhere/at/all"])
    assert time.monotonic() - began < 15.0
    assert trees.notes == []


@pytest.mark.parametrize("place", ["tree/src/app", "library/src/app", "link", "link/app"])
def test_a_lock_is_waited_for(tree: Path, tmp_path: Path, place: str) -> None:
    """A lock above any of the directories holds until it is gone; of a link, above where it leads to, too."""
    (tmp_path / "link").symlink_to(make(tmp_path / "library") / "src")
    lock = tmp_path / ("tree" if place.startswith("tree") else "library") / ".git" / "index.lock"
    lock.touch()
    trees, over = Told(30.0), []
    directories = [str(tree), str(tmp_path / place)]
    thread = threading.Thread(target=lambda: over.append(trees.wait(directories)))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    lock.rename(lock.with_name("index"))
    thread.join(15)
    assert (over, trees.notes) == ([True], [])


def test_those_named_before_are_waited_for_too(tree: Path) -> None:
    """What was imported from once is an input for good."""
    waited, told = Told(0.05), Told(0.05)
    assert waited.wait([str(tree)])
    told.find([str(tree)])
    (tree / ".git" / "index.lock").touch()
    assert not waited.wait([])
    assert not told.wait([])


def test_a_directory_is_looked_at_once(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of hundreds of directories in a few work trees each costs once, those above them as well."""
    looked: list[str] = []
    find = git.git_directory

    def look(directory: str) -> str:
        looked.append(directory)
        return find(directory)

    monkeypatch.setattr(git, "git_directory", look)
    trees = Told()
    for _ in range(3):
        trees.wait([str(tree / "src" / "app"), str(tree / "src"), str(tree / "src" / "other")])
    assert len(looked) == len(set(looked))
    assert trees.places == [str(tree / ".git")]


def test_a_lock_that_stays_is_told(tree: Path) -> None:
    """The patience is bounded, counted from the lock's birth, and whoever reads the log can help himself."""
    began = time.monotonic()
    (tree / ".git" / "index.lock").touch()
    trees = Told(0.05)
    assert not trees.wait([str(tree)])
    assert 0.04 <= time.monotonic() - began < 15.0
    assert trees.notes == [
        f"git was not done after 0.05 s, by {tree}/.git/index.lock: its files were read all the same; "
        "if no git is running there, remove that file"
    ]


def test_a_forgotten_lock(tree: Path, tmp_path: Path) -> None:
    """One that is older than the patience was left by a git that died: nobody waits for it, but for a fresh one."""
    lock = tree / ".git" / "index.lock"
    lock.touch()
    os.utime(lock, (1, 1))
    trees = Told(30.0)
    began = time.monotonic()
    assert not trees.wait([str(tree)])
    assert time.monotonic() - began < 15.0
    fresh = make(tmp_path / "library") / ".git" / "index.lock"
    fresh.touch()
    thread = threading.Thread(target=trees.wait, args=([str(tmp_path / "library")],))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    fresh.unlink()
    thread.join(15)
    assert not thread.is_alive()
    assert len(set(trees.notes)) == 1


@pytest.mark.parametrize(("name", "worked"), [("index", True), ("index.lock", True), ("HEAD", False)])
def test_it_is_known_whether_git_was_at_work_meanwhile(tree: Path, name: str, worked: bool) -> None:
    """It has taken the lock, or has let go of it; whatever else is done there changes no work tree."""
    (tree / ".git" / "index").touch()
    old = os.stat(tree / ".git" / "index").st_ctime_ns
    until("that was some ticks ago", lambda: time.time_ns() > old + 50_000_000)
    trees = Told()
    trees.wait([str(tree)])
    assert not trees.worked()
    (tree / ".git" / name).write_text("")
    assert trees.worked() is worked


def test_a_lock_of_tomorrow(tree: Path) -> None:
    """The clock was set back under git: the patience is that of whoever waits, not of the lock."""
    lock = tree / ".git" / "index.lock"
    lock.touch()
    os.utime(lock, (time.time() + 86_400, time.time() + 86_400))
    began = time.monotonic()
    assert not Told(0.05).wait([str(tree)])
    assert time.monotonic() - began < 15.0


def test_worktrees_and_submodules(tree: Path) -> None:
    """A `.git` file leads to the git directory that has the lock; every work tree around counts."""
    (tree / "src" / ".git").write_text("gitdir: ../.git/modules/src\n")
    (tree / ".git" / "modules" / "src").mkdir(parents=True)
    trees = Told(0.01)
    assert trees.wait([str(tree / "src" / "app")])
    assert trees.places == [str(tree / ".git" / "modules" / "src"), str(tree / ".git")]
    (tree / ".git" / "modules" / "src" / "index.lock").touch()
    assert not trees.wait([])


def test_a_git_file_that_is_a_fifo(tree: Path) -> None:
    """Nobody waits for somebody to write into it."""
    os.mkfifo(tree / "src" / ".git")
    assert git.git_directory(str(tree / "src")) == ""


@pytest.mark.parametrize("content", [b"", b"gitdir", b"gitdir:", b"\xff\xfe", b"other: place"])
def test_a_git_file_that_is_none(tree: Path, content: bytes) -> None:
    """A `.git` that is something else is passed over."""
    (tree / "src" / ".git").write_bytes(content)
    assert git.git_directory(str(tree / "src")) == ""
