"""A live command keeps its word, also when the command does not keep its own."""

import os
import signal
import sys

import pytest

from tests.support.process import Live

STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("stubborn", os.getpid(), flush=True)
if os.fork() == 0:
    print("orphan", os.getpid(), flush=True)
time.sleep(60)
"""


def python(code: str) -> Live:
    """Start an interpreter on *code*."""
    return Live([sys.executable, "-c", code])


def test_a_line_is_waited_for() -> None:
    """What is written later than the question still answers it, from stderr as from stdout."""
    with python("import sys, time; time.sleep(0.1); print('number 7', file=sys.stderr)") as live:
        assert live.wait_for(r"number (\d)")[1] == "7"
        assert live.wait() == 0


def test_only_later_lines_count_after_a_position() -> None:
    """`after` makes the difference between the first time and the next."""
    with python("print('turn 1'); print('turn 2')") as live:
        live.wait()
        assert live.wait_for(r"turn (\d)", after=1)[1] == "2"
        assert live.position == 2


def test_the_end_of_the_command_ends_the_waiting() -> None:
    """A command that dies is reported at once, with what it said."""
    with python("print('last words')") as live, pytest.raises(AssertionError, match="last words"):
        live.wait_for("never", timeout=60)


def test_silence_ends_the_waiting() -> None:
    """A line that does not come in time is a failure that names it."""
    with python("import time; time.sleep(60)") as live, pytest.raises(AssertionError, match="no 'never'"):
        live.wait_for("never", timeout=0.05)


def test_stop_leaves_nobody_behind() -> None:
    """A command that ignores SIGTERM is killed, and so is the child that would have outlived it."""
    with python(STUBBORN) as live:
        orphan = int(live.wait_for(r"orphan (\d+)")[1])
        assert os.getpgid(orphan) == live.pid
        assert live.stop(timeout=0.05) == -signal.SIGKILL
        # The end of the output is the end of the last process that could write to it.
        with pytest.raises(AssertionError, match="ended without"):
            live.wait_for("never")
