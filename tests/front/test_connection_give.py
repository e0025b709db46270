"""A connection leaves for another process, and goes on there."""

import socket
import time
from collections.abc import Iterator

import pytest

from runner.front.connection import FLUSH
from tests.front.rig import Recorder, Rig


class Other:
    """The process that gets it: has a socket of its own then."""

    def __init__(self) -> None:
        self.got: list[socket.socket] = []

    def take(self, sock: socket.socket) -> None:
        """As a descriptor travels: ours is closed, this one is not."""
        self.got.append(sock.dup())

    def close(self) -> None:
        """Leave nothing open."""
        for sock in self.got:
            sock.close()


@pytest.fixture
def other() -> Iterator[Other]:
    """See Other."""
    other = Other()
    yield other
    other.close()


def test_with_nothing_to_write_it_is_given_at_once_and_forgotten(rig: Rig, machine: Recorder, other: Other) -> None:
    """Our end is closed, the connection is not, and what the peer sends now is read by the other one alone."""
    rig.connection.give(other.take)
    assert (len(other.got), rig.connections, rig.connection.closed) == (1, set(), True)
    assert rig.connection.sock.fileno() == -1
    rig.send(b"for the other one")
    assert other.got[0].recv(99) == b"for the other one"
    other.got[0].send(b"answer")
    assert (rig.receive(6), machine.data) == (b"answer", b"")


def test_its_machine_is_not_told_of_a_loss(rig: Rig, machine: Recorder, other: Other) -> None:
    """Nobody has left; and it is not held by what it spoke over."""
    rig.connection.give(other.take)
    rig.connection.abort()
    assert (machine.told, rig.connection.machine is machine) == ([], False)


def test_everything_written_leaves_first(rig: Rig, machine: Recorder, other: Other) -> None:
    """Until then it is ours, and reads nothing any more: that is for the other one."""
    rig.connection.write(b"x" * 300_000)
    rig.connection.give(other.take)
    assert (other.got, rig.connections, rig.connection.closed) == ([], {rig.connection}, True)
    rig.peer.setblocking(False)
    rig.peer.send(b"early")
    assert rig.receive(300_000) == b"x" * 300_000
    rig.until(lambda: other.got)
    assert (other.got[0].recv(99), machine.data, machine.told, rig.connections) == (b"early", b"", [], set())


def test_nothing_is_written_behind_it(rig: Rig, other: Other) -> None:
    """Neither while it is leaving nor after."""
    rig.connection.write(b"x" * 300_000)
    rig.connection.give(other.take)
    assert rig.connection.write(b"late")
    assert len(rig.receive(300_000)) == 300_000
    rig.until(lambda: other.got)
    assert rig.connection.write(b"late")
    other.got[0].send(b"end")
    assert rig.receive(3) == b"end"


def test_it_is_given_once(rig: Rig, other: Other) -> None:
    """Whatever is asked of it afterwards."""
    rig.connection.write(b"x" * 300_000)
    for _ in range(3):
        rig.connection.give(other.take)
    rig.connection.close(linger=True)
    rig.receive(300_000)
    rig.until(lambda: other.got)
    rig.connection.give(other.take)
    rig.turn()
    assert len(other.got) == 1


@pytest.mark.parametrize("linger", [False, True])
def test_one_that_is_being_closed_is_not_given(rig: Rig, other: Other, linger: bool) -> None:
    """Its peer was told the end."""
    rig.connection.close(linger=linger)
    rig.connection.give(other.take)
    rig.turn()
    assert other.got == []


def test_a_slow_reader_is_given_time_and_a_dead_one_is_given_up(rig: Rig, machine: Recorder, other: Other) -> None:
    """As with a close: as long as it moves."""
    rig.connection.write(b"x" * 300_000)
    before = time.monotonic()
    rig.connection.give(other.take)
    assert rig.connection.deadline >= before + FLUSH
    rig.receive(50_000)
    rig.turn()
    before = time.monotonic()
    rig.connection.overdue()
    assert rig.connection.deadline >= before + FLUSH
    rig.connection.overdue()
    assert (machine.told, other.got, rig.connections) == (["lost"], [], set())


def test_a_peer_that_leaves_meanwhile_is_a_loss(rig: Rig, machine: Recorder, other: Other) -> None:
    """There is nobody to speak with."""
    rig.connection.write(b"x" * 300_000)
    rig.connection.give(other.take)
    rig.peer.close()
    rig.until(lambda: machine.told == ["lost"])
    assert (other.got, rig.connections) == ([], set())


# ---- on the other side --------------------------------------------------------------------------------------


class Witness(Recorder):
    """Notes since when what it is given was held."""

    def __init__(self, rig: Rig) -> None:
        super().__init__()
        self.since: list[float] = []
        self._rig = rig

    def received(self, data: bytes) -> None:
        """See runner.front.connection.Machine."""
        super().received(data)
        self.since.append(self._rig.connection.held)


@pytest.fixture
def adopted() -> Iterator[tuple[Rig, Witness]]:
    """A connection that is not open yet, and its machine."""
    with Rig() as rig:
        rig.connection.machine = witness = Witness(rig)
        yield rig, witness


def test_what_comes_with_nothing_unread_is_at_rest(adopted: tuple[Rig, Witness]) -> None:
    """Its machine is told so instead of bytes; it is among the open ones, and counts as heard."""
    rig, machine = adopted
    rig.connection.go_on(b"", 0.0)
    assert (machine.told, machine.since, rig.connection.heard) == (["rest"], [], True)
    assert rig.connections == {rig.connection}
    rig.send(b"first")
    assert machine.data == b"first"


def test_what_comes_with_a_head_is_as_old_as_it_was(adopted: tuple[Rig, Witness]) -> None:
    """That holds for this request; what is read afterwards is new."""
    rig, machine = adopted
    rig.connection.go_on(b"head", 12.5)
    rig.send(b" and body")
    assert (machine.data, machine.since, machine.told) == (b"head and body", [12.5, 0.0], [])


def test_what_comes_with_half_a_head_is_new(adopted: tuple[Rig, Witness]) -> None:
    """Nobody has waited for anything."""
    rig, machine = adopted
    rig.connection.go_on(b"ha", 0.0)
    rig.send(b"lf")
    assert (machine.data, machine.since) == (b"half", [0.0, 0.0])


def test_what_is_given_on_at_once_is_not_read_here(adopted: tuple[Rig, Witness], other: Other) -> None:
    """Its machine gave it away in the middle of what it was fed."""
    rig, machine = adopted
    machine.received = lambda data: rig.connection.give(other.take)   # type: ignore[method-assign]
    rig.connection.go_on(b"head", 12.5)
    rig.send(b"more")
    assert (other.got[0].recv(9), machine.data, rig.connections) == (b"more", b"", set())
