"""One accepted socket: read, feed, write, close without losing what was written.

Raw non-blocking calls under the loop's add_reader/add_writer rather than an asyncio transport: between two requests the
descriptor is at rest in our hands, nobody reads ahead of us, and it can be given to another process whole. A first read
is tried right after accept, because the web server has usually written by then: that saves a turn of the loop.

Laws: on the loop's thread only; no protocol and no application in here; every wait has a deadline, kept as a number
that one ticker of the worker looks at (a timer object for each step of each connection costs more than the step).
Start at Connection.open. FastCGI 1.0 section 3.5 and RFC 9112 section 9.6 say how to close.
"""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from runner.front.machine import NOBODY, Machine

READ_SIZE = HIGH_WATER = 65536
"""Bytes waiting in user space above which producers are asked to wait; the kernel holds about 200 KiB more."""
LOW_WATER = 16384
FLUSH = 30.0
"""Seconds in which a peer must read some of our last bytes before the connection ends or moves."""
LINGER = 2.0
"""Seconds of silence a peer may keep after our last byte; what it still sends is read and thrown away."""
LONGEST_LINGER = 30.0
"""Seconds after which a peer that goes on sending all the same is cut off."""

_READING = int(socket.MSG_DONTWAIT)
_SENDING = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
"""As plain numbers: `|` between the library's flags is a call of Python code, and this is said for each request."""


class _Phase(Enum):
    OPEN = auto()
    FLUSHING = auto()  # close was asked for; the last bytes are on their way
    LINGERING = auto()  # our side is shut; reading what is still in the pipe
    MOVING = auto()  # to be given away as soon as the last bytes have left
    CLOSED = auto()


class Connection:
    """See the module. The opener sets `machine` before `open`.

    place      the number of the listener it came through
    held       monotonic seconds since when its present request waits for a process that may answer it; 0.0: it does not
    deadline   monotonic seconds at which `machine.overdue` is called; 0.0 for never
    buffered   bytes written but not yet taken by the kernel
    heard      a first byte has arrived
    trouble    a write failed; nothing more will leave
    taken      bytes the kernel took of those that had to wait; it tells a slow peer from one that reads no more
    """

    __slots__ = (
        "_cut_off", "_fd", "_linger", "_loop", "_move", "_out", "_phase", "_reading", "_seen", "_waiting", "_writing",
        "buffered", "connections", "deadline", "heard", "held", "machine", "place", "sock", "taken", "trouble",
    )  # fmt: skip

    def __init__(
        self, sock: socket.socket, loop: asyncio.AbstractEventLoop, connections: set[Connection], place: int = 0
    ) -> None:
        self.sock = sock
        self.place = place
        self.held = 0.0
        self.machine: Machine
        self.connections = connections
        self.deadline = 0.0
        self.buffered = 0
        self.taken = 0
        self.heard = False
        self.trouble = False
        self._cut_off = 0.0
        self._fd = sock.fileno()
        self._loop = loop
        self._out: deque[memoryview] = deque()
        self._phase = _Phase.OPEN
        self._reading = False
        self._seen = 0
        self._writing = False
        self._waiting = False
        self._linger = False
        self._move: Callable[[socket.socket], None] | None = None

    def open(self) -> None:
        """Begin to read; the first bytes may be handled before this returns."""
        self.connections.add(self)
        self._readable()
        if self._phase is _Phase.OPEN:
            self.resume_reading()

    def go_on(self, unread: bytes, held: float) -> None:
        """Begin where another process left off: it had read *unread*; if *held*, that is a whole head."""

        def begin() -> None:
            if unread:
                self.held = held
                self.machine.received(unread)
                self.held = 0.0
            else:
                self.machine.rest()

        self.come_over(begin)

    def come_over(self, begin: Callable[[], None]) -> None:
        """The same where *begin* tells the machine what it has to know."""
        self.connections.add(self)
        self.heard = True
        begin()
        if self._phase is _Phase.OPEN:
            self.resume_reading()

    def give(self, move: Callable[[socket.socket], None]) -> None:
        """Read no more; call *move* with the socket once everything written has left, and forget the connection."""
        if self._phase is _Phase.OPEN:
            self.pause_reading()
            self._phase = _Phase.MOVING
            self._move = move
            if self._out:
                self._seen = self.taken
                self.deadline = time.monotonic() + FLUSH
            else:
                self._moved()

    def poll(self) -> None:
        """Read what has arrived, if reading is wanted."""
        if self._reading:
            self._readable()

    @property
    def closed(self) -> bool:
        """No byte can be sent any more."""
        return self._phase is not _Phase.OPEN

    def expect(self, seconds: float) -> None:
        """Something must happen within *seconds* from now, or `machine.overdue` is called; 0 is no bound."""
        self.deadline = time.monotonic() + seconds if seconds else 0.0

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back in the next turn of the loop."""
        self._loop.call_soon(callback)

    def pause_reading(self) -> None:
        """Leave further bytes in the kernel, whose full buffer holds the peer back."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        """Read again after `pause_reading`."""
        if not self._reading and self._phase is not _Phase.CLOSED:
            self._reading = True
            self._loop.add_reader(self._fd, self._readable)

    def write(self, data: bytes) -> bool:
        """Send *data* or keep it until the kernel takes it; False while more than HIGH_WATER is waiting."""
        if self._phase is not _Phase.OPEN or self.trouble or not data:
            return True
        if not self._out:
            try:
                taken = self.sock.send(data, _SENDING)
            except (BlockingIOError, InterruptedError):
                taken = 0
            except OSError:
                self.trouble = True
                # Not at once: the caller is in the middle of an answer and will look at the outcome itself.
                self._loop.call_soon(self.abort)
                return True
            if taken == len(data):
                return True
            self._start_writing()
            data = memoryview(data)[taken:]  # type: ignore[assignment]
        self._out.append(memoryview(data))
        self.buffered += len(data)
        if self.buffered > HIGH_WATER:
            self._waiting = True
            return False
        return True

    def flush(self, timeout: float) -> None:
        """Block until nearly everything has left; for a caller that keeps the loop from running.

        A peer that takes nothing for *timeout* seconds is given up: `trouble` is set.
        """
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        while self.buffered > LOW_WATER and self._phase is _Phase.OPEN and not self.trouble:
            if not poll.poll(timeout * 1000):
                self.trouble = True
                self._loop.call_soon(self.abort)
                return
            self._send_some()

    def broken(self, *, half: bool) -> bool:
        """Whether the peer is gone, as far as the kernel knows; *half*: it is, if only its own side is shut."""
        poll = select.poll()
        poll.register(self._fd, select.POLLRDHUP if half else 0)  # what cannot be asked for is told all the same: HUP
        return bool(poll.poll(0))

    def close(self, *, linger: bool) -> None:
        """Close once everything written has left.

        *linger*: the peer may not have finished sending. A close with unread bytes makes the kernel send a reset, which
        can overtake our last bytes and destroy them at the peer; so shut our side, read to the end, then close.
        """
        if self._phase is _Phase.OPEN:
            self._linger = linger
            self._phase = _Phase.FLUSHING
            if linger:
                # A peer that sends all before it reads must get rid of it, or neither of us gets on.
                self.resume_reading()
            if self._out:
                self._seen = self.taken
                self.deadline = time.monotonic() + FLUSH
            else:
                self._flushed()

    def abort(self) -> None:
        """Close now, whatever is still waiting."""
        if self._phase is not _Phase.CLOSED:
            machine = self._let_go()
            self.sock.close()
            machine.lost()

    def overdue(self) -> None:
        """The worker's ticker found the deadline passed."""
        self.deadline = 0.0
        if self._phase is _Phase.OPEN:
            self.machine.overdue()
        elif self._phase in (_Phase.FLUSHING, _Phase.MOVING) and self.taken != self._seen:
            # A large answer on a slow line: as long as it moves, it is not cut.
            self._seen = self.taken
            self.deadline = time.monotonic() + FLUSH
        else:
            self.abort()

    def _readable(self) -> None:
        try:
            data = self.sock.recv(READ_SIZE, _READING)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.abort()
            return
        if self._phase is _Phase.OPEN:
            if data:
                self.heard = True
                self.machine.received(data)
                # libuv, and so uvloop, tells once of a socket with an error and looks at it no more. Somebody sent half
                # a body and reset: the half was read, of the reset nobody heard, and his worker waited for the rest.
                told_again = isinstance(self._loop, asyncio.SelectorEventLoop)
                if self._reading and not told_again and self.broken(half=False):
                    self._loop.call_soon(self.poll)
            else:
                self.pause_reading()
                self.machine.ended()
        elif not data:
            self.pause_reading()
            if self._phase is _Phase.LINGERING:
                self.abort()
        elif self._phase is _Phase.LINGERING:
            self.deadline = min(time.monotonic() + LINGER, self._cut_off)

    def _writable(self) -> None:
        self._send_some()
        if self.trouble:
            self.abort()
        elif not self._out:
            self._stop_writing()
            if self._phase in (_Phase.FLUSHING, _Phase.MOVING):
                (self._flushed if self._phase is _Phase.FLUSHING else self._moved)()
                return
        if self._waiting and self.buffered <= LOW_WATER and self._phase is _Phase.OPEN:
            self._waiting = False
            self.machine.drained()

    def _send_some(self) -> None:
        try:
            while self._out:
                taken = self.sock.send(self._out[0], _SENDING)
                self.buffered -= taken
                self.taken += taken
                if taken < len(self._out[0]):
                    self._out[0] = self._out[0][taken:]
                    return
                self._out.popleft()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.trouble = True

    def _flushed(self) -> None:
        if not self._linger:
            self.abort()
            return
        self._phase = _Phase.LINGERING
        now = time.monotonic()
        self.deadline, self._cut_off = now + LINGER, now + LONGEST_LINGER
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.abort()
            return
        self.resume_reading()

    def _moved(self) -> None:
        self._let_go()
        if self._move is not None:
            self._move(self.sock)
        self.sock.close()

    def _let_go(self) -> Machine:
        """Out of the loop and out of the books; who spoke over it."""
        self.pause_reading()
        self._stop_writing()
        self._phase = _Phase.CLOSED
        self._out.clear()
        self.connections.discard(self)
        # They know each other: left so, each closed pair would wait for the garbage collector.
        machine, self.machine = self.machine, NOBODY
        return machine

    def _start_writing(self) -> None:
        if not self._writing:
            self._writing = True
            self._loop.add_writer(self._fd, self._writable)

    def _stop_writing(self) -> None:
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._fd)
