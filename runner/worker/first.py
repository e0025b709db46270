"""The worker that a process is for one answer, before it becomes the generation that others are forked from.

A story: somebody saves, and reloads the page. The process that has just imported what was saved could answer; but it is
there to be forked, and to fork a process of this size, and to have the copy touch again what this one has in its hands,
takes as long as the import did. So if a request waits already it answers that one first, and is forked after that.

    nobody waits               it is forked at once
    another connection         stays in the queue, for those that are forked next
    a POST, a body, a wish     for another protocol: given away unread; what is asked for first shall be a look
    it says nothing            given away after PATIENCE
    answered                   the connection is given away, nothing of this worker is left
    not within LATE            spent: this process is no generation any more. It says so, and goes on as a worker that
                               leaves does, while another one imports and is forked

Laws: nobody waits behind this one for longer than LATE; until it is spent it is heard and told as the generation that
it is, and hears nothing. What the application has left behind decides afterwards whether it can be forked
(generation/fork_safety.py). Start at First.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from runner.request import ELSEWHERE, Answer, Exchange, Request
from runner.worker.loop import Worker
from runner.worker.task import Task

PATIENCE = 0.01
"""Seconds for a request to come."""
LATE = 0.05
"""Seconds for everything."""


class First(Worker):
    """See the module. *spend* is told why this process cannot be a generation, once, perhaps from another thread.

    spent   that was done: it goes on as a worker, to the end of the process
    """

    def __init__(self, task: Task, spend: Callable[[str], object]) -> None:
        super().__init__(task)
        self.spent = False
        self._tell_spent = spend
        self.admit = self._admit
        self._over = time.monotonic() + LATE

    def close(self) -> int:
        """Leave nothing behind: it has ended, and was not spent. Which thread of its own is about to end; 0: none.

        It need not be waited for: one that only looks on may be forgotten in a fork (onlooker.py).
        """
        self._acceptor.close()
        self._access.close()
        return self._watchdog.thread

    # ---- what is different from a worker ------------------------------------------------------------------------

    def _attend(self) -> None:
        self._loop.call_later(PATIENCE, self._hurry)
        self._loop.call_later(LATE, self._be_late)

    def _welcome(self) -> bool:
        if self._connections:
            self._acceptor.pause()
            return False
        return super()._welcome()

    def _admit(self, request: Request) -> Answer | None:
        self._loop.call_soon(self._retire, "")
        return self._gate.admit(request) if is_look(request) else ELSEWHERE

    def _leave_if_idle(self) -> None:
        # A worker that leaves says what keeps it; nobody knows this one for a worker until it is spent.
        if self.spent or not (self._gate.inflight or self._connections):
            super()._leave_if_idle()

    def _relieve(self, exchange: Exchange) -> Iterator[None]:
        if time.monotonic() >= self._over:
            self._spend()
            yield from super()._relieve(exchange)

    # ---- time is up ---------------------------------------------------------------------------------------------

    def _hurry(self) -> None:
        if not self._gate.inflight:
            self._retire("")

    def _be_late(self) -> None:
        self._spend()
        super()._attend()
        self._retire("")

    def _spend(self) -> None:
        if not self.spent:
            self._tell_spent("its answer took too long")
            self.spent = True


def is_look(request: Request) -> bool:
    """It asks to see something, has announced no body, and wants no other protocol."""
    bodiless = request.variables.get("CONTENT_LENGTH", "0") in ("", "0")
    return request.method in ("GET", "HEAD") and bodiless and not request.upgrade
