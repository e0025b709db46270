"""`python -m tests.benchmarks [names] [--rounds N] [--seconds S]`: measure, and print Markdown.

Law: this process does the load of `edits` and nothing else while it measures.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks import (
    asgi,
    batch,
    channels,
    edits,
    hub,
    instant,
    modules,
    report,
    sockets,
    sqlite,
    stores,
    throughput,
    waiting,
)
from tests.benchmarks.load import Pace

BENCHMARKS: dict[str, Callable[[Path, Pace], str]] = {
    "throughput": throughput.run, "asgi": asgi.run, "modules": modules.run, "edits": edits.run, "sqlite": sqlite.run,
    "waiting": waiting.run, "instant": instant.run, "batch": batch.run, "channels": channels.run, "hub": hub.run,
    "stores": stores.run, "sockets": sockets.run,
}  # fmt: skip


def main() -> None:
    """Run what was named, by default everything."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure, print Markdown.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=Pace.rounds)
    parser.add_argument("--seconds", type=int, default=Pace.seconds, help="of each server in each round")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no benchmark is called {min(unknown)!r}; there are {', '.join(BENCHMARKS)}")
    print(f"{report.machine()}\n", flush=True)
    for name in arguments.names or BENCHMARKS:
        with TemporaryDirectory(prefix="bench-") as directory:
            with redirect_stdout(sys.stderr):   # what the rig tells of its servers is not the result
                result = BENCHMARKS[name](Path(directory), Pace(arguments.rounds, arguments.seconds))
        print(result, flush=True)


if __name__ == "__main__":
    main()
