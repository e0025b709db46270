"""A process that waits, and has others go on, more than once."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runner.process import messages
from runner.process.channel import pair
from runner.process.messages import Reaped, Resume
from tests.support.process import PATIENCE
from tests.support.trouble import alive, until

WAITING = """
import os, signal, socket, sys
from runner.generation import pages
from runner.generation.pause import pause
from runner.process.channel import Channel
channel, busy, words = Channel(socket.socket(fileno=int(sys.argv[1]))), int(sys.argv[2]), sys.argv[3].split()
steps = 0
made_ready = []
def say(text):
    os.write(1, f"{os.getpid()} {text}\\n".encode())
class Work:
    def get_ready(self, *, expected):
        made_ready.append((os.getpid(), expected))
    def idle(self):
        global steps
        say("waits")
        for steps in range(steps, 3):
            yield
    def each(self):
        while "steps" in words:
            say("does a step")
            yield
if "copies" in words:
    pages.have_ready = lambda known: say(f"copies {len(known)}")
signal.signal(signal.SIGCHLD, hear := lambda *_: say("hears the application's handler"))
told = pause(channel, Work(), busy, likely="likely" in words, known=bytes(16) if "known" in words else b"")
assert signal.getsignal(signal.SIGCHLD) is hear
assert made_ready and all(pid != os.getpid() for pid, _ in made_ready)
if "expects" in words:
    say(" ".join(str(expected) for _, expected in made_ready))
say(f"goes on as {told.message.number} with {len(told.descriptors)} after {steps}")
assert bool(told.before) is not bool(told.known)
if told.message.voids:
    say("is not asked" if told.known else "is asked")
    os.write(told.hush, (b"" if told.known else bytes(8)) + (b">" if told.message.voids == 2 else b"."))
os.read(0, 1)
"""


class Waiting:
    """Such a process, its channel, the pipe of whoever is busy, and what it and those who go on say."""

    def __init__(self, words: str = "likely") -> None:
        self.channel, theirs = pair()
        busy, self.hush = os.pipe()
        self._popen = subprocess.Popen(
            [sys.executable, "-c", WAITING, str(theirs.fileno()), str(busy), words],
            pass_fds=[theirs.fileno(), busy],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        theirs.close()
        os.close(busy)
        assert self._popen.stdout is not None
        self.output = self._popen.stdout
        self.pid = self._popen.pid

    def says(self) -> tuple[int, str]:
        """The next line, and whose it is."""
        pid, _, text = self.output.readline().decode().strip().partition(" ")
        return int(pid or 0), text

    def resume(self, number: int) -> int:
        """Go on; the process that did."""
        self.channel.send(Resume(number, 0, [], 0.0))
        while True:
            pid, text = self.says()
            assert text
            if text.startswith(f"goes on as {number}"):
                return pid

    def spare(self) -> int:
        """The process that is to go on next, once it is there."""

        def found() -> int:
            return next((pid for pid in children(self.pid) if _listens(pid)), 0)

        return until("there is a spare", found)

    def close(self) -> None:
        """Nobody may be left: each of them holds the other end of the pipe."""
        self.channel.close()
        os.close(self.hush)
        assert self._popen.stdin is not None
        self._popen.stdin.close()   # those who have gone on wait for that
        assert self.output.read() is not None
        self.output.close()
        self._popen.wait(PATIENCE)


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    """See Waiting."""
    waiting = Waiting()
    yield waiting
    waiting.close()


def test_it_goes_on_as_often_as_it_is_told(waiting: Waiting) -> None:
    """Each time it is another process, and all of them are children of the one that waits, which got ready for it."""
    seen = {waiting.resume(number) for number in (5, 6, 7)}
    assert len(seen) == 3
    assert seen <= children(waiting.pid)


def test_where_nobody_is_expected_no_spare_is_made_ahead() -> None:
    """From there it is; it goes on all the same, and from then on there is one."""
    with closing(Waiting("")) as waiting:
        os.write(waiting.hush, b".")
        first = waiting.resume(5)
        os.kill(first, signal.SIGKILL)
        assert waiting.spare() != first


def test_where_nobody_is_expected_the_end_is_heard() -> None:
    """Of the channel: it is of no use any more."""
    with closing(Waiting("")) as waiting:
        os.write(waiting.hush, b".")
        waiting.channel.close()
        assert waiting.output.read() == b""


def test_who_goes_on_says_where_it_has_written_until_somebody_has(waiting: Waiting) -> None:
    """It is the same for all who go on from there. This one says it through the pipe, before it lets others be busy."""
    for number, asked in ((5, "is asked"), (6, "is not asked")):
        waiting.channel.send(Resume(number, 1, [], 0.0))
        said = [waiting.says()[1] for _ in range(2)]
        while said[-1] not in ("is asked", "is not asked"):
            said.append(waiting.says()[1])
        assert said[-1] == asked
        waiting.spare()


def test_where_nobody_was_expected_somebody_is_once_one_has_come() -> None:
    """Whoever gets ready is told so."""
    with closing(Waiting("expects")) as waiting:
        os.write(waiting.hush, b".")
        for number, expected in ((5, "False"), (6, "False True")):
            waiting.channel.send(Resume(number, 0, [], 0.0))
            pid, said = waiting.says()
            assert said == expected
            assert waiting.says()[1].startswith(f"goes on as {number}")
            if number == 5:
                os.kill(pid, signal.SIGKILL)
                assert waiting.says()[1] == "waits"
                waiting.spare()


def test_pages_are_copied_for_those_who_are_expected_here() -> None:
    """The ones that were told; no longer, once whoever went on has left somebody behind who is nearer."""
    with closing(Waiting("likely copies")) as waiting:
        os.write(waiting.hush, b".")
        assert waiting.says()[1] == "copies 0"
        waiting.channel.send(Resume(5, 1, [], 0.0))
        assert [waiting.says()[1] for _ in range(4)] == ["goes on as 5 with 0 after 0", "is asked", "waits", "copies 8"]
        waiting.channel.send(Resume(6, 2, [], 0.0))
        assert [waiting.says()[1] for _ in range(3)] == ["goes on as 6 with 0 after 2", "is not asked", "waits"]
        waiting.spare()
        waiting.channel.send(Resume(7, 0, [], 0.0))
        assert waiting.says()[1].startswith("goes on as 7")


def test_where_somebody_stands_nearer_a_spare_gets_nothing_ready() -> None:
    """It would be memory for nothing; until one goes on that has left nobody behind."""
    with closing(Waiting("likely steps")) as waiting:
        os.write(waiting.hush, b">")
        waiting.spare()
        waiting.channel.send(Resume(5, 1, [], 0.0))
        assert [waiting.says()[1] for _ in range(4)] == [
            "goes on as 5 with 0 after 0", "is asked", "waits", "does a step",
        ]  # fmt: skip


def test_what_was_known_of_pages_before_is_believed() -> None:
    """By those who went on from an earlier one: theirs are copied at once, and nobody is asked, for that takes time."""
    with closing(Waiting("likely copies known")) as waiting:
        os.write(waiting.hush, b".")
        assert waiting.says()[1] == "copies 16"
        waiting.channel.send(Resume(5, 1, [], 0.0))
        assert [waiting.says()[1] for _ in range(4)] == [
            "goes on as 5 with 0 after 0", "is not asked", "waits", "copies 16",
        ]  # fmt: skip


def test_who_is_to_go_on_gets_ready_until_it_is_told_to() -> None:
    """In steps; the order is more urgent than the next one."""
    with closing(Waiting("likely steps")) as waiting:
        os.write(waiting.hush, b".")
        assert waiting.says()[1] == "does a step"
        assert waiting.resume(5) in children(waiting.pid)


def test_what_comes_along_with_the_order_is_there(waiting: Waiting) -> None:
    """Descriptors."""
    waiting.channel.send(Resume(5, 0, [], 0.0), waiting.channel.fileno(), waiting.output.fileno())
    assert "with 2" in waiting.says()[1]


def test_what_there_is_time_for_is_done_once(waiting: Waiting) -> None:
    """When whoever is busy is through, or has ended, if anybody goes on from here; the next one has it done."""
    os.write(waiting.hush, b".")
    spare = waiting.spare()
    assert waiting.resume(5) == spare
    os.kill(spare, signal.SIGKILL)
    assert waiting.says() == (waiting.pid, "waits")
    spare = waiting.spare()
    waiting.channel.send(Resume(6, 0, [], 0.0))
    assert waiting.says() == (spare, "goes on as 6 with 0 after 2")


def test_a_call_is_more_urgent(waiting: Waiting) -> None:
    """Than whoever is busy, and than what there would be time for."""
    waiting.resume(5)
    waiting.channel.send(Resume(6, 0, [], 0.0))
    assert waiting.says() == (waiting.pid, "waits")
    assert waiting.says()[1] == "goes on as 6 with 0 after 0"


def test_the_end_of_one_that_has_gone_on_is_told(waiting: Waiting) -> None:
    """Its parent says how it ended, whatever it is waiting for."""
    first = waiting.resume(5)
    os.kill(first, signal.SIGKILL)
    assert until("its end is told", waiting.channel.receive) == (Reaped(first, signal.SIGKILL), [])
    second = waiting.resume(6)
    os.kill(second, signal.SIGKILL)
    assert until("its end is told", waiting.channel.receive) == (Reaped(second, signal.SIGKILL), [])
    assert alive({first, second}) == set()


def test_the_application_does_not_hear_of_that(waiting: Waiting) -> None:
    """Its handler would change what it is that others go on from. They have it again."""
    first = waiting.resume(5)
    os.kill(first, signal.SIGKILL)
    until("its end is told", waiting.channel.receive)
    assert waiting.says() == (waiting.pid, "waits")
    waiting.channel.send(Resume(6, 0, [], 0.0))
    assert waiting.says()[1].startswith("goes on as 6")


def test_who_is_given_up_ends_with_the_spare(waiting: Waiting) -> None:
    """Its channel is closed."""
    os.write(waiting.hush, b".")
    both = {waiting.pid, waiting.spare()}
    waiting.channel.close()
    until("both have ended", lambda: not alive(both))


def test_who_is_given_up_before_there_is_a_spare(waiting: Waiting) -> None:
    """Nobody has told it that there is time for one."""
    waiting.channel.close()
    until("it has ended", lambda: not alive({waiting.pid}))


def test_a_spare_that_is_killed_is_replaced(waiting: Waiting) -> None:
    """By another one."""
    os.write(waiting.hush, b".")
    spare = waiting.spare()
    os.kill(spare, signal.SIGKILL)
    until("it is gone", lambda: spare not in children(waiting.pid))
    assert waiting.resume(5) != spare


def test_a_spare_goes_on_without_the_one_who_waits(waiting: Waiting) -> None:
    """It was killed; then nobody waits in its place."""
    os.write(waiting.hush, b".")
    spare = waiting.spare()
    os.kill(waiting.pid, signal.SIGKILL)
    until("it is gone", lambda: not alive({waiting.pid}))
    assert waiting.resume(5) == spare
    with pytest.raises(EOFError):
        waiting.channel.receive()


def test_it_understands_one_order_only(waiting: Waiting) -> None:
    """Anything else is a mistake that nobody can mend: who got it ends, and the next one waits for a better one."""
    waiting.channel.send(messages.Retire())
    assert waiting.resume(5) in children(waiting.pid)


def children(pid: int) -> set[int]:
    """Of that process."""
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _listens(pid: int) -> bool:
    """It sleeps in the kernel until a message comes; one that has just ended does not."""
    try:
        return b"skb" in Path(f"/proc/{pid}/wchan").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
