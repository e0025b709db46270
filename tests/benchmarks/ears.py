"""Many WebSockets in one thread, which only listen: `select.epoll` and a few bytes each, so that what is measured is
the server: a message is whatever contains MARK once. Start at Ears.

Law: what does not come within PATIENCE seconds raises.
"""

import select
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.frames import PING, PONG, TEXT, frame, handshake
from tests.support.process import PATIENCE

MARK = b'"public.room"'


class Ears:
    """*count* of them at the unix socket *place*, each of which has said *hello* and was answered *answers* times."""

    def __init__(self, place: Path, target: str, count: int, hello: str = "", answers: int = 0) -> None:
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(count):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(PATIENCE)
            sock.connect(str(place))
            sock.sendall(handshake(target))
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += sock.recv(1)
            assert b" 101 " in head.split(b"\r\n")[0], head
            if hello:
                sock.sendall(frame(TEXT, hello.encode()))
            sock.setblocking(False)
            self._sockets[sock.fileno()] = sock
            self._poll.register(sock, select.EPOLLIN)
        if answers:
            self.hear(answers)

    def say(self, text: str) -> None:
        """The first one speaks."""
        sock = next(iter(self._sockets.values()))
        sock.sendall(frame(TEXT, text.encode()))

    def hear(self, messages: int = 1) -> list[float]:
        """Wait until each has heard so many; when each had, in monotonic seconds."""
        missing = dict.fromkeys(self._sockets, messages)
        moments = []
        deadline = time.monotonic() + PATIENCE
        while missing:
            assert time.monotonic() < deadline, f"{len(missing)} have not heard everything"
            for number, _ in self._poll.poll(1.0):
                data = self._sockets[number].recv(65536)
                assert data, "a connection ended"
                if data[0] == PING | 0x80:
                    self._sockets[number].sendall(frame(PONG, data[2 : 2 + data[1]]))
                count = data.count(MARK)
                if count and number in missing:
                    missing[number] -= count
                    if missing[number] <= 0:
                        del missing[number]
                        moments.append(time.monotonic())
        return moments

    def close(self) -> None:
        """All of them leave."""
        for sock in self._sockets.values():
            sock.close()
        self._poll.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
