"""Who comes in, and when: after a restart all clients come back at once, and each of them asks for what it has missed.

So a process that has just begun to let clients in does so at RATE in a second, and the others wait in their handshake;
BEGINNING seconds later it lets in whoever comes, for then it is not a herd that comes but visitors.

Laws: nobody is refused; a socket that moves here from another process was let in there. Start at Entrance.enter.
"""

from __future__ import annotations

import asyncio

RATE = 80.0
"""Clients in a second, of each process."""
AT_ONCE = 10
"""Who comes when nobody waits is not kept waiting, if not more than so many do at once."""
BEGINNING = 30.0
"""Seconds from the first client on."""


class Entrance:
    """That of one process."""

    def __init__(self) -> None:
        self._opened: float | None = None
        self._next = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until the client that has come *now* (of any clock) may come in; the place in the queue is taken."""
        if self._opened is None:
            self._opened = now
        if now >= self._opened + BEGINNING:
            return 0.0
        self._next = max(self._next, now - AT_ONCE / RATE) + 1 / RATE
        return max(0.0, self._next - now)

    async def enter(self) -> None:
        """Wait until it is one's turn."""
        if seconds := self.wait(asyncio.get_running_loop().time()):
            await asyncio.sleep(seconds)
