"""One client, as the hub sees it: what is read is kept for its turn, what is added is sent when it goes."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from runner.channels.memory.client import FULL, Client
from runner.channels.memory.wire import LINE, Unfollow, serialize
from runner.channels.message import Position
from runner.errors import ProtocolError


@pytest.fixture
def pair() -> Iterator[tuple[Client, socket.socket]]:
    """The client, and its other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield Client(ours), theirs


Pair = tuple[Client, socket.socket]


def test_lines_wait_for_their_turn(pair: Pair) -> None:
    """Each is given once, when it has ended."""
    client, peer = pair
    peer.send(serialize(Unfollow("a")) + serialize(Unfollow("b"))[:-3])
    assert client.receive() and client.unserved()
    assert client.next_line() == serialize(Unfollow("a"))[:-1]
    assert client.next_line() is None and not client.unserved()


def test_nothing_to_read_is_no_end(pair: Pair) -> None:
    """Nor is a half line; the end is one."""
    client, peer = pair
    assert client.receive()
    peer.send(b"[")
    assert client.receive()
    peer.close()
    assert not client.receive()


def test_who_does_not_read_is_not_answered(pair: Pair) -> None:
    """Beyond FULL bytes; what was added is sent as soon as it goes, and all of it."""
    client, peer = pair
    peer.send(serialize(Unfollow("a")))
    client.receive()
    client.add(b"x" * 2 * FULL)
    assert client.send() and client.full() and client.unsent()
    assert client.next_line() is None
    found = 0
    while client.unsent():
        found += len(peer.recv(FULL))
        assert client.send()
    assert found + len(peer.recv(FULL, socket.MSG_WAITALL | socket.MSG_DONTWAIT)) == 2 * FULL
    assert client.next_line() is not None


def test_who_is_behind_is_unserved(pair: Pair) -> None:
    """There is something to add."""
    client, _ = pair
    assert not client.unserved()
    client.behind["c"] = Position("e", 1)
    assert client.unserved()


def test_sending_to_nobody_is_the_end(pair: Pair) -> None:
    """Which is said by False."""
    client, peer = pair
    peer.close()
    client.add(b"x")
    assert not client.send()


def test_a_line_without_end_is_refused(pair: Pair) -> None:
    """Before it fills the memory."""
    client, peer = pair
    peer.setblocking(False)
    with pytest.raises(ProtocolError):
        for _ in range(2 * LINE // 1000):
            try:
                peer.send(b"x" * 60_000)
            except BlockingIOError:
                pass
            client.receive()
