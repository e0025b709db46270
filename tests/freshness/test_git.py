"""While git rewrites a work tree nobody imports from it."""

import os
import threading
import time
from pathlib import Path

import pytest

from runner.freshness import git


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A work tree as far as names go, with a directory two levels down."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "src" / "app").mkdir(parents=True)
    return tmp_path


def test_no_lock_no_wait(tree: Path, tmp_path: Path) -> None:
    """Without a lock, or without git, it is over at once."""
    began = time.monotonic()
    assert git.wait(str(tree / "src" / "app"))
    assert time.monotonic() - began < 0.05


def test_a_lock_is_waited_for(tree: Path) -> None:
    """A lock in a directory above holds until it is gone."""
    lock = tree / ".git" / "index.lock"
    lock.touch()
    over: list[bool] = []
    thread = threading.Thread(target=lambda: over.append(git.wait(str(tree / "src" / "app"))))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    lock.rename(tree / ".git" / "index")
    thread.join(5)
    assert over == [True]


def test_a_lock_that_stays(tree: Path) -> None:
    """The patience is bounded."""
    (tree / ".git" / "index.lock").touch()
    began = time.monotonic()
    assert not git.wait(str(tree), 0.05)
    assert 0.04 <= time.monotonic() - began < 1.0   # counted from the lock's birth


def test_a_forgotten_lock(tree: Path) -> None:
    """A lock that is older than the patience was left behind by a git that died: nobody waits for it."""
    lock = tree / ".git" / "index.lock"
    lock.touch()
    os.utime(lock, (1, 1))
    began = time.monotonic()
    assert not git.wait(str(tree))
    assert time.monotonic() - began < 0.5


def test_worktrees_and_submodules(tree: Path, tmp_path: Path) -> None:
    """A `.git` file leads to the git directory that has the lock; every work tree around counts."""
    (tree / "src" / ".git").write_text("gitdir: ../.git/modules/src\n")
    (tree / ".git" / "modules" / "src").mkdir(parents=True)
    (tree / ".git" / "modules" / "src" / "index.lock").touch()
    found = [os.path.normpath(place) for place in git.places(str(tree / "src" / "app"))]
    assert found[:2] == [str(tree / ".git" / "modules" / "src"), str(tree / ".git")]
    assert not git.wait(str(tree / "src"), 0.01)


def test_a_git_file_that_is_a_fifo(tree: Path) -> None:
    """Nobody waits for somebody to write into it."""
    os.mkfifo(tree / "src" / ".git")
    assert next(git.places(str(tree / "src"))) == str(tree / ".git")


@pytest.mark.parametrize("content", [b"", b"gitdir", b"\xff\xfe", b"other: place"])
def test_a_git_file_that_is_none(tree: Path, content: bytes) -> None:
    """A `.git` that is something else is passed over."""
    (tree / "src" / ".git").write_bytes(content)
    assert next(git.places(str(tree / "src"))) == str(tree / ".git")
