"""How many requests a second, beside uWSGI, granian, gunicorn and flup6 behind the same nginx.

Goals: the runner over FastCGI at least 0.95 of uWSGI's best protocol, and at least four times flup6's best server,
while it watches 1,000 modules. Start at run.
"""

from collections.abc import Iterable
from pathlib import Path

from tests.benchmarks import load, peers, report, sample
from tests.benchmarks.load import Figures, Pace

MODULES = 1000


def run(directory: Path, pace: Pace) -> str:
    """Measure, and return the table. *directory* is empty and stays the caller's."""
    application = sample.write(directory, MODULES)
    chosen = peers.available()
    with peers.serving([(peer, application) for peer in chosen]) as lanes:
        everybody = load.measure(lanes, pace)
    uwsgi, flup = (_best(everybody, names) for names in (peers.UWSGI, peers.FLUP))
    rows = [
        [each.name, f"{each.median:,.0f}", each.span, *(each.ratio(base) if base else "" for base in (uwsgi, flup)),
         each.cost, str(sum(each.failed))]
        for each in everybody
    ]  # fmt: skip
    title = f"Requests a second, {load.CONNECTIONS} connections, {MODULES:,} modules, 2 workers"
    columns = ["median", "slowest–fastest", "× uWSGI's best", "× flup6's best", "server, CPU µs each", "failed"]
    return report.table(title, ["", *columns], rows)


def _best(everybody: Iterable[Figures], names: Iterable[peers.Peer]) -> Figures | None:
    wanted = {peer.name for peer in names}
    return max((each for each in everybody if each.name in wanted), key=lambda each: each.median, default=None)
