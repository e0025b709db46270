"""The processes as the supervisor holds them, with stand-ins that are real processes."""

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from runner.log import Log
from runner.process import launch, messages
from runner.process.messages import Message
from runner.process.scoreboard import Counter, Scoreboard
from runner.settings import Settings, resolve
from runner.supervisor.checkpoints import NO_PACE
from runner.supervisor.crew import Crew
from runner.supervisor.members import Hand, Station
from runner.supervisor.orders import Start
from runner.supervisor.porter import Porter
from tests.support.memory import open_files
from tests.support.trouble import alive, until

STAND_IN = """
import os, socket, sys
from runner.process.channel import Channel
from runner.process.messages import Begin, Parcel, Ready
channel = Channel(socket.socket(fileno=int(sys.argv[1])))
channel.sock.setblocking(True)
begin, received = channel.receive()
begin = begin.with_descriptors(received)
%s
"""
SAYS_READY = "channel.send(Ready(os.getpid())); channel.sock.setblocking(True); channel.receive()"


class Desk:
    """A crew, what it heard, and who is gone."""

    def __init__(self, selector: selectors.BaseSelector, settings: Settings) -> None:
        self.board = Scoreboard()
        self.crew = Crew([], self.board, selector, Porter(selector, Log("supervisor")))
        self.heard: list[Message] = []
        self.gone: list[Station | Hand] = []
        self._selector = selector
        self.settings = settings

    def start(self, number: int) -> Station:
        """A generation."""
        hear = lambda _, message, __: self.heard.append(message)  # noqa: E731
        self.crew.start(Start(number), self.settings, "", NO_PACE, hear, self.lose)
        return self.crew.stations[number]

    def start_alone(self, key: int) -> Hand:
        """A worker that is our own child."""
        self.crew.start_alone(key, 1, 0, self.settings, lambda _, message, __: self.heard.append(message), self.lose)
        return self.crew.hands[key]

    def look(self) -> bool:
        """Let channels be read."""
        for key, _ in self._selector.select(0.01):
            key.data()
        return True

    def close(self) -> None:
        """End all."""
        self.crew.kill_all()
        for station in [*self.crew.stations.values(), *(h.station for h in self.crew.hands.values() if h.station)]:
            station.collect()
            os.close(station.journal)
        os.close(self.board.descriptor)

    def lose(self, who: Station | Hand) -> None:
        """Its process is gone."""
        self.gone.append(who)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A crew whose processes are stand-ins."""
    stand_in(monkeypatch, SAYS_READY)
    with selectors.DefaultSelector() as selector:
        desk = Desk(selector, resolve({"target": "app"}, {}, "/").settings)
        yield desk
        desk.close()


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """From now on processes do this after their Begin."""
    monkeypatch.setattr(launch, "command", lambda *words: [sys.executable, "-c", STAND_IN % code, *words])


def test_a_generation_is_spoken_to_and_heard(desk: Desk) -> None:
    """Its own words come under its own name."""
    station = desk.start(1)
    until("it is heard", lambda: desk.look() and desk.heard == [messages.Ready(station.pid)])


def test_its_end_is_the_end_of_its_channel(desk: Desk) -> None:
    """Told once, after its last words."""
    station = desk.start(1)
    station.kill()
    until("it is missed", lambda: desk.look() and desk.gone == [station])
    assert desk.crew.dismiss(station) == -signal.SIGKILL
    os.close(station.journal)
    desk.crew.finish(station.channel)
    assert desk.gone == [station]


def test_a_child_that_holds_the_channel_hides_no_death(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the process is noticed by its parent: us."""
    stand_in(monkeypatch, "channel.send(Ready(os.fork() or __import__('time').sleep(60)))\nos._exit(3)")
    station = desk.start(1)
    until("it has ended", lambda: os.waitid(os.P_PID, station.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG))
    assert desk.crew.reap() == {}
    assert desk.gone == [station]
    (message,) = desk.heard
    assert isinstance(message, messages.Ready)
    assert desk.crew.dismiss(station) == 3
    os.close(station.journal)
    os.kill(message.pid, signal.SIGKILL)


def test_nonsense_on_a_channel_ends_who_says_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code of the application that writes to descriptors at random does not end the supervisor."""
    stand_in(monkeypatch, "channel.sock.send(b'nonsense'); channel.sock.recv(9)")
    station = desk.start(1)
    until("it is given up", lambda: desk.look() and desk.gone == [station])


def test_orphans_are_collected(desk: Desk) -> None:
    """Also when one of our own has ended before them."""
    station = desk.start(1)
    station.kill()
    orphan = subprocess.Popen([sys.executable, "-c", "raise SystemExit(5)"])
    until("both have ended", lambda: not alive({orphan.pid, station.pid}))
    assert desk.crew.reap() == {orphan.pid: 5}
    assert desk.gone == [station]
    orphan.returncode = 5


def test_what_a_dead_worker_was_doing_is_counted_as_cut(desk: Desk) -> None:
    """Unless a successor has the row already."""
    hand = desk.start_alone(7)
    row = desk.board.row(0)
    row.set(Counter.PID, hand.pid)
    row.set(Counter.INFLIGHT, 2)
    row.set(Counter.SOCKETS, 3)
    os.kill(hand.pid, signal.SIGKILL)
    until("it is missed", lambda: desk.look() and desk.gone == [hand])
    assert desk.crew.discharge(hand) == -signal.SIGKILL
    assert (row.get(Counter.CUT), row.get(Counter.INFLIGHT), row.get(Counter.SOCKETS)) == (5, 0, 0)


def test_a_fork_in_a_generation_that_is_gone_fails_at_once(desk: Desk) -> None:
    """The worker is missed as if it had ended."""
    desk.crew.fork(1, 99, 0, lambda *_: None, desk.lose)
    until("it is missed", lambda: desk.look() and [hand for hand in desk.gone if isinstance(hand, Hand)])
    del desk.crew.hands[1]


def test_no_process_to_be_had_leaves_nothing_open(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many descriptors as before."""
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    desk.crew.porter.door(desk.settings)  # stays open, also where nobody is started
    before = open_files()
    with pytest.raises(OSError):
        desk.start(1)
    with pytest.raises(OSError):
        desk.start_alone(1)
    assert open_files() == before
    assert not desk.crew.stations and not desk.crew.hands


def test_a_journal_is_readable_after_its_writer(desk: Desk) -> None:
    """What a generation noted is there when its process is gone."""
    station = desk.start(1)
    os.write(station.journal, b"line\n")
    station.kill()
    until("it is missed", lambda: desk.look() and desk.gone == [station])
    desk.crew.dismiss(station)
    desk.crew.keep_journal(station)
    assert os.pread(desk.crew.journal, 9, 0) == b"line\n"
    os.close(desk.crew.journal)


def test_what_comes_along_with_a_message_is_heard_with_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's descriptor is told beside its words."""
    stand_in(monkeypatch, "channel.send(Parcel(0, '', 0.0, 0), os.open('/dev/null', 0)); channel.sock.recv(9)")
    rights: list[int] = []
    desk.crew.start_alone(7, 1, 0, desk.settings, lambda _, __, each: rights.extend(each), desk.lose)
    until("it is heard", lambda: desk.look() and rights)
    assert os.readlink(f"/proc/self/fd/{rights[0]}") == "/dev/null"
    os.close(rights[0])
