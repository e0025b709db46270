"""Paused processes, as far as the supervisor can tell: what listens at the other end of a channel."""

import os
import selectors
import socket
from collections.abc import Iterator

import pytest

from runner.process import messages
from runner.process.channel import Channel
from runner.process.messages import Message, Paused, Reaped, Resume
from runner.supervisor.standby import Standby
from runner.supervisor.switchboard import Switchboard
from tests.support.memory import open_files

ORDER = Resume(5, 0, ["/srv/shop/view.py"], 0.01)


class Bench:
    """A standby, and the other ends of its channels by module."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.standby = Standby(Switchboard(selector))
        self.standby.book.most = 2
        self.waiting: dict[str, Channel] = {}
        self.heard: list[Message] = []
        self._selector = selector

    def pause(self, module: str, modules: int) -> None:
        """Somebody is paused there."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.standby.take_in(Paused(module, modules), ours.detach(), lambda message, _: self.heard.append(message))
        self.waiting[module] = Channel(theirs)

    def turn(self) -> None:
        """One round of the supervisor's loop."""
        for key, _ in self._selector.select(0):
            key.data()

    def ended(self) -> set[str]:
        """Those that were given up."""
        return {module for module, channel in self.waiting.items() if _is_ended(channel)}

    def close(self) -> None:
        """Leave nothing open."""
        self.standby.clear()
        for channel in self.waiting.values():
            channel.close()


def _is_ended(channel: Channel) -> bool:
    try:
        channel.receive()
    except EOFError:
        return True
    return False


@pytest.fixture
def bench() -> Iterator[Bench]:
    """See Bench."""
    with selectors.DefaultSelector() as selector:
        bench = Bench(selector)
        yield bench
        bench.close()


def test_nobody_waits(bench: Bench) -> None:
    """Then nobody goes on."""
    assert bench.standby.resume(ORDER) is None


def test_the_deepest_is_told_to_go_on(bench: Bench) -> None:
    """And gets a channel to speak through, and a journal to write into."""
    bench.pause("", 0)
    bench.pause("shop.view", 7)
    resumed = bench.standby.resume(ORDER)
    assert resumed is not None
    received = bench.waiting["shop.view"].receive()
    assert received is not None
    message, (line, journal) = received
    assert message == ORDER
    os.write(journal, b"noted")
    assert os.pread(resumed.journal, 9, 0) == b"noted"
    speaker = Channel(socket.socket(fileno=line))
    speaker.send(messages.Resumed(4711))
    speaker.close()
    assert resumed.channel.receive() == (messages.Resumed(4711), [])
    assert resumed.checkpoint.module == "shop.view"
    os.close(journal)
    os.close(resumed.journal)
    resumed.channel.close()


def test_it_can_be_told_again(bench: Bench) -> None:
    """Another one listens in its place: it is the same checkpoint."""
    bench.pause("", 0)
    keys = []
    for _ in range(2):
        resumed = bench.standby.resume(ORDER)
        assert resumed is not None
        keys.append(resumed.checkpoint.key)
        os.close(resumed.journal)
        resumed.channel.close()
    assert keys[0] == keys[1]


def test_what_it_says_is_heard(bench: Bench) -> None:
    """How those ended who have gone on."""
    bench.pause("", 0)
    bench.waiting[""].send(Reaped(4711, 9))
    bench.turn()
    assert bench.heard == [Reaped(4711, 9)]


def test_who_cannot_be_told_is_passed_over(bench: Bench) -> None:
    """Its process has ended, and nobody has read the end of its channel yet."""
    bench.pause("", 0)
    bench.pause("shop.view", 7)
    bench.waiting["shop.view"].close()
    before = open_files()
    resumed = bench.standby.resume(ORDER)
    assert resumed is not None
    assert resumed.checkpoint.module == ""
    os.close(resumed.journal)
    resumed.channel.close()
    # The two ends of the order that the other one has not read yet are in no process; its channel is closed.
    assert open_files() == before - 1


def test_who_has_ended_is_forgotten(bench: Bench) -> None:
    """When the end of its channel is read."""
    bench.pause("shop.view", 7)
    bench.waiting["shop.view"].close()
    bench.turn()
    assert len(bench.standby.book) == 0


def test_too_many_are_ended(bench: Bench) -> None:
    """The oldest, but not the zygote."""
    for number, module in enumerate(("", "a", "b", "c")):
        bench.pause(module, number)
    assert bench.ended() == {"a"}


def test_a_new_beginning_ends_all(bench: Bench) -> None:
    """Each sees the end of its channel."""
    bench.pause("", 0)
    bench.pause("a", 3)
    bench.standby.clear()
    assert bench.ended() == {"", "a"}
    assert len(bench.standby.book) == 0


def test_who_has_imported_what_changed_is_passed_over(bench: Bench) -> None:
    """It need not be asked, and ends when there is time. The zygote counts what it has loaded before."""
    for module, modules in (("", 5), ("base", 5), ("view", 6)):
        bench.pause(module, modules)
    bench.standby.pass_over(5)
    assert [each.module for each in bench.standby.book.all()] == ["", "base"]
    assert bench.ended() == set()
    bench.standby.tidy()
    assert bench.ended() == {"view"}


def test_to_start_over_leaves_the_zygote(bench: Bench) -> None:
    """Nothing of the application is in it."""
    bench.pause("", 0)
    bench.pause("view", 10)
    bench.standby.start_over()
    bench.turn()
    assert bench.ended() == {"view"}
    assert [each.module for each in bench.standby.book.all()] == [""]
