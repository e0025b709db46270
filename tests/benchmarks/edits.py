"""What clients notice of 50 edits, and how soon an edit answers.

Behind nginx without fastcgi_keep_conn, 32 clients, GET and POST in turn. Goals: nothing stale (in redirect mode a POST
that a worker has read is finished there), nothing failed, at most one redirect for a client and an edit. Start at run.
"""

import random
import statistics
import time
from pathlib import Path

from tests.benchmarks import report, sample
from tests.benchmarks.edit_load import Crowd, repeated
from tests.benchmarks.load import Pace
from tests.support.nginx import Site, nginx
from tests.support.project import edit, replace
from tests.support.runner_process import serve

EDITS = 50
CLIENTS = 32
PATIENCE = 30.0
MODES = ("redirect",)
SIZES = (10, 1000)

_APPLICATION = '''
import os
import hello
from version import VERSION

LOG = os.environ["POSTS"]


def main(environ, start_response):
    body = environ["wsgi.input"].read()
    if environ["REQUEST_METHOD"] == "POST":
        log = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, (environ["PATH_INFO"] + environ["QUERY_STRING"] + "\\n").encode())
        os.close(log)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %d\\n" % (VERSION, len(body))]
'''


def run(directory: Path, pace: Pace) -> str:
    """Measure, and return the table. *directory* is empty and stays the caller's; *pace* is the edits' own."""
    rows = [
        [f"{mode}, {size:,} modules", *_edited(directory / f"{mode}{size}", mode, size)]
        for mode in MODES for size in SIZES
    ]  # fmt: skip
    return report.table(
        f"{EDITS} edits under {CLIENTS} clients, a connection to the runner for each request",
        ["", "answers", "stale GET", "POST finished by the code that had read it", "failed", "repeated POST",
         "redirects for one client and edit, at most", "save to first fresh answer, median ms", "p95 ms"],
        rows,
    )  # fmt: skip


def _edited(directory: Path, mode: str, size: int) -> list[str]:
    application = directory / "application"
    _write(application, size)
    options = ("app:main", "--on-change", mode)
    log = directory / "posts"   # not beside the code: what is written there would wake the watcher
    with (
        serve(application, *options, env={"POSTS": str(log)}) as served,
        nginx(served.fastcgi, Site(keep_connections=False)) as server,
        Crowd(server.address, CLIENTS) as crowd,
    ):
        crowd.wait_for(0, PATIENCE)
        delays = sorted(_save(crowd, application / "version.py", version) for version in range(1, EDITS + 1))
    seen = crowd.seen
    for words in seen.failed[:5]:
        print(f"failed: {words}")
    figures = [seen.answers, seen.stale_gets, seen.stale_posts, len(seen.failed), repeated(log), seen.redirects]
    late = delays[round(0.95 * (len(delays) - 1))]
    return [*(f"{figure:,}" for figure in figures), f"{statistics.median(delays) * 1e3:.0f}", f"{late * 1e3:.0f}"]


def _write(application: Path, size: int) -> None:
    sample.write(application, size)
    (application / "app.py").rename(application / "hello.py")
    (application / "app.py").write_text(_APPLICATION, encoding="ascii")
    (application / "version.py").write_text("VERSION = 0\n", encoding="ascii")


def _save(crowd: Crowd, file: Path, version: int) -> float:
    """Save that version, in place and by renaming in turn; seconds until it answered first."""
    save = replace if version % 2 else edit
    save(file, f"VERSION = {version}\n")
    done = time.monotonic()
    crowd.saved(version)
    delay = crowd.wait_for(version, PATIENCE) - done
    time.sleep(random.uniform(0.02, 0.1))   # so that edits fall into any phase of the load
    return delay
