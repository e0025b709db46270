"""Signals to a worker, heard between two calls.

Laws: a handler may run in the middle of anything, so it only notes and wakes the loop. Not loop.add_signal_handler:
that would be undone by an application that runs a loop of its own inside a call. signal(7).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable

HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)


class Signals:
    """*hear* is called on the loop's thread, once for each signal."""

    def __init__(self, loop: asyncio.AbstractEventLoop, hear: Callable[[signal.Signals], None]) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._noted: list[int] = []
        self._hear = hear
        loop.add_reader(self._receiver, self._wake)
        for number in HEARD:
            signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        self._noted.append(number)
        with contextlib.suppress(OSError):
            self._sender.send(b"\0")

    def _wake(self) -> None:
        self._receiver.recv(4096)
        while self._noted:
            self._hear(signal.Signals(self._noted.pop(0)))
