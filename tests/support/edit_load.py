"""The first two promises under load: whoever asks while somebody saves gets a whole answer, once, by the code as saved.

    python -m tests.support.edit_load --mode hold --seconds 60
    python -m tests.support.edit_load --mode redirect --seconds 10 --connections 60 --routes http,nginx-fastcgi

One runner, all routes to it at once, a crowd of visitors on them (crowd.py), saves in between; verdict.py says what a
fault is. It ends with 1 if there was any. Start at run, for this command's rhythm of saves, or at load, for one's own.
"""

import argparse
import itertools
import json
import math
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from runner.errors import UsageError
from tests.support import apache, nginx
from tests.support.crowd import Plan, Route
from tests.support.crowd_process import CrowdProcess
from tests.support.probe_process import Probe, serve_probe
from tests.support.runner_process import Served
from tests.support.sites import Direct, Site, open_site, title
from tests.support.verdict import KINDS, Fault, Mode, Outcome, Record, Save, judge

ROUTES: dict[str, Site] = {
    "http": Direct(),
    "nginx-fastcgi": nginx.Site(),
    "nginx-http": nginx.Site(protocol="http"),
    "apache-fastcgi": apache.Site(keep_connections=True),
}
"""The ways that keep connections to the runner."""
PATIENCE = 35.0
"""More than the runner lets a request wait for newer code."""
LONGEST = 10
SHOWN = 25


@dataclass(frozen=True)
class Load:
    """How many on which routes, for how long, with how many saves a second.

    *target*: app:main is WSGI, app:live ASGI. *rate* is the requests a second that all together want to make. It goes
    on beyond *seconds* until it were *least*, but not for more than LONGEST times as long.
    """

    mode: Mode = "redirect"
    target: str = "app:main"
    routes: tuple[str, ...] = tuple(ROUTES)
    connections: int = 200
    seconds: float = 60.0
    saves: float = 5.0
    rate: float = 500.0
    least: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Report:
    """How it went: *last* is the seconds that the last save took to be seen, *status* the runner's at the end."""

    outcome: Outcome
    records: list[Record]
    last: float
    status: dict[str, Any]


class Editor:
    """Saves one version after the other, in place and by renaming in turn, and notes when."""

    def __init__(self, save: Callable[[int, bool], None], first: int) -> None:
        """*save*(version, by_renaming) returns when the save is complete."""
        self.saves: list[Save] = []
        self._save = save
        self._versions = itertools.count(first)

    def save(self) -> Save:
        """The next version."""
        version = next(self._versions)
        began = time.monotonic()
        self._save(version, version % 2 == 1)
        self.saves.append(Save(version, began, time.monotonic()))
        return self.saves[-1]


def editor_of(probe: Probe, first: int) -> Editor:
    """One who edits the probe."""
    return Editor(lambda version, by_renaming: probe.save(version, by_renaming=by_renaming), first)


def route(served: Served, name: str, site: Site, stack: ExitStack) -> Route:
    """The way *site* to the runner, open as long as *stack*."""
    host, port = stack.enter_context(open_site(served, site))
    if isinstance(site, Direct):
        return Route(name, host, port, proxied=False, keeps=True)
    return Route(name, host, port, proxied=True, keeps=site.keep_connections)


def steadily(editor: Editor, load: Load, crowd: CrowdProcess) -> None:
    """Save so many times a second, none waiting for another's effect."""
    begin, now = time.monotonic(), 0.0
    while now < load.seconds or (crowd.requests < load.least and now < LONGEST * load.seconds):
        editor.save()
        # Not a wait for something: it is the rhythm that is tried.
        time.sleep(max(0.0, begin + len(editor.saves) / load.saves - time.monotonic()))
        now = time.monotonic() - begin


def run(load: Load) -> Report:
    """Serve the probe, visit it by all routes while it is edited, and judge."""
    with ExitStack() as stack:
        probe = stack.enter_context(serve_probe("--on-change", load.mode, target=load.target))
        routes = tuple(route(probe.served, name, ROUTES[name], stack) for name in load.routes)
        pause = load.connections / load.rate
        editor = editor_of(probe, 2)
        with CrowdProcess(Plan(routes, load.connections, load.seed, pause=pause, patience=PATIENCE)) as crowd:
            crowd.wait_for(1, PATIENCE)
            steadily(editor, load, crowd)
            last = _last_seen(crowd, editor.saves[-1])
        outcome = judge(crowd.records, editor.saves, probe.executed(), load.mode)
        return Report(outcome, crowd.records, last, _status(probe))


def _last_seen(crowd: CrowdProcess, save: Save) -> float:
    """Seconds until the last save was seen; infinite if it never was, which the judge says, too."""
    try:
        return crowd.wait_for(save.version, PATIENCE) - save.completed
    except AssertionError:
        return math.inf


def _status(probe: Probe) -> dict[str, Any]:
    """Empty if there is no runner any more: what the visitors noticed of that is to be told all the same."""
    try:
        return probe.status()
    except UsageError:
        return {}


@dataclass(frozen=True)
class Single:
    """A load on one route whose saves mostly wait until the one before was seen, and then up to *pause* seconds.

    Every fourth save, drawn at random, does not wait. Visitors ask without a pause, on a connection for each request.
    """

    visitors: int = 32
    edits: int = 12
    pause: float = 0.1


def run_single(probe: Probe, site: Site, single: Single, first: int, seed: int) -> Outcome:
    """Visit *probe* by *site* while versions from *first* on are saved."""
    chance, editor, before = random.Random(seed), editor_of(probe, first), len(probe.executed())
    with ExitStack() as stack:
        plan = Plan((route(probe.served, title(site), site, stack),), single.visitors, seed, kept=0.0)
        with CrowdProcess(plan) as crowd:
            hasty = chance.sample(range(single.edits), single.edits // 4)
            for number in range(single.edits):
                save = editor.save()
                if number not in hasty:
                    crowd.wait_for(save.version, plan.patience)
                # Not a wait for something: the moment of the next save is what is tried.
                time.sleep(chance.uniform(0, single.pause))
            crowd.wait_for(save.version, plan.patience)
    return judge(crowd.records, editor.saves, probe.executed()[before:], "redirect")


def describe(report: Report, load: Load) -> str:
    """The run as text: a line a route, then the first faults, then what helps to understand them."""
    outcome, records = report.outcome, report.records
    columns = ("requests", *KINDS[:-1], "finished", "redirects", "p50 ms", "p99 ms", "longest ms")
    names = [*load.routes, *(["all"] if len(load.routes) > 1 else [])]
    rows = [("", *columns), *((name, *_row(outcome, records, "" if name == "all" else name)) for name in names)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    groups = Counter(_group(each) for each in outcome.faults)
    facts = [
        f"on-change {load.mode}, {load.connections} connections, {load.seconds:g} s, seed {load.seed}: "
        f"{outcome.saves} saves, {outcome.versions} versions seen, the last {_after(report.last)}; "
        f"executed and not answered: {outcome.unanswered}; redirects of one visitor between two saves: {outcome.most}",
        *(f"{count} × {group}" for group, count in groups.most_common()),
        *map(str, outcome.faults[:SHOWN]),
        *([f"... and {len(outcome.faults) - SHOWN} more"] if len(outcome.faults) > SHOWN else []),
        f"generation {report.status.get('generation')}, {json.dumps(report.status.get('counters'))}",
        f"faults: {len(outcome.faults)} of {outcome.requests} requests",
    ]
    return "\n".join([*table, *facts])


def _row(outcome: Outcome, records: Sequence[Record], name: str) -> Iterator[str]:
    chosen = [each for each in records if name in ("", each.route)]
    waits = sorted((each.ended - each.first) * 1e3 for each in chosen) or [0.0]
    yield str(len(chosen))
    yield from (str(outcome.count(kind, name)) for kind in KINDS[:-1])
    yield str(sum(name in ("", each.route) for each in outcome.finished))
    yield str(sum(len(each.redirects) for each in chosen))
    yield from (f"{waits[int(share * (len(waits) - 1))]:.0f}" for share in (0.5, 0.99, 1.0))


def _after(seconds: float) -> str:
    return f"after {seconds * 1e3:.0f} ms" if seconds < math.inf else "never"


def _group(fault: Fault) -> str:
    if fault.about is None:
        return fault.kind
    return f"{fault.kind}, {fault.about.method} by {fault.route}, {'kept' if fault.about.kept else 'new'} connection"


def arguments(words: Sequence[str]) -> Load:
    """What the command was asked for. Exits with 2 if it makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.edit_load", description="Visit while editing.")
    parser.add_argument("--mode", choices=("redirect", "hold"), default=Load.mode)
    parser.add_argument("--target", choices=("app:main", "app:live"), default=Load.target, help="WSGI or ASGI")
    parser.add_argument("--seconds", type=float, default=Load.seconds)
    parser.add_argument("--connections", type=int, default=Load.connections, help="all routes together")
    parser.add_argument("--routes", default=",".join(ROUTES), help="some of %(default)s")
    parser.add_argument("--saves", type=float, default=Load.saves, help="a second")
    parser.add_argument("--rate", type=float, default=Load.rate, help="requests a second, all together, at most")
    parser.add_argument("--least", type=int, default=Load.least, help="go on until there were so many requests")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    chosen = vars(parser.parse_args(words))
    chosen["routes"] = tuple(chosen["routes"].split(","))
    if unknown := set(chosen["routes"]) - set(ROUTES):
        parser.error(f"no route is called {min(unknown)!r}; there are {', '.join(ROUTES)}")
    return Load(**chosen)


def main() -> int:
    """Run, print, and tell whether all was well."""
    load = arguments(sys.argv[1:])
    with TemporaryDirectory(prefix="cache-") as cache, redirect_stdout(sys.stderr):
        os.environ["XDG_CACHE_HOME"] = cache   # the user's own is not to be filled with the probe
        report = run(load)   # what it prints of its servers is not the result
    print(describe(report, load))
    return 1 if report.outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
