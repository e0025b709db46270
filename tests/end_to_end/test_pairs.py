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


THREADS = [(), ("--threads", "4")]


def check(project: Project, runner: Runner, reload: str, threads: tuple[str, ...], wanted: int) -> None:
    """So many pairs over four workers: not one old answer or failure, and no kept connection that ended."""
    directory = project(pairs.FILES)
    served = runner(directory, "app:main", "--workers", "4", "--reload", reload, *threads)
    outcome = pairs.run(served, directory / "module.py", wanted, SEED)
    print(f"seed {SEED}: {outcome.pairs} pairs, {outcome.redirects} redirects, {outcome.reopened} reopened,"
          f" {len(outcome.workers)} processes")
    assert (outcome.old, outcome.failed, outcome.reopened) == ([], [], 0), f"seed {SEED}"
    assert len(outcome.workers) > wanted / 16   # of new code each time: there were as many reloads as there should be


@pytest.mark.parametrize("threads", THREADS, ids=" ".join)
@pytest.mark.parametrize("reload", ["request", "eager"])
def test_no_old_answer(project: Project, runner: Runner, reload: str, threads: tuple[str, ...]) -> None:
    """40 pairs: 0 old answers, 0 failures, 0 connections closed."""
    check(project, runner, reload, threads, 40)


@pytest.mark.stress
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("threads", THREADS, ids=" ".join)
@pytest.mark.parametrize("reload", ["request", "eager"])
def test_no_old_answer_in_thousands(
    project: Project, runner: Runner, reload: str, threads: tuple[str, ...]
) -> None:
    """5,000 pairs: 0 old answers, 0 failures, 0 connections closed."""
    check(project, runner, reload, threads, 5000)
