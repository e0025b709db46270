"""A listening socket without a name."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.process.private import Private, open_private


@pytest.fixture
def private() -> Iterator[Private]:
    """One, and closed again."""
    made = open_private()
    assert made is not None
    yield made
    made.listener.close()
    os.close(made.door)


def test_who_has_the_door_can_connect(private: Private) -> None:
    """And the listener accepts."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(private.address)
        client.sendall(b"hello")
        with private.listener.accept()[0] as accepted:
            assert accepted.recv(5) == b"hello"


def test_a_forked_child_can_connect(private: Private) -> None:
    """It has the same descriptor."""
    child = os.fork()
    if not child:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(private.address)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    private.listener.accept()[0].close()


def test_a_child_that_becomes_another_user_can_connect(private: Private) -> None:
    """Whoever has the descriptor was given it."""
    assert os.geteuid() == 0, "run the tests as root, or this promise is not looked at"
    child = os.fork()
    if not child:
        try:
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(private.address)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    private.listener.accept()[0].close()


def test_nobody_else_can(private: Private) -> None:
    """The descriptor is closed by exec."""
    code = f"import socket; socket.socket(socket.AF_UNIX).connect({private.address!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode


def test_no_name_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one too long that it has for a moment."""
    place = tmp_path / ("x" * 120)
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    private = open_private()
    assert private is not None
    assert not list(place.iterdir())
    private.listener.close()
    os.close(private.door)


def test_without_a_place_for_its_name_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left open."""
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    before = os.listdir("/proc/self/fd")
    assert open_private() is None
    assert os.listdir("/proc/self/fd") == before


def test_elsewhere_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Linux follows such a path."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert open_private() is None
