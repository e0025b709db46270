"""The waker: a process that says "look" where there is no inotify."""

import selectors
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.freshness.waker import Waker
from tests.support.process import PATIENCE


class Sleeper:
    """A generation's loop as far as the waker sees it."""

    def __init__(self) -> None:
        self.woken = 0
        self.selector = selectors.DefaultSelector()
        self.waker = Waker(self.selector, self._wake)

    def wait(self) -> None:
        """Until the waker has called."""
        before, deadline = self.woken, time.monotonic() + PATIENCE
        while self.woken == before:
            assert time.monotonic() < deadline, "not woken"
            for key, _ in self.selector.select(PATIENCE):
                key.data()

    def _wake(self) -> None:
        self.woken += 1


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """One whose waker is open."""
    made = Sleeper()
    made.waker.open()
    process = made.waker._process
    yield made
    made.waker.close()
    assert process
    assert process.wait(PATIENCE) == 0
    made.selector.close()


def test_it_says_when_it_is_armed(sleeper: Sleeper, tmp_path: Path) -> None:
    """The first word comes when every directory is watched, so that what was saved before is looked for."""
    sleeper.waker.tell([str(tmp_path), str(tmp_path / "absent")])
    sleeper.wait()


def test_a_save_wakes(sleeper: Sleeper, tmp_path: Path) -> None:
    """A save in a watched directory is followed by a word, and so is the next one."""
    sleeper.waker.tell([str(tmp_path)])
    sleeper.wait()
    for number in range(2):
        (tmp_path / "a.py").write_text(str(number))
        sleeper.wait()


def test_directories_may_be_added(sleeper: Sleeper, tmp_path: Path) -> None:
    """What is told later is watched instead of what was told before."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    sleeper.waker.tell([str(tmp_path / "one")])
    sleeper.wait()
    sleeper.waker.tell([str(tmp_path / "one"), str(tmp_path / "two")])
    sleeper.wait()
    (tmp_path / "two" / "a.py").touch()
    sleeper.wait()


def test_more_directories_than_a_pipe_holds(sleeper: Sleeper, tmp_path: Path) -> None:
    """They are told as there is room, all of them, and after them what is told meanwhile."""
    many = [f"/nowhere/{'x' * 100}/{number}" for number in range(2000)]
    sleeper.waker.tell(many)
    sleeper.waker.tell([*many, str(tmp_path)])
    deadline = time.monotonic() + PATIENCE
    while sleeper.woken < 3:  # either list may be answered by one word when it is armed; a third comes of a save
        assert time.monotonic() < deadline, "not woken"
        (tmp_path / "a.py").touch()
        for key, _ in sleeper.selector.select(0.05):
            key.data()


@pytest.mark.parametrize("last", [[], ["/nowhere"], [f"/nowhere/{'x' * 100}/{number}" for number in range(2000)]])
def test_one_that_dies_is_let_go(tmp_path: Path, last: list[str]) -> None:
    """It is heard of no more, and told nothing more, wherever it was; its generation goes on."""
    sleeper = Sleeper()
    sleeper.waker.open()
    process = sleeper.waker._process
    assert process and process.stdin
    process.send_signal(signal.SIGSTOP)
    if last:
        sleeper.waker.tell(last)
    process.kill()
    process.wait(PATIENCE)
    sleeper.waker.tell([str(tmp_path)])
    while sleeper.selector.get_map():
        for key, _ in sleeper.selector.select(PATIENCE):
            key.data()
    sleeper.waker.tell([])
    assert process.stdin.closed
    sleeper.selector.close()


def test_it_ends_with_its_generation(tmp_path: Path) -> None:
    """The end of its input is its end."""
    sleeper = Sleeper()
    sleeper.waker.open()
    sleeper.waker.tell([str(tmp_path)])
    process = sleeper.waker._process
    assert process
    sleeper.waker.close()
    assert process.wait(PATIENCE) == 0
    sleeper.selector.close()
