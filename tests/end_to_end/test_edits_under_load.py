"""The two first promises under load: while somebody saves, no request fails and none is answered by old code.

Once with a connection to the application for every request, and saves that are mostly seen before the next one comes;
once on all routes that keep their connections, five saves a second, none waiting for another; this is also a command,
`python -m tests.support.edit_load --help`. What fails prints its seed; set EDIT_LOAD_SEED to try it again.
"""

import itertools
import os
import random
from collections.abc import Iterator

import pytest

from tests.support import apache, nginx
from tests.support.edit_load import Load, Single, describe, run, run_single
from tests.support.probe_process import Probe, serve_probe
from tests.support.sites import Direct, Site, title
from tests.support.verdict import Mode, Outcome

DOORS: list[Site] = [Direct(), nginx.Site(keep_connections=False), apache.Site()]
MODES: list[Mode] = ["redirect", "hold"]
TARGETS = pytest.mark.parametrize("target", ["app:main", "app:live"], ids=["wsgi", "asgi"])
SEED = int(os.environ.get("EDIT_LOAD_SEED") or random.SystemRandom().randrange(1 << 32))


@pytest.fixture(scope="module")
def probe() -> Iterator[Probe]:
    """The application under load."""
    with serve_probe() as probe:
        yield probe


@pytest.fixture(scope="module")
def first() -> Iterator[int]:
    """Where each test's versions begin."""
    return itertools.count(1000, 1000)


def check(outcome: Outcome) -> None:
    """Nothing failed, nothing was old, nobody was sent around more than once for a save; and there was a load."""
    print(f"seed {SEED}: {outcome.answers} answers, {outcome.redirects} redirects")
    assert (outcome.faults, outcome.finished) == ((), ())
    assert outcome.versions > outcome.saves / 2


@pytest.mark.parametrize("site", DOORS, ids=title)
def test_saves_under_load_cost_no_request(probe: Probe, first: Iterator[int], site: Site) -> None:
    """12 saves, 32 visitors with GET and POST: 0 failed, 0 stale, one redirect for a visitor and a save at most."""
    check(run_single(probe, site, Single(), next(first), SEED))


@pytest.mark.stress
@pytest.mark.parametrize("site", DOORS, ids=title)
def test_many_saves_under_load_cost_no_request(probe: Probe, first: Iterator[int], site: Site) -> None:
    """The same with 50 saves, up to half a second apart."""
    check(run_single(probe, site, Single(edits=50, pause=0.5), next(first), SEED))


def check_run(load: Load) -> None:
    """No fault of any kind, out of so many requests as there should be: nobody waits for as long as somebody saves."""
    report = run(load)
    text = describe(report, load)
    print(text)
    assert not report.outcome.faults, f"\n{text}"
    assert report.outcome.requests >= load.least, f"\n{text}"


@TARGETS
@pytest.mark.parametrize("mode", MODES)
def test_kept_connections_cost_no_request(mode: Mode, target: str) -> None:
    """2 s of 5 saves each, 40 visitors on 4 routes: nothing refused, reset, cut, late, stale, repeated or lost."""
    check_run(Load(mode, target, connections=40, seconds=2, seed=SEED, least=200))


@pytest.mark.stress
@pytest.mark.timeout(900)
@TARGETS
@pytest.mark.parametrize("mode", MODES)
def test_kept_connections_cost_no_request_of_many(mode: Mode, target: str) -> None:
    """The same with 200 visitors for at least 60 s and 20,000 requests."""
    check_run(Load(mode, target, seed=SEED, least=20_000))
