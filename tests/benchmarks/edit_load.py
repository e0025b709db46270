"""Clients that keep asking, GET and POST in turn, while somebody edits what they ask.

Laws: an answer is stale if its request began after a save had returned and the code that answered is older than that.
A POST is sent once; the application writes down the number of each, so a repeated one is seen. Start at Crowd.
"""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.client import Reply
from tests.support.places import Address
from tests.support.visitor import Visitor

PAUSE = 0.01
"""Seconds between two requests of one client: the clients shall be many, not eat the processor that they measure."""
MOST_REDIRECTS = 10


@dataclass
class Seen:
    """What the clients noticed; versions count from 0, which was there at the start.

    answers      requests that were answered at all
    stale_gets   and stale_posts: see the module; a POST that a worker had read is its to finish
    failed       what was not a whole, right answer, in words
    redirects    the most that one client got for one edit
    first        by version: monotonic seconds at which its first answer was complete
    """

    answers: int = 0
    stale_gets: int = 0
    stale_posts: int = 0
    failed: list[str] = field(default_factory=list)
    redirects: int = 0
    first: dict[int, float] = field(default_factory=dict)


class Crowd:
    """*size* clients, asking from the beginning of the block to its end; `seen` is what they noticed."""

    def __init__(self, address: Address, size: int) -> None:
        self.seen = Seen()
        self._address = address
        self._saved = 0
        self._ended = False
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(size)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        for thread in self._threads:
            thread.join()

    def saved(self, version: int) -> None:
        """That version is on disk: its save has returned."""
        self._saved = version

    def wait_for(self, version: int, timeout: float) -> float:
        """Return the monotonic second at which that version answered first. Raises AssertionError if it does not."""
        with self._changed:
            answered = self._changed.wait_for(lambda: version in self.seen.first, timeout)
        assert answered, f"version {version} did not answer within {timeout:g} s; failed: {self.seen.failed[-3:]}"
        return self.seen.first[version]

    def _ask(self, client: int) -> None:
        count = 0
        redirects: dict[int, int] = {}   # by edit
        with Visitor(self._address, keep=True, most=MOST_REDIRECTS) as visitor:
            while not self._ended:
                method, body = ("GET", b"") if (client + count) % 2 else ("POST", b"x" * (count % 3000))
                before, followed = self._saved, visitor.redirects
                try:
                    reply = visitor.ask(f"/{client}?n={count}", method, body)
                except (OSError, AssertionError, ValueError, IndexError) as error:
                    self._fail(f"{method} of client {client}: {error!r}")
                else:
                    self._judge(reply, method, len(body), before)
                edit = self._saved
                redirects[edit] = redirects.get(edit, 0) + visitor.redirects - followed
                count += 1
                time.sleep(PAUSE)   # a pace, nothing is waited for
        with self._changed:
            self.seen.redirects = max(self.seen.redirects, *redirects.values())

    def _judge(self, reply: Reply, method: str, length: int, before: int) -> None:
        now = time.monotonic()
        words = reply.body.split()
        if reply.status != 200 or len(words) != 2 or int(words[1]) != length:
            self._fail(f"{method}: {reply.status} {reply.body[:80]!r}")
            return
        version = int(words[0])
        with self._changed:
            self.seen.answers += 1
            if version < before:
                self.seen.stale_gets += method == "GET"
                self.seen.stale_posts += method == "POST"
            if version not in self.seen.first:
                self.seen.first[version] = now
                self._changed.notify_all()

    def _fail(self, words: str) -> None:
        with self._changed:
            self.seen.failed.append(words)


def repeated(log: Path) -> int:
    """How many lines of *log*, one for each POST that the application was called for, are there twice."""
    lines = log.read_text(encoding="ascii").splitlines() if log.exists() else []
    return len(lines) - len(set(lines))
