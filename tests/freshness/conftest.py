"""A module's file to begin with, and a file system's clock that stands still.

A user has 128 change queues (fs.inotify.max_user_instances), and others want some too: none outlives its test.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.freshness import inputs, stamps
from runner.freshness.inotify import Inotify
from runner.freshness.stamps import Stamp


@pytest.fixture(autouse=True)
def no_queue_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close whatever the test has opened and not closed itself."""
    opened: list[Inotify] = []
    begin, close = Inotify.__init__, Inotify.close

    def note(self: Inotify) -> None:
        begin(self)
        opened.append(self)

    def forget(self: Inotify) -> None:
        opened.remove(self)
        close(self)

    monkeypatch.setattr(Inotify, "__init__", note)
    monkeypatch.setattr(Inotify, "close", forget)
    yield
    for instance in opened:
        os.close(instance.descriptor)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A module's file, which says 1."""
    path = tmp_path / "a.py"
    path.write_text("1")
    return path


@pytest.fixture
def stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let all files have been saved at the time given, as the ledger sees it."""
    real = stamps.stamp_of

    def stop(now: int) -> None:
        def stopped(seen: os.stat_result) -> Stamp:
            return real(seen)._replace(mtime_ns=now, ctime_ns=now)

        monkeypatch.setattr(stamps, "stamp_of", stopped)
        monkeypatch.setattr(inputs, "stamp_of", stopped)

    return stop


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch, stop_the_clock: Callable[[int], None]) -> None:
    """A file system whose clock stands still, as others do for some milliseconds, and a TICK that knows it."""
    monkeypatch.setattr(stamps, "TICK", 10**19)
    stop_the_clock(10**18)
