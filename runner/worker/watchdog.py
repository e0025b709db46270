"""Looks at the loop's thread while it is inside the application, and acts for it when it does not come back.

A call keeps the loop from turning, and what arrives meanwhile on the worker's other connections waits, although a
sibling may be idle. So a second thread (onlooker.py) looks, every LOOK seconds, whether the call is still the one of
the last look:

    late    relief: what waits is given away (relief.py), at each look, as long as that call goes on
    slow    after `--slow` it is logged, once, with where it stands (slow.py)
    stuck   the look itself came far too late: C code kept the interpreter lock, which no relief helps; that is logged
    quiet   after QUIET seconds without a call the thread sleeps without a wake-up until the next call

Laws: the loop's thread pays a few stores and tests for a call; no system call, and a lock only if that call was late.
Nothing of the worker is touched from here but under the lock, while the call that was seen to be late still goes on.

The race, as a story: the call comes back while a connection is being given. The loop's thread says that it is back,
sees that relief is going on, and waits in `stop` for the lock, until that one connection is gone; only then it goes
back to its loop, in which the connection exists no more. Before the next one is given the watchdog looks again, under
the lock, sees that the call is another or none, and lets go. Neither can miss the other: each first says its own (back;
relieving) and then looks at the other's. And the connection of the call itself: the host ends the answer *within* the
call, so for a moment that connection looks idle while the loop's thread still has a hand on it. Relief is told whose
call it is and keeps off.
Start at Watchdog._watch.
"""

from __future__ import annotations

# Bound by name, now: an application that patches these modules (gevent) would turn this thread into a coroutine.
import os
from _thread import allocate_lock
from collections.abc import Callable, Iterator
from time import monotonic, sleep

from runner.log import Log, escape
from runner.request import Exchange
from runner.worker.onlooker import Onlooker
from runner.worker.slow import SlowLog

LOOK = 0.005
"""Seconds between two looks. A call that is seen twice is late; what is behind it has waited at most twice this, and
while the call computes, up to as much again: so long a thread that wants the interpreter lock waits for it politely."""
QUIET = 1.0
"""Seconds without a call after which nobody looks."""
STUCK = 0.1
"""Seconds by which a look must be late to be told of."""

Relieve = Callable[[Exchange], Iterator[None]]
"""Gives away what waits behind the call of that exchange; each step is done under the lock, and is short."""


class Watchdog:
    """A host.timer.Clock for inline calls. To be made and told of calls on the loop's thread."""

    def __init__(self, relieve: Relieve, slow: SlowLog, log: Log) -> None:
        self._relieve = relieve
        self._slow = slow
        self._log = log
        self._lock = allocate_lock()
        self._calls = 0  # how many have begun
        self._exchange: Exchange | None = None  # of the one under way
        self._relieving = False
        self._late_since = 0.0
        self._onlooker = Onlooker("watchdog", self._watch, log)
        slow.begin()
        os.register_at_fork(after_in_child=self._forked)

    # ---- on the loop's thread -------------------------------------------------------------------------------

    def start(self, exchange: Exchange) -> None:
        """The thread goes into the application."""
        # In this order: who sees an exchange sees its number, too, and takes it for no older one.
        self._calls += 1
        self._exchange = exchange
        if self._onlooker.asleep:
            self._onlooker.wake()

    def stop(self, exchange: Exchange) -> None:
        """It came back; when this returns nobody else has a hand on anything."""
        self._exchange = None
        if self._relieving:
            with self._lock:
                pass

    def close(self) -> None:
        """No call will come any more."""
        self._onlooker.close()

    @property
    def thread(self) -> int:
        """Which one it has, or had; 0: none."""
        return self._onlooker.thread

    def _forked(self) -> None:
        # The lock may have been held by the thread, which is not there in the child.
        self._lock = allocate_lock()
        self._relieving = False

    # ---- on its own -----------------------------------------------------------------------------------------

    def _watch(self) -> None:
        seen, before, asleep_at = 0, self._onlooker.woken, 0.0
        while not self._onlooker.closed:
            sleep(LOOK)
            now, calls = monotonic(), self._calls
            exchange = self._exchange
            if now - before > LOOK + STUCK and exchange is not None and calls <= seen + 1:
                self._tell_stuck(exchange, now - before)
            if calls != seen:
                seen, asleep_at = calls, now + QUIET
                self._late_since = before
            elif exchange is not None:
                self._attend(exchange, calls, now)
            before = monotonic()
            if exchange is None and now >= asleep_at:
                before = self._sleep(seen)
                asleep_at = before + QUIET

    def _sleep(self, seen: int) -> float:
        return self._onlooker.sleep(lambda: self._calls == seen)

    def _attend(self, exchange: Exchange, call: int, now: float) -> None:
        """That call is late."""
        self._relieving = True
        try:
            self._slow.look(exchange.request, call, now - self._late_since)
            steps = self._relieve(exchange)
            going = True
            while going:
                with self._lock:
                    going = self._exchange is exchange and self._calls == call and next(steps, self) is not self
        except Exception as error:
            # Whatever it is: the call will come back and the loop with it, but this thread only once.
            self._log.once_a_minute("watchdog", f"what waits behind a slow call is not given away: {error!r}")
        finally:
            self._relieving = False

    def _tell_stuck(self, exchange: Exchange, seconds: float) -> None:
        request = exchange.request
        self._log.once_a_minute(
            "stuck", f"a call kept the interpreter lock for {seconds:.1f} s: {escape(request.method)} "
            f"{escape(request.path)}; requests on its kept connections waited (or the machine had no time for us)",
        )  # fmt: skip
