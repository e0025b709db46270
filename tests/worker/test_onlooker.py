"""A thread that looks on: when it is awake, and that nobody else notices it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from runner.log import Log
from runner.worker import onlooker as module
from runner.worker.onlooker import Onlooker
from tests.support.process import PATIENCE
from tests.support.trouble import until


def threads() -> set[str]:
    """The kernel's numbers of them."""
    return set(os.listdir("/proc/self/task"))


class Window:
    """An onlooker, and what it is to see: something as long as `open`."""

    def __init__(self) -> None:
        self.open = False
        self.looks = 0
        self.got_up: list[float] = []
        self.said: list[str] = []
        log = cast(Log, SimpleNamespace(once_a_minute=lambda kind, text: self.said.append(f"{kind}: {text}")))
        self.onlooker = Onlooker("watchman", self._watch, log)

    def _watch(self) -> None:
        while not self.onlooker.closed:
            self.looks += 1
            time.sleep(0.001)
            if not self.open:
                self.got_up.append(self.onlooker.sleep(lambda: not self.open))

    def see(self) -> None:
        """There is something."""
        self.open = True
        if self.onlooker.asleep:
            self.onlooker.wake()


@pytest.fixture
def window() -> Iterator[Window]:
    """See Window."""
    window = Window()
    yield window
    window.onlooker.close()


def test_there_is_no_thread_before_there_is_something_to_see(window: Window) -> None:
    """A worker whose application needs none has none."""
    before = threads()
    assert window.onlooker.asleep
    window.see()
    until("it looks", lambda: window.looks)
    assert len(threads() - before) == 1


def test_with_nothing_to_see_it_sleeps(window: Window) -> None:
    """Without a look, until it is woken; and it knows when that was."""
    window.see()
    for nap in range(5):
        window.open = False
        until("it sleeps", lambda: window.onlooker.asleep)
        looks = window.looks
        before = time.monotonic()
        window.see()
        until("it looks again", lambda looks=looks: window.looks > looks)  # type: ignore[misc]
        assert before <= window.got_up[nap] <= time.monotonic()


@pytest.mark.parametrize("rounds", [500, pytest.param(20_000, marks=pytest.mark.stress)])
def test_what_begins_while_it_lies_down_is_seen(
    window: Window, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    """At whatever moment: it is never asleep while there is something to see."""
    monkeypatch.setattr(time, "sleep", lambda seconds, sleep=time.sleep: sleep(0))
    for number in range(rounds):
        looks = window.looks
        window.see()
        until("it looks", lambda looks=looks: window.looks > looks)  # type: ignore[misc]
        window.open = False
        for _ in range(number % 20):
            time.sleep(0)


def test_without_a_thread_all_goes_on(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said once, with the remedy: nothing is looked at."""
    def refuse(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(module, "start_new_thread", refuse)
    for _ in range(3):
        window.see()
        window.open = False
    assert window.said == ["watchman: there is no thread for the watchman; raise the limit of processes (ulimit -u)"]


def test_a_forked_child_has_none(window: Window) -> None:
    """Nor does it get one, or wait for one."""
    window.see()
    until("it looks", lambda: window.looks)
    child = os.fork()
    if not child:
        signal.alarm(int(PATIENCE))
        window.see()
        window.onlooker.close()
        os._exit(len(threads()) if window.onlooker.closed else 99)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    looks = window.looks
    until("it looks on in the parent", lambda: window.looks > looks)


def test_signals_are_heard_by_the_thread_they_are_meant_for(window: Window) -> None:
    """The kernel may give one to any thread that has not refused it, and then no call is interrupted."""
    before = threads()
    window.see()
    until("it is there", lambda: window.looks)
    (thread,) = threads() - before
    with open(f"/proc/self/task/{thread}/status", encoding="ascii") as file:
        blocked = int(next(line.split()[1] for line in file if line.startswith("SigBlk")), 16)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGUSR1, signal.SIGCHLD):
        assert blocked & 1 << number - 1, number


@pytest.mark.parametrize("last", ["", "open[0] = False; wait(lambda: onlooker.asleep)"])
def test_the_end_of_the_process_waits_for_nothing(last: str) -> None:
    """Neither awake nor asleep; nor does the interpreter know of one more thread."""
    code = (
        "import threading, time; from runner.worker.onlooker import Onlooker\n"
        "looks, open = [], [True]\n"
        "def wait(found):\n"
        "    while not found(): time.sleep(0.001)\n"
        "def watch():\n"
        "    while True: looks.append(1); time.sleep(0.001); open[0] or onlooker.sleep(lambda: not open[0])\n"
        "onlooker = Onlooker('watchman', watch, None)\n"
        f"onlooker.wake(); wait(lambda: looks); {last}\n"
        "print(threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=PATIENCE, capture_output=True, check=True, text=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


@pytest.mark.parametrize("asleep", [False, True])
def test_closed_its_thread_ends(window: Window, asleep: bool) -> None:
    """So does the worker, some day."""
    before = threads()
    window.see()
    until("it is there", lambda: threads() - before)
    if asleep:
        window.open = False
        until("it sleeps", lambda: window.onlooker.asleep)
    until("it is named", lambda: window.onlooker.thread in sys._current_frames())
    window.onlooker.close()
    until("it is gone", lambda: not threads() - before)
