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
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

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


def visitors(served: Served) -> list[Visitor]:
    """One by each of the four ways."""
    return [
        Visitor(address, keep=keep, most=MOST * AT_ONCE, fastcgi=address is served.fastcgi)
        for keep in (False, True) for address in (served.http, served.fastcgi)
    ]  # fmt: skip


def run(served: Served, file: Path, pairs: int, seed: int) -> Outcome:
    """Make at least so many pairs with *served*, whose module to save is *file*."""
    outcome, chance, version = Outcome(), random.Random(seed), 0

    def save() -> int:
        nonlocal version
        version += 1
        (replace if chance.random() < 0.5 else edit)(file, source(version))
        return version

    def pair(client: Visitor, late: float) -> Seen:
        time.sleep(late)
        before = client.redirects
        reply = client.ask("/")
        assert reply.status == 200, reply
        value, pid = reply.text.split()
        return Seen(int(value) - 10_000_000, int(pid), client.redirects - before, version)

    with ExitStack() as stack:
        first, second = ([stack.enter_context(each) for each in visitors(served)] for _ in range(2))
        pool = stack.enter_context(ThreadPoolExecutor(len(first) + len(second)))

        def ask(clients: list[Visitor]) -> list[tuple[int, Future[Seen]]]:
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
