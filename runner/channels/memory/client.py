"""One client of the hub: what was read of it and is not answered, what waits to be sent, what it follows.

Nobody is queued for. Who does not read as fast as others publish has FULL bytes before him, and from then on only
places: of each channel, where he is. When he has read, he gets what came since from the ledger; if that has moved on,
he is told (wire.Lost). Nor is anything read of him meanwhile, so who only asks and never listens asks himself silent.

Law: one socket, and nothing of the ledger. Start at Client.receive.
"""

from __future__ import annotations

import socket
from collections import deque

from runner.channels.memory.wire import Lines, Told, serialize
from runner.channels.message import Position

FULL = 1 << 20
"""Bytes that wait to be sent, after which no more are added; one answer may go beyond."""
_READ = 1 << 16
"""Bytes that are read at once; the turn of others comes after them."""


class Client:
    """*sock* must not block.

    behind  where it is in those channels that it follows and has not got all of
    live    the others
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.behind: dict[str, Position] = {}
        self.live: set[str] = set()
        self.events = 0  # for which of selectors' a hub waits
        self._lines = Lines()
        self._asked: deque[bytes] = deque()
        self._unsent = bytearray()

    def full(self) -> bool:
        """No more is to be added."""
        return len(self._unsent) >= FULL

    def unsent(self) -> bool:
        """Something waits to be sent."""
        return bool(self._unsent)

    def unserved(self) -> bool:
        """There is something to answer, or to add."""
        return bool(self._asked or self.behind)

    def receive(self) -> bool:
        """Read once; False if it is gone. Raises ProtocolError."""
        try:
            data = self.sock.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        self._asked.extend(self._lines.feed(data))
        return bool(data)

    def next_line(self) -> bytes | None:
        """The next one to answer, if there is one and the answer would not be too much."""
        return self._asked.popleft() if self._asked and not self.full() else None

    def add(self, line: bytes) -> None:
        """To be sent, sometime."""
        self._unsent += line

    def tell(self, message: Told) -> None:
        """The same."""
        self._unsent += serialize(message)

    def send(self) -> bool:
        """As much as goes now; False if it is gone."""
        try:
            while self._unsent:
                del self._unsent[: self.sock.send(self._unsent)]
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        return True
