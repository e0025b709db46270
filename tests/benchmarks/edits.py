"""What clients notice of 50 edits, and how soon an edit answers.

Behind nginx without fastcgi_keep_conn, 32 clients with GET and POST. Goals: nothing stale, failed or repeated, at most
one redirect for a client and an edit. What a fault is, says tests/support/verdict.py. Start at run.
"""

import random
import statistics
import time
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks import report, sample
from tests.benchmarks.load import Pace
from tests.support.crowd import Plan
from tests.support.crowd_process import CrowdProcess
from tests.support.edit_load import Editor, route
from tests.support.nginx import Site
from tests.support.probe_process import SOURCE, executed
from tests.support.project import edit, replace
from tests.support.runner_process import serve
from tests.support.verdict import ON_THE_WIRE, Mode, judge

EDITS = 50
CLIENTS = 32
PATIENCE = 30.0
PAUSE = 0.01
"""Seconds between two requests of one client: the clients shall be many, not eat the processor that they measure."""
MODES: tuple[Mode, ...] = ("redirect",)
SIZES = (10, 1000)

def run(directory: Path, pace: Pace) -> str:
    """Measure, and return the table. *directory* is empty and stays the caller's; *pace* is the edits' own."""
    rows = [
        [f"{mode}, {size:,} modules", *_edited(directory / f"{mode}{size}", mode, size)]
        for mode in MODES for size in SIZES
    ]  # fmt: skip
    return report.table(
        f"{EDITS} edits under {CLIENTS} clients, a connection to the runner for each request",
        ["", "answers", "stale", "failed", "repeated or lost POST", "redirects for one client and edit, at most",
         "save to first fresh answer, median ms", "p95 ms"],
        rows,
    )  # fmt: skip


def _edited(directory: Path, mode: Mode, size: int) -> list[str]:
    # Tokens beside the code would wake the watcher.
    application, folder = directory / "application", directory / "folder"
    _write(application, size)
    folder.mkdir()
    editor = Editor(lambda version, by_renaming: _save(application / "version.py", version, by_renaming), 2)
    options = ("app:main", "--on-change", mode)
    with serve(application, *options, env={"PROBE_FOLDER": str(folder)}) as served, ExitStack() as stack:
        way = route(served, "nginx", Site(keep_connections=False), stack)
        with CrowdProcess(Plan((way,), CLIENTS, seed=1, kept=1.0, pause=PAUSE)) as crowd:
            crowd.wait_for(1, PATIENCE)
            delays = sorted(_delay(crowd, editor) for _ in range(EDITS))
    seen = judge(crowd.records, editor.saves, executed(folder), mode)
    for fault in seen.faults[:5]:
        print(fault)
    failed = sum(map(seen.count, ON_THE_WIRE))
    figures = [seen.answers, seen.count("stale"), failed, seen.count("repeated") + seen.count("lost"), seen.most]
    late = delays[round(0.95 * (len(delays) - 1))]
    return [*(f"{figure:,}" for figure in figures), f"{statistics.median(delays) * 1e3:.0f}", f"{late * 1e3:.0f}"]


def _write(application: Path, size: int) -> None:
    """The probe, made of as many modules more, with its version in one that is quick to import."""
    sample.write(application, size)
    (application / "app.py").rename(application / "hello.py")
    source = SOURCE.replace("\nVERSION = 1\n", "\nimport hello\nfrom version import VERSION\n")
    (application / "app.py").write_text(source, encoding="utf-8")
    _save(application / "version.py", 1, False)


def _save(file: Path, version: int, by_renaming: bool) -> None:
    (replace if by_renaming else edit)(file, f"VERSION = {version}\n")


def _delay(crowd: CrowdProcess, editor: Editor) -> float:
    """Save the next version; seconds until it answered first."""
    save = editor.save()
    delay = crowd.wait_for(save.version, PATIENCE) - save.completed
    time.sleep(random.uniform(0.02, 0.1))   # so that edits fall into any phase of the load
    return delay
