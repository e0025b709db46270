"""The roster's orders, carried out on processes that are stood for."""

import dataclasses
import signal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.process import messages
from runner.settings import Settings
from runner.supervisor import deeds as module
from runner.supervisor import orders
from runner.supervisor.checkpoints import Pace
from runner.supervisor.deeds import Deeds, Inbox
from runner.supervisor.roster import Roster


class Stand:
    """Writes down what is done to it; *error*: no process is to be had."""

    def __init__(self, error: OSError | None = None) -> None:
        self.done: list[Any] = []
        self.error = error
        self.settings = Settings()
        self.roster = Roster(wanted=2, grace=30.0)
        self.roster.enter(0.0)
        channel = object()
        hand = SimpleNamespace(key=1, slot=0, pid=4711, channel=channel, killed=False)
        kill = lambda: self.done.append("killed")  # noqa: E731
        self.hands = {1: hand}
        self.stations = {1: SimpleNamespace(channel=channel, kill=kill)}
        self.standby = SimpleNamespace(
            pass_over=lambda modules: self.done.append(("after", modules)), clear=lambda: self.done.append("clear")
        )
        inbox = Inbox(*(cast("Any", None),) * 4)
        self.deeds = Deeds(cast("Any", self), self.roster, cast("Any", self), inbox, self.settings)

    def _try(self, *what: object) -> None:
        if self.error is not None:
            raise self.error
        self.done.append(what)

    def start(self, order: object, settings: Settings, death: str, pace: Pace, *_: object) -> None:
        """See Crew."""
        self._try("start", order, death)
        self.may_answer = pace.first

    def fork(self, key: int, number: int, slot: int, *_: object) -> None:
        """See Crew."""
        self._try("fork", key, number, slot)

    def start_alone(self, key: int, number: int, slot: int, *_: object) -> None:
        """See Crew."""
        self._try("alone", key, number, slot)

    def look_out(self, number: int, *_: object) -> None:
        """See Crew."""
        self._try("look out", number)

    def prepare(self, *_: object) -> None:
        """See Crew."""
        self._try("prepare")

    def order(self, _: object, order: object) -> None:
        """See Crew."""
        self.done.append(order)

    def withdraw(self, station: Any) -> None:
        """See Crew."""
        self.done.append(("withdraw", station.number))

    def turn(self, station: Any, key: int, slot: int, *_: object) -> None:
        """See Crew."""
        self.done.append(("turn", station.number, key, slot))

    def finish(self, channel: object) -> None:
        """See Crew."""
        self.done.append(("finish", channel))

    def spent(self, number: int, reason: str, rest: int) -> None:
        """See Chronicle."""
        self.done.append((number, reason, rest))

    def killed(self, slot: int, pid: int, reason: str) -> None:
        """See Chronicle."""
        self.done.append((slot, pid, reason))

    def unstarted(self, what: str, error: OSError) -> None:
        """See Chronicle."""
        self.done.append(what)


@pytest.mark.parametrize(
    ("order", "done"),
    [
        (orders.Start(1, aftermath=True), ("start", orders.Start(1, aftermath=True), "was killed")),
        (orders.ForkWorker(1, 0, solo=False), ("fork", 1, 1, 0)),
        (orders.ForkWorker(1, 0, solo=True), ("alone", 1, 1, 0)),
        (orders.LookOut(1), ("look out", 1)),
        (orders.RetireWorker(1), messages.Retire(last=False)),
        (orders.RetireGeneration(1), messages.Retire()),
        (orders.KillGeneration(1), "killed"),
        (orders.KeepGeneration(1), messages.Keep()),
    ],
)
def test_what_is_done(order: orders.Order, done: object) -> None:
    """Each order is one thing that happens to one process."""
    stand = Stand()
    stand.deeds.death = "was killed"
    stand.deeds.do(order)
    assert stand.done == [done]


def test_at_the_end_nobody_comes_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that retires because the service stops is told so: its connections end with it."""
    stand = Stand()
    stand.roster.note_stop(0.0, fast=False)
    stand.deeds.do(orders.RetireWorker(1))
    assert stand.done == [messages.Retire(last=True)]


def test_a_kept_generation_tells_its_workers() -> None:
    """The order to go on reaches the generation and each of its workers."""
    stand = Stand()
    assert stand.roster.enlist(0, 1, 0.0) == 1
    stand.deeds.do(orders.KeepGeneration(1))
    assert stand.done == [messages.Keep(), messages.Keep()]


def test_a_worker_is_killed_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets SIGKILL, the log the reason, and its end will be no crash."""
    signalled: list[object] = []
    monkeypatch.setattr(module, "send_signal", lambda *what: signalled.append(what))
    stand = Stand()
    stand.deeds.do(orders.KillWorker(1, "too slow"))
    assert (stand.done, signalled) == ([(0, 4711, "too slow")], [(4711, signal.SIGKILL)])
    assert stand.hands[1].killed


@pytest.mark.parametrize("order", [orders.RetireGeneration(7), orders.KillGeneration(7)])
def test_who_is_gone_needs_nothing(order: orders.Order) -> None:
    """A generation whose process has ended meanwhile is passed over."""
    stand = Stand()
    stand.deeds.do(order)
    assert stand.done == []


def test_without_reload_nobody_looks_out() -> None:
    """--reload off: what a slow import has read does not matter."""
    stand = Stand()
    stand.deeds.settings = Settings(reload="off")
    stand.deeds.do(orders.LookOut(1))
    assert stand.done == []


def test_a_checkpoint_that_is_of_no_use_is_no_failure() -> None:
    """The same generation is started from somewhere else, with what is known of it."""
    stand = Stand()
    stand.deeds.start_elsewhere(cast("Any", SimpleNamespace(number=1, voids=2)))
    assert stand.done == [("withdraw", 1), ("start", orders.Start(1, voids=2), "")]


def test_who_is_started_elsewhere_is_withdrawn_before_others_are_given_up() -> None:
    """What they say at last may be that it has ended: that is no news, and nobody starts it a second time."""
    station, again = cast("Any", SimpleNamespace(number=1, voids=2)), ("start", orders.Start(1, voids=2), "")
    stand = Stand()
    stand.deeds.start_earlier(station, ["/srv/view.py"], 7)
    assert stand.done == [("withdraw", 1), ("after", 7), again]
    stand = Stand()
    stand.deeds.start_plainly(station)
    assert stand.done == [("withdraw", 1), "clear", again]
    assert not stand.deeds.pace.preload


def test_who_is_spent_becomes_a_worker_that_leaves() -> None:
    """What it was to fork comes to nothing, and is not waited for."""
    stand = Stand()
    stand.roster.note_loaded(1, solo=False)
    key = stand.roster.note_forking(1, 0, 0.0)
    stand.hands[key].channel = "its channel"
    assert stand.deeds.note_spent(cast("Any", SimpleNamespace(number=1, voids=0)), "a thread") == key + 1
    assert stand.done == [(1, "a thread", 0), ("turn", 1, key + 1, 0), ("finish", "its channel")]
    assert all(worker.leaving for worker in stand.roster.workers.values())


@pytest.mark.parametrize(("reason", "rest", "may"), [("", 8, [False] * 8 + [True]), ("a thread", 0, [False] * 9)])
def test_who_comes_next_does_not_answer_first(reason: str, rest: int, may: list[bool]) -> None:
    """For a while, if it was a matter of time."""
    stand = Stand()
    stand.roster.note_loaded(1, solo=False)
    stand.deeds.do(orders.Start(1))
    found = [stand.may_answer]
    stand.deeds.note_spent(cast("Any", SimpleNamespace(number=1, voids=0)), reason)
    for number in range(2, 11):
        stand.deeds.do(orders.Start(number))
        found.append(stand.may_answer)
    assert found == [True, *may]
    assert (1, reason, rest) in stand.done


def test_settings_that_are_read_again_concern_who_comes_next() -> None:
    """The number of workers only if it was changed there: signals change it, too."""
    stand = Stand()
    stand.standby.book = SimpleNamespace(most=6)
    stand.roster.note_scale(1)
    grace = dataclasses.replace(stand.settings, graceful_timeout=3.0, checkpoints=1, on_broken="keep")
    stand.deeds.take_settings(grace)
    assert (stand.done, stand.standby.book.most) == (["clear"], 1)
    assert (stand.roster.wanted, stand.roster.grace, stand.roster.keep) == (3, 3.0, True)
    stand.deeds.take_settings(dataclasses.replace(grace, workers=5))
    assert (stand.roster.wanted, stand.deeds.settings.workers) == (5, 5)


def test_what_was_learned_is_loaded_once() -> None:
    """Whoever goes on from a checkpoint that is older than the zygote says each time that there was something new."""
    stand = Stand()
    for learned in (0, 5, 5, 5, 6):
        stand.deeds.note_loaded(messages.Loaded(1, "WSGI", "", 1.0, [], 0.0, [], learned=learned))
    assert stand.done == [("prepare",)] * 2


def test_after_a_plain_start_it_is_loaded_again() -> None:
    """All zygotes were given up for it."""
    stand = Stand()
    loaded = messages.Loaded(1, "WSGI", "", 1.0, [], 0.0, [], learned=5)
    stand.deeds.note_loaded(loaded)
    stand.deeds.start_plainly(cast("Any", SimpleNamespace(number=1, voids=0)))
    stand.done.clear()
    stand.deeds.note_loaded(loaded)
    assert stand.done == [("prepare",)]


@pytest.mark.parametrize(("modules", "given_up"), [(7, [("after", 7)]), (0, [("after", 0)]), (-1, [])])
def test_who_has_imported_what_changed_goes(modules: int, given_up: list[object]) -> None:
    """If it is known how many modules had been imported before it."""
    stand = Stand()
    stand.deeds.note_changed(["/srv/view.py"], modules)
    assert stand.done == given_up
    assert stand.deeds.pace.hot == ["/srv/view.py"]


@pytest.mark.parametrize("order", [
    orders.Start(1), orders.ForkWorker(1, 0, solo=True), orders.ForkWorker(1, 0, solo=False),
])
def test_no_process_is_to_be_had(order: orders.Order) -> None:
    """It is told, and the roster tries again later."""
    stand = Stand(BlockingIOError(11, "Resource temporarily unavailable"))
    stand.deeds.do(order)
    assert stand.done == ["generation 1" if isinstance(order, orders.Start) else "worker 0"]
    assert not stand.roster.workers
