"""--timeout: looked at twice, stacks first, and only the worker whose call it is."""

import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.process.messages import DUMP_SIGNAL
from runner.process.scoreboard import Counter, Moment, Scoreboard
from runner.supervisor import overdue as module
from runner.supervisor.crew import Crew
from runner.supervisor.members import Hand
from runner.supervisor.overdue import Overdue


class Room:
    """One worker in slot 0, process 4711; a clock in the test's hand; what is sent and who is killed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.sent: list[tuple[int, int]] = []
        self.killed: list[int] = []
        self.board = Scoreboard()
        self.row = self.board.row(0)
        self.row.set(Counter.PID, 4711)
        self.hand = Hand(1, 0, cast(Any, None), 4711)
        self.crew = cast(Crew, SimpleNamespace(hands={1: self.hand}))
        self.overdue = Overdue(self.crew, self.board, lambda hand, reason: self.killed.append(hand.pid))
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(module, "send_signal", lambda pid, number: self.sent.append((pid, number)))

    def look(self, later: float = 0.0) -> None:
        """Some seconds later."""
        self.now += later
        self.overdue.look(5.0)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """See Room."""
    room = Room(monkeypatch)
    yield room
    os.close(room.board.descriptor)


@pytest.mark.parametrize("moment", [Moment.DEADLINE, Moment.TURN])
def test_first_stacks_then_the_end(room: Room, moment: Moment) -> None:
    """Half a second between them, and one of each; a call is late, or the loop is."""
    room.row.mark(moment, 99.0)
    room.look()
    room.look(0.25)
    assert (room.sent, room.killed) == ([(4711, DUMP_SIGNAL)], [])
    room.look(0.25)
    assert (room.sent, room.killed) == ([(4711, DUMP_SIGNAL)], [4711])


@pytest.mark.parametrize("deadline", [0.0, 100.5])
def test_no_call_and_a_call_in_time_are_let_be(room: Room, deadline: float) -> None:
    """Nothing is sent."""
    room.row.mark(Moment.DEADLINE, deadline)
    room.look()
    assert (room.sent, room.killed) == ([], [])


def test_a_call_that_ends_after_its_stacks_is_let_be(room: Room) -> None:
    """And the next one that is late gets its own half second."""
    room.row.mark(Moment.DEADLINE, 99.0)
    room.look()
    room.row.mark(Moment.DEADLINE, 0.0)
    room.look(1.0)
    room.row.mark(Moment.DEADLINE, 100.5)
    room.look(1.0)
    assert (len(room.sent), room.killed) == (2, [])


def test_the_row_of_another_process_says_nothing_about_this_one(room: Room) -> None:
    """A slot's row belongs to its newest worker."""
    room.row.set(Counter.PID, 4712)
    room.row.mark(Moment.DEADLINE, 99.0)
    room.look()
    room.look(1.0)
    assert (room.sent, room.killed) == ([], [])


def test_a_supervisor_that_slept_kills_nobody_at_once(room: Room) -> None:
    """After a SIGSTOP of minutes, the first look only asks for stacks."""
    room.row.mark(Moment.DEADLINE, 101.0)
    room.look(600.0)
    assert (len(room.sent), room.killed) == (1, [])


def test_without_a_timeout_nobody_looks(room: Room) -> None:
    """And nobody is woken for it."""
    room.row.mark(Moment.DEADLINE, 99.0)
    room.overdue.look(0.0)
    assert (room.sent, room.overdue.next_look(0.0, room.now)) == ([], None)
    assert room.overdue.next_look(5.0, room.now) == room.now + 0.25
    room.crew.hands.clear()
    assert room.overdue.next_look(5.0, room.now) is None


def test_the_signal_is_none_that_people_send() -> None:
    """So that nobody's stacks are written by accident."""
    assert DUMP_SIGNAL not in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
