"""Load: `wrk` against several addresses in turn, A B C A B C, so that a machine that slows down does so for all.

What is compared is compared inside one such measurement: its medians and their ratios. Figures of two measurements are
not comparable, and nothing here compares them. On a machine that others use, the processor time of a server for one
request says more than the number of requests: it is not shared.
Start at measure.
"""

import os
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.support import web_server

CONNECTIONS = 32
WARM_UP = 1   # seconds, not counted
VARY = Path(__file__).with_name("vary.lua")


@dataclass(frozen=True)
class Pace:
    """How long to measure: so many rounds, so many seconds for each address in each round."""

    rounds: int = 5
    seconds: int = 3


class Lane(NamedTuple):
    """A server to be measured: where nginx answers for it, and the session (setsid) of its processes."""

    name: str
    address: tuple[str, int]
    session: int


@dataclass(frozen=True)
class Figures:
    """Of one server, one figure a round: requests a second, processor seconds a request, failed requests."""

    name: str
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Requests a second."""
        return statistics.median(self.rates)

    @property
    def cost(self) -> str:
        """Microseconds of processor time that the server spends on a request, the kernel's work for it included."""
        return f"{statistics.median(self.costs) * 1e6:.0f}"

    @property
    def span(self) -> str:
        """The slowest and the fastest round."""
        return f"{min(self.rates):,.0f}–{max(self.rates):,.0f}"

    def ratio(self, base: "Figures") -> str:
        """This median as a multiple of *base*'s."""
        return f"{self.median / base.median:.2f}"


def measure(servers: Sequence[Lane], pace: Pace, script: Path = VARY) -> list[Figures]:
    """Return the figures of each lane, in that order. Every other round goes backwards. *script*: what wrk sends."""
    lanes = [(Figures(lane.name), lane) for lane in servers]
    for _, lane in lanes:
        _wrk(lane.address, WARM_UP, "warm", script)
    for number in range(pace.rounds):
        for figures, lane in lanes if number % 2 == 0 else reversed(lanes):
            before = _processor_time(lane.session)
            answered, duration, failed = _wrk(lane.address, pace.seconds, str(number), script)
            figures.costs.append((_processor_time(lane.session) - before) / answered)
            figures.rates.append(answered / duration)
            figures.failed.append(failed)
    return [figures for figures, _ in lanes]


def _wrk(address: tuple[str, int], seconds: int, seed: str, script: Path) -> tuple[int, float, int]:
    """Requests answered, in how many seconds, and the number of those that failed."""
    command = [
        web_server.program("wrk", "wrk"), "--threads", "1", "--connections", str(CONNECTIONS),
        "--duration", f"{seconds}s", "--script", str(script), f"http://{address[0]}:{address[1]}",
    ]  # fmt: skip
    done = subprocess.run(command, env={**os.environ, "LOAD_SEED": seed}, check=True, stdout=subprocess.PIPE, text=True)
    figures = next(line.split() for line in done.stdout.splitlines() if line.startswith("figures "))
    requests, microseconds, failed = (int(figure) for figure in figures[1:])
    assert requests > failed, f"nothing but errors: {done.stdout}"
    return requests - failed, microseconds / 1e6, failed


def _processor_time(session: int) -> float:
    """Seconds that the living processes of *session* have used; proc(5), /proc/[pid]/stat."""
    ticks = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text(encoding="latin-1").rpartition(")")[2].split()
        except OSError:   # it has just ended
            continue
        if int(fields[3]) == session:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
