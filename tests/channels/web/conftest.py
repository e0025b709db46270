"""What the tests of this folder share."""

import pytest

import runner.channels.current as current
from tests.channels.web.local_store import Hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The store of this process, until the test ends."""
    hub = Hub()
    monkeypatch.setattr(current, "_open_store", hub.open_store)
    return hub
