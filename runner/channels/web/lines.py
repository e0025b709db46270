"""The channels that one client listens to, over one connection: what comes next, of whichever.

A client has no queue here, only a place in each channel (reader.Cursor). Who has something to say is taken in turn, a
page at a time, so that no busy channel keeps a quiet one waiting; a client that reads slowly takes later, and more.

Laws: everything that waits for the store waits in `take`, so that a connection answers while the store is away. A
line's position is that of the last message handed on, which is where it goes on elsewhere. Start at Lines.take, then
words.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

from runner.channels.message import Message, Position, Resync
from runner.channels.reader import Cursor, Reader
from runner.channels.web.talk import resync, subscribed, told


class Line:
    """One channel. *position*: after the last message that was handed on; None: from whenever it is joined on.

    gone    nobody wants it any more
    joined  the client knows that it listens
    n       see talk.Subscribe
    """

    __slots__ = ("_stir", "channel", "cursor", "gone", "joined", "n", "position", "waits")

    def __init__(
        self, channel: str, position: Position | None, n: int | None, stir: Callable[[Line], None], *, joined: bool
    ) -> None:
        self.channel, self.position, self.n = channel, position, n
        self.joined = joined
        self.gone = self.waits = False
        self.cursor: Cursor | None = None
        self._stir = stir

    def stir(self) -> None:
        """There may be something to take."""
        self._stir(self)

    def close(self) -> None:
        """It is not listened to any more."""
        self.gone = True
        if self.cursor is not None:
            self.cursor.close()


Taken = tuple[Line, list[Message] | Resync | None]
"""A line, and what came: None: it was joined, right now, at its position."""


def words(line: Line, found: list[Message] | Resync | None) -> Iterator[str]:
    """What the client is told of it, one after another; its position is moved on just before each."""
    if found is None:
        assert line.position is not None
        yield subscribed(line.channel, line.position, line.n)
    elif isinstance(found, Resync):
        line.position = found.position
        yield resync(found)
    else:
        for message in found:
            if line.gone:
                return
            line.position = message.position
            yield told(message)


class Lines:
    """All of one client. *reader*: that of the loop."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._lines: dict[str, Line] = {}
        self._ready: deque[Line] = deque()
        self._stirred = asyncio.Event()

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, channel: str) -> bool:
        return channel in self._lines

    @property
    def all(self) -> list[Line]:
        """In the order in which they were added."""
        return list(self._lines.values())

    def add(self, channel: str, after: Position | None, n: int | None = None, *, joined: bool = False) -> Line:
        """Listen to *channel* from *after* on; instead of what was before, if it is listened to.

        *joined*: the client listens already, and this is only another process.
        """
        self.remove(channel)
        line = self._lines[channel] = Line(channel, after, n, self._stir, joined=joined)
        self._stir(line)
        return line

    def remove(self, channel: str) -> None:
        """Listen to it no more; harmless for one that is not listened to."""
        line = self._lines.pop(channel, None)
        if line is not None:
            line.close()

    async def take(self) -> Taken:
        """What comes next; waits for it. May be cancelled, and called again: nothing is lost."""
        while True:
            while self._ready:
                line = self._ready.popleft()
                line.waits = False
                try:
                    found = None if line.gone else await self._look(line)
                except BaseException:
                    line.stir()
                    raise
                if found is not None and not line.gone:
                    if found[1] is None or line.cursor is None or line.cursor.behind:
                        line.stir()
                    return found
            self._stirred.clear()
            await self._stirred.wait()

    def close(self) -> None:
        """Listen to nothing any more."""
        for line in self._lines.values():
            line.close()
        self._lines.clear()

    async def _look(self, line: Line) -> Taken | None:
        if line.cursor is None:
            line.cursor = await self._reader.join(line.channel, line.position, line.stir)
            line.position = line.cursor.position
            if line.gone:
                line.cursor.close()
                return None
            if not line.joined:
                line.joined = True
                return line, None
        found = await line.cursor.take()
        return (line, found) if found else None

    def _stir(self, line: Line) -> None:
        if not line.waits and not line.gone:
            line.waits = True
            self._ready.append(line)
            self._stirred.set()
