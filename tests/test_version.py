"""Which runner this is."""

import subprocess
import sys
from importlib import metadata

import pytest

from runner.version import version


def test_the_installed_one() -> None:
    """As pip knows it."""
    assert version() == metadata.version("runner")


def test_nobody_has_installed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout has none."""

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert version() == ""


def test_a_start_does_not_ask() -> None:
    """What answers that takes longer to import than the supervisor's own modules."""
    code = "import runner.cli, runner.supervisor.serve, sys; print('importlib.metadata' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
