"""Who comes in, and when."""

from collections import Counter

import pytest

from runner.channels.web.entrance import AT_ONCE, BEGINNING, RATE, Entrance


def moments(arrivals: list[float]) -> list[float]:
    """When each comes in who comes then."""
    entrance = Entrance()
    return [now + entrance.wait(now) for now in arrivals]


def test_a_herd_comes_in_one_after_the_other() -> None:
    """500 at the same moment: never more than RATE in a second, but for a few, and in the order of their coming."""
    found = moments([100.0] * 500)
    seconds = Counter(int(moment - 100.0) for moment in found)
    assert max(seconds.values()) <= RATE + AT_ONCE
    assert max(found) <= 100.0 + 500 / RATE
    assert found == sorted(found)


def test_few_at_a_time_do_not_wait() -> None:
    """At half the rate, one by one or a few at once."""
    arrivals = [number * 2 / RATE for number in range(200)]
    assert moments(arrivals) == pytest.approx(arrivals)
    assert moments([5.0] * AT_ONCE) == pytest.approx([5.0] * AT_ONCE)


def test_later_all_come_in_at_once() -> None:
    """A process that has been there for a while has no herd before it, but visitors."""
    later = 7.0 + BEGINNING
    assert moments([7.0, *[later] * 1000])[1:] == [later] * 1000
