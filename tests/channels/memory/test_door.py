"""How the hub is reached: by a number, before it runs; and what is said where there is none."""

from __future__ import annotations

import os
import socket

import pytest

from runner.channels.memory.door import check_door, connect
from runner.errors import ChannelsUnavailable
from runner.process.private import open_private
from tests.support.memory import open_files


def test_who_connects_waits_for_nobody() -> None:
    """The queue is enough; what is said waits in it."""
    private = open_private()
    assert private is not None
    with private.listener, connect(check_door(private.door)) as sock:
        sock.send(b"hello")
        with private.listener.accept()[0] as client:
            assert client.recv(9) == b"hello"
    os.close(private.door)


def test_a_full_queue_is_an_error() -> None:
    """It does not block, and leaves nothing open."""
    private = open_private()
    assert private is not None
    private.listener.listen(0)
    before = open_files()
    socks: list[socket.socket] = []
    with pytest.raises(BlockingIOError):
        while True:
            socks.append(connect(private.door))
    assert open_files() == before + len(socks)
    for sock in [private.listener, *socks]:
        sock.close()
    os.close(private.door)


def test_where_there_is_no_door_that_is_said() -> None:
    """With what to do about it."""
    with pytest.raises(ChannelsUnavailable, match="--channels redis"):
        check_door(-1)
