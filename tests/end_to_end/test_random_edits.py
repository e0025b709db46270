"""Whatever is edited, who went on from a checkpoint answers as a fresh interpreter does.

The application, and what is done to it, is tests/support/edited_graph.py. What fails prints its seed; set GRAPH_SEED to
try it again.
"""

import os
import random
import signal
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.cases.modes import BLIND
from tests.end_to_end.reloading import agree
from tests.support.edited_graph import Graph
from tests.support.runner_process import Served
from tests.support.trouble import ready_pids, until

SEED = int(os.environ.get("GRAPH_SEED") or random.SystemRandom().randrange(1 << 32))


def check(project: Project, runner: Runner, times: int, *options: str, env: dict[str, str] | None = None) -> str:
    """So many edits, and after each the answers of both; what the runner said."""
    place: Path = project({})
    dice = random.Random(SEED)
    graph = Graph(place, dice)
    served = runner(place, "app:main", "--debug", *options, env=env or {})
    done = []
    for _ in range(times):
        done += [graph.edit() for _ in range(dice.choice([1, 1, 1, 2]))]
        path = f"/?{graph.late()}" if dice.random() < 0.3 else "/"
        try:
            agree(served, place, path, saves=2)
        except AssertionError as error:
            raise AssertionError(f"seed {SEED}, after {done[-5:]}, {path}: {error}") from error
        if path != "/":
            replace_worker(served)
    return served.output


def replace_worker(served: Served) -> None:
    """What it has imported late is its own affair; its successor has not."""
    (before,) = ready_pids(served).values()
    os.kill(before, signal.SIGTERM)
    until("another one is there", lambda: ready_pids(served) and before not in ready_pids(served).values(), live=served)


MODES = {
    "checkpoints": (("--workers", "1"), {}),
    "at the next request, hold": (("--workers", "1", "--reload", "request", "--on-change", "hold"), {}),
    "without checkpoints": (("--workers", "1", "--checkpoints", "0"), {}),
    "without inotify": (("--workers", "1"), BLIND),
}


@pytest.mark.parametrize(("options", "env"), MODES.values(), ids=list(MODES))
def test_random_edits(project: Project, runner: Runner, options: tuple[str, ...], env: dict[str, str]) -> None:
    """Ten of them."""
    output = check(project, runner, 10, *options, env=env)
    assert ("resumed" in output) is ("0" not in options)


@pytest.mark.stress
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("options", "env"), MODES.values(), ids=list(MODES))
def test_many_random_edits(project: Project, runner: Runner, options: tuple[str, ...], env: dict[str, str]) -> None:
    """400 of them."""
    check(project, runner, 400, *options, env=env)
