"""What is left of a thousand reloads: nothing. And what a runner does when nobody asks and nobody saves: nothing.

Among the reloads are some of each kind: of code that fails, of code that is saved again while it is imported, and with
clients that keep their connections.
"""

import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.support.census import Census, activity, census, private
from tests.support.client import FastCGI, fetch, parameters
from tests.support.memory import resident
from tests.support.project import edit
from tests.support.runner_process import Served
from tests.support.trouble import SOURCE, report, until, waiting

WORKERS = 2
ROOM = 2 << 20
"""Bytes that the supervisor may have grown by."""
WARM_UP = 5
"""Reloads before the first count: the first few of a kind load code and fill what is kept of the history."""


def text(version: int) -> str:
    """The application with that version."""
    return SOURCE.replace("VERSION = 1", f"VERSION = {version}")


def reload(served: Served, file: Path, version: int) -> None:
    """Save that version, in one of several ways, and wait until it answers."""
    with ExitStack() as stack:
        if version % 3 == 0:
            kept = stack.enter_context(FastCGI(served.fastcgi))
            kept.request(parameters("/pid"), keep=True)
        if version % 5 == 0:
            edit(file, "def main(:\n")
            until("the failure is shown", lambda: fetch(served.http).status == 500, live=served)
        if version % 4 == 0:
            edit(file, text(0))
            time.sleep(version % 7 / 40)   # not a wait: a moment within the import
        edit(file, text(version))
        until("it is live", lambda: fetch(served.http).body.startswith(b"%d " % version), live=served)


def counted(served: Served) -> Census:
    """What there is, but for the checkpoints: how many of them there are is a matter of moments.

    Counted while each of them has its spare, which comes when there is time for it, and nobody else waits.
    """
    found: list[Census] = []

    def steady() -> bool:
        before, whole = report(served)["checkpoints"], waiting(served)
        seen = census(served.pid)
        found.append(seen.without(len(before)))
        return report(served)["checkpoints"] == before and whole == waiting(served) == 2 * len(before)

    until("each checkpoint has its spare", steady, live=served)
    return found[-1]


def settled(served: Served) -> Census:
    """What there is once only the newest generation and its workers are left."""
    def done() -> bool:
        told = report(served)
        ready = [each for each in told["workers"] if each["state"] == "ready"]
        newest = all(each["generation"] == told["generation"] for each in told["workers"])
        # The supervisor, the generation, its workers.
        return newest and len(ready) == WORKERS and sum(counted(served).states.values()) == WORKERS + 2

    until("only the newest generation is left", done, live=served)
    # The connection of our last question may still be open at its other end, so the first sight is not the true one.
    return min((counted(served) for _ in range(20)), key=lambda each: sum(each.held.values()))


def compiled(cache: Path) -> list[str]:
    """The compiled files; what a start has learned for the next one is beside them."""
    return [name for name in os.listdir(cache) if not name.startswith("preload-")]


def check(project: Project, runner: Runner, cache: Path, times: int, checkpoints: str) -> None:
    """Reload so many times, and compare what there is with what there was."""
    directory = project({"app.py": SOURCE})
    options = ("--workers", str(WORKERS), "--cache-dir", str(cache), "--checkpoints", checkpoints)
    served = runner(directory, "app:main", *options)
    for version in range(2, WARM_UP + 2):
        reload(served, directory / "app.py", version)
    before, size, own = settled(served), resident(served.pid), private(served.pid)
    entries = len(compiled(cache))
    for version in range(WARM_UP + 2, WARM_UP + 2 + times):
        reload(served, directory / "app.py", version)
    until(f"there is what there was: {before}", lambda: settled(served) == before, live=served)
    grown = resident(served.pid) - size, private(served.pid) - own
    print(f"{report(served)['generation']} generations; grown by (resident, private) {grown} bytes")
    assert report(served)["generation"] >= times + WARM_UP
    assert max(grown) < ROOM
    # One compiled file for each text that was saved (one of them again and again), and no half-written one.
    assert len(compiled(cache)) <= entries + times + 1
    assert not [name for name in os.listdir(cache) if name.startswith(".")]


@pytest.mark.parametrize("checkpoints", ["6", "0"])
def test_reloads_leave_nothing(project: Project, runner: Runner, tmp_path: Path, checkpoints: str) -> None:
    """15 of them: descriptors, threads, processes, change queues, memory files are the same, memory within 2 MiB."""
    check(project, runner, tmp_path / "cache", 15, checkpoints)


@pytest.mark.stress
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("checkpoints", ["6", "0"])
def test_a_thousand_reloads_leave_nothing(
    project: Project, runner: Runner, tmp_path: Path, checkpoints: str
) -> None:
    """The same with 1,000."""
    check(project, runner, tmp_path / "cache", 1000, checkpoints)


def test_idle_runners_do_nothing(project: Project, runner: Runner) -> None:
    """After requests and a reload, whenever that is made: in two seconds no process wakes or uses processor time."""
    directory = project({"app.py": SOURCE})
    ways = ("eager", "request", "off")
    runs = {way: runner(directory, "app:main", "--workers", str(WORKERS), "--reload", way) for way in ways}
    for way in ("eager", "request"):
        reload(runs[way], directory / "app.py", 2)
    for served in runs.values():
        settled(served)

    def awake(seconds: float) -> list[str]:
        before = {way: activity(served.pid) for way, served in runs.items()}
        time.sleep(seconds)   # what is measured
        return [way for way, served in runs.items() if activity(served.pid) != before[way]]

    until("two seconds pass in which nobody does anything", lambda: not awake(2.0))
