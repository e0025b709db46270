"""Beside a slow import: its journal is read as it grows, and a change of what it names is told."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.freshness.additions import Additions, File
from runner.freshness.stamps import stamp
from runner.generation.lookout import last_name, look_out, read_journal
from runner.process import messages
from runner.process.channel import Channel
from runner.process.messages import Begin
from runner.settings import resolve
from tests.support.project import edit


class Left(Exception):
    """Instead of the end of the process."""


@pytest.fixture
def journal() -> Iterator[int]:
    """An empty journal."""
    descriptor = os.memfd_create("journal")
    yield descriptor
    os.close(descriptor)


def note(journal: int, name: str, *paths: Path) -> None:
    """As a generation does before it runs a module."""
    items = Additions([File(str(path), stamp(str(path))) for path in paths])
    os.write(journal, items.to_line(name))


def test_the_last_name_in_a_journal(journal: int, tmp_path: Path) -> None:
    """Of the last whole line, however long the lines before it are."""
    assert last_name(journal) == ""
    os.write(journal, b"[]\tap")
    assert last_name(journal) == ""
    os.write(journal, b"p\n")
    assert last_name(journal) == "app"
    note(journal, "shop.views", *[tmp_path] * 200)
    assert last_name(journal) == "shop.views"
    os.write(journal, b"[]\tshop.mod")
    assert last_name(journal) == "shop.views"


def test_a_journal_is_read_where_one_left_off(journal: int, tmp_path: Path) -> None:
    """Whole lines only; what makes no sense is passed over."""
    note(journal, "app", tmp_path)
    lines, end = read_journal(journal)
    assert [name for _, name in lines] == ["app"]
    os.write(journal, b"nonsense\tx\n[[1,2,3,4,5,6]]\tx\n[]\tshop\n[]\tha")
    lines, end = read_journal(journal, end)
    assert [name for _, name in lines] == ["shop"]
    os.write(journal, b"lf\n")
    assert [name for _, name in read_journal(journal, end)[0]] == ["half"]


class Watcher:
    """The look-out in a thread, and the other end of its channel."""

    def __init__(self, journal: int, monkeypatch: pytest.MonkeyPatch) -> None:
        def leave(code: int) -> None:
            raise Left

        monkeypatch.setattr(os, "_exit", leave)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel, self._other = Channel(ours), Channel(theirs)
        self.channel.sock.settimeout(10)
        begin = Begin(resolve({}, {}, "/").settings.to_json(), 1, messages.LOOKOUT, [], -1, journal, "", 0, 0.0)
        self.thread = threading.Thread(target=self._run, args=(begin,))
        self.thread.start()

    def _run(self, begin: Begin) -> None:
        with pytest.raises(Left):
            look_out(begin, self._other)
        self._other.close()


def test_a_save_of_what_was_read_is_told(journal: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a file that was noted after the look-out began; then it ends."""
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    for path in (first, second):
        edit(path, "x = 1\n")
    note(journal, "first", first)
    watcher = Watcher(journal, monkeypatch)
    note(journal, "second", second)
    edit(second, "x = 22\n")
    assert watcher.channel.receive() == (messages.Stale([str(second)]), [])
    watcher.thread.join()
    watcher.channel.close()


def test_nobody_wants_to_know_any_more(journal: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The import is over: it ends without a word."""
    watcher = Watcher(journal, monkeypatch)
    watcher.channel.close()
    watcher.thread.join(10)
    assert not watcher.thread.is_alive()
