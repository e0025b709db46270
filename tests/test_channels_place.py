"""Where the channels of a process are: as it was told, else as its environment says, else nowhere."""

from __future__ import annotations

import pytest

from runner import channels_place
from runner.channels_place import Place, furnish, place
from runner.errors import ChannelsUnavailable


@pytest.fixture(autouse=True)
def _untold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels_place, "_place", None)
    monkeypatch.delenv("RUNNER_CHANNELS", raising=False)


def test_what_was_told_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also against the environment, which was read by who told it."""
    monkeypatch.setenv("RUNNER_CHANNELS", "redis://other")
    furnish("memory:", 7)
    assert place() == Place("memory:", 7)


def test_a_script_is_told_by_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no descriptor."""
    monkeypatch.setenv("RUNNER_CHANNELS", "redis://host")
    assert place() == Place("redis://host", -1)


def test_where_nothing_was_told_that_is_said() -> None:
    """With both ways to change that."""
    with pytest.raises(ChannelsUnavailable, match=r"runner serve.*RUNNER_CHANNELS"):
        place()
