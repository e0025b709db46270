"""How soon an edit answers, and what that costs: beside the reloaders of others, in one run.

Four clients ask in a closed loop over HTTP; another one asks every 5 ms from the moment at which a save has returned,
until it gets the new version. A request that began after that and is answered by an older version is stale; one that is
refused, reset, cut or not 200 has failed. Goals are those of the runner's own table. Start at run.
"""

import http.client
import statistics
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import report, shop
from tests.benchmarks.load import Pace
from tests.benchmarks.reloaders import OURS, PEERS, Reloader, gunicorn, ours
from tests.benchmarks.shop import Shop
from tests.support.census import processes
from tests.support.places import free_port
from tests.support.process import Live
from tests.support.runner_process import environment

OWN, MANY = 200, 2000
CLIENTS = 4
STEP = 0.005
EDITS, PEER_EDITS = 20, 5
PAUSE = 0.7
"""Seconds between an answer and the next edit: who edits reads the answer."""
PATIENCE = 60.0
COLUMNS = ("", "median", "longest", "goal", "met", "slowest request of a client", "stale", "failed")


class Edit(NamedTuple):
    """One edit: milliseconds to the first fresh answer, the clients' slowest request, stale and failed answers."""

    delay: float
    slowest: float
    stale: int
    failed: int


class UnseenError(Exception):
    """A save has led to nothing."""


class Crowd:
    """The clients, in threads of this process."""

    def __init__(self, port: int) -> None:
        self.slowest = 0.0
        self.failed = 0
        self._port = port
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """All leave."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._over.is_set():
            began = time.monotonic()
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
                _get(connection)
            except (OSError, http.client.HTTPException):
                self.failed += 1
                connection = None
                time.sleep(STEP)   # not to spin while nobody listens
            self.slowest = max(self.slowest, time.monotonic() - began)


class Site(NamedTuple):
    """A server that runs, and its visitors."""

    port: int
    live: Live
    crowd: Crowd


def run(directory: Path, pace: Pace) -> str:
    """Measure, and return the tables. *directory* is empty and stays the caller's."""
    # Five threads share this interpreter; else one of them would wait up to 5 ms for another one's answer to be read.
    sys.setswitchinterval(0.0002)
    few = shop.write(directory / "few", OWN)
    best, peers = _peers(few)
    own = _own(few, shop.write(directory / "many", MANY), best)
    return "\n".join([own, peers, _memory(few), _start(few)])


# ---- edits ----------------------------------------------------------------------------------------------------------

def _own(few: Shop, many: Shop, best: float) -> str:
    near, middle, early = few.modules[OWN * 19 // 20], few.modules[OWN // 2], few.modules[OWN // 20]
    with serving(OURS, few.directory) as site:
        time.sleep(3.0)   # what is learned from the first start is loaded now
        edits(few, site, [few.main])
        first = edits(few, site, few.modules[7::OWN // EDITS][:EDITS])
        rows = [_row("a module edited for the first time", first, 80.0, None)]
        for name, file in (("edited before, near the end", near), ("in the middle", middle), ("near the begin", early)):
            edits(few, site, [file])
            again = edits(few, site, [file] * EDITS)
            rows.append(_row(name, again, 20.0, 80.0, best))
        rows.append(_row("the main module", edits(few, site, [few.main] * EDITS), 150.0, None))
    with serving(OURS, many.directory) as site:
        file = many.modules[MANY - (OWN - OWN * 19 // 20)]
        time.sleep(3.0)
        edits(many, site, [many.main, file])
        rows.append(_row(f"{MANY:,} modules, near the end", edits(many, site, [file] * EDITS), None, None))
    title = f"From save to the first fresh answer, ms; {OWN} modules of its own, {CLIENTS} clients, 2 workers"
    return report.table(title, [*COLUMNS, "× the best peer"], rows)


def _peers(few: Shop) -> tuple[float, str]:
    rows, medians = [], []
    for peer in PEERS:
        if not peer.installed:
            print(f"not installed, left out: {peer.name}", file=sys.stderr)
            continue
        with serving(peer, few.directory) as site:
            try:
                found = edits(few, site, [few.modules[OWN // 2]] * PEER_EDITS)
            except UnseenError:
                rows.append([peer.name, f"never, in {PATIENCE:.0f} s", *[""] * (len(COLUMNS) - 1)])
                continue
        medians.append(statistics.median(each.delay for each in found))
        rows.append(_row(peer.name, found, None, None))
    return min(medians), report.table("The same of others, a module in the middle", [*COLUMNS, ""], rows)


def edits(few: Shop, site: Site, files: list[Path]) -> list[Edit]:
    """Save each of *files*, and see what comes of it."""
    found = []
    for file in files:
        crowd = site.crowd
        crowd.slowest, crowd.failed, stale, failed = 0.0, 0, 0, 0
        version, saved = few.save(file)
        while True:
            if time.monotonic() > saved + PATIENCE:
                raise UnseenError(f"{file.name} was never seen")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)
                text = _get(connection)
                connection.close()
            except (OSError, http.client.HTTPException):
                failed += 1
            else:
                if str(version) in text.split():
                    break
                stale += 1
            time.sleep(STEP)
        delay = time.monotonic() - saved
        time.sleep(PAUSE)   # the next one is of somebody who has read the answer
        found.append(Edit(delay * 1e3, crowd.slowest * 1e3, stale, failed + crowd.failed))
    return found


def _row(name: str, found: list[Edit], median: float | None, longest: float | None, best: float = 0.0) -> list[str]:
    delays = [each.delay for each in found]
    middle, most = statistics.median(delays), max(delays)
    goals = [f"≤ {goal:.0f}" for goal in (median, longest) if goal]
    met = (not median or middle <= median) and (not longest or most <= longest)
    return [
        name, f"{middle:.0f}", f"{most:.0f}", ", ".join(goals), report.met(met) if goals else "",
        f"{max(each.slowest for each in found):.0f}", str(sum(each.stale for each in found)),
        str(sum(each.failed for each in found)), f"{best / middle:.0f}" if best else "",
    ]  # fmt: skip


# ---- memory and start -----------------------------------------------------------------------------------------------

def _memory(few: Shop) -> str:
    rows = []
    kinds = [
        OURS, Reloader("runner --checkpoints 0", "runner", ours("--checkpoints", "0")),
        Reloader("gunicorn", "gunicorn", gunicorn()), Reloader("gunicorn --preload", "gunicorn", gunicorn("--preload")),
    ]  # fmt: skip
    sizes = []
    for kind in kinds:
        with serving(kind, few.directory, workers=4) as site:
            if kind is OURS:
                edits(few, site, [few.main, few.modules[OWN // 2], few.modules[OWN // 2]])
            time.sleep(2.0)   # all workers have answered, and what is done in the background is done
            sizes.append(_proportional(site.live.pid))
        rows.append([kind.name, f"{sizes[-1] / 2**20:.0f}"])
    rows = [[*row, f"{size / sizes[2]:.2f}"] for row, size in zip(rows, sizes, strict=True)]
    title = "Memory of all processes (proportional set size, MiB), 4 workers; goal of the first: 0.55"
    return report.table(title, ["", "MiB", "× gunicorn"], rows)


def _start(few: Shop) -> str:
    def bare() -> float:
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "import app"], cwd=few.directory, env=environment(), check=True)
        return time.monotonic() - began

    bare(), _served(few)
    pairs = [(bare(), _served(few)) for _ in range(5)]
    imported, answered = (statistics.median(each) * 1e3 for each in zip(*pairs, strict=True))
    rows = [[f"{imported:.0f}", f"{answered:.0f}", f"{answered / imported:.2f}", "≤ 1.2"]]
    columns = ["bare import, ms", "first answer, ms", "ratio", "goal"]
    table = report.table("A start, caches warm, to the first answer", columns, rows)
    return "\n".join([table, _library(few)])


def _served(few: Shop) -> float:
    """Seconds from the command to the first answer."""
    began = time.monotonic()
    with started(OURS, few.directory, 2):
        return time.monotonic() - began


def _library(few: Shop) -> str:
    with installed(few) as file:
        _served(few)
        start = statistics.median(_served(few) for _ in range(PEER_EDITS)) * 1e3
        with serving(OURS, few.directory) as site:
            time.sleep(3.0)   # what is learned from the first start is loaded now
            delay = statistics.median(each.delay for each in edits(few, site, [file] * PEER_EDITS))
    rows = [[f"{delay:.0f}", f"{start:.0f}", f"{delay / start:.2f}", "≤ 1"]]
    return report.table("An edit of a module in site-packages", ["ms", "a start", "ratio", "goal"], rows)


@contextmanager
def installed(few: Shop) -> Iterator[Path]:
    """A module beside those of others, which the application imports first, for as long as it is needed."""
    file, before = Path(sysconfig.get_path("purelib"), "runner_benchmark_library.py"), few.main.read_text()
    after = before.replace("import flask\n", f"import {file.stem}\nimport flask\n")
    try:
        file.write_text("VERSION = 0\n")
        few.main.write_text(after.replace("MODULES = [", f"MODULES = [{file.stem}, "))
        yield file
    finally:
        few.main.write_text(before)
        for each in (file, *(file.parent / "__pycache__").glob(f"{file.stem}.*")):
            each.unlink(missing_ok=True)


def _proportional(session: int) -> int:
    """Bytes; what several processes share counts for each by its part. proc(5), smaps_rollup."""
    total = 0
    for pid in processes(session):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) << 10
    return total


# ---- servers --------------------------------------------------------------------------------------------------------

@contextmanager
def serving(kind: Reloader, directory: Path, workers: int = 2) -> Iterator[Site]:
    """Start it, and have it visited; for a moment before anything is measured."""
    with started(kind, directory, workers) as (port, live):
        crowd = Crowd(port)
        try:
            time.sleep(2.0)   # what comes up in the background is up
            yield Site(port, live, crowd)
        finally:
            crowd.close()


@contextmanager
def started(kind: Reloader, directory: Path, workers: int) -> Iterator[tuple[int, Live]]:
    """Start it, and wait for its first answer."""
    port = free_port()
    with Live(kind.command(port, workers), cwd=directory, env=environment()) as live:
        deadline = time.monotonic() + PATIENCE
        while True:
            assert time.monotonic() < deadline, live.output
            try:
                _get(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE))
            except (OSError, http.client.HTTPException):
                time.sleep(STEP)
            else:
                break
        yield port, live


def _get(connection: http.client.HTTPConnection) -> str:
    connection.request("GET", "/")
    reply = connection.getresponse()
    text = reply.read().decode()
    if reply.status != 200:
        raise http.client.HTTPException(str(reply.status))
    return text
