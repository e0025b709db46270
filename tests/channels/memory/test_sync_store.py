"""The memory store from a thread: what was not answered is said again, and what was begun is never gone on with."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from runner.channels.memory import sync_store as module
from runner.channels.memory.sync_store import MemorySyncStore
from runner.channels.memory.wire import Follow
from runner.channels.message import OLDEST
from runner.errors import ChannelsUnavailable
from tests.support.hub import Hub, hub
from tests.support.memory import open_files
from tests.support.process import PATIENCE


@pytest.fixture
def house() -> Iterator[Hub]:
    """A hub."""
    with hub() as found:
        yield found


@pytest.fixture
def store(house: Hub) -> Iterator[MemorySyncStore]:
    """Its store."""
    found = MemorySyncStore(house.door)
    yield found
    found.close()


def texts(store: MemorySyncStore) -> list[str]:
    """What channel c has."""
    return [message.text for message in store.read("c", OLDEST, 100).messages]


def test_what_is_published_can_be_read(store: MemorySyncStore) -> None:
    """Once for each name."""
    first = store.publish("c", "a", "1")
    assert store.publish("c", "b", "2") == first._replace(offset=2)
    assert store.publish("c", "c", "1") == first
    assert texts(store) == ["a", "b"]


def test_who_waits_is_woken(house: Hub, store: MemorySyncStore) -> None:
    """By what is published, or has been; else it is the time that ends it."""
    where = store.read("c", None, 0).position
    began = time.monotonic()
    store.wait("c", where, 0.05)
    store.wait("c", where, -1.0)
    assert time.monotonic() - began >= 0.05
    other = MemorySyncStore(house.door)
    timer = threading.Timer(0.05, lambda: other.publish("c", "a", "1"))
    timer.start()
    store.wait("c", where, PATIENCE)
    assert texts(store) == ["a"]
    store.wait("c", where, PATIENCE)
    timer.join()
    other.close()


def test_a_position_that_is_lost_is_no_wait(store: MemorySyncStore) -> None:
    """There is something to read: that something is missing."""
    where = store.read("c", None, 0).position._replace(epoch="elsewhere")
    began = time.monotonic()
    store.wait("c", where, PATIENCE)
    assert time.monotonic() - began < PATIENCE


def test_who_is_away_while_much_is_said_is_not_stuck(house: Hub, store: MemorySyncStore) -> None:
    """What it followed fills its connection; then it says something large itself."""
    other = MemorySyncStore(house.door)
    where = store.read("c", None, 0).position
    store.wait("c", where, 0.0)
    store._say(Follow("c", str(where)), time.monotonic() + PATIENCE)
    for number in range(60):
        other.publish("c", "x" * 50_000, str(number))
    assert store.publish("c", "y" * 1_000_000, "large").offset == 61
    assert store.read("c", where, 1).messages[0].position.offset == 1
    other.close()


def test_a_killed_hub_is_waited_for(house: Hub, store: MemorySyncStore) -> None:
    """By who publishes; who waits is told, for something may have come."""
    where = store.publish("c", "a", "1")
    house.kill()
    with pytest.raises(ChannelsUnavailable):
        store.wait("c", where, PATIENCE)
    timer = threading.Timer(0.1, house.start)
    timer.start()
    assert store.publish("c", "b", "2").epoch != where.epoch
    timer.join()
    assert texts(store) == ["b"]


def test_a_hub_that_does_not_answer_is_said(
    house: Hub, store: MemorySyncStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After PATIENCE, whether there is none or it stands still; then it goes on by another connection."""
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    house.popen.send_signal(signal.SIGSTOP)
    with pytest.raises(ChannelsUnavailable, match="with the same id"):
        store.publish("c", "a", "1")
    house.popen.send_signal(signal.SIGCONT)
    monkeypatch.setattr(module, "PATIENCE", PATIENCE)
    store.publish("c", "a", "1")
    assert texts(store) == ["a"]


class Interrupted(Exception):
    """What a signal's handler raises."""


def test_who_is_interrupted_begins_anew(house: Hub, store: MemorySyncStore) -> None:
    """Half a line, or the answer to another question, is on no connection that is used again."""
    def interrupt(number: int, frame: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        house.popen.send_signal(signal.SIGSTOP)
        with pytest.raises(Interrupted):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            store.publish("c", "x" * 1_000_000, "1")
        with pytest.raises(Interrupted):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            store.wait("c", OLDEST, PATIENCE)
    finally:
        signal.signal(signal.SIGALRM, before)
        house.popen.send_signal(signal.SIGCONT)
    store.publish("c", "b", "2")
    assert "b" in texts(store)


def test_closing_leaves_nothing_open(house: Hub) -> None:
    """And it can be used again."""
    before = open_files()
    store = MemorySyncStore(house.door)
    store.publish("c", "a", "1")
    store.close()
    store.close()
    assert open_files() == before
    assert texts(store) == ["a"]
    store.close()


def test_where_there_is_no_door_there_is_no_store() -> None:
    """At once."""
    with pytest.raises(ChannelsUnavailable):
        MemorySyncStore(-1)
