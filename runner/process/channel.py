"""A way for messages between two processes, with descriptors alongside.

Law: end of file means that the process at the other end is gone, which the kernel says for it even after kill -9.
Start at pair. packets.py is how a message becomes a datagram of a socket.
"""

from __future__ import annotations

import contextlib
import os
import socket

from runner.errors import RunnerError
from runner.process import packets
from runner.process.messages import Message, parse, serialize

Received = tuple[Message, list[int]]
"""A message and the descriptors that came with it."""


class Channel:
    """One end of a pair of sockets between two processes; receiving never waits.

    *patience*: seconds that sending may wait while the other end has not read what it was sent before.

    kept    what was looked at and not yet received; no selector hears of it any more
    """

    def __init__(self, sock: socket.socket, patience: float = 5.0) -> None:
        self.sock = sock
        self.kept: Received | None = None
        self._patience = patience
        sock.setblocking(False)

    def fileno(self) -> int:
        """For selectors."""
        return self.sock.fileno()

    def send(self, message: Message, *descriptors: int) -> bool:
        """Send; False if the other end is gone, or has read nothing for so long that it might as well be."""
        return packets.send(self.sock, serialize(message), descriptors, self._patience)

    def laden(self) -> bool:
        """Half of what may lie unread at the other end lies there: what can wait should, to leave room for orders."""
        return packets.laden(self.sock)

    def peek(self) -> Received | None:
        """What `receive` will give; None also if the other end is gone, for that stays to be told."""
        with contextlib.suppress(EOFError):
            self.kept = self.receive()
        return self.kept

    def receive(self) -> Received | None:
        """The next message and its descriptors, None if there is none now. Raises EOFError: the other end is gone."""
        if self.kept is not None:
            kept, self.kept = self.kept, None
            return kept
        received = packets.receive(self.sock)
        if received is None:
            return None
        data, descriptors = received
        try:
            return parse(data), descriptors
        except RunnerError:
            for descriptor in descriptors:
                os.close(descriptor)
            raise

    def close(self) -> None:
        """Close this end; the other one reads end of file."""
        with contextlib.suppress(OSError):
            self.sock.close()


def pair() -> tuple[Channel, socket.socket]:
    """The supervisor's end, which waits for nobody, and the other one's to give away."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(ours, 0.0), theirs
