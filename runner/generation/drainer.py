"""The one reader of a generation's change queue, and its answers to the workers that ask.

A worker asks over its own socket when the queue is not empty or the word is raised; it may first tell what it imported
late. The answer is the word, once it is no longer BUSY.

The queue is read as soon as there is something in it, also if a save shall be noticed at the next request only: else
each request of an application that makes files beside its code would wait for its events to be read. What is then found
stale is left at BUSY, so that whoever comes next has to ask.

Laws: the word is raised to BUSY before the queue is read, which is what freshness/check.py relies on; Stale is told
to the supervisor once; nothing else of the process is known here. Start at Drainer.drain.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Callable

from runner.freshness.additions import Additions
from runner.freshness.notice import Notice, Word
from runner.freshness.waker import Waker
from runner.freshness.watch import State, Watch

LULL = 0.1
"""Seconds between two looks at names that come and go, as long as nobody asks."""


class Drainer:
    """*tell* is called once, when the verdict is stale.

    word   what the workers see, mapped before they are forked
    """

    def __init__(
        self, watch: Watch, selector: selectors.BaseSelector, tell: Callable[[tuple[str, ...]], None]
    ) -> None:
        self.word = Notice()
        self._again: float | None = None
        self._names_again: float | None = None
        self._names = False
        self._watch = watch
        self._selector = selector
        self._tell = tell
        self._waker = Waker(selector, self.drain)
        self._eager = False
        self._listening = False
        # Of each worker the question that is arriving: its number, and what it has told so far.
        self._asking: dict[socket.socket, bytearray] = {}
        self._waiting: list[tuple[socket.socket, bytes]] = []

    def open(self, *, eager: bool) -> None:
        """Begin to answer; *eager*: what is stale is told as soon as it is saved, else only when somebody asks."""
        self._eager = eager
        if self._watch.inotify is not None:
            self._selector.register(self._watch.inotify.descriptor, selectors.EVENT_READ, self.drain)
            self._listening = True
            self._watch.share(self.word.publish)
        elif eager:
            with contextlib.suppress(OSError):
                self._waker.open()
                self._waker.tell(self._watch.directories)

    def close(self) -> None:
        """In a child: let go of everything that belongs to the generation."""
        self._waker.close()
        if self._watch.names is not None:
            self._watch.names.close()
        for sock in self._asking:
            sock.close()

    def drain(self) -> None:
        """Read the queue, give the verdict, answer who waits for it."""
        # Once said, STALE stands: who met BUSY after it would believe that nobody had met the change before.
        if self.word[0] not in (Word.KEPT, Word.STALE):
            self._judge()
            self._attend_names()
        if self.word[0] != Word.BUSY:
            waiting, self._waiting = self._waiting, []
            for sock, number in waiting:
                with contextlib.suppress(OSError):
                    sock.send(number + self.word[:1])

    def _judge(self) -> None:
        self.word[0] = Word.BUSY
        verdict = self._watch.verdict()
        self._again = verdict.again
        if verdict.state is State.STALE:
            # Nothing in the queue can change it.
            self._stop_listening()
            if not self._eager and not self._waiting:
                return
            self._tell(verdict.paths)
        swept = verdict.state is State.FRESH and self._watch.swept
        self.word[0] = Word.SWEPT if swept else Word[verdict.state.name]

    def keep(self) -> None:
        """Go on although stale: the newer code is broken. What becomes of the files now is that generation's matter."""
        self.word[0] = Word.KEPT
        self._again = None
        self._stop_listening()

    @property
    def again(self) -> float | None:
        """Monotonic seconds at which `drain` wants to be called whatever happens; None: no wish."""
        return min((moment for moment in (self._again, self._names_again) if moment is not None), default=None)

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
        if told[:1] != data[1:2]:
            # A worker that loses patience in the middle of a question asks the next one, and never ends the last.
            told[:] = data[1:2]
        told += data[2:]
        if data[:1] == b"+":
            return
        if len(told) > 1:
            self._watch.adopt(Additions.from_json(told[1:].decode()))
            self._waker.tell(self._watch.directories)
        told.clear()
        self._waiting.append((sock, data[1:2]))
        self.drain()

    def _attend_names(self) -> None:
        """Wake up for a name, but not for each of those that follow at once: who asks will have them read."""
        if self._names_again is not None and time.monotonic() >= self._names_again:
            self._names_again = None
        if self._listening and self._watch.names is not None and not self._names and self._names_again is None:
            self._names = True
            self._selector.register(self._watch.names.inotify.descriptor, selectors.EVENT_READ, self._hear_name)

    def _hear_name(self) -> None:
        self._leave_names()
        self._names_again = time.monotonic() + LULL

    def _leave_names(self) -> None:
        if self._names and self._watch.names is not None:
            self._names = False
            self._selector.unregister(self._watch.names.inotify.descriptor)

    def _stop_listening(self) -> None:
        self._leave_names()
        self._names_again = None
        if self._listening and self._watch.inotify is not None:
            self._listening = False
            self._selector.unregister(self._watch.inotify.descriptor)
