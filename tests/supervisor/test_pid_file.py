"""Which process it is: there while it runs, held by one, gone afterwards."""

import os
from pathlib import Path

import pytest

from runner.errors import BootError
from runner.supervisor.pid_file import PidFile


def test_the_pid_file_is_there_while_it_runs(tmp_path: Path) -> None:
    """With the number, readable by all; then it is gone."""
    path = tmp_path / "pid"
    with PidFile(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"
        assert path.stat().st_mode & 0o777 == 0o644
    assert not path.exists()


def test_no_pid_file_is_no_pid_file() -> None:
    """Unless one is asked for."""
    with PidFile(None):
        pass


def test_a_held_pid_file_names_the_holder(tmp_path: Path) -> None:
    """And the remedy."""
    path = str(tmp_path / "pid")
    with PidFile(path), pytest.raises(BootError, match=rf"already running as process {os.getpid()} .*; stop that one"):
        PidFile(path).__enter__()


def test_a_pid_file_that_was_removed_meanwhile_is_no_error(tmp_path: Path) -> None:
    """At the end nothing is left to be removed."""
    path = tmp_path / "pid"
    with PidFile(str(path)):
        path.unlink()
