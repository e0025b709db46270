"""A live command keeps its word, also when the command does not keep its own."""

import os
import signal
import sys
from pathlib import Path

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


ECHO = """
import os
asked, told = os.open("asked", os.O_RDONLY), os.open("told", os.O_WRONLY)
while os.read(asked, 1):
    os.write(1, b"line\\n")
    os.write(told, b".")
"""


def test_what_was_written_before_one_asks_is_seen(tmp_path: Path) -> None:
    """Whatever else tells that it was written, and whether or not the reader has had his turn since."""
    for name in ("asked", "told"):
        os.mkfifo(tmp_path / name)
    with Live([sys.executable, "-c", ECHO], cwd=tmp_path) as live:
        with (tmp_path / "asked").open("wb", 0) as asked, (tmp_path / "told").open("rb", 0) as told:
            for number in range(1, 300):
                asked.write(b".")
                told.read(1)
                assert live.position == number
        assert live.wait() == 0


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
