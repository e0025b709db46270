"""The store in memory, for a thread that may block: one connection, one question at a time.

Law: a connection on which something was not said, or heard, to its end is never used again. Start at
MemorySyncStore.publish.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from itertools import count

from runner.channels.memory.door import check_door, connect, unanswered
from runner.channels.memory.wire import (
    Follow,
    Found,
    Heard,
    Lines,
    Lost,
    Publish,
    Published,
    Read,
    Said,
    Told,
    Unfollow,
    check_found,
    parse_told,
    serialize,
)
from runner.channels.message import Page, Position
from runner.channels.store import PATIENCE, Pause, SyncStore
from runner.errors import ChannelsUnavailable, ProtocolError

_READ = 1 << 18


class MemorySyncStore(SyncStore):
    """*door*: see memory/door.py. Raises ChannelsUnavailable if there is none."""

    def __init__(self, door: int) -> None:
        self._door = check_door(door)
        self._numbers = count(1)
        self._sock: socket.socket | None = None
        self._lines = Lines()
        self._told: deque[bytes] = deque()

    def publish(self, channel: str, text: str, id: str) -> Position:
        """See Store."""
        found = self._ask(Publish(next(self._numbers), channel, text, id))
        return Position(found.epoch, found.offset)

    def read(self, channel: str, after: Position | None, limit: int) -> Page:
        """See Store."""
        found = self._ask(Read(next(self._numbers), channel, "" if after is None else str(after), limit))
        return check_found(found).page(channel)

    def wait(self, channel: str, after: Position, timeout: float) -> None:
        """See SyncStore."""
        deadline = time.monotonic() + timeout
        try:
            self._say(Follow(channel, str(after)), time.monotonic() + PATIENCE)
            while (told := self._hear(deadline)) is not None:
                if isinstance(told, Heard | Lost) and told.channel == channel:
                    break
            # What is heard from now on until this has arrived is passed over by whoever waits for an answer.
            self._say(Unfollow(channel), time.monotonic() + PATIENCE)
        except (OSError, ProtocolError) as error:
            self.close()
            raise ChannelsUnavailable("the channels' process has ended; what came meanwhile can be read") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """See SyncStore."""
        if self._sock is not None:
            self._sock.close()
            self._sock, self._lines, self._told = None, Lines(), deque()

    def _ask(self, question: Publish | Read) -> Published | Found:
        """As often as need be, until there is an answer."""
        deadline, pause = time.monotonic() + PATIENCE, Pause()
        while True:
            try:
                self._say(question, deadline)
                while (told := self._hear(deadline)) is not None:
                    if isinstance(told, Published | Found) and told.number == question.number:
                        return told
                self.close()
            except (OSError, ProtocolError):
                self.close()
            except BaseException:
                # A signal's handler, or a worker that is told to leave, amid a line.
                self.close()
                raise
            rest = deadline - time.monotonic()
            if rest <= 0:
                raise unanswered()
            time.sleep(min(rest, pause.next()))

    def _say(self, message: Said, deadline: float) -> None:
        """Raises OSError."""
        if self._sock is None:
            self._sock = connect(self._door)
        line = memoryview(serialize(message))
        while line:
            try:
                line = line[self._sock.send(line) :]
            except BlockingIOError:
                # The hub reads nothing of somebody who does not read.
                if not self._wait(select.POLLIN | select.POLLOUT, deadline):
                    raise TimeoutError from None
                self._read()

    def _hear(self, deadline: float) -> Told | None:
        """The next thing that is told; None if nothing is until then. Raises OSError, ProtocolError."""
        while not self._told:
            if not self._read() and not self._wait(select.POLLIN, deadline):
                return None
        return parse_told(self._told.popleft())

    def _read(self) -> bool:
        """False if there is nothing now. Raises OSError, ProtocolError."""
        assert self._sock is not None
        try:
            data = self._sock.recv(_READ)
        except BlockingIOError:
            return False
        if not data:
            raise ConnectionResetError
        self._told.extend(self._lines.feed(data))
        return True

    def _wait(self, events: int, deadline: float) -> bool:
        """Until the socket is ready; False if it is not before the deadline."""
        poll = select.poll()
        assert self._sock is not None
        poll.register(self._sock, events)
        return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
