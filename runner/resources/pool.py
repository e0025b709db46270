"""Resources that outlive the request: at most so many in each worker, lent to one request at a time.

    take   one that is idle and was opened with the same options; or leave to open a new one; or wait in a queue
    give   it back: the first in the queue has it if it suits; else it is closed, and he may open one of his own

Laws: never more than *limit* are open or being opened; who came first is served first; a thread waits, and a call that
would keep everybody from giving back is refused at once (PoolFull). A copy of the process after a fork
begins with an empty pool: what its parent has opened is its parent's. Start at Pool.take.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, NamedTuple

from runner.errors import PoolFull


class Lent(NamedTuple):
    """What `take` gives: *resource*, if there was one; else *room* for a new one. *worn*: to be closed before."""

    resource: Any = None
    room: bool = False
    worn: tuple[Any, ...] = ()


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
        self._retired = False

    def take(self, key: Hashable, *, wait: bool) -> Lent:
        """One that suits, or leave to open one; *wait* for it, if need be, as long as the pool allows. PoolFull."""
        lent = self._ask(key)
        if isinstance(lent, Lent):
            return lent
        try:
            return lent.result(self.timeout if wait else 0)
        except TimeoutError:
            if (late := self._forsake(lent)) is not None:
                return late
            message = f"all {self._limit} of the resource {self._name!r} are in use; release one, or raise its limit"
            raise PoolFull(message) from None

    def give(self, key: Hashable, resource: Any, close: Callable[[Any], None]) -> None:
        """It is no longer in use; *close* is called with what is of no use any more."""
        if self._process != os.getpid():
            return  # taken before a fork: it is the parent's
        with self._lock:
            waiter = self._queue.popleft() if self._queue else None
            if waiter is None and not self._retired:
                self._idle.append((key, resource))
                return
            if waiter is None:
                self._open -= 1
        if waiter is not None and waiter.key == key:
            waiter.turn.set_result(Lent(resource))
            return
        try:
            close(resource)
        finally:
            if waiter is not None:
                waiter.turn.set_result(Lent(room=True))

    def lose(self) -> None:
        """One that was open, or was to be opened, is not there any more: whoever waits may open another."""
        with self._lock:
            waiter = self._queue.popleft() if self._queue else None
            if waiter is None:
                self._open -= 1
        if waiter is not None:
            waiter.turn.set_result(Lent(room=True))

    def retire(self) -> list[Any]:
        """The worker takes no more requests: what is idle, to be closed; what is given back later is closed then."""
        with self._lock:
            self._retired = True
            idle = [resource for _, resource in self._idle]
            self._idle.clear()
            self._open -= len(idle)
            return idle if self._process == os.getpid() else []

    def _forsake(self, turn: Future[Lent]) -> Lent | None:
        """Leave the queue; what came in the last moment all the same."""
        with self._lock:
            for position, waiter in enumerate(self._queue):
                if waiter.turn is turn:
                    del self._queue[position]
                    return None
        return turn.result()

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
                return Lent(room=True, worn=(self._idle.popleft()[1],))
            waiter = _Waiter(key, Future())
            self._queue.append(waiter)
            return waiter.turn
