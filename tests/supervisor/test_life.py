"""The table of a generation's life, walked as a whole, and the waits after failures."""

import itertools

import pytest

from runner.supervisor.life import FIRST_DELAY, HEALTHY, LIFE, LONGEST_DELAY, Backoff, Fact, Phase

STEPS = {
    (Phase.LOADING, Fact.LOADED): Phase.LIVE,
    (Phase.LOADING, Fact.BROKEN): Phase.LIVE,
    (Phase.LOADING, Fact.UNBORN): Phase.LEAVING,
    (Phase.LOADING, Fact.STALE): Phase.LEAVING,
    (Phase.LOADING, Fact.REPLACED): Phase.LEAVING,
    (Phase.LIVE, Fact.STALE): Phase.OUTDATED,
    (Phase.LIVE, Fact.REPLACED): Phase.LEAVING,
    (Phase.OUTDATED, Fact.KEPT): Phase.LIVE,
    (Phase.OUTDATED, Fact.REPLACED): Phase.LEAVING,
    (Phase.ASIDE, Fact.STALE): Phase.LEAVING,
    (Phase.ASIDE, Fact.REPLACED): Phase.LEAVING,
}


@pytest.mark.parametrize(("phase", "fact"), list(itertools.product(Phase, Fact)))
def test_every_phase_answers_every_fact(phase: Phase, fact: Fact) -> None:
    """The steps of the drawing are taken, the end ends every phase, and everything else changes nothing."""
    assert LIFE[phase, fact] is STEPS.get((phase, fact), Phase.GONE if fact is Fact.GONE else phase)


def test_nobody_comes_back() -> None:
    """From LEAVING no fact leads to a phase that serves, and from GONE none leads anywhere."""
    assert {LIFE[Phase.LEAVING, fact] for fact in Fact} == {Phase.LEAVING, Phase.GONE}
    assert {LIFE[Phase.GONE, fact] for fact in Fact} == {Phase.GONE}


def test_waits_double_up_to_the_longest() -> None:
    """0.1 s, 0.2, 0.4 … 5 s after failures that follow each other."""
    backoff, waits, now = Backoff(), [], 100.0
    for _ in range(9):
        backoff.fail(now, free=0)
        waits.append(round(backoff.not_before - now, 3))
        now = backoff.not_before
    assert waits == [FIRST_DELAY, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_DELAY, LONGEST_DELAY, LONGEST_DELAY]


def test_the_first_failures_may_be_free() -> None:
    """As many as the caller says."""
    backoff = Backoff()
    waits = []
    for _ in range(3):
        backoff.fail(5.0, free=2)
        waits.append(backoff.not_before - 5.0)
    assert waits == [0.0, 0.0, pytest.approx(FIRST_DELAY)]


def test_old_failures_are_forgotten() -> None:
    """What has been healthy for long begins again with the shortest wait."""
    backoff = Backoff()
    for _ in range(5):
        backoff.fail(10.0, free=0)
    backoff.fail(10.0 + HEALTHY + 1, free=0)
    assert backoff.not_before == pytest.approx(10.0 + HEALTHY + 1 + FIRST_DELAY)


def test_forgiven_is_as_new() -> None:
    """No wait, and no memory of how many there were."""
    backoff = Backoff()
    for _ in range(5):
        backoff.fail(10.0, free=0)
    backoff.forgive()
    assert backoff.not_before == 0.0
    backoff.fail(10.0, free=0)
    assert backoff.not_before == pytest.approx(10.0 + FIRST_DELAY)
