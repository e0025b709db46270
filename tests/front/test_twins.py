"""Which twin reads the parameters: the compiled one where there is one, and nothing fails where there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

from runner.front import twins
from runner.wire import parameters
from tests.support.compiled import twin


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this checkout had been installed where a compiler is."""
    monkeypatch.setattr(twins, "compiled", twin("C"))
    monkeypatch.delenv("RUNNER_PURE", raising=False)


def test_the_compiled_one_is_taken_where_there_is_one(built: None) -> None:
    """It is the quicker one."""
    assert twins.quickest() is twin("C")


def test_one_can_be_without_it_on_purpose(built: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """RUNNER_PURE=1 passes over what was built."""
    monkeypatch.setenv("RUNNER_PURE", "1")
    assert twins.quickest() is parameters.parse_known


def test_an_installation_without_it_is_whole() -> None:
    """Where the module in C cannot be imported, the one in Python is taken."""
    code = (
        "import sys; sys.modules['runner.wire._parameters'] = None; from runner.front.twins import quickest;"
        "from runner.wire.parameters import parse_known; assert quickest() is parse_known"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)
