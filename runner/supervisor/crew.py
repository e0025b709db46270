"""The processes as the supervisor holds them: started, spoken to, ended.

    Station   a generation's process (or, where the application cannot be forked, that of one worker)
    Hand      a worker, known by the roster's key; forked by its generation, but spoken to directly

Laws: each process has a channel of its own, whose end of file is its death; nobody outlives the supervisor. What a
message means is the business of whoever gave `hear`. Start at Crew.start and Crew.fork.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runner.errors import RunnerError
from runner.process import interpreter, messages
from runner.process.memory import anonymous_file
from runner.process.messages import Channel, Message
from runner.process.scoreboard import Counter, Moment, Scoreboard
from runner.settings import Settings
from runner.supervisor.listeners import Listener
from runner.supervisor.orders import Explain, Start


@dataclass
class Station:
    """*number* of the generation; *journal*: where it notes what it imports, readable after its death."""

    number: int
    popen: subprocess.Popen[bytes]
    channel: Channel
    journal: int


@dataclass
class Hand:
    """A worker. *pid* 0 until it is known; *station* only of one that imports by itself."""

    key: int
    slot: int
    channel: Channel
    pid: int = 0
    station: Station | None = None
    stacks_until: float = 0.0
    killed: bool = False


HearWorker = Callable[[Hand, Message, list[int]], None]
"""Told what a worker says, and the descriptors that came along."""


class Crew:
    """All of them.

    stations  e.g. {5: Station(5, …)} by generation
    hands     e.g. {17: Hand(17, slot=0, …)} by key
    journal   of the last generation that died importing; -1 for none
    """

    def __init__(
        self, listeners: list[Listener], scoreboard: Scoreboard, selector: selectors.BaseSelector
    ) -> None:
        self.stations: dict[int, Station] = {}
        self.hands: dict[int, Hand] = {}
        self.journal = -1
        self._lookout: Station | None = None
        self._endings: dict[Channel, Callable[[], None]] = {}
        self._listeners = listeners
        self._scoreboard = scoreboard
        self._selector = selector

    def start(
        self,
        order: Start | Explain,
        settings: Settings,
        death: str,
        hear: Callable[[Station, Message], None],
        gone: Callable[[Station], None],
    ) -> None:
        """Start a generation. *death*: how the last one died that did so importing; whoever speaks of it, or of an
        import that goes on, has the journal.

        Raises OSError if there is no process to be had.
        """
        if isinstance(order, Explain):
            journal = os.dup(self.stations[order.subject].journal)
            station = self._launch(order.number, messages.PAGE, settings, journal, since=order.since)
        elif order.aftermath:
            journal, self.journal = self.journal, -1
            station = self._launch(order.number, -1, settings, journal, death, order.voids)
        else:
            station = self._launch(order.number, -1, settings, voids=order.voids)
        self.stations[order.number] = station
        self._attend(station.channel, lambda message, _: hear(station, message), lambda: gone(station))

    def fork(self, key: int, number: int, slot: int, hear: HearWorker, gone: Callable[[Hand], None]) -> None:
        """Have generation *number* fork the worker of *slot*. If it cannot, the worker is gone at once."""
        ours, theirs = messages.pair()
        station = self.stations.get(number)
        if station is not None:
            station.channel.send(messages.Fork(slot, key), theirs.fileno())
        theirs.close()
        self._enlist(Hand(key, slot, ours), hear, gone)

    def start_alone(
        self,
        key: int,
        number: int,
        slot: int,
        settings: Settings,
        hear: HearWorker,
        gone: Callable[[Hand], None],
    ) -> None:
        """Start a worker that imports the application itself, and may be late. Raises OSError."""
        station = self._launch(number, slot, settings, voids=1)
        self._enlist(Hand(key, slot, station.channel, station.popen.pid, station), hear, gone)

    def look_out(self, number: int, settings: Settings, hear: Callable[[Station, Message], None]) -> None:
        """Have another process, if there is one to be had, watch what generation *number* has read, still importing."""
        try:
            lookout = self._launch(number, messages.LOOKOUT, settings, os.dup(self.stations[number].journal))
        except OSError:
            return
        self._lookout = lookout
        self._attend(lookout.channel, lambda message, _: hear(lookout, message), lambda: None)

    def dismiss(self, station: Station) -> int:
        """Collect a generation that has ended; its exit code as subprocess gives it."""
        del self.stations[station.number]
        self.end_lookout(station.number)
        station.popen.kill()
        return station.popen.wait()

    def end_lookout(self, number: int) -> None:
        """Generation *number* no longer imports."""
        lookout = self._lookout
        if lookout is not None and lookout.number == number:
            self._lookout = None
            self.finish(lookout.channel)
            lookout.popen.kill()
            lookout.popen.wait()
            os.close(lookout.journal)

    def keep_journal(self, station: Station) -> None:
        """Its successor will read what it noted."""
        if self.journal >= 0:
            os.close(self.journal)
        self.journal = station.journal

    def discharge(self, hand: Hand) -> int | None:
        """Strike out a worker that has ended; its exit code if it was our own child."""
        del self.hands[hand.key]
        row = self._scoreboard.row(hand.slot)
        if row.get(Counter.PID) == hand.pid:
            row.count(Counter.CUT, row.get(Counter.INFLIGHT))
            row.set(Counter.INFLIGHT, 0)
            row.set(Counter.PID, 0)
            row.mark(Moment.DEADLINE, 0.0)
        if hand.station is None:
            return None
        hand.station.popen.kill()
        os.close(hand.station.journal)
        return hand.station.popen.wait()

    def hand_of(self, pid: int) -> Hand | None:
        """The worker that is process *pid*."""
        return next((hand for hand in self.hands.values() if hand.pid == pid), None)

    def finish(self, channel: Channel) -> None:
        """The process at the other end has ended, even if a child of it still holds that end open."""
        ending = self._endings.get(channel)
        if ending is not None:
            ending()

    def reap(self) -> dict[int, int]:
        """Notice own processes that ended; collect orphans, which come to us as their subreaper: {pid: exit code}."""
        stations = [*self.stations.values(), *(hand.station for hand in self.hands.values() if hand.station)]
        for station in stations:
            if station.popen.poll() is not None:
                self.finish(station.channel)
        own = {station.popen.pid for station in [*stations, *([self._lookout] if self._lookout else [])]}
        found: dict[int, int] = {}
        while True:
            try:
                seen = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return found
            # One of our own that ended just now hides the others until its SIGCHLD is heard.
            if seen is None or seen.si_pid in own:
                return found
            pid, status = os.waitpid(seen.si_pid, os.WNOHANG)
            found[pid] = os.waitstatus_to_exitcode(status)

    def kill_all(self) -> None:
        """Nobody outlives the supervisor, whatever way it ends."""
        for hand in self.hands.values():
            send_signal(hand.pid, signal.SIGKILL)
            hand.channel.close()
        for station in [*self.stations.values(), *([self._lookout] if self._lookout else [])]:
            station.popen.kill()
            station.popen.wait()
            station.channel.close()

    def _enlist(self, hand: Hand, hear: HearWorker, gone: Callable[[Hand], None]) -> None:
        self.hands[hand.key] = hand
        self._attend(hand.channel, lambda message, rights: hear(hand, message, rights), lambda: gone(hand))

    def _launch(
        self, number: int, slot: int, settings: Settings, journal: int = -1, death: str = "", voids: int = 0,
        since: float = 0.0,
    ) -> Station:
        ours, theirs = messages.pair()
        if journal < 0:
            journal = anonymous_file("runner-journal")
        places: list[list[Any]] = [[each.sock.fileno(), each.front, each.text, each.peers] for each in self._listeners]
        try:
            inherited = [self._scoreboard.descriptor, journal, *(place[0] for place in places)]
            popen = interpreter.start(inherited, theirs.fileno())
        except OSError:
            ours.close()
            os.close(journal)
            raise
        finally:
            theirs.close()
        board = self._scoreboard.descriptor
        ours.send(messages.Begin(settings.to_json(), number, slot, places, board, journal, death, voids, since))
        return Station(number, popen, ours, journal)

    def _attend(
        self, channel: Channel, hear: Callable[[Message, list[int]], None], gone: Callable[[], None]
    ) -> None:
        def read() -> None:
            try:
                while channel in self._endings and (received := channel.receive()) is not None:
                    hear(*received)
            except (EOFError, RunnerError):
                # What is no message is not ours: code of the application wrote to a descriptor that is not its own.
                end()

        def finish() -> None:
            read()
            end()

        def end() -> None:
            if self._endings.pop(channel, None) is not None:
                self._selector.unregister(channel)
                channel.close()
                gone()

        self._endings[channel] = finish
        self._selector.register(channel, selectors.EVENT_READ, read)


def send_signal(pid: int, number: signal.Signals) -> None:
    """Signal a worker; harmless if it is gone: its parent collects it only after its channel ended."""
    if pid > 0:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
