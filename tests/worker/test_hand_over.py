"""From one process to another over a real channel: the connection, and every byte that was read."""

import asyncio
import os
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.front.connection import Connection
from runner.front.http import HTTPFront
from runner.front.http_peer import Local
from runner.front.limits import Limits
from runner.front.luggage import Luggage
from runner.front.variables import Rules
from runner.log import Log
from runner.process.channel import Channel, pair
from runner.process.messages import Parcel, Taken
from runner.request import Answer
from runner.worker.hand_over import INLINE, HandOver
from tests.front.rig import FakeService, Recorder
from tests.support.frames import handshake
from tests.support.memory import open_files


class Desk:
    """Two processes' hand-overs and the channel between them; the supervisor in the middle is left out."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.ours, theirs = pair()
        self.theirs = Channel(theirs)
        self.said: list[str] = []
        self.places: list[int] = []
        self.machine = Recorder()
        self.connections: set[Connection] = set()
        self.peer, sock = socket.socketpair()
        self.connection = Connection(sock, self.loop, self.connections, place=3)
        self.connection.machine = Recorder()
        self.connection.open()
        log = cast(Log, SimpleNamespace(once_a_minute=lambda kind, text: self.said.append(text)))
        self.outdated = False
        self.giver = HandOver(self.ours, 7, self.adopt, log, lambda since: self.outdated)
        self.taker = HandOver(self.theirs, 8, self.adopt, log, lambda since: self.outdated)

    def adopt(self, sock: socket.socket, place: int) -> Connection:
        """See Acceptor."""
        self.places.append(place)
        connection = Connection(sock, self.loop, self.connections, place)
        connection.machine = self.machine
        return connection

    def arrived(self) -> tuple[Parcel, list[int]]:
        """What the other end of the channel is sent."""
        received = self.theirs.receive()
        assert received is not None and isinstance(received[0], Parcel)
        return received[0], received[1]

    def answered(self) -> Taken:
        """What the receiver says."""
        received = self.ours.receive()
        assert received is not None and isinstance(received[0], Taken)
        return received[0]

    def close(self) -> None:
        """Leave nothing open."""
        for connection in list(self.connections):
            connection.abort()
        self.peer.close()
        self.ours.close()
        self.theirs.close()
        self.loop.close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    """See Desk."""
    desk = Desk()
    yield desk
    desk.close()


SIZES = [0, 1, INLINE, INLINE + 1, 300_000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("held", [False, True])
def test_a_connection_goes_on_in_the_other_process(desk: Desk, size: int, held: bool) -> None:
    """With what was read of it, short or long; and what it is answered there reaches its client."""
    unread = (bytes(range(256)) * (size // 256 + 1))[:size]
    if held and not unread:
        unread = b"a head is never empty"
    if held:
        desk.giver.hold(desk.connection, unread, 12.5)
    else:
        desk.giver.give(desk.connection, unread)
    desk.taker.take(*desk.arrived())
    assert (desk.machine.data, desk.places, desk.answered()) == (unread, [3], Taken(True))
    (connection,) = desk.connections
    connection.write(b"answer")
    assert desk.peer.recv(9) == b"answer"


@settings(max_examples=60)
@given(st.one_of(st.binary(max_size=300), st.binary(min_size=1, max_size=3).map(lambda data: data * 4096)))
def test_every_byte_arrives_as_it_was(unread: bytes) -> None:
    """Of any value."""
    desk = Desk()
    desk.giver.give(desk.connection, unread)
    desk.taker.take(*desk.arrived())
    assert desk.machine.data == unread
    assert desk.machine.told == ([] if unread else ["rest"])
    desk.close()


def test_a_request_is_told_since_when_it_waits_and_for_what(desk: Desk) -> None:
    """For code newer than the giver's."""
    desk.giver.hold(desk.connection, b"GET", 12.5)
    parcel, descriptors = desk.arrived()
    assert parcel == Parcel(3, "GET", 12.5, 7)
    desk.taker.take(parcel, descriptors)


@pytest.mark.parametrize("since", [0.0, 1234.5])
def test_what_is_spared_for_our_generation_is_not_for_an_older_one(desk: Desk, since: float) -> None:
    """Whether a request waits or not."""
    desk.giver.spare(desk.connection, b"GET", since)
    parcel, descriptors = desk.arrived()
    assert (parcel.held, parcel.after, parcel.unread) == (since, 6, "GET")
    os.close(descriptors[0])


def test_a_connection_at_rest_waits_for_nothing(desk: Desk) -> None:
    """Anybody may have it, also with half a head."""
    desk.giver.give(desk.connection, b"GE")
    parcel, descriptors = desk.arrived()
    assert parcel == Parcel(3, "GE", 0.0, 0)
    desk.taker.take(parcel, descriptors)


@pytest.mark.parametrize("size", SIZES)
def test_nothing_stays_open_behind_it(desk: Desk, size: int) -> None:
    """Neither with the giver nor, but for the connection, with the taker."""
    before = open_files()
    desk.giver.give(desk.connection, bytes(size))
    desk.taker.take(*desk.arrived())
    assert open_files() == before


def test_a_long_request_can_be_read_by_another_one_if_its_reader_dies(desk: Desk) -> None:
    """The file is the same for both: reading it leaves no trace."""
    unread = bytes(range(256)) * 100
    desk.giver.hold(desk.connection, unread, 12.5)
    parcel, descriptors = desk.arrived()
    copies = [os.dup(descriptor) for descriptor in descriptors]
    desk.taker.take(parcel, descriptors)
    desk.machine.data = b""
    desk.taker.take(parcel, copies)
    assert desk.machine.data == unread


@pytest.mark.parametrize(("parcel", "count"), [
    (Parcel(0, "", 0.0, 0), 0),
    (Parcel(0, "GET", 12.5, 7), 0),
    (Parcel(0, "", 12.5, 7, beside=True), 1),
    (Parcel(0, "", 0.0, 0, beside=True), 1),
])
def test_what_did_not_come_whole_is_not_taken(desk: Desk, parcel: Parcel, count: int) -> None:
    """recvmsg(2): what there was no number for is missing. The supervisor has it still; the log names the remedy."""
    descriptors = [os.memfd_create("x") for _ in range(count)]
    before = open_files()
    desk.taker.take(parcel, descriptors)
    assert (desk.answered(), desk.places) == (Taken(False), [])
    assert "raise the limit of open files" in desk.said[0]
    assert open_files() == before - count


@pytest.mark.parametrize(("refused", "taken"), [("", False), ("too late", True)])
def test_who_leaves_takes_only_what_is_to_be_refused(desk: Desk, refused: str, taken: bool) -> None:
    """Everything else the supervisor gives to another one; nothing is wrong with that, so the log is silent."""
    desk.giver.give(desk.connection, b"GET")
    parcel, descriptors = desk.arrived()
    before = open_files()
    desk.taker.take(parcel._replace(refused=refused), descriptors, leaving=True)
    assert (desk.answered(), desk.places, desk.said) == (Taken(taken), [3] * taken, [])
    assert open_files() == before - (not taken)


def test_it_is_taken_before_it_is_read(desk: Desk) -> None:
    """Else a request could be executed here, and once more elsewhere when we die of it."""
    order: list[str] = []

    def received(data: bytes) -> None:
        order.append("taken" if desk.ours.receive() == (Taken(), []) else "not yet")

    desk.machine.received = received   # type: ignore[method-assign]
    desk.giver.give(desk.connection, b"GET")
    desk.taker.take(*desk.arrived())
    assert order == ["taken"]


def test_with_nobody_to_give_it_to_it_is_closed(desk: Desk) -> None:
    """The supervisor is gone; the client reads its end."""
    desk.theirs.close()
    desk.giver.give(desk.connection, b"x" * 10_000)
    assert desk.peer.recv(1) == b""
    assert desk.said == ["a connection could not be given away and is closed"]


# ---- WebSockets ---------------------------------------------------------------------------------------------


@pytest.fixture
def hall(desk: Desk) -> Iterator[FakeService]:
    """A process whose HTTP front speaks over what comes; its host notes the request, and no more."""
    service = FakeService(lambda exchange: None)

    def adopt(sock: socket.socket, place: int) -> Connection:
        connection = Connection(sock, desk.loop, desk.connections, place)
        local = Local("", "", True, frozenset())
        connection.machine = HTTPFront(connection, service, Rules(), Limits(), local)
        return connection

    log = cast(Log, SimpleNamespace(once_a_minute=lambda kind, text: desk.said.append(text)))
    desk.taker = HandOver(desk.theirs, 8, adopt, log, lambda since: desk.outdated)
    yield service
    service.close()


@pytest.mark.parametrize("size", [0, 10, INLINE, 250_000])
def test_a_socket_takes_its_luggage_along(desk: Desk, hall: FakeService, size: int) -> None:
    """And no code that is older than the giver's may have it; its next host knows all that the last one said."""
    luggage = Luggage(handshake("/x"), "s" * size, "", None, 1.5, 7, 99.0)
    desk.giver.move(desk.connection, luggage.pack(), 12.5)
    parcel, descriptors = desk.arrived()
    assert parcel._replace(unread="") == Parcel(3, "", 12.5, 6, beside=size >= INLINE, socket=True)
    desk.taker.take(parcel, descriptors)
    assert desk.answered() == Taken(True)
    [exchange] = hall.exchanges
    websocket = exchange.websocket()
    assert websocket is not None and not isinstance(websocket, Answer)
    assert (websocket.state, exchange.request.path, exchange.request.began) == ("s" * size, "/x", 1.5)


def pack() -> bytes:
    """The luggage of any."""
    return Luggage(handshake(), "state", "", None, 1.5, 7, 99.0).pack()


def test_a_socket_for_which_we_are_too_old_is_given_on(desk: Desk, hall: FakeService) -> None:
    """For newer code than ours; since when it waits stays true. It was taken here, or two would have it."""
    desk.giver.move(desk.connection, pack(), 12.5)
    parcel, descriptors = desk.arrived()
    before = open_files()
    desk.outdated = True
    desk.taker.take(parcel, descriptors)
    assert desk.answered() == Taken(True)
    received = desk.ours.receive()
    assert received is not None
    assert (received[0], hall.exchanges) == (parcel._replace(after=8), [])
    for descriptor in received[1]:
        os.close(descriptor)
    assert open_files() == before - 1


def test_a_socket_that_nobody_may_have_is_told_to_come_back(desk: Desk, hall: FakeService) -> None:
    """By any worker, be it an old one that leaves."""
    desk.giver.move(desk.connection, pack(), 12.5)
    parcel, descriptors = desk.arrived()
    desk.outdated = True
    desk.taker.take(parcel._replace(refused="too late"), descriptors, leaving=True)
    assert desk.peer.recv(9) == b"\x88\x02\x03\xf4"
    assert (hall.exchanges, len(hall.outcomes)) == ([], 1)
