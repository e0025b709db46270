"""A real generation, and the test in the place of its supervisor.

Start at generation, then Stage.hear and Stage.fork.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner.process import launch, messages
from runner.process.channel import Channel, Received, pair
from runner.process.lifeline import Lifeline
from runner.process.messages import FORKING, Begin, Message
from runner.process.scoreboard import Scoreboard
from runner.settings import resolve
from tests.support.process import PATIENCE


class Stage:
    """The generation's process, the channels to it and its workers, and the socket they serve."""

    def __init__(
        self, directory: Path, aftermath: str, journal: int, voids: int, hot: list[str] | None, flags: dict[str, Any]
    ) -> None:  # fmt: skip
        settings = resolve({"target": "app:main", **flags}, dict(os.environ), str(directory)).settings
        self.queue = socket.create_server(("127.0.0.1", 0))
        self.board = Scoreboard()
        places = [[self.queue.fileno(), "http", "127.0.0.1:0", []]]
        self.lifeline = Lifeline()
        self.popen, sock = launch.start()
        self.channel = Channel(sock, 0.0)
        begin = Begin(settings.to_json(), 1, FORKING, places, self.board.descriptor, journal, aftermath, voids, 0.0)
        if hot is not None:
            begin = begin._replace(hot=hot, step=3600.0, lifeline=self.lifeline.descriptor)
        self.channel.send(begin, *begin.descriptors)

    def hear(self, kind: type[Any], channel: Channel | None = None) -> Any:
        """The next message, which must be of that kind."""
        message, _ = receive(channel or self.channel, streams=kind is messages.Streaming)
        assert isinstance(message, kind), message
        return message

    def fork(self, slot: int = 0, key: int = 1) -> tuple[int, Channel]:
        """A worker: its process and the channel to it."""
        ours, theirs = pair()
        self.channel.send(messages.Fork(slot, key), theirs.fileno())
        theirs.close()
        forked = self.hear(messages.Forked)
        assert (forked.key, forked.error) == (key, "")
        return forked.pid, ours

    def close(self) -> None:
        """Be gone, as a supervisor that was killed; then nothing may be left."""
        self.channel.close()
        self.popen.wait(PATIENCE)
        self.lifeline.close()
        self.queue.close()
        os.close(self.board.descriptor)


@contextmanager
def generation(
    directory: Path, *, aftermath: str = "", journal: int = -1, voids: int = 0, hot: list[str] | None = None,
    **flags: Any
) -> Iterator[Stage]:  # fmt: skip
    """Start a generation for app:main in *directory*; with checkpoints before *hot* files, if that is not None."""
    own = journal < 0
    journal = os.memfd_create("journal") if own else journal
    stage = Stage(directory, aftermath, journal, voids, hot, flags)
    try:
        yield stage
    finally:
        stage.close()
        if own:
            os.close(journal)


def ended(channel: Channel) -> bool:
    """Wait for the other end's end; nothing may be said before it."""
    try:
        receive(channel)
    except EOFError:
        channel.close()
        return True
    return False


def receive(channel: Channel, *, streams: bool = False) -> tuple[Message, list[int]]:
    """Wait for the next message and what comes along; what it says of its *streams* only if asked for."""
    channel.sock.settimeout(PATIENCE)
    received = channel.receive()
    assert received is not None
    if isinstance(received[0], messages.Streaming) and not streams:
        return receive(channel)
    return received


def drain(receive: Callable[[], Received | None]) -> list[Message]:
    """All that there is to receive now; descriptors are closed."""
    found = []
    while (received := receive()) is not None:
        found.append(received[0])
        for descriptor in received[1]:
            os.close(descriptor)
    return found
