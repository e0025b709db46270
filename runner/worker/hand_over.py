"""A connection given from one process to another: the primitive behind reloads that drop nothing.

    give   to the supervisor: the descriptor, and what was read of the next request (messages.Parcel)
    take   from the supervisor, which has chosen us: go on as if it had been accepted and read here
    move   as give, but what leaves is a WebSocket, with what the next process has to know of it (front/luggage.py)

Between the two it waits with the supervisor, which knows who is able to answer (supervisor/transit.py). A web server
notices nothing: the connection stays open, and what it sends meanwhile waits in the kernel.

Laws: a connection is given when the head of a request is complete or between two requests, never while a request is
under way, so nothing is executed twice; a WebSocket when its host has done with it. The receiver says Taken before it
reads on: until then the supervisor has the connection still, and gives it to another one if we die. Start at give.
unix(7), SCM_RIGHTS.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator

from runner.front.connection import Connection
from runner.front.http import HTTPFront
from runner.front.luggage import Luggage
from runner.log import Log
from runner.process.channel import Channel
from runner.process.memory import anonymous_file
from runner.process.messages import Parcel, Taken

INLINE = 8192
"""Bytes of a request that travel in the message itself; escaped they are at most six times as many."""

Adopt = Callable[[socket.socket, int], Connection]
"""Makes a Connection of a socket that came through the listener of that number."""


class HandOver:
    """*generation* is ours, *adopt* the acceptor's, *outdates* the gate's."""

    def __init__(
        self, channel: Channel, generation: int, adopt: Adopt, log: Log, outdates: Callable[[float], bool]
    ) -> None:
        self._channel = channel
        self._generation = generation
        self._adopt = adopt
        self._log = log
        self._outdates = outdates

    def give(self, connection: Connection, unread: bytes) -> None:
        """Away with a connection on which no request is under way; *unread*: what was read of the next one."""
        self._give(connection, unread, 0.0, 0)

    def hold(self, connection: Connection, unread: bytes, since: float) -> None:
        """Away with one whose request waits *since* then for a newer generation; *unread* has its whole head."""
        self._give(connection, unread, since, self._generation)

    def spare(self, connection: Connection, unread: bytes, since: float) -> None:
        """Away with one whose request waits *since* then for a worker of our generation; 0.0: there is none."""
        self._give(connection, unread, since, self._generation - 1)

    def move(self, connection: Connection, luggage: bytes, since: float) -> None:
        """Away with a WebSocket; no code that is older than ours may have it."""
        self._give(connection, luggage, since, self._generation - 1, socket=True)

    def take(self, parcel: Parcel, descriptors: list[int], *, leaving: bool = False) -> None:
        """Go on with what the supervisor has sent; *leaving*: only to say why nobody can have it."""
        whole = len(descriptors) == 1 + parcel.beside
        taken = whole and (not leaving or bool(parcel.refused))
        self._channel.send(Taken(taken))
        if not whole:
            # recvmsg(2), MSG_CTRUNC: no number was free for it here. The supervisor still has it.
            self._log.once_a_minute("take", "cannot take a connection; raise the limit of open files (ulimit -n)")
        if not taken:
            _close(descriptors)
        elif parcel.socket and not parcel.refused and self._outdates(parcel.held):
            self._channel.send(parcel._replace(after=self._generation), *descriptors)
            _close(descriptors)
        else:
            self._begin(parcel, *descriptors)

    def _begin(self, parcel: Parcel, descriptor: int, file: int = -1) -> None:
        unread = _read_whole(file) if parcel.beside else parcel.unread.encode("latin-1")
        connection = self._adopt(socket.socket(fileno=descriptor), parcel.place)
        front = connection.machine
        if parcel.socket and isinstance(front, HTTPFront):
            luggage = Luggage.unpack(unread)
            connection.come_over(lambda: front.come_over(luggage, refused=bool(parcel.refused)))
        else:
            connection.go_on(unread, parcel.held)

    def _give(
        self, connection: Connection, unread: bytes, since: float, after: int, *, socket: bool = False
    ) -> None:
        beside = unread if len(unread) > INLINE else b""
        inline = "" if beside else unread.decode("latin-1")
        parcel = Parcel(connection.place, inline, since, after, beside=bool(beside), socket=socket)
        connection.give(lambda sock: self._send(parcel, sock, beside))

    def _send(self, parcel: Parcel, sock: socket.socket, beside: bytes) -> None:
        with _file_of(beside) as files:
            if not self._channel.send(parcel, sock.fileno(), *files):
                self._log.once_a_minute("give", "a connection could not be given away and is closed")


@contextlib.contextmanager
def _file_of(data: bytes) -> Iterator[list[int]]:
    """A file with *data*, or no file if there is none."""
    if not data:
        yield []
        return
    descriptor = anonymous_file("runner-request")
    try:
        with open(descriptor, "wb", buffering=0, closefd=False) as file:
            file.write(data)
        yield [descriptor]
    finally:
        os.close(descriptor)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _read_whole(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        file.seek(0)
        return file.read()
