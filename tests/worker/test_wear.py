"""When a worker has done or grown enough."""

import pytest

from runner.settings import resolve
from runner.worker import wear
from runner.worker.wear import Wear, resident_bytes


def span(**flags: str) -> Wear:
    """With these options."""
    return Wear(resolve(flags, {}, "/").settings)


def test_without_options_it_never_ends() -> None:
    """Jitter alone is no limit."""
    for endless in (span(), span(max_requests_jitter="3")):
        assert {endless.spent() for _ in range(1000)} == {""}


def test_the_last_request_is_told_once() -> None:
    """The fifth of five."""
    five = span(max_requests="5")
    said = [five.spent() for _ in range(8)]
    assert [index for index, reason in enumerate(said, 1) if reason] == [5]
    assert said[4] == "it has answered --max-requests requests"


def test_jitter_only_prolongs() -> None:
    """By 0 to as many requests as it says, and not always by the same."""
    lengths = set()
    for _ in range(200):
        one = span(max_requests="5", max_requests_jitter="3")
        lengths.add(next(count for count in range(1, 20) if one.spent()))
    assert lengths == {5, 6, 7, 8}


def test_growth_is_told_once_and_not_looked_for_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look costs a file's opening."""
    looks = []

    def weigh() -> int:
        looks.append(1)
        return 60 << 20

    monkeypatch.setattr(wear, "resident_bytes", weigh)
    small, large = span(max_rss="50M"), span(max_rss="100M")
    assert small.spent() == "it uses 60 MiB, more than --max-rss"
    assert small.spent() == ""
    assert {large.spent() for _ in range(100)} == {""}
    assert len(looks) < 5


def test_this_process_has_a_size() -> None:
    """More than a MiB, less than a TiB."""
    assert 1 << 20 < resident_bytes() < 1 << 40
