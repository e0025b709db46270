"""Whatever is edited, who went on from a checkpoint answers as a fresh interpreter does.

The application, and what is done to it, is tests/support/edited_graph.py. The normal run does the same each time, the
stress run something else. What fails prints its seed; set GRAPH_SEED to try it again.
"""

import os
import random
import signal
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.cases.modes import BLIND
from tests.end_to_end.reloading import agree, generation
from tests.support.edited_graph import Graph
from tests.support.runner_process import CHECKPOINTS, Served
from tests.support.trouble import ready_pids, until

SEED = os.environ.get("GRAPH_SEED")


def check(
    project: Project, runner: Runner, times: int, seed: int, *options: str, env: dict[str, str] | None = None
) -> None:
    """So many edits, and after each the answers of both; somebody goes on from a checkpoint if there are any."""
    place: Path = project({})
    dice = random.Random(seed)
    graph = Graph(place, dice)
    served = runner(place, "app:main", "--debug", *options, env=env or {})
    done = []
    for _ in range(times):
        done += [graph.edit() for _ in range(dice.choice([1, 1, 1, 2]))]
        path = f"/?{graph.late()}" if dice.random() < 0.3 else "/"
        try:
            # The first answer may be that of the generation itself, and all its workers would have what that imports.
            agree(served, place, saves=2)
            if path != "/":
                agree(served, place, path, saves=2)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, after {done[-5:]}, {path}: {error}") from error
        if path != "/":
            replace_worker(served)

    def went_on() -> bool:
        """Whether a save that can be imported for certain had somebody go on from a checkpoint."""
        position, before = served.position, generation(served)
        graph.heal()
        agree(served, place, saves=2)
        while int((found := served.wait_for(r"→ generation (\d+) in .*", after=position))[1]) <= before:
            position += 1
        return "(resumed" in found[0]

    if "0" in options:
        assert not went_on() and "(resumed" not in served.output, served.output
    else:
        # Not always the first: what was imported ahead for an earlier app.py this one may have to do without.
        until(f"somebody goes on from a checkpoint, seed {seed}", went_on, live=served)


def replace_worker(served: Served) -> None:
    """What it has imported late is its own affair; its successor has not."""
    (before,) = ready_pids(served).values()
    os.kill(before, signal.SIGTERM)
    until("another one is there", lambda: ready_pids(served) and before not in ready_pids(served).values(), live=served)


MODES = {
    "checkpoints": (("--workers", "1", *CHECKPOINTS), {}),
    "at the next request, hold": (("--workers", "1", *CHECKPOINTS, "--reload", "request", "--on-change", "hold"), {}),
    "without checkpoints": (("--workers", "1", "--checkpoints", "0"), {}),
    "without inotify": (("--workers", "1", *CHECKPOINTS), BLIND),
}


@pytest.mark.parametrize(("options", "env"), MODES.values(), ids=list(MODES))
def test_random_edits(project: Project, runner: Runner, options: tuple[str, ...], env: dict[str, str]) -> None:
    """Ten of them."""
    check(project, runner, 10, int(SEED or 4), *options, env=env)


@pytest.mark.stress
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("options", "env"), MODES.values(), ids=list(MODES))
def test_many_random_edits(project: Project, runner: Runner, options: tuple[str, ...], env: dict[str, str]) -> None:
    """400 of them."""
    check(project, runner, 400, int(SEED or random.SystemRandom().randrange(1 << 32)), *options, env=env)
