"""The porter: starts a hub when somebody knocks, another one when it has ended, and none in a hurry."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from runner.channels.memory.sync_store import MemorySyncStore
from runner.channels.message import Position
from runner.log import Log
from runner.process import launch
from runner.settings import Settings
from runner.supervisor import porter as module
from runner.supervisor.porter import Porter
from tests.support.memory import open_files
from tests.support.process import PATIENCE

MEMORY = Settings(channels="memory:")


class House:
    """A porter and its selector, and the one who waits there."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.said = os.memfd_create("log")
        self.porter = Porter(self.selector, Log("supervisor", descriptor=self.said))

    def until(self, condition: Callable[[], object]) -> None:
        """Wait as a supervisor does, and collect who has ended."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.log()
            for key, _ in self.selector.select(0.01):
                key.data()
            self.collect()
            self.porter.look(time.monotonic())

    def collect(self) -> None:
        """As Crew.reap does it."""
        hub = self.porter._hub
        if hub is not None:
            pid, status = os.waitpid(hub.pid, os.WNOHANG)
            if pid:
                assert self.porter.hear_end(pid, os.waitstatus_to_exitcode(status))

    def publish(self, settings: Settings = MEMORY) -> Position:
        """By a client, in another thread."""
        store = MemorySyncStore(self.porter.door(settings))
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(store.publish, "c", "1", os.urandom(8).hex())
            self.until(answer.done)
        store.close()
        return answer.result()

    def log(self) -> str:
        """What was said."""
        return os.pread(self.said, 1 << 16, 0).decode()


@pytest.fixture
def house() -> Iterator[House]:
    """Closed, with nothing left open."""
    before = open_files()
    found = House()
    yield found
    found.porter.close()
    found.porter.close()
    found.selector.close()
    os.close(found.said)
    assert open_files() == before


def test_nobody_knocks_and_nothing_is_started(house: House) -> None:
    """There is a door all the same, one and the same for all; nothing has the supervisor wake up."""
    door = house.porter.door(MEMORY)
    assert door >= 0 and house.porter.door(MEMORY) == door
    assert house.selector.select(0) == []
    assert house.porter.report() == {} and house.porter.next_look() is None


def test_where_channels_are_elsewhere_there_is_no_door(house: House) -> None:
    """Until the settings say so."""
    assert house.porter.door(Settings(channels="redis://host")) == -1
    assert not house.selector.get_map()
    assert house.porter.door(MEMORY) >= 0


def test_without_a_descriptor_left_there_is_no_door_yet(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next process may have one; nothing is left open."""
    def refuse(name: str) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(module, "anonymous_file", refuse)
    assert house.porter.door(MEMORY) == -1
    monkeypatch.undo()
    house.publish()


def test_where_there_are_no_private_sockets_there_is_no_door(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on Linux; everything else works."""
    monkeypatch.setattr(module, "open_private", lambda: None)
    assert house.porter.door(MEMORY) == -1


def test_the_first_who_knocks_has_the_hub_started(house: House) -> None:
    """It tells of itself, and while it runs the door is its own business."""
    house.publish()
    house.until(house.porter.report)
    report = house.porter.report()["channels"]
    assert report["store"] == "memory" and report["channels"] == report["messages"] == 1
    assert not house.selector.get_map()


def test_a_killed_hub_is_followed_by_another(house: House) -> None:
    """When the next one knocks; the log says how it ended."""
    before = house.publish()
    pid = house.porter._hub.pid if house.porter._hub else 0
    os.kill(pid, signal.SIGKILL)
    house.until(lambda: house.porter._hub is None)
    assert house.publish().epoch != before.epoch
    assert house.log().count(f"process {pid} was ended by SIGKILL") == 1


def test_one_that_always_ends_is_started_ever_more_slowly(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """And said of once a minute."""
    monkeypatch.setattr(module, "_ENTRY", "raise SystemExit(3)")
    monkeypatch.setattr(module, "_LEAST", 0.02)
    starts, begin = list[float](), launch.launch

    def count(*arguments: Any) -> object:
        starts.append(time.monotonic())
        return begin(*arguments)

    monkeypatch.setattr(launch, "launch", count)
    store = MemorySyncStore(house.porter.door(MEMORY))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(store.publish, "c", "1", "1")
        house.until(lambda: len(starts) == 5)
        assert house.log().count("ended with exit code 3") == 1
        pauses = [later - earlier for earlier, later in pairwise(starts)]
        assert all(pause >= 0.02 * 2**number for number, pause in enumerate(pauses))
        monkeypatch.undo()
        house.until(answer.done)
    store.close()


def test_one_that_cannot_be_started_is_tried_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process to be had, just now."""
    def refuse(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    store = MemorySyncStore(house.porter.door(MEMORY))
    monkeypatch.setattr(launch, "launch", refuse)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(store.publish, "c", "1", "1")
        house.until(lambda: "cannot start the channels' process" in house.log())
        assert house.porter.next_look() is not None
        monkeypatch.undo()
        house.until(answer.done)
    store.close()


def test_the_groups_signals_are_not_for_it(house: House) -> None:
    """A terminal's Ctrl-C, a service manager's SIGTERM: the supervisor says when its time has come."""
    before = house.publish()
    assert house.porter._hub is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT):
        os.kill(house.porter._hub.pid, number)
    assert house.publish() == before._replace(offset=2)


def test_it_is_the_applications_user(house: House) -> None:
    """And not root, for it reads what the application says."""
    assert os.geteuid() == 0, "run the tests as root, or this promise is not looked at"
    settings = Settings(channels="memory:", user="nobody")
    house.publish(settings)
    assert house.porter._hub is not None
    with open(f"/proc/{house.porter._hub.pid}/status", encoding="ascii") as file:
        status = dict(line.split(":", 1) for line in file)
    assert "0" not in status["Uid"].split() and "0" not in status["Gid"].split()
    assert "0" not in status["Groups"].split()


def test_a_process_that_is_not_the_hub_is_none_of_its_business(house: House) -> None:
    """Whoever collects it asks."""
    assert not house.porter.hear_end(1, 0)
