"""The processes that the supervisor has started: spoken to, ended.

Laws: each process has a channel of its own, whose end of file is its death; nobody outlives the supervisor. What a
message means is the business of whoever gave `hear`. Start at Crew.start and Crew.fork.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
from collections.abc import Callable
from typing import Any

from runner.process import launch, messages
from runner.process.channel import Channel, pair
from runner.process.lifeline import Lifeline
from runner.process.memory import anonymous_file
from runner.process.messages import Message
from runner.process.scoreboard import Counter, Moment, Scoreboard
from runner.settings import Settings
from runner.supervisor.checkpoints import NO_PACE, Pace
from runner.supervisor.listeners import Listener
from runner.supervisor.members import Hand, Station, send_signal
from runner.supervisor.orders import Explain, Start
from runner.supervisor.porter import Porter
from runner.supervisor.standby import Standby
from runner.supervisor.switchboard import Switchboard

HearStation = Callable[[Station, Message, list[int]], None]
HearWorker = Callable[[Hand, Message, list[int]], None]
"""Told what a process says, and the descriptors that came along."""


class Crew:
    """All of them.

    stations  e.g. {5: Station(5, …)} by generation
    hands     e.g. {17: Hand(17, slot=0, …)} by key
    standby   the paused ones
    journal   of the last generation that died importing; -1 for none
    porter    has one that they all can talk to
    """

    def __init__(
        self, listeners: list[Listener], scoreboard: Scoreboard, selector: selectors.BaseSelector, porter: Porter
    ) -> None:
        self.stations: dict[int, Station] = {}
        self.hands: dict[int, Hand] = {}
        self.journal = -1
        self.porter = porter
        self._lookout: Station | None = None
        self._nursery: Station | None = None
        self._listeners = listeners
        self._scoreboard = scoreboard
        self._switchboard = Switchboard(selector)
        self._lifeline = Lifeline()
        self.standby = Standby(self._switchboard)

    def start(
        self,
        order: Start | Explain,
        settings: Settings,
        death: str,
        pace: Pace,
        hear: HearStation,
        gone: Callable[[Station], None],
    ) -> None:
        """Start a generation, from a checkpoint if there is one. *death*: how the last one died that did so importing;
        whoever speaks of it, or of an import that goes on, has the journal.

        Raises OSError if there is no process to be had.
        """
        if isinstance(order, Explain):
            journal = os.dup(self.stations[order.subject].journal)
            station = self._launch(order.number, messages.PAGE, settings, journal, since=order.since)
        elif order.aftermath:
            journal, self.journal = self.journal, -1
            station = self._launch(order.number, messages.FORKING, settings, journal, death, order.voids)
        elif resumed := self.standby.resume(messages.Resume(order.number, order.voids, *pace)):
            station = Station(order.number, None, *resumed, voids=order.voids)
        else:
            station = self._launch(order.number, messages.FORKING, settings, voids=order.voids, pace=pace)
        self.stations[order.number] = station
        self._switchboard.attend(
            station.channel, lambda message, rights: hear(station, message, rights), lambda: gone(station)
        )

    def withdraw(self, station: Station) -> None:
        """It went on from a checkpoint that is of no use, and ends by itself."""
        del self.stations[station.number]
        self.end_lookout(station.number)
        self._switchboard.leave(station.channel)
        station.collect()
        os.close(station.journal)
        if station.checkpoint is not None:
            self.standby.drop(station.checkpoint)

    def fork(self, key: int, number: int, slot: int, hear: HearWorker, gone: Callable[[Hand], None]) -> None:
        """Have generation *number* fork the worker of *slot*. If it cannot, the worker is gone at once.

        Raises OSError if there is no descriptor to be had.
        """
        ours, theirs = pair()
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
        self._enlist(Hand(key, slot, station.channel, station.pid, station), hear, gone)

    def look_out(self, number: int, settings: Settings, hear: HearStation) -> None:
        """Have another process, if there is one to be had, watch what generation *number* has read, still importing."""
        try:
            lookout = self._launch(number, messages.LOOKOUT, settings, os.dup(self.stations[number].journal))
        except OSError:
            return
        self._lookout = lookout
        self._switchboard.attend(
            lookout.channel, lambda message, rights: hear(lookout, message, rights), lambda: None
        )

    def prepare(self, settings: Settings, hear: HearStation) -> None:
        """Have a zygote made, if there is a process to be had, that has loaded what was learned since the last one."""
        if self._nursery is None:
            with contextlib.suppress(OSError):
                nursery = self._nursery = self._launch(0, messages.ZYGOTE, settings)
                self._switchboard.attend(
                    nursery.channel, lambda message, rights: hear(nursery, message, rights), self._end_nursery
                )

    def _end_nursery(self) -> None:
        if self._nursery is not None:
            self._nursery.collect()
            os.close(self._nursery.journal)
            self._nursery = None

    def dismiss(self, station: Station) -> int | None:
        """Collect a generation that has ended; its exit code as subprocess gives it, None if its parent will say."""
        del self.stations[station.number]
        self.end_lookout(station.number)
        return station.collect()

    def end_lookout(self, number: int) -> None:
        """Generation *number* no longer imports."""
        lookout = self._lookout
        if lookout is not None and lookout.number == number:
            self._lookout = None
            self._switchboard.finish(lookout.channel)
            lookout.collect()
            os.close(lookout.journal)

    def turn(self, station: Station, key: int, slot: int, hear: HearWorker, gone: Callable[[Hand], None]) -> None:
        """A generation's process is a worker from now on, known as *key*, and no generation any more."""
        del self.stations[station.number]
        hand = self.hands[key] = Hand(key, slot, station.channel, station.pid, station)
        self._switchboard.hand_on(
            station.channel, lambda message, rights: hear(hand, message, rights), lambda: gone(hand)
        )

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
            row.count(Counter.CUT, row.get(Counter.INFLIGHT) + row.get(Counter.SOCKETS))
            row.set(Counter.INFLIGHT, 0)
            row.set(Counter.SOCKETS, 0)
            row.set(Counter.PID, 0)
            row.mark(Moment.DEADLINE, 0.0)
        if hand.station is None:
            return None
        os.close(hand.station.journal)
        return hand.station.collect()

    def hand_of(self, pid: int) -> Hand | None:
        """The worker that is process *pid*."""
        return next((hand for hand in self.hands.values() if hand.pid == pid), None)

    def resumed(self, pid: int) -> Station | None:
        """The generation that went on from a checkpoint as process *pid*."""
        return next((each for each in self.stations.values() if each.popen is None and each.pid == pid), None)

    def order(self, channel: Channel, order: Message) -> None:
        """Have it carried out by the process at the other end, as soon as that listens."""
        self._switchboard.send(channel, order)

    def order_all(self, order: Message) -> None:
        """The same to all workers."""
        for hand in self.hands.values():
            self.order(hand.channel, order)

    def finish(self, channel: Channel) -> None:
        """The process at the other end has ended, even if a child of it still holds that end open."""
        self._switchboard.finish(channel)

    def reap(self) -> dict[int, int]:
        """Notice own processes that ended; collect orphans, which come to us as their subreaper: {pid: exit code}."""
        stations = [*self.stations.values(), *(hand.station for hand in self.hands.values() if hand.station)]
        for station in stations:
            if station.has_ended():
                self.finish(station.channel)
        kept = [*stations, *self._helpers()]
        own = {station.popen.pid for station in kept if station.popen is not None}
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
            code = os.waitstatus_to_exitcode(status)
            if not self.porter.hear_end(pid, code):
                found[pid] = code

    def kill_all(self) -> None:
        """Nobody outlives the supervisor, whatever way it ends."""
        self.standby.clear()
        for hand in self.hands.values():
            send_signal(hand.pid, signal.SIGKILL)
            hand.channel.close()
        for station in [*self.stations.values(), *self._helpers()]:
            station.collect()
            station.channel.close()
        self._lifeline.close()
        self.porter.close()

    def _helpers(self) -> list[Station]:
        return [each for each in (self._lookout, self._nursery) if each is not None]

    def _enlist(self, hand: Hand, hear: HearWorker, gone: Callable[[Hand], None]) -> None:
        self.hands[hand.key] = hand
        self._switchboard.attend(
            hand.channel, lambda message, rights: hear(hand, message, rights), lambda: gone(hand)
        )

    def _launch(
        self, number: int, slot: int, settings: Settings, journal: int = -1, death: str = "", voids: int = 0,
        since: float = 0.0, pace: Pace = NO_PACE,
    ) -> Station:  # fmt: skip
        if journal < 0:
            journal = anonymous_file("runner-journal")
        places: list[list[Any]] = [[each.sock.fileno(), each.front, each.text, each.peers] for each in self._listeners]
        begin = messages.Begin(
            settings.to_json(), number, slot, places, self._scoreboard.descriptor, journal, death, voids, since,
            pace.hot, pace.step, pace.preload, lifeline=self._lifeline.descriptor, door=self.porter.door(settings),
        )  # fmt: skip
        try:
            popen, sock = launch.start()
        except OSError:
            os.close(journal)
            raise
        ours = Channel(sock, 0.0)
        ours.send(begin, *begin.descriptors)
        return Station(number, popen, ours, journal, voids=voids, pid=popen.pid)
