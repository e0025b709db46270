"""Resources that outlive the request: at most so many in each worker, lent to one request at a time.

    take   one that is idle and was opened with the same options; or leave to open a new one; or wait in a queue
    atake  the same for a task
    give   it back: the first in the queue has it; one that it does not suit closes it and opens his own

Laws: never more than *limit* are open or being opened; who came first is served first, threads and tasks in one queue;
a call that would keep everybody from giving back is refused at once (PoolFull); what comes to a task that is being
cancelled goes on to the next. It closes nothing itself. A copy of the process after a fork begins with an empty pool:
what its parent has opened is its parent's. Start at Pool.take.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Hashable
from concurrent.futures import Future
from typing import Any, NamedTuple

from runner.errors import PoolFull
from runner.resources.bell import arrival


class Lent(NamedTuple):
    """What `take` gives: *resource*, if there was one; else *room* for a new one.

    *worn*: what has that place until now, to be closed before; with the key that it was opened with.
    """

    resource: Any = None
    room: bool = False
    worn: tuple[Hashable, Any] | None = None


class _Waiter(NamedTuple):
    key: Hashable
    turn: Future[Lent]


class Pool:
    """See the module. *timeout* in seconds."""

    def __init__(self, name: str, limit: int | None, timeout: float | None) -> None:
        self.timeout = timeout
        self._name = name
        self._limit = limit
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._open = 0
        self._idle: deque[tuple[Hashable, Any]] = deque()
        self._queue: deque[_Waiter] = deque()

    def take(self, key: Hashable, *, wait: bool) -> Lent:
        """One that suits, or leave to open one; *wait* for it, if need be, as long as the pool allows. PoolFull."""
        asked = self._ask(key)
        if isinstance(asked, Lent):
            return asked
        try:
            return asked.result(self.timeout if wait else 0)
        except TimeoutError:
            return self._too_late(asked)

    async def atake(self, key: Hashable) -> Lent:
        """`take` in a task, which waits in the same queue."""
        asked = self._ask(key)
        if isinstance(asked, Lent):
            return asked
        try:
            async with asyncio.timeout(self.timeout):
                return await arrival(asked)
        except TimeoutError:
            return self._too_late(asked)
        except BaseException:
            late = self._forsake(asked)
            if late is not None:
                self._give_on(key, late)
            raise

    def give(self, key: Hashable, resource: Any) -> None:
        """It is no longer in use."""
        if self._process != os.getpid():
            return  # taken before a fork: it is the parent's
        with self._lock:
            waiter = self._queue.popleft() if self._queue else None
            if waiter is None:
                self._idle.append((key, resource))
                return
        waiter.turn.set_result(Lent(resource) if waiter.key == key else Lent(room=True, worn=(key, resource)))

    def lose(self) -> None:
        """One that was open, or was to be opened, is not there any more: whoever waits may open another."""
        if self._process != os.getpid():
            return
        with self._lock:
            waiter = self._queue.popleft() if self._queue else None
            if waiter is None:
                self._open -= 1
        if waiter is not None:
            waiter.turn.set_result(Lent(room=True))

    def retire(self) -> list[Any]:
        """What is idle, to be closed: this worker takes no more requests. Ask again when another one has ended."""
        if self._process != os.getpid():
            return []
        with self._lock:
            idle = [resource for _, resource in self._idle]
            self._idle.clear()
            self._open -= len(idle)
            return idle

    def _too_late(self, turn: Future[Lent]) -> Lent:
        late = self._forsake(turn)
        if late is not None:
            return late
        message = f"all {self._limit} of the resource {self._name!r} are in use; release one, or raise its limit"
        raise PoolFull(message) from None

    def _forsake(self, turn: Future[Lent]) -> Lent | None:
        """Leave the queue; what came in the last moment all the same."""
        with self._lock:
            for position, waiter in enumerate(self._queue):
                if waiter.turn is turn:
                    del self._queue[position]
                    return None
        return turn.result()

    def _give_on(self, key: Hashable, lent: Lent) -> None:
        """What was lent to somebody who has no use for it any more, and had asked by *key*."""
        if lent.worn is not None:
            self.give(*lent.worn)
        elif lent.room:
            self.lose()
        else:
            self.give(key, lent.resource)

    def _ask(self, key: Hashable) -> Lent | Future[Lent]:
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            # The one used last is the warmest.
            for position in range(len(self._idle) - 1, -1, -1):
                if self._idle[position][0] == key:
                    resource = self._idle[position][1]
                    del self._idle[position]
                    return Lent(resource)
            if self._limit is None or self._open < self._limit:
                self._open += 1
                return Lent(room=True)
            if self._idle:
                # Nobody has asked with these options for the longest time.
                return Lent(room=True, worn=self._idle.popleft())
            waiter = _Waiter(key, Future())
            self._queue.append(waiter)
            return waiter.turn
