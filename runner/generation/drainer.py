"""The one reader of a generation's change queue, and its answers to the workers that ask.

A worker asks over its own socket when the queue is not empty or the word is raised; it may first tell what it imported
late. The answer is the word, once it is no longer BUSY.

Laws: the word is raised to BUSY before the queue is read, which is what freshness/check.py relies on; Stale is told
to the supervisor once; nothing else of the process is known here. Start at Drainer.drain.
"""

from __future__ import annotations

import contextlib
import mmap
import selectors
import socket
import time
from collections.abc import Callable

from runner.freshness.check import Word
from runner.freshness.inputs import Additions
from runner.freshness.waker import Waker
from runner.freshness.watch import State, Watch


class Drainer:
    """*tell* is called once, when the verdict is stale.

    word   the shared byte, mapped before workers fork
    again  monotonic seconds at which `drain` wants to be called whatever happens; None: no wish
    """

    def __init__(
        self, watch: Watch, selector: selectors.BaseSelector, tell: Callable[[tuple[str, ...]], None]
    ) -> None:
        self.word = mmap.mmap(-1, mmap.PAGESIZE)
        self.again: float | None = None
        self._watch = watch
        self._selector = selector
        self._tell = tell
        self._told = False
        self._waker = Waker(selector, self.drain)
        self._looking = False
        self._asking: dict[socket.socket, bytearray] = {}
        self._waiting: list[tuple[socket.socket, bytes]] = []

    def open(self, *, eager: bool) -> None:
        """Begin to answer; *eager*: look as soon as something happens, else only when asked."""
        self._looking = eager
        if eager and self._watch.inotify is not None:
            self._selector.register(self._watch.inotify.descriptor, selectors.EVENT_READ, self.drain)
        elif eager:
            with contextlib.suppress(OSError):
                self._waker.open()
                self._waker.tell(self._watch.directories)

    def close(self) -> None:
        """In a child: let go of everything that belongs to the generation."""
        self._waker.close()
        for sock in self._asking:
            sock.close()

    def drain(self) -> None:
        """Read the queue, give the verdict, answer who waits for it."""
        if self.word[0] != Word.KEPT:
            self.word[0] = Word.BUSY
            verdict = self._watch.verdict()
            self.again = verdict.again
            self.word[0] = Word[verdict.state.name]
            if verdict.state is State.STALE:
                self._finish(verdict.paths)
        if self.word[0] != Word.BUSY:
            waiting, self._waiting = self._waiting, []
            for sock, number in waiting:
                with contextlib.suppress(OSError):
                    sock.send(number + self.word[:1])

    def keep(self) -> None:
        """Go on although stale: the newer code is broken."""
        self.word[0] = Word.KEPT

    def overdue(self) -> bool:
        """`again` has come."""
        return self.again is not None and time.monotonic() >= self.again

    def add_worker(self, sock: socket.socket) -> None:
        """A worker may ask through *sock* from now on."""
        sock.setblocking(False)
        self._asking[sock] = bytearray()
        self._selector.register(sock, selectors.EVENT_READ, lambda: self._hear(sock))

    def _hear(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(1 << 17)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(sock)
            del self._asking[sock]
            sock.close()
            return
        told = self._asking[sock]
        told += data[2:]
        if data[:1] == b"+":
            return
        if told:
            self._watch.adopt(Additions.from_json(told.decode()))
            self._waker.tell(self._watch.directories)
            told.clear()
        self._waiting.append((sock, data[1:2]))
        self.drain()

    def _finish(self, paths: tuple[str, ...]) -> None:
        """Stale is final: nothing in the queue can change it, so stop looking."""
        self.again = None
        if not self._told:
            self._told = True
            self._tell(paths)
            if self._looking and self._watch.inotify is not None:
                self._selector.unregister(self._watch.inotify.descriptor)
