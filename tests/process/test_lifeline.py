"""Processes that end with the supervisor, whoever their parent is."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from runner.process.lifeline import Lifeline, works

BOUND = """
import os, signal, sys, time
from runner.process import lifeline
signal.signal(signal.SIGIO, signal.SIG_IGN)
bond = lifeline.bind(int(sys.argv[1]))
if sys.argv[2] == "let go":
    os.close(bond)
print("bound", flush=True)
if sys.argv[2] == "compute":
    while True: pass
sys.stdin.read()
"""


@pytest.fixture
def lifeline() -> Iterator[Lifeline]:
    """One that the test cuts, or else the end."""
    lifeline = Lifeline()
    yield lifeline
    lifeline.close()


def bound(lifeline: Lifeline, way: str) -> subprocess.Popen[bytes]:
    """A process that is bound to it."""
    process = subprocess.Popen(
        [sys.executable, "-c", BOUND, str(lifeline.descriptor), way], pass_fds=[lifeline.descriptor],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"bound\n"
    return process


@pytest.mark.parametrize("way", ["wait", "compute"])
def test_whoever_is_bound_ends_with_it(lifeline: Lifeline, way: str) -> None:
    """Also while it computes, and hears no signal."""
    with bound(lifeline, way) as process:
        lifeline.cut()
        assert process.wait(10) == -signal.SIGKILL


def test_whoever_has_let_go_stays(lifeline: Lifeline) -> None:
    """It ends when it wants to."""
    with bound(lifeline, "let go") as process:
        lifeline.cut()
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def test_who_comes_too_late_ends_at_once(lifeline: Lifeline) -> None:
    """It was cut while the process began."""
    reading = os.dup(lifeline.descriptor)
    lifeline.cut()
    code = f"from runner.process import lifeline\nlifeline.bind({reading})\nprint('still here')"
    done = subprocess.run([sys.executable, "-c", code], pass_fds=[reading], capture_output=True, check=True)
    assert done.stdout == b""
    os.close(reading)


def test_this_system_can_do_it() -> None:
    """The others do without checkpoints."""
    assert works()
