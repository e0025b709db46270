"""How long fast requests wait on kept connections while every tenth request sleeps a second and a worker is idle.

Goal: at most GOAL. The application writes down when each call began and ended, in its worker, on the clock that the
clients have, too. So it is known of each request for how long, all in all, any worker stood idle while it waited; that
is what counts, whichever worker it was and however often: only if everybody is busy there is nothing to be done.
Start at run.
"""

import math
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import report
from tests.benchmarks.load import Pace
from tests.support.guests import FastCGIGuest, Guest, HTTPGuest
from tests.support.runner_process import Served, serve
from tests.support.trouble import ready_pids, until

CLIENTS = 16
WORKERS = 2
PAUSE = 1.6
"""Mean seconds between two requests of a client: ten requests a second, so one of two workers is asleep mostly."""
SLOW = 0.1
"""How many of the requests sleep."""
GOAL = 0.020
"""Seconds."""

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
        f"Fast requests on {CLIENTS} kept connections, {WORKERS} workers, {SLOW:.0%} of the calls take 1 s",
        ["", "fast requests", "waited over 5 ms", "ms while a worker was idle: median", "p99",
         "longest", f"at most {GOAL * 1e3:.0f}", "ms in all, longest"],
        rows,
    )  # fmt: skip


def idle_stretches(calls: Sequence[Call], workers: int) -> list[tuple[float, float]]:
    """When any of so many workers was in no call: stretches apart from each other, the outer ones without an end."""
    edges = [(call.began, 1) for call in calls] + [(call.ended, -1) for call in calls]
    busy, last, since = 0, workers - 1, -math.inf
    free: list[tuple[float, float]] = []
    for moment, change in sorted(edges):   # of one moment, ends come first
        if (busy, change) == (last, 1) and moment > since:
            free.append((since, moment))
        busy += change
        if (busy, change) == (last, -1):
            since = moment
    return [*free, (since, math.inf)]


def needless(idle: Iterable[tuple[float, float]], start: float, end: float) -> float:
    """Seconds of the wait from *start* to *end* in which any worker was idle, all together."""
    return sum(max(0.0, min(end, stop) - max(start, begin)) for begin, stop in idle)


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
    with serve(application, "app:main", "--workers", str(WORKERS), "--slow", "0", env={"CALLS": str(log)}) as served:
        until("all accept", lambda: len(ready_pids(served)) == WORKERS)
        end = time.monotonic() + seconds
        threads = [
            threading.Thread(target=_ask, args=(kind, served, number, slow, end, sent)) for number in range(CLIENTS)
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
    kind: Callable[[Served, ExitStack], Guest], served: Served, client: int, slow: str, end: float,
    sent: dict[str, float],
) -> None:  # fmt: skip
    dice = random.Random(client)
    count = 0
    with ExitStack() as stack:
        guest = kind(served, stack)
        while time.monotonic() < end:
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
    idle = idle_stretches(calls, WORKERS)
    began = {call.name: call.began for call in calls}
    waits = [began[name] - when for name, when in sent.items()]
    idly = sorted(needless(idle, when, began[name]) for name, when in sent.items())
    return [
        str(len(sent)), str(sum(wait > 0.005 for wait in waits)), f"{statistics.median(idly) * 1e3:.1f}",
        f"{idly[round(0.99 * (len(idly) - 1))] * 1e3:.1f}", f"{idly[-1] * 1e3:.1f}", report.met(idly[-1] <= GOAL),
        f"{max(waits) * 1e3:.0f}",
    ]  # fmt: skip
