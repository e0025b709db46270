"""Channels in a Redis, for a thread that may block."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from runner.channels import store
from runner.channels.message import OLDEST, Page
from runner.channels.redis import sync_store
from runner.channels.redis.sync_store import RedisSyncStore
from runner.errors import ChannelsUnavailable
from tests.channels.reading import CASES, MOST, Case, check
from tests.support.redis import RedisServer


@pytest.fixture
def channels(server: RedisServer) -> Iterator[RedisSyncStore]:
    """A store."""
    channels = RedisSyncStore(f"{server.url}?history={MOST}")
    yield channels
    channels.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_page_is_what_the_table_says(channels: RedisSyncStore, case: Case) -> None:
    """The same table for every store."""
    positions = [channels.read("news", None, 0).position]
    positions += [channels.publish("news", str(number), f"id {number}") for number in range(1, case.published + 1)]
    check(case, positions, channels.read("news", case.place.among(positions), case.limit))


def test_a_name_is_published_once(channels: RedisSyncStore) -> None:
    """Whoever says it again gets the first position."""
    assert channels.publish("news", "1", "name") == channels.publish("news", "2", "name")


def test_waiting_ends_when_something_comes(channels: RedisSyncStore, server: RedisServer) -> None:
    """At once, not when the time is over."""
    place = channels.read("news", None, 0).position
    other = RedisSyncStore(server.url)
    timer = threading.Timer(0.1, lambda: other.publish("news", "1", "id"))
    timer.start()
    channels.wait("news", place, 60.0)
    timer.join()
    other.close()
    assert [message.text for message in channels.read("news", place, 10).messages] == ["1"]


def test_waiting_ends_when_the_time_is_over(channels: RedisSyncStore) -> None:
    """Also one that is over already: 0 would mean for ever to a Redis."""
    place = channels.read("news", None, 0).position
    for timeout in (0.05, 0.0, -1.0):
        channels.wait("news", place, timeout)
    assert channels.read("news", place, 10) == Page([], place)


def test_what_is_there_is_not_waited_for(channels: RedisSyncStore) -> None:
    """It came between the reading and the waiting."""
    place = channels.read("news", None, 0).position
    channels.publish("news", "1", "id")
    channels.wait("news", place, 60.0)


def test_a_restart_is_waited_for(start_redis: Callable[..., RedisServer]) -> None:
    """Who publishes meanwhile is late, and that is all."""
    server = start_redis("appendonly", "yes", "appendfsync", "always")
    channels = RedisSyncStore(server.url)
    channels.publish("news", "1", "id 1")
    server.kill()
    timer = threading.Timer(0.2, server.start)
    timer.start()
    channels.publish("news", "2", "id 2")
    timer.join()
    assert [message.text for message in channels.read("news", OLDEST, 10).messages] == ["1", "2"]
    channels.close()


def test_patience_ends(start_redis: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is said where, why, and what to do; and who waits for news is told at once."""
    monkeypatch.setattr(sync_store, "PATIENCE", 0.2)
    server = start_redis()
    channels = RedisSyncStore(server.url.replace("redis://", "redis://:secret@"))
    server.kill()
    with pytest.raises(ChannelsUnavailable, match=r"refused; see whether it runs") as caught:
        channels.publish("news", "1", "id")
    assert "secret" not in str(caught.value)
    with pytest.raises(ChannelsUnavailable):
        channels.wait("news", OLDEST, 1.0)
    channels.close()


def test_what_will_not_change_is_said_at_once(start_redis: Callable[..., RedisServer]) -> None:
    """Nobody waits ten seconds to hear that a password is wrong."""
    server = start_redis("requirepass", "right")
    channels = RedisSyncStore(server.url.replace("redis://", "redis://:wrong@"))
    begun = time.monotonic()
    with pytest.raises(ChannelsUnavailable, match=r"password; write the right") as caught:
        channels.publish("news", "1", "id")
    assert time.monotonic() - begun < store.PATIENCE
    assert "wrong" not in str(caught.value)
    channels.close()



def test_a_fork_leaves_the_connection_to_the_parent(channels: RedisSyncStore) -> None:
    """The child drops its copy and says nothing on it."""
    place = channels.publish("news", "1", "id")
    child = os.fork()
    if child == 0:
        channels.__dict__.clear()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert channels._connection is not None
    assert channels._call(("PING",)) == b"PONG"
    assert channels.read("news", place, 10) == Page([], place)
