"""Signals as something to wait for, in order and without loss.

Laws: a handler runs in the middle of anything, so it only notes and wakes; what is meant is decided by whoever takes.
Opened before the first socket is bound, so that nothing is left behind however early the end is asked for.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from types import FrameType, TracebackType

HEARD = (
    signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN,
    signal.SIGTTOU, signal.SIGCHLD,
)  # fmt: skip
"""Those of a supervisor, which a terminal or a service manager may send to its whole group."""


class Signals:
    """A context manager; readable when there is something to take."""

    def __init__(self) -> None:
        self._noted: list[signal.Signals] = []
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)

    def __enter__(self) -> Signals:
        for number in HEARD:
            signal.signal(number, self._note)
        # Python's own handler comes too late for a process that is about to sleep in the kernel; this byte does not.
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(-1)
        self._receiver.close()
        self._sender.close()

    def fileno(self) -> int:
        """For selectors."""
        return self._receiver.fileno()

    def take(self) -> list[signal.Signals]:
        """Those that came since the last call; one that came twice before it was taken counts twice."""
        with contextlib.suppress(BlockingIOError):
            while self._receiver.recv(4096):
                pass
        noted, self._noted = self._noted, []
        return noted

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted.append(signal.Signals(number))
