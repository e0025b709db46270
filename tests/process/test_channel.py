"""Messages come out of a channel as they went in, with their descriptors, and in their order."""

import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from runner.process.channel import Channel, pair
from runner.process.messages import (
    Broken,
    Fork,
    Forked,
    Parcel,
    Ready,
    Retire,
    Stale,
    Taken,
)
from tests.support.runner_process import environment


def test_descriptors_come_along() -> None:
    """What arrives is the same pipe under another number, not to be inherited by programs."""
    ours, theirs = pair()
    other = Channel(theirs)
    read, write = os.pipe()
    assert ours.send(Fork(1, 7), write)
    os.close(write)
    received = other.receive()
    assert received is not None
    message, descriptors = received
    assert message == Fork(1, 7)
    assert not os.get_inheritable(descriptors[0])
    os.write(descriptors[0], b"same")
    assert os.read(read, 9) == b"same"
    for each in (read, *descriptors):
        os.close(each)
    ours.close()
    other.close()


def test_messages_keep_their_order_and_their_bounds() -> None:
    """One each time, None when there is no more."""
    ours, theirs = pair()
    other = Channel(theirs)
    for number in range(50):
        assert ours.send(Ready(number))
    assert [other.receive() for _ in range(51)] == [*((Ready(number), []) for number in range(50)), None]
    ours.close()
    other.close()


def test_what_is_looked_at_stays_to_be_received() -> None:
    """However often, with its descriptors; what was sent after it is not even read."""
    ours, theirs = pair()
    other = Channel(theirs)
    read, write = os.pipe()
    assert other.peek() is None
    ours.send(Fork(1, 7), write)
    ours.send(Ready(2))
    seen = other.peek()
    assert seen is not None and seen == other.peek() == other.kept
    assert [other.receive(), other.kept, other.receive(), other.receive()] == [seen, None, (Ready(2), []), None]
    for each in (read, write, *seen[1]):
        os.close(each)
    ours.close()
    other.close()


def test_the_end_is_not_seen_by_who_looks() -> None:
    """It stays to be told to whoever receives."""
    ours, theirs = pair()
    other = Channel(theirs)
    ours.close()
    assert other.peek() is None
    with pytest.raises(EOFError):
        other.receive()
    other.close()


def test_the_end_of_the_other_process_is_an_error() -> None:
    """After its last words; sending to it is refused without one."""
    ours, theirs = pair()
    other = Channel(theirs)
    other.send(Ready(1))
    other.close()
    assert ours.receive() == (Ready(1), [])
    with pytest.raises(EOFError):
        ours.receive()
    assert not ours.send(Ready(2))
    ours.close()


def test_last_words_are_heard_also_of_one_that_did_not_listen() -> None:
    """It closed with something unread, of which the kernel tells first; what it took and gave away is not lost."""
    ours, theirs = pair()
    other = Channel(theirs)
    ours.send(Fork(1, 7))
    read, write = os.pipe()
    other.send(Taken())
    other.send(Parcel(0, "", 0.0, 0), write)
    other.close()
    os.close(write)
    assert ours.receive() == (Taken(), [])
    received = ours.receive()
    assert received is not None and received[0] == Parcel(0, "", 0.0, 0)
    with pytest.raises(EOFError):
        ours.receive()
    for each in (read, *received[1]):
        os.close(each)
    ours.close()


@pytest.mark.parametrize("message", [
    Broken("s" * 500_000, "w" * 4096, 0, 1, "c" * 5000, 1.0, ["n" * 9000] * 300, 1.0, []),
    Broken("\U0001f40d" * 20_000, "\0" * 20_000, 0, 1, "", 1.0, [], 1.0, []),
    Stale(["/" + "\udcff" * 4000] * 50),
    Forked(1, 2, "e" * 200_000),
])
def test_enormous_news_arrives_cut(message: Any) -> None:
    """The other end always gets something it can read."""
    ours, theirs = pair()
    other = Channel(theirs)
    assert ours.send(message)
    received = other.receive()
    assert received is not None and type(received[0]) is type(message)
    ours.close()
    other.close()


def test_the_supervisor_waits_for_nobody() -> None:
    """A process that does not read holds it up for no moment; what it cannot be told is reported as such."""
    ours, theirs = pair()
    assert not all(ours.send(Ready(number)) for number in range(10_000))
    ours.close()
    theirs.close()


CROWD = """
import os, resource, threading
from runner.process.channel import Channel, pair
from runner.process.messages import Parcel
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
ours, theirs = pair()
write = os.pipe()[1]
crowd = 0
while crowd < 150 and ours.send(Parcel(0, "", 0.0, 0), write):
    crowd += 1
def read():
    for _ in range(crowd):
        os.close(other.receive()[1][0])
other = Channel(theirs)
threading.Timer(0.05, read).start()
print(crowd, Channel(ours.sock).send(Parcel(0, "", 0.0, 0), write))
"""


def test_where_too_many_descriptors_are_on_their_way_a_worker_waits() -> None:
    """The kernel allows a user as many as one process may have open. Who waits for nobody is told."""
    done = subprocess.run([sys.executable, "-c", CROWD], env=environment(), capture_output=True, text=True, check=True,
                          timeout=30)
    crowd, sent = done.stdout.split()
    assert (int(crowd) < 150, sent) == (True, "True")


@pytest.mark.parametrize("parcel", [Parcel(0, "\xff" * 8192, 1.0, 1), Parcel(0, "", 0.0, 0)], ids=["large", "small"])
def test_a_laden_channel_has_room_for_orders(parcel: Parcel) -> None:
    """Parcels are sent until it is; then it takes dozens of orders still, and is as before when all is read."""
    ours, theirs = pair()
    other = Channel(theirs)
    sent = 0
    while not ours.laden():
        assert ours.send(parcel)
        sent += 1
    assert all(ours.send(Retire()) for _ in range(40))
    received = [other.receive() for _ in range(sent + 40)]
    assert received[-1] == (Retire(), [])
    assert not ours.laden()
    other.close()
    ours.close()
    assert not ours.laden()


def test_a_channel_that_was_closed_here_has_ended() -> None:
    """For whoever holds it still."""
    ours, theirs = pair()
    ours.close()
    with pytest.raises(EOFError):
        ours.receive()
    theirs.close()
    assert isinstance(theirs, socket.socket)
