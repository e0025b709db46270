"""How long fast requests wait on kept connections while every tenth request sleeps a second and a worker is idle.

Goal: at most 20 ms. The application writes down when each call began and ended, in its worker, on the clock that the
clients have, too. So it is known of each request in which stretches of its waiting a worker stood idle, and the longest
one is what counts: if everybody was busy there was nothing to be done. Start at run.
"""

import random
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import report
from tests.benchmarks.load import Pace
from tests.support.guests import FastCGIGuest, Guest, HTTPGuest
from tests.support.runner_process import Served, serve

CLIENTS = 16
PAUSE = 1.6
"""Mean seconds between two requests of a client: ten requests a second, so one of two workers is asleep mostly."""
SLOW = 0.1
"""How many of the requests sleep."""

_APPLICATION = '''
import os, time

LOG = os.open(os.environ["CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def main(environ, start_response):
    began = time.monotonic()
    if environ["PATH_INFO"] == "/slow":
        time.sleep(1)
    elif environ["PATH_INFO"] == "/spin":
        while time.monotonic() < began + 1:
            pass
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    os.write(LOG, b"%d %r %r %s\\n" % (os.getpid(), began, time.monotonic(), environ["QUERY_STRING"].encode()))
    return [b"ok"]
'''


class Call(NamedTuple):
    """One call, as its worker wrote it down."""

    pid: int
    began: float
    ended: float
    name: str


def run(directory: Path, pace: Pace) -> str:
    """Measure, and return the table. *directory* is empty and stays the caller's."""
    kinds: list[tuple[str, Callable[[Served, ExitStack], Guest], str]] = [
        ("HTTP, sleeping", HTTPGuest, "slow"), ("FastCGI, sleeping", FastCGIGuest, "slow"),
        ("FastCGI, computing", FastCGIGuest, "spin"),
    ]  # fmt: skip
    rows = []
    for number, (name, kind, slow) in enumerate(kinds):
        rows.append([name, *_figures(*_measured(directory / str(number), kind, slow, pace.rounds * pace.seconds))])
    return report.table(
        f"Fast requests on {CLIENTS} kept connections, 2 workers, {SLOW:.0%} of the calls take 1 s",
        ["", "fast requests", "waited over 5 ms", "ms while a worker was idle: median", "p99",
         "longest", "ms in all, longest"],
        rows,
    )  # fmt: skip


def idle_stretches(calls: list[Call]) -> list[tuple[float, float]]:
    """When a worker was in no call, of every worker, from the begin of the first call of all to the end of the last."""
    start, end = min(call.began for call in calls), max(call.ended for call in calls)
    free: list[tuple[float, float]] = []
    for pid in {call.pid for call in calls}:
        own = sorted((call.began, call.ended) for call in calls if call.pid == pid)
        edges = [(start, start), *own, (end, end)]
        free += [(before[1], after[0]) for before, after in pairwise(edges) if after[0] > before[1]]
    return free


def _measured(
    directory: Path, kind: Callable[[Served, ExitStack], Guest], slow: str, seconds: int
) -> tuple[dict[str, float], list[Call]]:
    """When each fast request was sent, and all calls."""
    directory.mkdir()
    log = directory / "calls"
    application = directory / "application"
    application.mkdir()
    (application / "app.py").write_text(_APPLICATION, encoding="ascii")
    sent: dict[str, float] = {}
    with serve(application, "app:main", "--workers", "2", "--slow", "0", env={"CALLS": str(log)}) as served:
        until = time.monotonic() + seconds
        threads = [
            threading.Thread(target=_ask, args=(kind, served, number, slow, until, sent)) for number in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    calls = []
    for line in log.read_text(encoding="ascii").splitlines():
        pid, began, ended, name = line.split()
        calls.append(Call(int(pid), float(began), float(ended), name))
    return sent, calls


def _ask(
    kind: Callable[[Served, ExitStack], Guest], served: Served, client: int, slow: str, until: float,
    sent: dict[str, float],
) -> None:  # fmt: skip
    dice = random.Random(client)
    count = 0
    with ExitStack() as stack:
        guest = kind(served, stack)
        while time.monotonic() < until:
            time.sleep(dice.expovariate(1 / PAUSE))
            name = f"{client}-{count}"
            count += 1
            if dice.random() < SLOW:
                guest.send(f"/{slow}?{name}")
            else:
                sent[name] = time.monotonic()
                guest.send(f"/fast?{name}")
            guest.text()


def _figures(sent: dict[str, float], calls: list[Call]) -> list[str]:
    idle = idle_stretches(calls)
    began = {call.name: call.began for call in calls}
    waits = [began[name] - when for name, when in sent.items()]
    needless = sorted(_longest(idle, when, began[name]) for name, when in sent.items())
    return [
        str(len(sent)), str(sum(wait > 0.005 for wait in waits)), f"{statistics.median(needless) * 1e3:.1f}",
        f"{needless[round(0.99 * (len(needless) - 1))] * 1e3:.1f}", f"{needless[-1] * 1e3:.1f}",
        f"{max(waits) * 1e3:.0f}",
    ]  # fmt: skip


def _longest(idle: list[tuple[float, float]], start: float, end: float) -> float:
    """The longest stretch between *start* and *end* in which the same worker was idle."""
    within = (min(end, stop) - max(start, begin) for begin, stop in idle if begin < end and stop > start)
    return max(within, default=0.0)
