"""Why a request is refused, and what `runner status` calls that."""

import pytest

from runner.process.refusals import CROWDED, FULL, LATE, STOPPING, counter_of
from runner.process.scoreboard import Counter


@pytest.mark.parametrize(("reason", "counter"), [
    (LATE, Counter.EXPIRED), (FULL, Counter.REFUSED), (STOPPING, Counter.REFUSED), (CROWDED, Counter.REFUSED),
])
def test_only_who_has_waited_is_called_expired(reason: str, counter: Counter) -> None:
    """Who was turned away at once is refused, for whatever reason."""
    assert counter_of(reason) is counter


@pytest.mark.parametrize("reason", [LATE, FULL, STOPPING, CROWDED])
def test_each_says_what_to_do(reason: str) -> None:
    """The client is no expert of this server."""
    assert "; ask again" in reason
