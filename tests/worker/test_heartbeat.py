"""A loop that does not turn: who is named, when, how often; and what a loop that turns or rests costs."""

import asyncio
import ctypes
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from threading import Semaphore
from types import SimpleNamespace
from typing import Any, cast
from weakref import ref

import pytest

from runner import host
from runner.log import Log
from runner.request import Request, enter
from runner.worker import heartbeat as module
from runner.worker.heartbeat import BEAT, BLOCKED, LONG, Heartbeat, Sight, What
from tests.support.process import PATIENCE
from tests.support.trouble import until
from tests.worker.loops import each_loop

Factory = Callable[[], asyncio.AbstractEventLoop]
Look = tuple[float, float, float, object]


# ---- what the looks add up to -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        pytest.param([(1.0 + BEAT * n, 0.0, 1.0 + BEAT * n, "a") for n in range(40)], [], id="it turns"),
        pytest.param([(1.0 + BEAT * n, 0.0, 1.0, n) for n in range(40)], [], id="a long turn of many"),
        pytest.param([(1.0 + n, 0.0, 0.0, None) for n in range(9)], [], id="at rest"),
        pytest.param([(1.0, 0, 1.0, "a"), (1.24, 0, 1.0, "a")], [], id="short"),
        pytest.param([(1.0, 0, 1.0, "a"), (1.25, 0, 1.0, "a")], [(What.BLOCKED, 0.25)], id="blocked"),
        pytest.param([(1.0, 0, 1.0, None), (1.25, 0, 1.0, None)], [(What.BLOCKED, 0.25)], id="by a callback"),
        pytest.param(
            [(1.0, 0, 1.0, "a"), (1.5, 0, 1.0, "a"), (4.0, 0, 1.0, "a"), (4.25, 0, 4.25, "a")],
            [(What.BLOCKED, 0.5), (What.FREE, 3.25)], id="once, and free again",
        ),
        pytest.param(
            [(1.0, 0, 1.0, "a"), (1.5, 0, 1.0, "a"), (1.75, 0, 1.75, "a")], [(What.BLOCKED, 0.5)], id="free soon",
        ),
        pytest.param(
            [(1.0, 0, 1.0, "a"), (1.5, 0, 1.0, "a"), (3.0, 0, 1.0, "b"), (3.25, 0, 1.0, "b")],
            [(What.BLOCKED, 0.5), (What.FREE, 2.0), (What.BLOCKED, 0.25)], id="one after another in one turn",
        ),
        pytest.param(
            [(1.0, 0, 1.0, "a"), (1.5, 0, 1.0, "a"), (1.75, 0, 1.75, "a"), (2.25, 0, 1.75, "a")],
            [(What.BLOCKED, 0.5), (What.BLOCKED, 0.5)], id="two of one task",
        ),
        pytest.param(
            [(1.0, 0, 1.0, "a"), (1.5, 0, 1.0, "a"), (3.0, 0, 0.0, None)],
            [(What.BLOCKED, 0.5), (What.FREE, 2.0)], id="at rest afterwards",
        ),
        pytest.param([(1.0, 0, 1.0, "a"), (3.0, 1.5, 1.0, "a")], [(What.STUCK, 1.5)], id="stuck"),
        pytest.param(
            [(1.0, 0, 1.0, "a"), (3.0, 1.5, 1.0, "a"), (3.25, 0, 1.0, "a")],
            [(What.STUCK, 1.5), (What.BLOCKED, 0.25)], id="stuck, then blocked",
        ),
        pytest.param(
            [(1.0, 0, 1.0, "a"), (1.5, 0, 1.0, "a"), (3.0, 1.5, 1.0, "a"), (3.5, 0, 1.0, "a"), (4.0, 0, 4.0, "a")],
            [(What.BLOCKED, 0.5), (What.STUCK, 1.5), (What.FREE, 3.0)], id="stuck while blocked",
        ),
        pytest.param([(1.0, 0, 1.0, "a"), (3.0, 1.5, 2.9, "a")], [], id="late, but it turned"),
        pytest.param([(1.0, 0, 1.0, "a"), (3.0, 1.5, 0.0, None)], [], id="late, at rest"),
    ],
)  # fmt: skip
def test_what_is_told(looks: list[Look], told: list[tuple[What, float]]) -> None:
    """Each look: when, by how much too late, the last beat, who is at it."""
    sight = Sight()
    assert [found for look in looks if (found := sight.look(*look)) is not None] == told


# ---- a loop that is blocked ---------------------------------------------------------------------------------


class Ward:
    """A heartbeat, what it told (*often* what it says once a minute), and the deadlines it gave."""

    def __init__(self, timeout: float = 0.0) -> None:
        self.under_way = 1
        self.said: list[str] = []
        self.often: list[str] = []
        self.marks: list[float] = []
        self._timeout = timeout

    def watch(self, loop: asyncio.AbstractEventLoop) -> Heartbeat:
        """Begin, with one request under way."""
        said = SimpleNamespace(
            once_a_minute=lambda kind, text: self.often.append(text), warning=self.said.append,
        )  # fmt: skip
        self.heartbeat = Heartbeat(
            loop, lambda: self.under_way > 0, cast(Log, said), timeout=self._timeout, mark=self.marks.append
        )
        self.heartbeat.wake()
        return self.heartbeat

    def run(self, factory: Factory, work: Coroutine[Any, Any, None]) -> None:
        """*work* on a loop that is watched."""
        async def watched() -> None:
            self.watch(asyncio.get_running_loop())
            await work

        with asyncio.Runner(loop_factory=factory) as runner:
            try:
                runner.run(watched())
            finally:
                self.heartbeat.close()

    async def turn(self) -> None:
        """Come back when the heart has beaten."""
        beaten = self.heartbeat._beaten
        await turning_until(lambda: self.heartbeat._beaten != beaten)

    def block(self) -> None:
        """Until one thing more is told."""
        told = len(self.said)
        until("it is told", lambda: len(self.said) > told)


async def turning_until(found: Callable[[], object]) -> None:
    """Let the loop turn so long."""
    async with asyncio.timeout(PATIENCE):
        while not found():
            await asyncio.sleep(BEAT / 10)


@pytest.fixture
def ward(monkeypatch: pytest.MonkeyPatch) -> Ward:
    """See Ward; however busy the machine is, no block is a long one."""
    monkeypatch.setattr(module, "LONG", PATIENCE)
    return Ward()


async def answering(work: Awaitable[object], path: str = "/report") -> None:
    """As a host has a request answered."""
    enter(Request({"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path}, "http", 0.0))
    await work


@each_loop
def test_the_request_whose_handler_blocks_is_named(ward: Ward, factory: Factory) -> None:
    """With the seconds, the time of day, and the places of the application alone."""
    async def handler() -> None:
        ward.block()

    ward.run(factory, answering(handler()))
    (line,) = ward.said
    wanted = r"blocked: GET /report has kept the event loop for \d\.\d s \(since \d\d:\d\d:\d\d\) and is at "
    assert re.match(wanted, line)
    assert f" < at {__file__}:" in line
    assert " in block < " in line
    assert line.index(" in block < ") < line.index(" in handler < ")
    assert line.endswith(" in watched"), "the loop is told of, too"


@each_loop
def test_so_is_the_one_whose_child_does(ward: Ward, factory: Factory) -> None:
    """A task that a task of its handler has made."""
    async def grandchild() -> None:
        ward.block()

    async def child() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(grandchild())

    ward.run(factory, answering(asyncio.wait_for(child(), None)))
    (line,) = ward.said
    assert line.startswith("blocked: GET /report has kept the event loop for ")
    assert line.endswith(" in grandchild")


@each_loop
def test_a_callback_has_its_place(ward: Ward, factory: Factory) -> None:
    """No task is at it, so no request is known; the place says enough."""
    async def handler() -> None:
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def callback() -> None:
            ward.block()
            called.set_result(None)

        asyncio.get_running_loop().call_soon(callback)
        await called

    ward.run(factory, answering(handler()))
    (line,) = ward.said
    assert line.startswith("blocked: a callback has kept the event loop for ")
    assert line.endswith(" in callback")


def test_a_task_of_no_request(ward: Ward) -> None:
    """What the application does beside."""
    async def beside() -> None:
        ward.block()

    ward.run(asyncio.new_event_loop, beside())
    assert ward.said[0].startswith("blocked: a task of no request has kept the event loop for ")


def test_nothing_that_a_client_sent_ends_the_line(ward: Ward) -> None:
    """Nor is a query told."""
    async def handler() -> None:
        ward.block()

    ward.run(asyncio.new_event_loop, answering(handler(), "/a\nb"))
    assert ward.said[0].startswith("blocked: GET /a\\nb has kept")


def test_the_host_around_the_application_is_left_out(ward: Ward) -> None:
    """Like the loop."""
    scope: dict[str, Any] = {}
    code = "async def call(application):\n    await application()\n"
    exec(compile(code, os.path.join(host.__path__[0], "any.py"), "exec"), scope)

    async def application() -> None:
        ward.block()

    ward.run(asyncio.new_event_loop, answering(scope["call"](application)))
    assert ward.said[0].endswith(" in application")


@each_loop
def test_each_block_is_told_once(ward: Ward, factory: Factory) -> None:
    """However long it is."""
    async def handler() -> None:
        for _ in range(2):
            ward.block()
            time.sleep(2 * BLOCKED)
            await ward.turn()

    ward.run(factory, answering(handler()))
    assert len(ward.said) == 2
    assert all(line.startswith("blocked: GET /report ") for line in ward.said)


def test_the_end_of_a_long_one_is_told() -> None:
    """With its length."""
    ward = Ward()

    async def handler() -> None:
        ward.block()
        time.sleep(LONG)
        await turning_until(lambda: len(ward.said) > 1)

    ward.run(asyncio.new_event_loop, answering(handler()))
    assert re.fullmatch(r"the event loop is free again after \d\.\d s: GET /report", ward.said[1])


@each_loop
def test_who_keeps_the_interpreter_lock_is_told_of(ward: Ward, factory: Factory) -> None:
    """Neither loop nor onlooker gets on; from its waking on, and later; not if it was just looking."""
    def told() -> list[str]:
        # A machine that has no time for us is told of, too, wherever that was.
        found = r"the interpreter lock was kept for \d\.\d s while the event loop was at GET /report; "
        return [line for line in ward.often if re.match(found, line)]

    async def handler() -> None:
        for _ in range(10):
            if len(told()) < 2:
                ctypes.PyDLL(None).usleep(600_000)
                await ward.turn()

    ward.run(factory, answering(handler()))
    assert len(told()) == 2
    for line in told():
        assert f"; it is at {__file__}:" in line
        assert " in handler < " in line


def test_what_goes_wrong_with_looking_is_said(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """And looked at is again."""
    async def handler() -> None:
        until("it is told", lambda: ward.often)
        monkeypatch.undo()
        ward.block()

    def broken(loop: object) -> None:
        raise OSError("no number is free")

    monkeypatch.setattr(module, "present", broken)
    ward.run(asyncio.new_event_loop, answering(handler()))
    assert ward.often[0] == "who keeps the event loop could not be seen: OSError('no number is free')"
    assert ward.said[0].startswith("blocked: GET /report ")


# ---- a loop that turns, or rests ----------------------------------------------------------------------------


class Sleeps:
    """The onlooker's pauses: each ends when it may. *now* is its clock, which only they move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self.now = 100.0
        self.may_end = Semaphore(0)
        monkeypatch.setattr(module, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.begun += 1
        assert self.may_end.acquire(timeout=PATIENCE)
        self.now += seconds


@each_loop
def test_a_loop_that_turns_is_never_told_of(ward: Ward, factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much it has to do: each of its turns takes longer than what is told of, but no task does."""
    sleeps = Sleeps(monkeypatch)
    monkeypatch.setattr(module, "monotonic", lambda: sleeps.now)

    async def task() -> None:
        for _ in range(2):
            before = sleeps.begun
            sleeps.may_end.release()
            until("it was looked at", lambda before=before: sleeps.begun > before)  # type: ignore[misc]
            await asyncio.sleep(0)

    async def work() -> None:
        until("the first pause begins", lambda: sleeps.begun == 1)
        began = sleeps.now
        await asyncio.gather(*(task() for _ in range(int(2 * BLOCKED / BEAT))))
        assert sleeps.now - began > 3 * BLOCKED

    ward.run(factory, answering(work()))
    sleeps.may_end.release()  # it looks once more, and then sees that it is closed
    assert ward.said == ward.often == []


class Looks:
    """How often the onlooker has paused before a look; its pauses are ten times as short."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken = 0
        monkeypatch.setattr(module, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.taken += 1
        time.sleep(seconds / 10)


@each_loop
def test_a_loop_at_rest_is_not_woken(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a beat nor a look until the next request, however long."""
    ward = Ward(timeout=30.0)
    looks = Looks(monkeypatch)

    async def rest() -> None:
        heartbeat = ward.heartbeat
        ward.under_way = 0
        await turning_until(lambda: not heartbeat._beaten and heartbeat._onlooker.asleep)
        before = len(ward.marks), looks.taken
        await asyncio.sleep(4 * BEAT)
        assert (len(ward.marks), looks.taken) == before
        ward.under_way = 1
        heartbeat.wake()
        await turning_until(lambda: len(ward.marks) > before[0] and looks.taken > before[1])

    async def work() -> None:
        for _ in range(3):
            await rest()

    ward.run(factory, work())


def test_nothing_of_the_application_is_kept_alive(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that was looked at ends on its own thread, not at the next look, on another one."""
    sleeps = Sleeps(monkeypatch)

    async def seen() -> None:
        sleeps.may_end.release()
        until("it was looked at, and the next pause begins", lambda: sleeps.begun == 2)

    async def work() -> None:
        until("the first pause begins", lambda: sleeps.begun == 1)
        task = asyncio.create_task(answering(seen()))
        kept = ref(task)
        await task
        del task
        await asyncio.sleep(0)
        assert kept() is None
        # This pause may end, and from the next one on the onlooker goes by the clock until it is closed.
        monkeypatch.undo()
        sleeps.may_end.release()

    ward.run(asyncio.new_event_loop, work())


# ---- the deadline -------------------------------------------------------------------------------------------


class Clockwork:
    """A loop that only writes down when it is to call back, and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.pauses: list[float] = []
        monkeypatch.setattr(module, "monotonic", lambda: self.now)

    def call_later(self, pause: float, call: Callable[[], None]) -> None:
        """See asyncio."""
        self.pauses.append(pause)
        self.call = call


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> Clockwork:
    """See Clockwork; without a thread."""
    monkeypatch.setattr(module, "Onlooker", lambda *given: SimpleNamespace(asleep=False, closed=False, close=int))
    return Clockwork(monkeypatch)


def test_each_beat_moves_the_deadline(works: Clockwork) -> None:
    """To when the next one is overdue; at rest there is none."""
    ward = Ward(timeout=5.0)
    heartbeat = ward.watch(cast(asyncio.AbstractEventLoop, works))
    heartbeat.wake()
    assert (ward.marks, works.pauses) == ([105.0 + BEAT], [BEAT])
    works.now = 107.0
    works.call()
    assert (ward.marks[1:], works.pauses[1:]) == ([112.0 + BEAT], [BEAT])
    ward.under_way = 0
    works.call()
    assert (ward.marks[2:], works.pauses[2:]) == ([0.0], [])
    ward.under_way = 1
    works.now = 200.0
    heartbeat.wake()
    assert (ward.marks[3:], works.pauses[2:]) == ([205.0 + BEAT], [BEAT])
    heartbeat.close()
    assert ward.marks[4:] == [0.0]


def test_without_a_timeout_none_is_told(works: Clockwork) -> None:
    """0 is off."""
    ward = Ward()
    heartbeat = ward.watch(cast(asyncio.AbstractEventLoop, works))
    works.call()
    ward.under_way = 0
    works.call()
    heartbeat.close()
    assert ward.marks == []


# ---- nobody notices -----------------------------------------------------------------------------------------


def test_a_child_of_the_application_has_nothing_of_it() -> None:
    """No thread, and no hand on the deadline, which is its parent's."""
    ward = Ward(timeout=30.0)

    async def work() -> None:
        child = os.fork()
        if not child:
            signal.alarm(int(PATIENCE))
            marks = len(ward.marks)
            ward.heartbeat._beat()
            ward.heartbeat.wake()
            os._exit(len(os.listdir("/proc/self/task")) + len(ward.marks) - marks)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 1
        until("it is told, perhaps while the child was waited for", lambda: ward.said)

    ward.run(asyncio.new_event_loop, answering(work()))
    assert ward.said[0].startswith("blocked: GET /report ")


def test_closed_its_thread_ends(ward: Ward) -> None:
    """And no beat comes any more."""
    async def work() -> None:
        until("it is there", lambda: set(os.listdir("/proc/self/task")) - before)
        ward.heartbeat.close()
        until("it is gone", lambda: not set(os.listdir("/proc/self/task")) - before)
        beaten = ward.heartbeat._beaten
        await asyncio.sleep(2 * BEAT)
        assert ward.heartbeat._beaten == beaten == 0.0

    before = set(os.listdir("/proc/self/task"))
    ward.run(asyncio.new_event_loop, work())
