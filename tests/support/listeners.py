"""Who listens to a channel from outside, comes back when a line ends, and notes all that is said. Start at Listener.

Law: nothing is sorted out here: what comes twice is noted twice.
"""

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.support.places import Address
from tests.support.process import PATIENCE


class Listener(ABC):
    """To *channel* of the endpoint at *path*, in a thread, from when the block begins until it ends.

    data    of each message, in the order in which they came
    resyncs what was said to be missing
    lines   connections that were opened
    """

    def __init__(self, address: Address, channel: str, path: str = "/live") -> None:
        assert isinstance(address, tuple)
        self._host, self._port = address
        self._channel, self._path = channel, path
        self._position: str | None = None
        self._ready, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.data: list[Any] = []
        self.resyncs: list[Any] = []
        self.lines = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE), "it has not heard that it listens"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._hang_up()
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                for said in self._hear(self._position):
                    self._note(said)
            except (OSError, WebSocketException, HTTPException):
                pass
            self._ended.wait(0.05)

    def _note(self, said: dict[str, Any]) -> None:
        assert "refused" not in said, said
        self._position = said["position"]
        if "data" in said:
            self.data.append(said["data"])
        elif "resync" in said:
            self.resyncs.append(said)
        self._ready.set()

    @abstractmethod
    def _hear(self, position: str | None) -> Iterator[dict[str, Any]]:
        """What is said over one connection."""

    @abstractmethod
    def _hang_up(self) -> None:
        """End it, from another thread."""


class SocketListener(Listener):
    """Over a WebSocket."""

    _socket: ClientConnection | None = None

    def _hear(self, position: str | None) -> Iterator[dict[str, Any]]:
        with connect(f"ws://{self._host}:{self._port}{self._path}") as socket:
            self._socket = socket
            self.lines += 1
            socket.send(json.dumps({"subscribe": self._channel, "after": position}))
            for text in socket:
                yield json.loads(text)

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()


class EventListener(Listener):
    """By server-sent events."""

    _connection: HTTPConnection | None = None

    def _hear(self, position: str | None) -> Iterator[dict[str, Any]]:
        connection = self._connection = HTTPConnection(self._host, self._port, timeout=PATIENCE)
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": position} if position else {})
        try:
            connection.request("GET", f"{self._path}?channel={self._channel}", headers=headers)
            with connection.getresponse() as answer:
                assert answer.status == 200, answer.status
                self.lines += 1
                while line := answer.readline():
                    if line.startswith(b"data: {"):
                        yield json.loads(line[6:])
        finally:
            connection.close()

    def _hang_up(self) -> None:
        if self._connection is not None and self._connection.sock is not None:
            self._connection.sock.shutdown(2)
