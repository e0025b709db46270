"""The kernel's queue: its bytes, and the facts about it that the freshness check relies on."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.freshness import inotify
from runner.freshness.inotify import Event, Inotify, decode

NAMES = st.binary(max_size=40).map(lambda name: name.replace(b"\0", b"x"))
EVENTS = st.lists(st.tuples(st.integers(-1, 2**31 - 1), st.integers(0, 2**32 - 1), NAMES), max_size=8)


@pytest.fixture
def queue() -> Iterator[Inotify]:
    """An instance of this test's own."""
    instance = Inotify()
    yield instance
    instance.close()


def encode(watch: int, mask: int, name: bytes) -> bytes:
    """One event as the kernel lays it out: the name is padded with zeros."""
    padded = name + b"\0" * (16 - len(name) % 16) if name else b""
    return struct.pack("iIII", watch, mask, 0, len(padded)) + padded


@given(EVENTS)
def test_decode_is_the_inverse(events: list[tuple[int, int, bytes]]) -> None:
    """Whatever was put into a buffer comes out of it, in order, names unpadded."""
    buffer = b"".join(encode(*event) for event in events)
    assert decode(buffer) == [Event(watch, mask, os.fsdecode(name)) for watch, mask, name in events]


def test_an_event_is_there_before_the_writer_goes_on(queue: Inotify, tmp_path: Path) -> None:
    """When a save's last system call has returned, the queue is not empty: 500 saves of 500."""
    queue.watch_directory(str(tmp_path))
    path = tmp_path / "a.py"
    late = 0
    for number in range(500):
        path.write_text(str(number))
        late += not queue.pending()
        queue.take()
    assert late == 0


def test_looking_takes_nothing(queue: Inotify, tmp_path: Path) -> None:
    """`pending` can be asked any number of times, in a child too, and the event is still there to be read."""
    queue.watch_directory(str(tmp_path))
    assert not queue.pending()
    (tmp_path / "a.py").touch()
    child = os.fork()
    if child == 0:
        os._exit(0 if queue.pending() and queue.pending() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert {event.name for event in queue.take()} == {"a.py"}
    assert not queue.pending()
    assert queue.take() == []


def test_equal_events_become_one(queue: Inotify, tmp_path: Path) -> None:
    """The number of events says nothing: many writes in a row are one MODIFY."""
    queue.watch_directory(str(tmp_path))
    with (tmp_path / "a.py").open("w") as file:
        for _ in range(5):
            file.write("x")
            file.flush()
    assert [event.mask for event in queue.take()] == [inotify.CREATE, inotify.MODIFY, inotify.CLOSE_WRITE]


def test_reading_is_silent(queue: Inotify, tmp_path: Path) -> None:
    """Reading, listing and looking put nothing into the queue, or our own sweep would fill it."""
    path = tmp_path / "a.py"
    path.touch()
    queue.watch_directory(str(tmp_path))
    path.read_text()
    os.listdir(tmp_path)
    path.stat()
    assert not queue.pending()


def test_a_full_queue_says_so(queue: Inotify, tmp_path: Path) -> None:
    """Events beyond the limit are lost, but never the news that they are."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    queue.watch_directory(str(tmp_path))
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    Path(one).touch()
    for _ in range(limit // 2 + 1):
        os.rename(one, two)
        os.rename(two, one)
    events: list[Event] = []
    while more := queue.take():
        events += more
    assert events[-1].watch == -1
    assert events[-1].mask & inotify.Q_OVERFLOW


def test_a_place_tells_of_itself_only(queue: Inotify, tmp_path: Path) -> None:
    """A watched place is silent about what is in it, and tells when it is renamed."""
    place = tmp_path / "place"
    place.mkdir()
    queue.watch_place(str(place))
    (place / "a.py").touch()
    assert not queue.pending()
    place.rename(tmp_path / "other")
    assert [event.mask for event in queue.take()] == [inotify.MOVE_SELF]


def test_a_second_watch_adds(queue: Inotify, tmp_path: Path) -> None:
    """Watching a directory as a place, too, does not make it deaf for its entries."""
    queue.watch_directory(str(tmp_path))
    queue.watch_place(str(tmp_path))
    (tmp_path / "a.py").touch()
    assert queue.pending()


def test_a_hard_link_needs_its_inode_watched(queue: Inotify, tmp_path: Path) -> None:
    """A write through a name in another directory is an event of the inode, not of our directory."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    ours, theirs = tmp_path / "here" / "a.py", tmp_path / "there" / "b.py"
    ours.touch()
    os.link(ours, theirs)
    queue.watch_directory(str(tmp_path / "here"))
    with theirs.open("w") as file:
        file.write("x")
    assert not queue.pending()
    number = queue.watch_file(str(ours))
    with theirs.open("w") as file:
        file.write("y")
    assert {event.watch for event in queue.take()} == {number}


def test_what_cannot_be_watched_is_an_error(queue: Inotify, tmp_path: Path) -> None:
    """A directory that is not there, or is none, is refused with the kernel's reason."""
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError):
        queue.watch_directory(str(tmp_path / "absent"))
    with pytest.raises(NotADirectoryError):
        queue.watch_directory(str(tmp_path / "file"))


def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """RUNNER_NO_INOTIFY=1 makes this system one without inotify."""
    monkeypatch.setenv("RUNNER_NO_INOTIFY", "1")
    with pytest.raises(OSError, match="RUNNER_NO_INOTIFY"):
        Inotify()
