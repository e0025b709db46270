"""Sub-requests over a private socket, in one process: who asks and who answers turn the same loop.

Start at private_socket, and at Sibling for somebody who answers.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from runner.front.connection import Connection
from runner.front.fastcgi import FastCGIFront
from runner.front.limits import Limits
from runner.front.variables import Rules
from runner.process.private import Private, open_private
from runner.request import Exchange
from tests.front.rig import FakeService, ok

VARIABLES = {"REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/jsonrpc", "CONTENT_LENGTH": "4"}


@contextmanager
def private_socket() -> Iterator[Private]:
    """One, for the block."""
    private = open_private()
    assert private is not None
    yield private
    private.listener.close()
    os.close(private.door)


class Sibling:
    """Takes what comes over the socket; *answer* stands for its application, *speak* for all of it."""

    def __init__(
        self, private: Private, answer: Callable[[Exchange], None] = ok,
        speak: Callable[[socket.socket], None] | None = None,
    ) -> None:  # fmt: skip
        self.service = FakeService(answer)
        self.connections: set[Connection] = set()
        self._private = private
        self._speak = speak
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(private.listener, self._accept)

    def close(self) -> None:
        """Take nothing any more."""
        self._loop.remove_reader(self._private.listener)
        for connection in list(self.connections):
            connection.abort()
        self.service.close()

    def _accept(self) -> None:
        accepted = self._private.listener.accept()[0]
        if self._speak is not None:
            self._speak(accepted)
            accepted.close()
            return
        connection = Connection(accepted, self._loop, self.connections)
        connection.machine = FastCGIFront(connection, self.service, Rules(), Limits(), internal=True)
        connection.open()
