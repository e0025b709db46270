"""What an application says to answer later."""

import pytest

from runner.errors import LocalProtocolError
from runner.streaming import TIMEOUT, delayed


def test_nothing_runs_before_the_host_calls() -> None:
    """To return it is all that the application does."""
    made = delayed(lambda respond: pytest.fail("called"))
    assert made.timeout == TIMEOUT
    assert delayed(print, timeout=1.5).timeout == 1.5


def test_it_is_no_body() -> None:
    """A middleware that iterates over it is told, or there would be an empty answer."""
    with pytest.raises(LocalProtocolError, match="some middleware took it for a body"):
        iter(delayed(print))
