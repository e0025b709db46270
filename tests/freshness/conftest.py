"""A user has 128 change queues (fs.inotify.max_user_instances), and others want some too: none outlives its test."""

import os
from collections.abc import Iterator

import pytest

from runner.freshness.inotify import Inotify


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
