"""Pairs: a save returns, then a request begins; its answer must not be older than the save.

A pair is counted for each request whose first byte (on a new connection: whose connect) came after the return of a
save, at once or up to LATE seconds later. Each save is followed by requests by HTTP and by FastCGI, over new and over
kept connections, all at once, so that each of a few workers gets some; half of the saves come while the reload of
another is under way, and the requests that wait for that one are judged by it. Saves keep the size and, often, the
second, and are made in place or by renaming. Redirects are followed, and belong to the pair.

Laws: a request is sent once for each redirect; a connection that was to be kept and had to be opened again, for
whatever reason, is counted (`reopened`). Start at run.
"""

import random
import re
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from tests.support.client import FastCGI, parameters
from tests.support.places import Address
from tests.support.project import edit, replace
from tests.support.runner_process import Served
from tests.support.visitor import Visitor

LATE = 0.005
MOST = 1
"""Redirects that one save may cost a client."""
AT_ONCE = 2
"""Saves that one pair may see: its own, and the one made while it waits."""
APP = """
import os
import module

def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %d" % (module.VALUE, os.getpid())]
"""


def source(version: int) -> str:
    """module.py with that version, always of the same size."""
    return f"VALUE = {version + 10_000_000}\n"


FILES = {"app.py": APP, "module.py": source(0)}


@dataclass
class Outcome:
    """What came of it. *old* and *failed* tell each case."""

    pairs: int = 0
    old: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    redirects: int = 0
    reopened: int = 0
    workers: set[int] = field(default_factory=set)


class Seen(NamedTuple):
    """One answer: of which version and process, after how many redirects; *newest*: what was saved when it came."""

    version: int
    pid: int
    redirects: int
    newest: int


class Asker(Protocol):
    """A client by one of the ways; *keep*: on one connection as long as it lasts. `with` ends it.

    *redirects* and *opened* (connections) are those of all its requests.
    """

    redirects: int
    opened: int
    keep: bool

    def text(self, target: str) -> str:
        """The body of the answer, redirects followed."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ByHTTP(Visitor):
    """Over HTTP."""

    def __init__(self, address: Address, *, keep: bool) -> None:
        super().__init__(address, keep=keep, most=MOST * AT_ONCE)
        self.keep = keep

    def text(self, target: str) -> str:
        """See Asker."""
        reply = self.ask(target)
        assert reply.status == 200, reply
        return reply.text


class ByFastCGI:
    """Over FastCGI, as a web server does it that leaves following redirects to its client."""

    def __init__(self, address: Address, *, keep: bool) -> None:
        self.redirects = 0
        self.opened = 0
        self.keep = keep
        self._address = address
        self._connection: FastCGI | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def text(self, target: str) -> str:
        """See Asker."""
        for _ in range(MOST * AT_ONCE + 1):
            head, body = self._once(target)
            status = re.match(r"Status: (\d+)", head)
            if status is None or status[1] != "307":
                assert status is None or status[1] == "200", head
                return body
            self.redirects += 1
        raise AssertionError(f"{target} was redirected more than {MOST * AT_ONCE} times")

    def _once(self, target: str) -> tuple[str, str]:
        if self._connection is None:
            self._connection = FastCGI(self._address)
            self.opened += 1
        try:
            answer = self._connection.request(parameters(target), keep=self.keep)
        except BaseException:
            self._leave()
            raise
        if not self.keep:
            self._leave()
        head, _, body = answer.stdout.decode("latin-1").partition("\r\n\r\n")
        return head, body

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.socket.close()
            self._connection = None


def askers(served: Served) -> list[Asker]:
    """One by each of the four ways."""
    return [
        ByHTTP(served.http, keep=False), ByFastCGI(served.fastcgi, keep=False),
        ByHTTP(served.http, keep=True), ByFastCGI(served.fastcgi, keep=True),
    ]  # fmt: skip


def run(served: Served, file: Path, pairs: int, seed: int) -> Outcome:
    """Make at least so many pairs with *served*, whose module to save is *file*."""
    outcome, chance, version = Outcome(), random.Random(seed), 0

    def save() -> int:
        nonlocal version
        version += 1
        (replace if chance.random() < 0.5 else edit)(file, source(version))
        return version

    def pair(client: Asker, late: float) -> Seen:
        time.sleep(late)
        before = client.redirects
        value, pid = client.text("/").split()
        return Seen(int(value) - 10_000_000, int(pid), client.redirects - before, version)

    with ExitStack() as stack:
        first, second = ([stack.enter_context(each) for each in askers(served)] for _ in range(2))
        pool = stack.enter_context(ThreadPoolExecutor(len(first) + len(second)))

        def ask(clients: list[Asker]) -> list[tuple[int, Future[Seen]]]:
            floor = save()
            late = [chance.choice((0.0, chance.uniform(0.0, LATE))) for _ in clients]
            return [(floor, pool.submit(pair, *each)) for each in zip(clients, late, strict=True)]

        while outcome.pairs < pairs:
            begun = ask(first if chance.random() < 0.5 else [*first, *second])
            if len(begun) == len(first):
                # Not a wait for something: a random moment of the reload is what is tried.
                time.sleep(chance.uniform(0.0, 0.3))
                begun += ask(second)
            for floor, future in begun:
                _judge(outcome, floor, future)
        outcome.reopened = sum(client.opened - 1 for client in [*first, *second] if client.keep and client.opened)
    return outcome


def _judge(outcome: Outcome, floor: int, future: Future[Seen]) -> None:
    outcome.pairs += 1
    try:
        seen = future.result()
    except (AssertionError, OSError, ValueError) as error:
        outcome.failed.append(f"after save {floor}: {error!r}")
        return
    outcome.redirects += seen.redirects
    outcome.workers.add(seen.pid)
    if seen.redirects > MOST * (seen.newest - floor + 1):
        outcome.failed.append(f"after save {floor}: {seen.redirects} redirects, and the newest save was {seen.newest}")
    if seen.version < floor:
        outcome.old.append(f"after save {floor}: version {seen.version} of process {seen.pid}")
