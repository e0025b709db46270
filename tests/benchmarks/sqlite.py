"""What an application pays for freshness that writes a file beside its code at every request.

A log, and SQLite as its two journals work: each write is an event in a directory that is watched. Goal: at least GOAL
of what the same application does when nothing is watched. The cases differ in how much of a request the disk itself
takes; where it waits for the disk (`synchronous` is SQLite's default) nearly nothing is left to pay. Start at run.
"""

from pathlib import Path

from tests.benchmarks import load, peers, report, sample
from tests.benchmarks.load import Figures, Pace

MODULES = 100
GOAL = 0.9

_LOG = '''
import os


def write():
    log = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(log, b"a request\\n")
    os.close(log)
'''
_KEPT_LOG = '''
log = None


def write():
    global log
    if log is None:
        log = open("log", "a")
    log.write("a request\\n")
    log.flush()
'''
_SQLITE = '''
import sqlite3

database = None


def write():
    global database
    if database is None:
        database = sqlite3.connect("hits.sqlite3", timeout=30, isolation_level=None)
        database.execute("PRAGMA journal_mode = {journal}")
        database.execute("PRAGMA synchronous = {synchronous}")
        database.execute("CREATE TABLE IF NOT EXISTS hits (worker INTEGER PRIMARY KEY, number INTEGER)")
    database.execute("INSERT INTO hits VALUES (1, 1) ON CONFLICT DO UPDATE SET number = number + 1")
'''
_APPLICATION = '''
import hello
from writing import write


def main(environ, start_response):
    write()
    return hello.main(environ, start_response)
'''

CASES = {
    "a log, opened each time": _LOG,
    "a log, kept open": _KEPT_LOG,
    "SQLite, WAL, synchronous=normal": _SQLITE.format(journal="wal", synchronous="normal"),
    "SQLite, WAL": _SQLITE.format(journal="wal", synchronous="full"),
    "SQLite, rollback journal, synchronous=off": _SQLITE.format(journal="delete", synchronous="off"),
    "SQLite, rollback journal": _SQLITE.format(journal="delete", synchronous="full"),
}
WAYS = ("off", "eager", "request")


def run(directory: Path, pace: Pace) -> str:
    """Measure, and return the table. *directory* is empty and stays the caller's."""
    rows = []
    for number, (name, writing) in enumerate(CASES.items()):
        # One case at a time, or the disk's waiting for one is another's.
        rows += _measured(directory / str(number), name, writing, pace)
    return report.table(
        f"What watching costs who writes beside {MODULES} modules at every request, in requests a second",
        ["", "median", "slowest–fastest", "× not watched", f"at least {GOAL}",
         "all processes, CPU µs each", "failed"],
        rows,
    )  # fmt: skip


def _measured(directory: Path, name: str, writing: str, pace: Pace) -> list[list[str]]:
    chosen = [(peers.runner(f"{name}; {way}", "--reload", way), _write(directory / way, writing)) for way in WAYS]
    with peers.serving(chosen) as lanes:
        everybody = load.measure(lanes, pace)
    return [_row(each, everybody[0]) for each in everybody]


def _row(each: Figures, base: Figures) -> list[str]:
    enough = "" if each is base else report.met(each.median >= GOAL * base.median)
    return [each.name, f"{each.median:,.0f}", each.span, each.ratio(base), enough, each.cost, str(sum(each.failed))]


def _write(directory: Path, writing: str) -> Path:
    sample.write(directory, MODULES)
    (directory / "app.py").rename(directory / "hello.py")
    (directory / "app.py").write_text(_APPLICATION, encoding="ascii")
    (directory / "writing.py").write_text(writing, encoding="ascii")
    return directory
