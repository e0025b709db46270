"""When a worker takes a connection out of the kernel's queue, and when it leaves it there.

The queue is shared by all workers of all generations, so a connection that is left in it is not lost: a sibling that is
idle takes it now, or the next generation when it is there. Hence one connection at a time, and only when a call could
begin at once: who takes more makes others wait behind a slow call while his siblings sleep.

Laws: looks before it takes; never spins on a queue it may not touch; on the loop's thread only.
Start at Acceptor._accept.
"""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from runner.front.connection import Connection
from runner.log import Log

SILENT = 0.001
"""Seconds a connection that was just accepted may say nothing before another one is accepted beside it."""
STARVED = 0.1
"""Seconds to look away when there is no descriptor left; the queue stays readable, so looking on would be a spin."""

Front = Callable[[Connection], Any]
Listening = tuple[socket.socket, Front, frozenset[str]]
"""A bound socket, what speaks there, and the only addresses that may (none: anybody)."""


class Acceptor:
    """*welcome* is asked before each accept; *opened* is told of each connection before its first byte is read.

    connections  all that are open
    """

    def __init__(
        self,
        listeners: list[Listening],
        log: Log,
        welcome: Callable[[], bool],
        opened: Callable[[], None],
    ) -> None:
        self.connections: set[Connection] = set()
        self._listeners = listeners
        self._log = log
        self._welcome = welcome
        self._opened = opened
        self._loop = asyncio.get_running_loop()
        self._listening = False
        self._starved: asyncio.TimerHandle | None = None
        self._newest: Connection | None = None
        self._accepted = 0.0

    def listen(self) -> None:
        """Look at the queues."""
        if not self._listening:
            self._listening = True
            for place, listening in enumerate(self._listeners):
                self._loop.add_reader(listening[0], self._accept, place, *listening)

    def pause(self) -> None:
        """Look away until `listen`."""
        if self._starved is not None:
            self._starved.cancel()
        if self._listening:
            self._listening = False
            for sock, _, _ in self._listeners:
                self._loop.remove_reader(sock)

    def waiting(self) -> bool:
        """Somebody is in a queue."""
        queues = select.poll()
        for sock, _, _ in self._listeners:
            queues.register(sock, select.POLLIN)
        return bool(queues.poll(0))

    def close(self) -> None:
        """After `pause`: nothing will be accepted any more."""
        for sock, _, _ in self._listeners:
            sock.close()

    def adopt(self, sock: socket.socket, place: int) -> Connection:
        """A connection that another process has accepted at the listener of number *place*."""
        connection = Connection(sock, self._loop, self.connections, place)
        connection.machine = self._listeners[place][1](connection)
        self._opened()
        return connection

    def _accept(self, place: int, sock: socket.socket, _: Front, peers: frozenset[str]) -> None:
        newest = self._newest
        silent = newest is not None and not newest.heard and not newest.closed
        if (silent and time.monotonic() - self._accepted < SILENT) or not self._welcome():
            return
        try:
            accepted, address = sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            remedy = "raise the limit of open files (ulimit -n)"
            self._log.once_a_minute("accept", f"cannot accept: {error.strerror}; {remedy}")
            self.pause()
            self._starved = self._loop.call_later(STARVED, self.listen)
            return
        if peers and address[0].removeprefix("::ffff:") not in peers:
            self._log.once_a_minute(f"peer {address[0]}", f"{address[0]} is not in FCGI_WEB_SERVER_ADDRS: not served")
            accepted.close()
            return
        connection = self.adopt(accepted, place)
        self._newest, self._accepted = connection, time.monotonic()
        connection.open()
