"""The two first promises under load: while somebody saves, no request fails and none is answered by old code.

Every request opens a connection of its own to the application: that a kept one survives a change takes more than a
retiring worker can do alone. What fails prints its seed; set EDIT_LOAD_SEED to try it again.
"""

import itertools
import os
import random
from collections.abc import Iterator

import pytest

from tests.support import apache, nginx
from tests.support.edit_load import Load, Outcome, load
from tests.support.probe_process import Probe, serve_probe
from tests.support.sites import Direct, Site, open_site, title

DOORS: list[Site] = [Direct(), nginx.Site(keep_connections=False), apache.Site()]
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
    """Nothing failed, nothing was stale, nobody was sent around more than once for a save; and there was a load."""
    print(f"seed {SEED}: {outcome.answers} answers, {sum(outcome.redirects)} redirects")
    assert (outcome.failed, outcome.stale) == ([], [])
    assert max(outcome.redirects) <= outcome.edits
    assert len(outcome.versions) > outcome.edits / 2


@pytest.mark.parametrize("site", DOORS, ids=title)
def test_saves_under_load_cost_no_request(probe: Probe, first: Iterator[int], site: Site) -> None:
    """12 saves, 32 visitors with GET and POST: 0 failed, 0 stale, one redirect for a visitor and a save at most."""
    with open_site(probe.served, site) as address:
        check(load(probe, address, Load(), next(first), SEED))


@pytest.mark.stress
@pytest.mark.parametrize("site", DOORS, ids=title)
def test_many_saves_under_load_cost_no_request(probe: Probe, first: Iterator[int], site: Site) -> None:
    """The same with 50 saves, up to half a second apart."""
    with open_site(probe.served, site) as address:
        check(load(probe, address, Load(edits=50, pause=0.5), next(first), SEED))
