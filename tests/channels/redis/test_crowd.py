"""Many processes publish and listen while their Redis is killed again and again."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from runner.channels.redis.sync_store import RedisSyncStore
from tests.channels.redis.crowd import LAST, channel
from tests.support.process import Live
from tests.support.redis import RedisServer

ROOT = Path(__file__).parents[3]
CHANNELS = 10


class Crowd:
    """So many *listeners* in so many *processes*, *messages* of two publishers, and *kills* meanwhile."""

    def __init__(
        self, server: RedisServer, *, processes: int, listeners: int, messages: int, kills: int, history: int = 1000
    ) -> None:
        self._server, self._url = server, f"{server.url}?history={history}"
        self._processes = processes
        self._listeners, self._messages, self._kills = listeners, messages, kills

    def run(self) -> list[dict[str, Any]]:
        """What each listener has found."""
        with ExitStack() as stack:
            start = [
                stack.enter_context(self._start("listen", self._listeners // self._processes, str(number)))
                for number in range(self._processes)
            ]
            for live in start:
                live.wait_for("ready", 30)
            publishers = [
                stack.enter_context(self._start("publish", self._messages * 3 // 4, "async")),
                stack.enter_context(self._start("publish_sync", self._messages // 4, "sync")),
            ]
            for live in publishers:
                live.wait_for("ready", 30)
            self._kill(publishers[0])
            for live in publishers:
                live.wait_for("published", 90)
            self._say_last(start)
            found = [json.loads(live.wait_for(r"^found (.*)")[1]) for live in start]
            for live in [*start, *publishers]:
                assert live.wait() == 0, live.output
            return [each for part in found for each in part]

    def _start(self, role: str, count: int, name: str) -> Live:
        command = [sys.executable, "-m", "tests.channels.redis.crowd", role, self._url, str(CHANNELS), str(count), name]
        return Live(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def _kill(self, publisher: Live) -> None:
        """At even distances of what is published."""
        for number in range(1, self._kills + 1):
            while self._published() < self._messages * number // (self._kills + 1):
                assert publisher.process.poll() is None or self._published(), publisher.output
                time.sleep(0.02)
            self._server.kill()
            self._server.start()

    def _published(self) -> int:
        """How many names are known."""
        return int(self._server.ask("DBSIZE"))

    def _say_last(self, listeners: list[Live]) -> None:
        """Again and again: who comes back late, to a short history, is told that he has missed something, this too."""
        store = RedisSyncStore(self._url)
        for _ in range(60):
            for number in range(CHANNELS):
                store.publish(channel(number), LAST, secrets.token_hex(8))
            if all("\nfound " in live.output for live in listeners):
                break
            time.sleep(1)  # not faster, for each takes a place in the history
        store.close()


def judge(found: list[dict[str, Any]], each: int, *, patient: bool) -> None:
    """Nothing is missing silently or heard twice, all is in one order; *patient*: who is not slow has heard it all."""
    sums: dict[str, set[str]] = {}
    for verdict in found:
        assert (verdict["silent"], verdict["twice"]) == (0, 0), verdict
        if patient and not verdict["slow"]:
            assert (verdict["count"], verdict["resyncs"]) == (each, []), verdict
        if not verdict["resyncs"]:
            sums.setdefault(verdict["channel"], set()).add(verdict["sum"])
        else:
            assert set(verdict["resyncs"]) == {"gap"} and verdict["count"] < each
    assert all(len(each) == 1 for each in sums.values())
    assert len(sums) == CHANNELS or not patient


def test_a_crowd_hears_all_there_is_while_the_redis_is_killed(start_redis: Callable[..., RedisServer]) -> None:
    """The short form."""
    server = start_redis("appendonly", "yes", "appendfsync", "always")
    judge(Crowd(server, processes=2, listeners=40, messages=1200, kills=1).run(), 120, patient=True)


@pytest.mark.stress
@pytest.mark.parametrize("history", [1000, 100])
def test_a_large_crowd_hears_all_there_is_while_the_redis_is_killed_five_times(
    start_redis: Callable[..., RedisServer], history: int
) -> None:
    """20,000 messages to 200 listeners; with a short history the slow ones are told of what they have missed."""
    server = start_redis("appendonly", "yes", "appendfsync", "always")
    found = Crowd(server, processes=4, listeners=200, messages=20_000, kills=5, history=history).run()
    print(sum(len(verdict["resyncs"]) for verdict in found), "resyncs")
    judge(found, 2000, patient=history == 1000)
