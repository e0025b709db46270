"""A worker's loop, turned to its end; and the process's end."""

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from runner.settings import Settings
from runner.worker import turning
from runner.worker.loop import Worker
from runner.worker.task import Task

ENDS = """
import atexit, sys
from runner.worker import turning
atexit.register(print, "registered")
sys.stdout.write("written, ")
turning.end(well={well})
"""


class Stand:
    """As far as a loop that is turned knows a worker; *fault* happens in it."""

    def __init__(self, fault: BaseException | None) -> None:
        self.fault = fault

    async def live(self) -> None:
        """See Worker.live."""
        if self.fault is not None:
            raise self.fault


def task() -> Task:
    """As far as it is needed to say what went wrong."""
    empty = cast("Any", None)
    return Task(3, 1, Settings(), [], empty, empty, empty, (), None, 0.0, None, False)


def test_who_leaves_is_given_back() -> None:
    """For whoever wants to know what became of him."""
    stand = Stand(None)
    assert turning.turn(task(), lambda _: cast(Worker, stand)) is cast(Worker, stand)


@pytest.mark.parametrize("fault", [RuntimeError("oh"), SystemExit(3)])
def test_a_fault_is_logged(fault: BaseException, capfd: pytest.CaptureFixture[str]) -> None:
    """And ends nobody else."""
    assert turning.turn(task(), lambda _: cast(Worker, Stand(fault))) is None
    assert "worker 3: error: " in capfd.readouterr().err


@pytest.mark.parametrize("well", [True, False])
def test_the_end_is_a_normal_one(well: bool, tmp_path: Path) -> None:
    """What was registered for it is called, and what was written is there."""
    done = subprocess.run(
        [sys.executable, "-c", ENDS.format(well=well)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("written, registered\n", 0 if well else 1)
