"""A listening socket without a name: only this process, those it forks, and who may debug them, can connect to it.

Bound to a path, whose inode is then held open (O_PATH) and its name removed: connect(2) follows /proc/self/fd/N to the
inode, and nobody else has that N. An abstract name would do without a file, but any user of the machine may connect to
one.

Law: Linux only; elsewhere `open_private` is None, and whoever wants the socket does without. Start at open_private.
unix(7); open(2), O_PATH; proc(5), /proc/[pid]/fd.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from typing import NamedTuple

BACKLOG = 1024


class Private(NamedTuple):
    """*listener*: accepts; *door*: the descriptor by which `connect` finds it."""

    listener: socket.socket
    door: int

    @property
    def address(self) -> str:
        """What connect(2) is given in this process."""
        return f"/proc/self/fd/{self.door}"


def open_private() -> Private | None:
    """Make one; None where there is no such thing, or no place for the moment that it has a name."""
    if not sys.platform.startswith("linux"):
        return None
    listener = socket.socket(socket.AF_UNIX)
    try:
        with tempfile.TemporaryDirectory(prefix="runner-") as directory:
            # By the directory's number: a name of more than 107 bytes cannot be bound, unix(7).
            place = os.open(directory, os.O_PATH | os.O_CLOEXEC)
            try:
                path = f"/proc/self/fd/{place}/socket"
                listener.bind(path)
                listener.listen(BACKLOG)
                # Whoever has the number may connect, whichever user it has become meanwhile, unix(7).
                os.chmod(path, 0o666)
                door = os.open(path, os.O_PATH | os.O_CLOEXEC)
            finally:
                os.close(place)
    except OSError:
        listener.close()
        return None
    listener.setblocking(False)
    return Private(listener, door)
