"""The crowd as a process of its own, from the beginning of a block to its end.

Start at CrowdProcess; after the block, its `records` are all requests that were made in it.
"""

import json
import sys
from types import TracebackType
from typing import Self

from tests.support.crowd import Plan
from tests.support.process import Live
from tests.support.runner_process import ROOT, environment
from tests.support.verdict import Record

GRACE = 15.0
"""Seconds beyond a visitor's patience in which the crowd must have told everything."""


class CrowdProcess:
    """The visitors of *plan*, asking from the beginning of the block to its end; `live` is what they say meanwhile."""

    def __init__(self, plan: Plan) -> None:
        self.records: list[Record] = []
        self._plan = plan

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.crowd", self._plan.to_json()]
        self.live = Live(command, cwd=ROOT, env=environment())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.live.wait_for("visiting")   # before that, SIGTERM would be the end without a word
        finally:
            status = self.live.stop(self._plan.patience + GRACE)
        told = [line for line in self.live.lines if not line.startswith("[")]
        assert status == 0, "\n".join(["the crowd has failed:", *told])
        self.records += [Record(*json.loads(line)) for line in self.live.lines if line.startswith("[")]

    @property
    def requests(self) -> int:
        """How many there were, at least."""
        told = (line.split()[1] for line in reversed(self.live.lines) if line.startswith("requests "))
        return int(next(told, 0))

    def wait_for(self, version: int, timeout: float) -> float:
        """The moment at which that version answered first. Raises AssertionError if it does not."""
        return float(self.live.wait_for(rf"^first {version} (\S+)", timeout)[1])
