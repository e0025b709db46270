"""What comes over channels, and their ends."""

import os
import selectors
from collections.abc import Iterator

import pytest

from runner.process import messages
from runner.process.channel import Channel, pair
from runner.process.messages import Message
from runner.supervisor.switchboard import Switchboard


class Line:
    """A channel that is attended, what was heard over it, and the other end."""

    def __init__(self, switchboard: Switchboard) -> None:
        self.heard: list[tuple[Message, list[int]]] = []
        self.ends = 0
        self.channel, theirs = pair()
        self.theirs = Channel(theirs)
        switchboard.attend(self.channel, lambda *what: self.heard.append(what), self._end)

    def _end(self) -> None:
        self.ends += 1


@pytest.fixture
def selector() -> Iterator[selectors.BaseSelector]:
    """The supervisor's."""
    with selectors.DefaultSelector() as selector:
        yield selector


@pytest.fixture
def switchboard(selector: selectors.BaseSelector) -> Switchboard:
    """Over it."""
    return Switchboard(selector)


@pytest.fixture
def line(switchboard: Switchboard) -> Iterator[Line]:
    """One of its lines."""
    line = Line(switchboard)
    yield line
    line.theirs.close()
    line.channel.close()


def turn(selector: selectors.BaseSelector) -> None:
    """One round of the supervisor's loop."""
    for key, _ in selector.select(0):
        key.data()


def test_messages_are_heard_in_order_with_what_comes_along(selector: selectors.BaseSelector, line: Line) -> None:
    """All that wait, at once."""
    line.theirs.send(messages.Ready(1))
    line.theirs.send(messages.Ready(2), line.theirs.fileno())
    turn(selector)
    assert [message for message, _ in line.heard] == [messages.Ready(1), messages.Ready(2)]
    assert [len(descriptors) for _, descriptors in line.heard] == [0, 1]
    os.close(line.heard[1][1][0])


def test_the_end_is_told_once_after_the_last_words(
    selector: selectors.BaseSelector, switchboard: Switchboard, line: Line
) -> None:
    """Whoever notices it first."""
    line.theirs.send(messages.Ready(1))
    line.theirs.close()
    turn(selector)
    switchboard.finish(line.channel)
    assert (len(line.heard), line.ends) == (1, 1)
    assert line.channel.sock.fileno() == -1


def test_a_line_that_is_finished_is_read_to_its_end(switchboard: Switchboard, line: Line) -> None:
    """Though the other end is open still."""
    line.theirs.send(messages.Ready(1))
    switchboard.finish(line.channel)
    assert (len(line.heard), line.ends) == (1, 1)


def test_a_line_that_is_left_is_heard_no_more(
    selector: selectors.BaseSelector, switchboard: Switchboard, line: Line
) -> None:
    """Neither what waits nor the end."""
    line.theirs.send(messages.Ready(1))
    switchboard.leave(line.channel)
    turn(selector)
    assert (line.heard, line.ends) == ([], 0)


def test_an_order_is_sent_when_there_is_room(
    selector: selectors.BaseSelector, switchboard: Switchboard, line: Line
) -> None:
    """In order, though the channel was full; then nobody looks for room any more."""
    fill = messages.Stale(["x" * 1000])
    count = 0
    while line.channel.send(fill):
        count += 1
    for last in (False, True):
        switchboard.send(line.channel, messages.Retire(last))
    received: list[Message] = []
    while (found := line.theirs.receive()) is not None or len(received) < count + 2:
        turn(selector)
        if found is not None:
            received.append(found[0])
    assert received[count:] == [messages.Retire(False), messages.Retire(True)]
    assert not [key for key, events in selector.select(0) if events & selectors.EVENT_WRITE]


def test_who_is_gone_gets_no_orders(
    selector: selectors.BaseSelector, switchboard: Switchboard, line: Line
) -> None:
    """Nor does anybody wait for it."""
    line.theirs.close()
    switchboard.send(line.channel, messages.Retire())
    turn(selector)
    switchboard.send(line.channel, messages.Retire())
    assert (line.ends, selector.select(0)) == (1, [])


def test_nonsense_is_the_end(selector: selectors.BaseSelector, line: Line) -> None:
    """Who says it cannot be one of ours any more."""
    line.theirs.sock.send(b"nonsense")
    turn(selector)
    assert (line.heard, line.ends) == ([], 1)


def test_who_hears_may_end_the_line(selector: selectors.BaseSelector, switchboard: Switchboard) -> None:
    """What was said after that is not heard."""
    heard: list[Message] = []
    channel, theirs = pair()

    def hear(message: Message, _: list[int]) -> None:
        heard.append(message)
        switchboard.leave(channel)

    switchboard.attend(channel, hear, lambda: None)
    sender = Channel(theirs)
    sender.send(messages.Ready(1))
    sender.send(messages.Ready(2))
    turn(selector)
    assert heard == [messages.Ready(1)]
    theirs.close()


def test_a_line_is_handed_on_while_it_is_read(
    selector: selectors.BaseSelector, switchboard: Switchboard, line: Line
) -> None:
    """What comes after is for the other one, and so is its end."""
    other: list[object] = []

    def hear(message: Message, descriptors: list[int]) -> None:
        line.heard.append((message, descriptors))
        switchboard.hand_on(line.channel, lambda *what: other.append(what), lambda: other.append("end"))

    switchboard.hand_on(line.channel, hear, lambda: None)
    line.theirs.send(messages.Ready(1))
    line.theirs.send(messages.Ready(2))
    line.theirs.close()
    turn(selector)
    assert line.heard == [(messages.Ready(1), [])]
    assert other == [(messages.Ready(2), []), "end"]
