"""The heartbeat of an event loop: what keeps it from turning is named, with where it stands and since when.

An asynchronous application has one loop for all its requests. Code that does not yield (a blocking driver, a
computation, time.sleep) makes all the others wait, and nothing tells whose fault that is. So, while something is under
way, a timer of the loop writes down the time every BEAT seconds, and a second thread (onlooker.py) looks as often:

    turning   a beat has come since the last look, or another task is at it
    blocked   no beat, and the same one at it at each look, for BLOCKED seconds: told once, with the stack
    free      it turns again; told if it was blocked for LONG
    stuck     the look itself came too late: C code kept the interpreter lock, or the machine had no time for us
    at rest   nothing is under way: neither beat nor look, no wake-up

That another one is at it counts, because a loop with very much to do may take as long for one turn, and then nobody is
to blame. For `--timeout` each beat says until when the next one must have come: a blocked loop, whoever blocks it, does
not move that deadline, and the supervisor ends the worker.

Laws: the loop pays a timer every BEAT seconds, and a request one test; no task or callback costs anything. Nothing
secret: method, path, places in the code. Whatever the application holds is never kept alive from here for longer than
a look: it would be closed on the wrong thread. Start at Heartbeat._watch; Sight decides.
"""

from __future__ import annotations

# Bound by name, now: an application that patches these modules (gevent) would turn this thread into a coroutine.
import asyncio
import os
import sys
from _thread import get_ident
from asyncio import events, runners
from collections.abc import Callable
from enum import Enum
from time import localtime, monotonic, sleep, strftime, time
from weakref import ref

from runner import host
from runner.log import Log, escape
from runner.worker.onlooker import Onlooker
from runner.worker.slow import stack
from runner.worker.tasks import Task, present, request_of

BEAT = 0.05
"""Seconds between two beats, and between two looks: by up to so much more than it says the loop was blocked."""
BLOCKED = 0.25
"""Seconds that are told of. People notice from about 0.1 s on that they wait, but so long some imports and templates
take at their first use, and a busy machine takes now and then; what is told should be worth a look."""
LONG = 1.0
"""Seconds from which on the end of a block is told, too: before that its line has just been written."""

_AROUND = (*(os.path.join(folder, "") for folder in host.__path__), events.__file__, runners.__file__)
"""Who runs an application's tasks and callbacks, and is not what one wants to read about."""


class What(Enum):
    """What is to be told."""

    BLOCKED = "it is blocked"
    FREE = "it is free again"
    STUCK = "nobody could look"


class Sight:
    """What the looks add up to. The times come in (seconds)."""

    def __init__(self) -> None:
        self._beat = 0.0
        self._who: object = None
        self._since = 0.0  # when this one was first seen, which is never too early
        self._told = False

    def look(self, now: float, late: float, beat: float, who: object) -> tuple[What, float] | None:
        """The last *beat* was then (0.0: at rest), *who* is at it, and this look comes *late* by so much.

        Return what is to be told, with how long it was.
        """
        told, seconds = self._told, now - self._since
        if beat != self._beat or who != self._who:
            self._beat, self._who, self._since, self._told = beat, who, now, False
            if told and seconds >= LONG:
                return What.FREE, seconds
        if beat and min(late, now - beat) >= BLOCKED:
            if not self._told:
                self._since = now  # how much of it was the machine's fault is not known
            return What.STUCK, late
        if beat and not self._told and now - self._since >= BLOCKED:
            self._told = True
            return What.BLOCKED, now - self._since
        return None


class Heartbeat:
    """That of *loop*. To be made, woken and closed on its thread.

    *busy*: something is under way. *mark* is told the deadline for `--timeout` (*timeout* seconds; 0.0: it is told
    nothing), in monotonic seconds, 0.0 while nothing is under way.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, busy: Callable[[], bool], log: Log, *,
        timeout: float = 0.0, mark: Callable[[float], None] = lambda deadline: None,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._busy = busy
        self._log = log
        self._timeout = timeout
        self._mark = mark
        self._thread = get_ident()
        self._beaten = 0.0  # when; 0.0: at rest
        self._blamed = ""
        self._onlooker = Onlooker("heartbeat", self._watch, log)

    # ---- on the loop's thread -------------------------------------------------------------------------------

    def wake(self) -> None:
        """Something begins: `busy` is true from now on."""
        if not self._beaten:
            self._beat()

    def close(self) -> None:
        """Nothing is looked at any more."""
        self._rest()
        self._onlooker.close()

    def _beat(self) -> None:
        if self._onlooker.closed:
            return  # or this is a forked child, and the deadline is its parent's
        if not self._busy():
            self._rest()
            return
        self._beaten = now = monotonic()
        if self._timeout:
            # The next beat may take its time: that is no part of the call.
            self._mark(now + BEAT + self._timeout)
        self._loop.call_later(BEAT, self._beat)
        if self._onlooker.asleep:
            self._onlooker.wake()

    def _rest(self) -> None:
        self._beaten = 0.0
        if self._timeout:
            self._mark(0.0)

    # ---- on its own -----------------------------------------------------------------------------------------

    def _watch(self) -> None:
        onlooker, sight = self._onlooker, Sight()
        before = onlooker.woken
        while not onlooker.closed:
            # None at all if it got up late: who has kept the interpreter lock is still there now, after a pause gone.
            if (pause := before + BEAT - monotonic()) > 0:
                sleep(pause)
            try:
                resting = self._look(sight, before)
            except Exception as error:
                # Whatever it is: this thread will be needed again.
                self._log.once_a_minute("heartbeat", f"who keeps the event loop could not be seen: {error!r}")
                resting = not self._beaten
            before = onlooker.sleep(lambda: not self._beaten) if resting else monotonic()

    def _look(self, sight: Sight, before: float) -> bool:
        """Tell what is to be told; is the loop at rest?"""
        now, beat = monotonic(), self._beaten
        task = present(self._loop) if beat else None
        told = sight.look(now, now - before - BEAT, beat, ref(task) if task is not None else None)
        match told:
            case What.BLOCKED, seconds:
                self._tell_blocked(task, beat, seconds)
            case What.FREE, seconds if self._blamed:
                self._log.warning(f"the event loop is free again after {seconds:.1f} s: {self._blamed}")
            case What.STUCK, seconds:
                self._tell_stuck(task, seconds)
        return not beat

    def _tell_blocked(self, task: Task | None, beat: float, seconds: float) -> None:
        places = self._places()
        self._blamed = ""
        if self._beaten == beat and present(self._loop) is task:
            self._blamed = _name(task)
            since = strftime("%H:%M:%S", localtime(time() - seconds))
            kept = f"has kept the event loop for {seconds:.1f} s (since {since})"
            self._log.warning(f"blocked: {self._blamed} {kept} and is {places}")

    def _tell_stuck(self, task: Task | None, seconds: float) -> None:
        # Who has kept the lock got no further since: it had to give it to this thread as soon as it could.
        name = "no task" if task is None else _name(task)
        self._log.once_a_minute(
            "stuck", f"the interpreter lock was kept for {seconds:.1f} s while the event loop was at {name}; all its "
            f"requests waited (or the machine had no time for us); it is {self._places()}",
        )  # fmt: skip

    def _places(self) -> str:
        return stack(sys._current_frames().get(self._thread), _AROUND)


def _name(task: Task | None) -> str:
    if task is None:
        return "a callback"
    request = request_of(task)
    return "a task of no request" if request is None else f"{escape(request.method)} {escape(request.path)}"
