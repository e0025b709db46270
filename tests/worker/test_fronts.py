"""Which front speaks at which listener."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.front.connection import Connection
from runner.front.fastcgi import FastCGIFront
from runner.front.http import HTTPFront
from runner.settings import resolve
from runner.worker.acceptor import Listening
from runner.worker.fronts import Place, open_places


@pytest.fixture
def queue() -> Iterator[socket.socket]:
    """A listening socket."""
    with socket.create_server(("127.0.0.1", 0)) as queue:
        yield queue


def opened(queue: socket.socket, *places: Place) -> list[Listening]:
    """What a worker makes of places, all at one queue."""
    settings = resolve({"target": "app:main"}, {}, str(Path.cwd())).settings
    service = cast("Any", SimpleNamespace(draining=False, closing=False))
    return open_places([place._replace(descriptor=queue.fileno()) for place in places], service, settings)


@pytest.mark.parametrize(
    ("place", "front"),
    [
        (Place(0, "fastcgi", "127.0.0.1:9000", []), FastCGIFront),
        (Place(0, "http", "127.0.0.1:8000", []), HTTPFront),
        (Place(0, "http", "[::1]:8000", []), HTTPFront),
    ],
)
def test_the_front_of_a_place(queue: socket.socket, place: Place, front: type) -> None:
    """A connection that comes through gets a machine of its own, of the kind that speaks there."""
    [(sock, make, _)] = opened(queue, place)
    loop = asyncio.new_event_loop()
    with socket.create_connection(queue.getsockname()), sock:
        accepted, _ = queue.accept()
        connection = Connection(accepted, loop, set())
        machine = connection.machine = make(connection)
        assert type(machine) is front
        assert make(connection) is not machine
        connection.abort()
    loop.close()


def test_the_socket_is_the_workers_own(queue: socket.socket) -> None:
    """Closing it leaves the one that was inherited; the order and the peers are those of the places."""
    peers = ["10.0.0.1"]
    listening = opened(queue, Place(0, "http", "127.0.0.1:1", peers), Place(0, "fastcgi", "127.0.0.1:2", []))
    for sock, _, _ in listening:
        sock.close()
    assert queue.getsockname()
    assert [each[2] for each in listening] == [frozenset(peers), frozenset()]


def test_nobody_waits_at_an_empty_queue(queue: socket.socket) -> None:
    """Of two workers that see the same connection one comes too late; it has others to look after."""
    assert queue.getblocking()
    [(sock, _, _)] = opened(queue, Place(0, "http", "127.0.0.1:1", []))
    with sock, pytest.raises(BlockingIOError):
        sock.accept()
