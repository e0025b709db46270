"""The first promise, counted: a request that begins after a save has returned never gets an older answer.

What a pair is, and what is tried, says tests/support/pairs.py. What fails prints its seed; set PAIRS_SEED to try it
again.
"""

import os
import random

import pytest

from tests.conftest import Project, Runner
from tests.support import pairs

SEED = int(os.environ.get("PAIRS_SEED") or random.SystemRandom().randrange(1 << 32))


def check(project: Project, runner: Runner, reload: str, wanted: int) -> None:
    """So many pairs over four workers, and not one old answer or failure."""
    directory = project(pairs.FILES)
    served = runner(directory, "app:main", "--workers", "4", "--reload", reload)
    outcome = pairs.run(served, directory / "module.py", wanted, SEED)
    print(f"seed {SEED}: {outcome.pairs} pairs, {outcome.redirects} redirects, {outcome.reopened} reopened,"
          f" {len(outcome.workers)} processes")
    assert (outcome.old, outcome.failed) == ([], []), f"seed {SEED}"
    assert len(outcome.workers) > wanted / 16   # of new code each time: there were as many reloads as there should be


@pytest.mark.parametrize("reload", ["request", "eager"])
def test_no_old_answer(project: Project, runner: Runner, reload: str) -> None:
    """60 pairs: 0 old answers, 0 failures."""
    check(project, runner, reload, 60)


@pytest.mark.stress
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("reload", ["request", "eager"])
def test_no_old_answer_in_thousands(project: Project, runner: Runner, reload: str) -> None:
    """5,000 pairs: 0 old answers, 0 failures."""
    check(project, runner, reload, 5000)
