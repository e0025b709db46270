"""A process that waits, and goes on more than once."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.process import messages
from runner.process.messages import Resume
from tests.support.process import PATIENCE
from tests.support.trouble import alive, until

WAITING = """
import os, socket, sys
from runner.generation.pause import pause
from runner.process.messages import Channel
steps = 0
def idle():
    global steps
    os.write(1, b"%d waits\\n" % os.getpid())
    for steps in range(3):
        yield
told = pause(Channel(socket.socket(fileno=int(sys.argv[1]))), idle)
os.write(1, b"%d goes on as %d with %d after %d\\n" % (os.getpid(), told.message.number, len(told.descriptors), steps))
"""


class Waiting:
    """Such a process, the channel to it and what it and its copies say."""

    def __init__(self) -> None:
        self.channel, theirs = messages.pair()
        self._popen = subprocess.Popen(
            [sys.executable, "-c", WAITING, str(theirs.fileno())], pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        theirs.close()
        assert self._popen.stdout is not None
        self.output = self._popen.stdout

    def says(self) -> tuple[int, str]:
        """The next line, and whose it is."""
        pid, _, text = self.output.readline().decode().strip().partition(" ")
        return int(pid or 0), text

    def resume(self, number: int) -> None:
        """Go on."""
        self.channel.send(Resume(number, 0, [], 0.0))

    def close(self) -> None:
        """Nobody may be left: each of them holds the other end of the pipe."""
        self.channel.close()
        assert self.output.read() is not None
        self.output.close()
        self._popen.wait(PATIENCE)


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    """See Waiting."""
    waiting = Waiting()
    yield waiting
    waiting.close()


def test_it_goes_on_and_its_copy_waits_in_its_place(waiting: Waiting) -> None:
    """As often as it is told; each time it is another process."""
    first, _ = waiting.says()
    seen = set()
    for number in (5, 6, 7):
        waiting.resume(number)
        said = dict([waiting.says(), waiting.says()])
        (goes_on,) = [pid for pid, text in said.items() if text.startswith("goes on")]
        assert said[goes_on].startswith(f"goes on as {number} with 0")
        assert {text for pid, text in said.items() if pid != goes_on} == {"waits"}
        seen.add(goes_on)
    assert first in seen and len(seen) == 3


def test_what_comes_along_with_the_order_is_there(waiting: Waiting) -> None:
    """Descriptors."""
    waiting.says()
    waiting.channel.send(Resume(5, 0, [], 0.0), waiting.channel.fileno(), waiting.output.fileno())
    assert any("with 2" in text for text in (waiting.says()[1], waiting.says()[1]))


def test_while_nobody_calls_it_does_what_has_time(waiting: Waiting) -> None:
    """All of it, if nobody calls."""
    pid, _ = waiting.says()
    until("it listens", lambda: _listens(pid))
    waiting.resume(5)
    assert any("after 2" in text for text in (waiting.says()[1], waiting.says()[1]))


def test_who_is_given_up_ends_with_its_copy(waiting: Waiting) -> None:
    """Its channel is closed."""
    waiting.says()
    waiting.channel.close()
    assert waiting.output.read() == b""


def test_who_is_killed_takes_its_copy_along(waiting: Waiting) -> None:
    """Nobody else knows of it."""
    pid, _ = waiting.says()
    until("it listens", lambda: _listens(pid))
    os.kill(pid, signal.SIGKILL)
    assert waiting.output.read() == b""


def test_without_its_copy_it_goes_on_all_the_same(waiting: Waiting) -> None:
    """It was killed; then nobody waits in its place."""
    pid, _ = waiting.says()
    until("it listens", lambda: _listens(pid))
    copy = int(Path(f"/proc/{pid}/task/{pid}/children").read_text())
    os.kill(copy, signal.SIGKILL)
    until("its copy is gone", lambda: not alive({copy}))
    waiting.resume(5)
    assert waiting.says()[1].startswith("goes on as 5")
    assert waiting.output.read() == b""


def test_it_understands_one_order_only(waiting: Waiting) -> None:
    """Anything else is a mistake that nobody can mend."""
    waiting.says()
    waiting.channel.send(messages.Retire())
    assert waiting.output.read() == b""


def _listens(pid: int) -> bool:
    """It sleeps in the kernel until a message comes."""
    return b"skb" in Path(f"/proc/{pid}/wchan").read_bytes()
