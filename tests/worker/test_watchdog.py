"""A call that does not come back: when it is noticed, what is done then, and that nobody else notices the watchdog."""

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from runner.log import Log
from runner.request import Exchange
from runner.worker import watchdog as module
from runner.worker.slow import SlowLog
from runner.worker.watchdog import Watchdog
from tests.support.process import PATIENCE
from tests.support.runner_process import NO_TIME
from tests.support.trouble import until


def exchange(path: str = "/report") -> Exchange:
    """As far as a watchdog knows one."""
    return cast(Exchange, SimpleNamespace(request=SimpleNamespace(method="GET", path=path)))


class Yard:
    """A watchdog, what it relieved and what it said."""

    def __init__(self) -> None:
        self.relieved: list[Exchange] = []
        self.said: list[str] = []
        self.step: Callable[[], None] = lambda: None
        self.steps = 1  # of each relief
        log = cast(Log, SimpleNamespace(
            once_a_minute=lambda kind, text: self.said.append(text), warning=self.said.append,
        ))  # fmt: skip
        self.dog = Watchdog(self._relieve, SlowLog(0.0, log), log)

    def _relieve(self, late: Exchange) -> Iterator[None]:
        self.relieved.append(late)
        for _ in range(self.steps):
            self.step()
            yield

    def asleep(self) -> bool:
        """No look will be taken before the next call."""
        return self.dog._onlooker.asleep


@pytest.fixture
def yard() -> Iterator[Yard]:
    """See Yard."""
    yard = Yard()
    yield yard
    yard.dog.close()


def test_a_call_that_does_not_come_back_is_relieved_again_and_again(yard: Yard) -> None:
    """As long as it goes on; what waits may come later."""
    late = exchange()
    yard.dog.start(late)
    until("it was relieved three times", lambda: len(yard.relieved) >= 3)
    yard.dog.stop(late)
    assert all(each is late for each in yard.relieved)


def test_short_calls_are_never_relieved(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many look alike at two looks: another one is under way then."""
    short = exchange()
    looks = iter(range(100))

    def sleep(seconds: float) -> None:
        if next(looks, None) is None:
            yard.dog.close()
        yard.dog.stop(short)
        yard.dog.start(short)

    monkeypatch.setattr(module, "sleep", sleep)
    yard.dog.start(short)
    until("a hundred looks were taken", lambda: next(looks, None) is None)
    assert yard.relieved == []


def test_without_calls_it_sleeps_until_the_next_one(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """No look is taken in between, and the next call is looked at as the first was."""
    monkeypatch.setattr(module, "QUIET", 0.0)
    assert yard.asleep()
    for _ in range(5):
        yard.dog.start(exchange())
        yard.dog.stop(exchange())
        until("it has gone to sleep", yard.asleep)
        late = exchange()
        yard.dog.start(late)
        until("that call is relieved", lambda late=late: late in yard.relieved)  # type: ignore[misc]
        yard.dog.stop(late)


def test_who_comes_back_waits_until_one_connection_is_given(yard: Yard) -> None:
    """And is alone then: of all that waited no second one is given for that call."""
    reached, may_go, late, steps = threading.Event(), threading.Event(), exchange(), 0
    yard.steps = 5

    def step() -> None:
        nonlocal steps
        steps += 1
        reached.set()
        assert may_go.wait(PATIENCE)

    yard.step = step
    yard.dog.start(late)
    assert reached.wait(PATIENCE)
    back = threading.Thread(target=lambda: yard.dog.stop(late))
    back.start()
    until("it is back", lambda: yard.dog._exchange is None)
    back.join(0.05)
    assert back.is_alive(), "it did not wait"
    may_go.set()
    back.join(PATIENCE)
    assert not back.is_alive()
    until("the watchdog has let go", lambda: not yard.dog._relieving)
    assert steps == 1


@pytest.mark.parametrize("rounds", [200, pytest.param(4_000, marks=pytest.mark.stress)])
def test_never_are_two_at_it(yard: Yard, monkeypatch: pytest.MonkeyPatch, rounds: int) -> None:
    """Calls that end at any moment of the relief: no step overlaps with what is outside of a call."""
    monkeypatch.setattr(module, "LOOK", 0.0)
    outside, overlaps = True, 0

    def step() -> None:
        nonlocal overlaps
        for _ in range(20):
            overlaps += outside
            time.sleep(0)

    yard.step, yard.steps = step, 3
    for number in range(rounds):
        call, before = exchange(), len(yard.relieved)
        outside = False
        yard.dog.start(call)
        until("a step begins", lambda before=before: len(yard.relieved) > before)  # type: ignore[misc]
        for _ in range(number % 30):
            time.sleep(0)
        yard.dog.stop(call)
        outside = True
        time.sleep(0)
    assert overlaps == 0


def test_what_fails_in_there_is_said_and_tried_again(yard: Yard) -> None:
    """The thread lives on."""
    def step() -> None:
        if len(yard.relieved) == 1:
            raise OSError("no number is free")

    yard.step = step
    late = exchange()
    yard.dog.start(late)
    until("it was tried again", lambda: len(yard.relieved) > 1)
    yard.dog.stop(late)
    assert "no number is free" in next(line for line in yard.said if NO_TIME not in line)


def test_code_that_keeps_the_interpreter_lock_is_named(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the look that comes far too late, within one call."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        # One look that takes as long as no other thread was let in.
        now[0] += seconds + (1.2 if not yard.said else 0.0)
        time.sleep(0)

    monkeypatch.setattr(module, "sleep", sleep)
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    late = exchange("/report")
    yard.dog.start(late)
    until("it is said", lambda: yard.said)
    yard.dog.stop(late)
    assert yard.said[0].startswith("a call kept the interpreter lock for 1.2 s: GET /report; requests on its kept")


def test_so_is_the_one_that_should_have_woken_it(yard: Yard) -> None:
    """It keeps the lock from its first moment on, so that no look is taken before its last."""
    late = exchange("/report")
    yard.dog.start(late)
    ctypes.PyDLL(None).usleep(300_000)
    until("it is said", lambda: yard.said)
    yard.dog.stop(late)
    assert ": GET /report; " in yard.said[0]


def test_a_child_of_the_application_has_nothing_of_it(yard: Yard) -> None:
    """Forked while a connection is being given: the child has no thread, and waits for no lock."""
    reached, may_go, late = threading.Event(), threading.Event(), exchange()

    def step() -> None:
        reached.set()
        may_go.wait(PATIENCE)

    yard.step = step
    yard.dog.start(late)
    assert reached.wait(PATIENCE)
    child = os.fork()
    if not child:
        signal.alarm(int(PATIENCE))
        yard.dog.stop(late)
        yard.dog.start(late)
        yard.dog.stop(late)
        os._exit(len(os.listdir("/proc/self/task")))
    _, status = os.waitpid(child, 0)
    may_go.set()
    yard.dog.stop(late)
    assert os.waitstatus_to_exitcode(status) == 1
