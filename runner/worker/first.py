"""The worker that a process is for a moment, before it becomes the generation that others are forked from.

A story: somebody saves, and reloads the page. The process that has just imported what was saved could answer; but it is
there to be forked, and to fork a process of this size, and to have the copy touch again what this one has in its hands,
takes as long as the import did. So if requests wait already it answers them first, and is forked after that.

    nobody waits               it is forked at once
    one who waits              has one answer; then the connection is given away
    another one                after that; but once BRIEF is over it stays in the queue, for those that are forked next
    a POST, a body, a wish     for another protocol: given away unread; what is asked for first shall be a look
    it says nothing            given away after PATIENCE
    nobody waits any more      nothing of this worker is left
    an answer not within LATE  spent: this process is no generation any more. It says so, and goes on as a worker that
                               leaves does, while another one imports and is forked

Laws: nobody waits behind this one for longer than LATE; until it is spent it is heard and told as the generation that
it is, and hears nothing. What the application has left behind decides afterwards whether it can be forked
(generation/fork_safety.py). Start at First.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

from runner.front.connection import Connection
from runner.process.messages import Parcel
from runner.process.scoreboard import Counter
from runner.request import ELSEWHERE, Answer, Exchange, Request
from runner.worker.loop import Worker
from runner.worker.task import Task

PATIENCE = 0.01
"""Seconds for a request to come."""
BRIEF = 0.02
"""Seconds after which no other one is begun: about what passes until a worker is forked that answers."""
LATE = 0.05
"""Seconds for everything."""


class First(Worker):
    """See the module. *spend* is told why this process cannot be a generation, in the words of messages.Spent; once,
    perhaps from another thread.

    spent   that was done: it goes on as a worker, to the end of the process
    """

    def __init__(self, task: Task, spend: Callable[[str], object]) -> None:
        super().__init__(task)
        self.draining = True  # whose connection it is, its request is our last
        self.spent = False
        self._tell_spent = spend
        self._patience: asyncio.TimerHandle | None = None
        self.admit = self._admit
        began = time.monotonic()
        self._brief, self._over = began + BRIEF, began + LATE

    def close(self) -> int:
        """Leave nothing behind: it has ended, and was not spent. Which thread of its own is about to end; 0: none.

        It need not be waited for: one that only looks on may be forgotten in a fork (onlooker.py).
        """
        self._acceptor.close()
        self._access.close()
        return self._watchdog.thread

    # ---- what is different from a worker ------------------------------------------------------------------------

    def _attend(self) -> None:
        self._wait()
        self._loop.call_later(LATE, self._be_late)

    def _begin(self) -> None:
        super()._begin()
        self._loop.call_soon(self._leave_if_idle)

    def _welcome(self) -> bool:
        if self._connections or self.spent:
            self._acceptor.pause()
            return False
        self._wait()
        return True

    def _admit(self, request: Request) -> Answer | None:
        self._loop.call_soon(self._leave_if_idle)
        return self._gate.admit(request) if is_look(request) else ELSEWHERE

    def hold(self, connection: Connection, request: Request, unread: bytes) -> None:
        """See runner.request.Service."""
        if self.spent or self._gate.outdated:
            super().hold(connection, request, unread)
        else:
            self._leave_to_ours(connection, unread, request.began)

    def part(self, connection: Connection, unread: bytes) -> None:
        """See runner.request.Service."""
        if self.spent:
            super().part(connection, unread)
        else:
            self._leave_to_ours(connection, unread, 0.0)

    def _leave_to_ours(self, connection: Connection, unread: bytes, since: float) -> None:
        # Workers there are already are older: they would only give it back.
        self._row.count(Counter.MOVED)
        self._hand_over.spare(connection, unread, since)

    def _leave_if_idle(self) -> None:
        # A worker that leaves says what keeps it; nobody knows this one for a worker until it is spent.
        if self.spent:
            super()._leave_if_idle()
        elif not (self._gate.inflight or self._connections or self._begin_another()):
            self._acceptor.pause()
            super()._leave_if_idle()

    def _begin_another(self) -> bool:
        """Somebody else waits, and may be answered here."""
        # Who has left is asked again in the same turn of the loop, and would take one whom he never answers.
        if self._end.done() or self._paused or time.monotonic() >= self._brief:
            return False
        match self._task.channel.peek():
            case (Parcel() as parcel, descriptors):
                self._task.channel.receive()
                self._wait()
                self._hand_over.take(parcel, descriptors)
            case _ if self._acceptor.waiting():
                self._acceptor.listen()
            case _:
                return False
        return True

    def _relieve(self, exchange: Exchange) -> Iterator[None]:
        if time.monotonic() >= self._over:
            self._spend()
            yield from super()._relieve(exchange)

    # ---- time is up ---------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """For a request, from now on."""
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self._loop.call_later(PATIENCE, self._hurry)

    def _hurry(self) -> None:
        if not (self._gate.inflight or self.spent):
            self._brief = 0.0
            for connection in list(self._connections):
                self._part_between(connection)
            self._leave_if_idle()

    def _be_late(self) -> None:
        if self._end.done():
            return  # both came in one turn of a loop that had no time before
        self._spend()
        super()._attend()
        self._loop.call_soon(self._obey)  # what was looked at is no news to the loop
        self.draining = False  # until now only for each connection
        self._retire("")

    def _spend(self) -> None:
        if not self.spent:
            self._tell_spent("")
            self.spent = True


def is_look(request: Request) -> bool:
    """It asks to see something, has announced no body, and wants no other protocol."""
    bodiless = request.variables.get("CONTENT_LENGTH", "0") in ("", "0")
    return request.method in ("GET", "HEAD") and bodiless and not request.upgrade
