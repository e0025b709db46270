"""What waits behind a call that does not come back, and who could take it.

    siblings   seen on the scoreboard, so that looking costs no system call
    parcels    connections that others gave to this worker while it was blocked: they are given again (inbox.py)
    waiting    connections at rest on which something has arrived: they are given away

Laws: on the watchdog's thread only, under its lock. No more is given at once than siblings are idle; who finds nobody
idle keeps what he has, because a connection that travels waits, too. The connection of the call itself is not touched.
Start at Relief.steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from select import POLLERR, POLLHUP, POLLIN, POLLNVAL, poll

from runner.front.connection import Connection
from runner.process.scoreboard import Counter, Moment, Scoreboard
from runner.request import Exchange

Give = Callable[[Connection, bytes], object]
"""A connection at rest, and the bytes that were read of its next request."""


class Siblings:
    """The workers in slots 0 to *slots* - 1, seen from process *pid* of *generation*; each can do *threads* calls."""

    def __init__(self, scoreboard: Scoreboard, slots: int, generation: int, pid: int, *, threads: int = 1) -> None:
        # With its own slot: while a worker retires its successor is there.
        self._rows = [scoreboard.row(slot) for slot in range(slots)]
        self._generation = generation
        self._pid = pid
        self._threads = threads

    def idle(self) -> int:
        """How many have no request, or fewer than they have threads; older code does not count, nor who leaves."""
        return sum(
            1 for row in self._rows
            if row.get(Counter.INFLIGHT) < self._threads
            and row.get(Counter.GENERATION) >= self._generation
            and row.get(Counter.PID) not in (0, self._pid)
            and not row.when(Moment.LEAVING)
        )  # fmt: skip


class Relief:
    """Its `steps` are what a watchdog does. *returns* gives parcels away again, one a step."""

    def __init__(
        self, connections: set[Connection], siblings: Siblings, give: Give, returns: Callable[[], Iterator[None]]
    ) -> None:
        self._connections = connections
        self._siblings = siblings
        self._give = give
        self._returns = returns

    def steps(self, exchange: Exchange) -> Iterator[None]:
        """Give away one thing a step, for one look of the watchdog."""
        if idle := self._siblings.idle():
            yield from islice(self._all(exchange), idle)

    def _all(self, exchange: Exchange) -> Iterator[None]:
        yield from self._returns()
        for connection, unread in waiting(self._connections, getattr(exchange, "connection", None)):
            self._give(connection, unread)
            yield


def crowded(free: int, siblings: Siblings) -> bool:
    """With `--threads`, of which *free* could begin a call: would a request wait here that would not wait elsewhere?

    There the loop turns all the time and no watchdog is needed: it is asked for each request when its head is complete.
    """
    return free <= 0 and siblings.idle() > 0


def waiting(connections: Iterable[Connection], own: Connection | None) -> list[tuple[Connection, bytes]]:
    """Those at rest for whom something has arrived, with what was read of it; *own* is left out.

    Who has sent the beginning of a request is about to send the rest, or has sent it and the loop has not got to it:
    an idle sibling is the better place in either case. Who has hung up waits for nothing.
    """
    found = []
    silent: dict[int, Connection] = {}
    look = poll()
    for connection in connections:
        if connection is own or connection.closed or connection.buffered:
            continue
        unread = connection.machine.unread()
        if unread:
            found.append((connection, unread))
        elif unread is not None:
            silent[connection.sock.fileno()] = connection
            look.register(connection.sock, POLLIN)
    gone = POLLHUP | POLLERR | POLLNVAL
    return found + [(silent[number], b"") for number, seen in look.poll(0) if not seen & gone]
