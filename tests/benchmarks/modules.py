"""What a request pays for freshness: with 1,000 and with 5,000 modules, and against not looking at all.

Goal: within 5 %, since the look is one system call whatever is watched. What more modules cost by their mere memory is
the row of the many that are not watched. Start at run.
"""

from pathlib import Path

from tests.benchmarks import load, peers, report, sample
from tests.benchmarks.load import Pace

FEW, MANY = 1000, 5000


def run(directory: Path, pace: Pace) -> str:
    """Measure, and return the table. *directory* is empty and stays the caller's."""
    few, many = (sample.write(directory / str(modules), modules) for modules in (FEW, MANY))
    chosen = [
        (peers.runner(f"{FEW:,} modules", "--reload", "off"), few),
        (peers.runner(f"{FEW:,} modules, watched"), few),
        (peers.runner(f"{MANY:,} modules", "--reload", "off"), many),
        (peers.runner(f"{MANY:,} modules, watched"), many),
    ]
    with peers.serving(chosen) as lanes:
        everybody = load.measure(lanes, pace)
    off, base = everybody[:2]
    rows = [
        [each.name, f"{each.median:,.0f}", each.span, each.ratio(off), each.ratio(base), each.cost]
        for each in everybody
    ]  # fmt: skip
    return report.table(
        "What freshness costs, in requests a second",
        ["", "median", "slowest–fastest", "× not watched", f"× {FEW:,} watched", "server, CPU µs each"], rows,
    )  # fmt: skip
