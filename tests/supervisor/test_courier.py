"""Descriptors on their way: each arrives, and is closed here once."""

import os
import socket
from collections.abc import Iterator
from resource import RLIM_INFINITY
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.log import Log
from runner.process import messages
from runner.process.channel import Channel, pair
from runner.process.messages import Arrived, Heirs, Parcel, Taken
from runner.process.refusals import LATE
from runner.process.scoreboard import Scoreboard
from runner.supervisor.courier import Courier, room
from runner.supervisor.crew import Crew
from runner.supervisor.life import Generation, Phase, Worker
from runner.supervisor.members import Hand, Station
from runner.supervisor.roster import Roster
from runner.supervisor.transit import WINDOW
from tests.support.memory import open_files

NOW = 1000.0
AT_REST = Parcel(0, "", 0.0, 0)


class Office:
    """A courier and three workers of two generations; the test has the workers' ends of their channels."""

    def __init__(self) -> None:
        self.board = Scoreboard()
        self.roster = Roster(2, 30.0)
        self.roster.generations = {1: Generation(1, 0.0, Phase.OUTDATED), 2: Generation(2, 0.0, Phase.LIVE)}
        self.ends: dict[int, Channel] = {}
        self.hands: dict[int, Hand] = {}
        self.said: list[str] = []
        for key, slot, generation in ((1, 0, 1), (2, 0, 2), (3, 1, 2)):
            self.hire(key, slot, generation)
        log = cast(Log, SimpleNamespace(once_a_minute=lambda kind, text: self.said.append(text)))
        self.stations: dict[int, Station] = {}
        crew = cast(Crew, SimpleNamespace(
            hands=self.hands, stations=self.stations, order=lambda channel, order: channel.send(order),
        ))  # fmt: skip
        self.courier = Courier(crew, self.roster, self.board, log, 30.0)

    def hire(self, key: int, slot: int, generation: int) -> None:
        """A worker that accepts."""
        ours, theirs = pair()
        self.roster.workers[key] = Worker(key, slot, generation, 0.0, ready=True)
        self.hands[key] = Hand(key, slot, ours)
        self.ends[key] = Channel(theirs)

    def station(self, number: int) -> tuple[Station, Channel]:
        """The process of a generation that is imported; and its end of the channel."""
        ours, theirs = pair()
        station = self.stations[number] = Station(number, None, ours, -1)
        return station, Channel(theirs)

    def give(self, parcel: Parcel = AT_REST, *, giver: int = 1, files: int = 0) -> socket.socket:
        """That worker gives a connection away, and so many files with it; the client's end."""
        client, connection = socket.socketpair()
        descriptors = [connection.detach(), *(os.memfd_create("request") for _ in range(files))]
        self.courier.hear(self.hands[giver], parcel._replace(beside=files > 0), descriptors)
        return client

    def receive(self, key: int) -> tuple[Parcel, list[int]]:
        """What that worker is sent."""
        received = self.ends[key].receive()
        assert received is not None and isinstance(received[0], Parcel)
        return received[0], received[1]

    def lose(self, key: int) -> None:
        """That worker's process has ended."""
        self.ends.pop(key).close()
        hand = self.hands.pop(key)
        hand.channel.close()
        self.courier.note_gone(hand)
        del self.roster.workers[key]

    def close(self) -> None:
        """Leave nothing open."""
        self.courier.close()
        for key in list(self.hands):
            self.lose(key)
        os.close(self.board.descriptor)


@pytest.fixture
def office() -> Iterator[Office]:
    """See Office."""
    office = Office()
    yield office
    office.close()


def speaks(client: socket.socket, descriptor: int) -> bool:
    """Whether that is the other end of the client's connection, which is over then."""
    with socket.socket(fileno=descriptor) as connection, client:
        client.sendall(b"ping")
        return connection.recv(9) == b"ping"


def test_what_is_given_arrives_with_its_file_and_leaves_nothing_behind(office: Office) -> None:
    """Two descriptors come, two go, and as many are open as before."""
    before = open_files()
    client = office.give(Parcel(4, "", NOW, 1), files=1)
    office.courier.carry(NOW)
    parcel, (connection, file) = office.receive(2)
    assert parcel == Parcel(4, "", NOW, 1, beside=True)
    assert os.readlink(f"/proc/self/fd/{file}").startswith("/memfd:request")
    os.close(file)
    office.courier.hear(office.hands[2], Taken(), [])
    assert speaks(client, connection)
    assert (open_files(), len(office.courier)) == (before, 0)


def test_a_connection_is_open_here_until_it_is_taken(office: Office) -> None:
    """Its receiver might die first."""
    before = open_files()
    with office.give():
        assert open_files() == before + 2
        office.courier.carry(NOW)
        assert open_files() == before + 2
        office.courier.hear(office.hands[2], Taken(), [])
        assert open_files() == before + 1


@pytest.mark.parametrize("read", [False, True])
def test_a_worker_that_dies_before_it_takes_is_followed_by_another(office: Office, read: bool) -> None:
    """Whether it had looked or not: it has answered nothing."""
    before = open_files()
    client = office.give(Parcel(0, "GET", NOW, 1))
    office.courier.carry(NOW)
    if read:
        os.close(office.receive(2)[1][0])
    office.lose(2)
    office.courier.carry(NOW)
    parcel, (connection,) = office.receive(3)
    office.courier.hear(office.hands[3], Taken(), [])
    assert parcel.unread == "GET"
    assert speaks(client, connection)
    assert open_files() == before - 2


def test_what_a_worker_could_not_take_is_given_to_another(office: Office) -> None:
    """It has no number free for the descriptor."""
    client = office.give()
    office.courier.carry(NOW)
    os.close(office.receive(2)[1][0])
    office.courier.hear(office.hands[2], Taken(whole=False), [])
    office.courier.carry(NOW)
    office.lose(2)
    ((_, (connection,)),) = [office.receive(3)]
    assert speaks(client, connection)


def test_requests_are_told_from_connections_at_rest(office: Office) -> None:
    """Those wait for newer code, until they are taken; these for nothing."""
    with office.give(), office.give(Parcel(0, "GET", NOW, 2), giver=2), office.give(Parcel(0, "GET", NOW, 1)):
        assert (len(office.courier), office.courier.requests) == (3, 2)
        office.courier.carry(NOW)
        assert office.courier.requests == 2
        for key in (2, 3):
            while (received := office.ends[key].receive()) is not None:
                os.close(received[1][0])
                office.courier.hear(office.hands[key], Taken(), [])
        assert (len(office.courier), office.courier.requests) == (1, 1)


@pytest.mark.parametrize(("limit", "most"), [
    (64, 16), (160, 32), (1024, 896), (10_128, 10_000), (10_129, 10_000), (1 << 30, 10_000), (RLIM_INFINITY, 10_000),
])  # fmt: skip
def test_there_is_room_for_what_the_system_allows_and_no_more_than_can_be_looked_after(limit: int, most: int) -> None:
    """A few in any case; a limit that is none bounds nothing."""
    assert room(limit) == most


def test_words_about_nothing_close_nothing(office: Office) -> None:
    """A worker that says Taken once too often."""
    before = open_files()
    office.courier.hear(office.hands[2], Taken(), [])
    assert open_files() == before


def test_a_request_nobody_may_have_waits_and_is_then_sent_with_the_reason(office: Office) -> None:
    """To any worker, which answers 503; the courier says when it wants to be asked again."""
    client = office.give(Parcel(0, "GET", NOW, 2), giver=2)
    office.courier.carry(NOW)
    assert all(end.receive() is None for end in office.ends.values())
    assert office.courier.next_deadline() == NOW + 30
    office.courier.carry(NOW + 30)
    parcel, (connection,) = office.receive(1)
    assert parcel == Parcel(0, "GET", NOW, 2, LATE)
    assert office.said == [f"a request was refused with 503: {LATE}"]
    assert speaks(client, connection)


def test_what_could_not_be_sent_is_tried_again_soon(office: Office) -> None:
    """Nobody says a word when it could be; here a connection at rest, for which there is no deadline."""
    office.lose(3)
    while not office.hands[2].channel.laden():
        office.hands[2].channel.send(messages.Reopen())
    client = office.give()
    office.lose(1)
    office.courier.carry(NOW)
    moment = office.courier.next_deadline()
    assert moment is not None and NOW < moment < NOW + 1
    while office.ends[2].receive() is not None:
        pass
    office.courier.carry(moment)
    assert speaks(client, office.receive(2)[1][0])
    assert office.courier.next_deadline() is None


def test_another_patience_counts_for_those_that_wait(office: Office) -> None:
    """The settings were read again."""
    with office.give(Parcel(0, "GET", NOW, 2), giver=2):
        office.courier.set_patience(2.0)
        assert office.courier.next_deadline() == NOW + 2


def test_a_connection_at_rest_is_closed_at_the_end(office: Office) -> None:
    """The client reads its end."""
    before = open_files()
    office.roster.stopping = True
    with office.give() as client:
        office.courier.carry(NOW)
        assert client.recv(1) == b""
    assert (open_files(), len(office.courier)) == (before, 0)


def test_at_the_end_everything_is_closed(office: Office) -> None:
    """What waits and what was sent, its files as well."""
    before = open_files()
    with office.give(files=1), office.give(Parcel(0, "GET", NOW, 2), giver=2, files=1):
        office.courier.carry(NOW)
        office.courier.close()
        assert len(office.courier) == 0
    for descriptor in office.receive(2)[1]:
        os.close(descriptor)
    assert open_files() == before


def test_a_connection_that_did_not_come_through_is_told_in_the_log(office: Office) -> None:
    """The kernel closes what there is no number for."""
    office.courier.hear(office.hands[1], AT_REST, [])
    assert len(office.courier) == 0
    assert "raise the limit of open files" in office.said[0]


def test_a_worker_that_reads_nothing_can_be_given_orders(office: Office) -> None:
    """Parcels leave room for them, the largest, too: what was not sent waits here."""
    office.lose(3)
    clients = [office.give(Parcel(0, "\xff" * 8192, NOW, 1)) for _ in range(WINDOW)]
    office.courier.carry(NOW)
    assert all(office.hands[2].channel.send(order) for order in (messages.Retire(), messages.Keep()))
    while not isinstance((received := cast(Any, office.ends[2].receive()))[0], messages.Retire):
        os.close(received[1][0])
    for client in clients:
        client.close()


def test_a_worker_that_reads_nothing_loses_nothing(office: Office) -> None:
    """More is sent than its channel holds: each connection arrives once, there or elsewhere, when it reads again."""
    office.lose(3)
    before = open_files()
    clients: dict[str, Any] = {}
    for number in range(WINDOW):
        text = f"{number} " + "\xff" * 8000
        clients[text] = office.give(Parcel(0, text, NOW, 1))
    office.courier.carry(NOW)
    while len(office.courier):
        parcel, (connection,) = office.receive(2)
        office.courier.hear(office.hands[2], Taken(), [])
        assert speaks(clients.pop(parcel.unread), connection)
        office.courier.carry(NOW)
    assert (clients, open_files()) == ({}, before)


# ---- WebSockets ---------------------------------------------------------------------------------------------

MOVING = Parcel(0, "luggage", NOW, 1, socket=True)


def test_who_gave_a_socket_away_is_told_when_it_has_a_new_place(office: Office) -> None:
    """There is room for another one then; of other connections nobody wants to know."""
    with office.give(MOVING), office.give():
        office.courier.carry(NOW)
        for key in (2, 3):
            while (received := office.ends[key].receive()) is not None:
                os.close(received[1][0])
                office.courier.hear(office.hands[key], Taken(), [])
        assert office.ends[1].receive() == (Arrived(), [])
        assert office.ends[1].receive() is None


def test_who_has_ended_since_need_not_be_told(office: Office) -> None:
    """He had nothing left."""
    with office.give(MOVING):
        office.lose(1)
        office.courier.carry(NOW)
        os.close(office.receive(2)[1][0])
        office.courier.hear(office.hands[2], Taken(), [])


@pytest.mark.parametrize("how", ["nobody is left", "the end"])
def test_a_socket_that_nobody_can_have_is_told_to_come_back(office: Office, how: str) -> None:
    """By a close frame with 1012, from here."""
    before = open_files()
    with office.give(MOVING) as client:
        if how == "the end":
            office.courier.close()
        else:
            office.roster.stopping = True
            for worker in office.roster.workers.values():
                worker.ready = False
            office.courier.carry(NOW)
            assert office.ends[1].receive() == (Arrived(), [])
        assert client.recv(9) == b"\x88\x02\x03\xf4"
        assert client.recv(9) == b""
    assert open_files() == before


def test_a_client_that_has_left_need_not_be_told(office: Office) -> None:
    """What was to be said to it fails, and no more."""
    before = open_files()
    office.give(MOVING).close()
    office.courier.close()
    assert open_files() == before


def test_a_socket_that_waited_in_vain_is_told_of_in_the_log(office: Office) -> None:
    """As what it is."""
    with office.give(MOVING._replace(after=2)):
        office.courier.carry(NOW + 30)
        parcel, (connection,) = office.receive(1)
        os.close(connection)
        assert (parcel.refused, office.said) == (LATE, [f"a WebSocket was closed with 1012: {LATE}"])


def test_who_leaves_hears_of_his_heirs_once(office: Office) -> None:
    """And again when there are none any more; at a stop there are none."""
    office.courier.carry(NOW)
    assert office.ends[1].receive() is None
    office.roster.workers[1].leaving = True
    for _ in range(2):
        office.courier.carry(NOW)
    assert (office.ends[1].receive(), office.ends[1].receive()) == ((Heirs(True), []), None)
    office.roster.stopping = True
    for _ in range(2):
        office.courier.carry(NOW)
    assert (office.ends[1].receive(), office.ends[1].receive()) == ((Heirs(False), []), None)
    assert office.ends[2].receive() is None


def test_who_may_answer_before_it_is_forked_is_sent_what_waits(office: Office) -> None:
    """A request that only newer code may have; it is closed here once it was taken."""
    client = office.give(AT_REST._replace(held=NOW, after=2))
    station, end = office.station(3)
    office.courier.offer(station)
    received = end.receive()
    assert received is not None and speaks(client, received[1][0])
    office.courier.hear(Hand(-3, 0, station.channel), Taken(), [])
    assert len(office.courier) == 0
    for each in (station.channel, end, client):
        each.close()


@pytest.mark.parametrize("gone", [True, False])
def test_what_it_did_not_take_is_a_workers(office: Office, gone: bool) -> None:
    """Because it says so, or because it is no more."""
    client = office.give(AT_REST._replace(held=NOW, after=2))
    station, end = office.station(3)
    office.courier.offer(station)
    if gone:
        del office.stations[3]
    else:
        office.courier.hear(Hand(-3, 0, station.channel), Taken(whole=False), [])
    office.roster.generations[3] = Generation(3, 0.0, Phase.LIVE)
    office.hire(4, 0, 3)
    office.courier.carry(NOW)
    assert speaks(client, office.receive(4)[1][0])
    for each in (station.channel, end, client):
        each.close()


def test_what_could_not_be_offered_waits_on(office: Office) -> None:
    """Its process has just ended."""
    client = office.give(AT_REST._replace(held=NOW, after=2))
    station, end = office.station(3)
    end.close()
    office.courier.offer(station)
    assert (len(office.courier), office.courier.requests) == (1, 1)
    for each in (station.channel, client):
        each.close()
