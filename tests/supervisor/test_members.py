"""Processes that are ended when nobody is sure which they are."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from runner.process.channel import Channel
from runner.supervisor.members import Station, send_signal


@pytest.fixture
def channel() -> Iterator[Channel]:
    """To nobody."""
    ours, theirs = socket.socketpair()
    yield Channel(ours)
    ours.close()
    theirs.close()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """One that does nothing for long."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_a_signal_to_nobody_is_harmless() -> None:
    """A process that is gone, and one that is not known yet; never our own group."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    send_signal(done.pid, signal.SIGKILL)
    send_signal(0, signal.SIGKILL)
    send_signal(-1, signal.SIGKILL)


def test_our_own_child_is_killed_and_collected(channel: Channel, process: subprocess.Popen[bytes]) -> None:
    """With the code that it ended with."""
    station = Station(1, process, channel, -1)
    assert not station.has_ended()
    assert station.collect() == -signal.SIGKILL


def test_who_has_not_said_its_number_is_killed_when_it_does(
    channel: Channel, process: subprocess.Popen[bytes]
) -> None:
    """Not before, for nobody knows whom to kill; how it ended its parent says."""
    station = Station(1, None, channel, -1)
    station.kill()
    assert process.poll() is None
    station.note_pid(process.pid)
    assert process.wait() == -signal.SIGKILL
    assert station.collect() is None


def test_who_may_live_may_say_its_number(channel: Channel, process: subprocess.Popen[bytes]) -> None:
    """Nothing happens to it."""
    station = Station(1, None, channel, -1)
    station.note_pid(process.pid)
    assert process.poll() is None
    assert not station.has_ended()
