"""What the benchmark of waiting counts: time in which any worker was idle, all together."""

import math

import pytest

from tests.benchmarks.waiting import Call, idle_stretches, needless


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([], [(-math.inf, math.inf)]),
        ([(1, 0, 10)], [(-math.inf, math.inf)]),
        ([(1, 0, 4), (2, 2, 6)], [(-math.inf, 2), (4, math.inf)]),
        ([(1, 0, 4), (2, 2, 3), (2, 3, 6)], [(-math.inf, 2), (4, math.inf)]),
        ([(1, 0, 4), (2, 2, 3), (2, 3.5, 6)], [(-math.inf, 2), (3, 3.5), (4, math.inf)]),
        ([(1, 0, 4), (2, 2, 6), (1, 4, 5)], [(-math.inf, 2), (5, math.inf)]),
        ([(1, 0, 4), (2, 0, 4)], [(-math.inf, 0), (4, math.inf)]),
    ],
)
def test_idle_is_who_is_in_no_call(
    calls: list[tuple[int, float, float]], expected: list[tuple[float, float]]
) -> None:
    """Of two workers either; only while both are in a call is nobody."""
    found = idle_stretches([Call(pid, began, ended, "") for pid, began, ended in calls], 2)
    assert found == expected


@pytest.mark.parametrize(
    ("start", "end", "expected"), [(0, 1, 0), (0, 5, 3), (2, 3, 1), (0, 20, 15), (3, 9, 2), (4, 8, 0), (21, 22, 0)]
)
def test_what_counts_is_the_sum(start: float, end: float, expected: float) -> None:
    """Two short stretches are as bad as one long one; what lies beyond the wait does not count."""
    assert needless([(1, 4), (8, 20)], start, end) == expected
