"""A packet comes out as it went in, with its descriptors, or its sender is told that it did not."""

import os
import socket
from collections.abc import Iterator

import pytest

from runner.process import packets

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Both ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_packets_keep_their_bounds_and_their_descriptors(pair: Pair) -> None:
    """The largest, too; what comes along is not inherited by programs. Then there is nothing."""
    ours, theirs = pair
    read, write = os.pipe()
    for data, descriptors in ((b"a", []), (bytes(packets.SIZE), [write, write]), (b"c", [])):
        assert packets.send(ours, data, descriptors, 0.0)
        received = packets.receive(theirs)
        assert received is not None and received[0] == data
        assert [os.get_inheritable(each) for each in received[1]] == [False] * len(descriptors)
        for each in received[1]:
            os.close(each)
    assert packets.receive(theirs) is None
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("patience", [0.0, 0.05])
def test_a_full_channel_is_waited_for_with_patience(pair: Pair, patience: float) -> None:
    """And no longer."""
    ours, _ = pair
    sent = 0
    while packets.send(ours, b"x" * 1000, [], patience):
        sent += 1
    assert sent > 10


def test_the_end_is_told_to_both(pair: Pair) -> None:
    """After its last words; sending is refused without an error."""
    ours, theirs = pair
    packets.send(theirs, b"last", [], 0.0)
    theirs.close()
    assert packets.receive(ours) == (b"last", [])
    with pytest.raises(EOFError):
        packets.receive(ours)
    assert not packets.send(ours, b"x", [], 1.0)
