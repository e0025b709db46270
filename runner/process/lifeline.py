"""A pipe that tells the supervisor's end to processes that are not its children.

The kernel can end a process with its parent, but the parent of one that goes on from a checkpoint is an older
generation, which leaves. So the supervisor holds the writing end of a pipe, alone: it has no child that did not exec.
Whoever is bound to the reading end is sent a SIGKILL when the pipe is closed, whatever it is doing.

Laws: nothing is ever written. The order is given to an open file description, not to a descriptor, and those are shared
across fork: hence each process opens one of its own. fcntl(2), F_SETSIG; Linux.
Start at bind.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys

_F_SETSIG = 10


class Lifeline:
    """The supervisor's side. *descriptor*: the end to be inherited."""

    def __init__(self) -> None:
        self.descriptor, self._held = os.pipe()

    def cut(self) -> None:
        """Whoever is bound ends now."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def close(self) -> None:
        """Cut it, and leave nothing open."""
        self.cut()
        os.close(self.descriptor)


def works() -> bool:
    """This system can do it."""
    return sys.platform == "linux" and os.path.isdir("/proc/self/fd")


def bind(descriptor: int) -> int:
    """End with the supervisor, whose pipe is *descriptor*, until what is returned is closed."""
    bond = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.fcntl(bond, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(bond, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(bond, fcntl.F_SETFL, fcntl.fcntl(bond, fcntl.F_GETFL) | os.O_ASYNC)
    try:
        gone = os.read(bond, 1) == b""
    except BlockingIOError:
        gone = False
    if gone:
        # It was closed before we were bound to it.
        os._exit(0)
    return bond
