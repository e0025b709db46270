"""A process that waits in the middle of its work, to go on when it is told to, more than once.

A story: it makes a copy of itself while nobody is in a hurry, since a fork costs milliseconds. The copy sleeps on a
pipe. Told to go on, the process writes a byte into the pipe and is off; from now on the copy listens to the channel in
its place. But first it has to make a copy of its own, and just now the processors have better things to do. So it
waits until the other one writes a second byte, being through with its work, or has ended, or until somebody calls. If
the process ends while it waits (killed, or its channel closed), the copy reads the end of the pipe without a byte
before it, and ends, too.

Laws: one thread; who is of no use any more ends by itself. Start at pause.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Callable, Iterator
from typing import NamedTuple

from runner.process.messages import Channel, Resume


class Told(NamedTuple):
    """The order to go on: the *message*, the *descriptors* that came with it.

    *copy*: the process that waits on, a child; *hush*: the pipe to be written to when it may become busy.
    """

    message: Resume
    descriptors: list[int]
    copy: int
    hush: int


def pause(channel: Channel, idle: Callable[[], Iterator[object]]) -> Told:
    """Wait on *channel*; returns with what was told, once in this process and once in each copy that took its place.

    *idle*: what it may do meanwhile, in steps.
    """
    channel.sock.setblocking(True)
    while True:
        listening, speaking = os.pipe()
        copy = fork()
        if not copy:
            os.close(speaking)
            _sleep(listening, channel)
            continue
        os.close(listening)
        received = _receive(channel, idle)
        with contextlib.suppress(BrokenPipeError):  # there is none, or it was killed
            os.write(speaking, b".")
        channel.close()
        return Told(*received, copy, speaking)


def fork() -> int:
    """As os.fork; -1 if there is no process to be had: then nobody waits."""
    try:
        return os.fork()
    except OSError:
        return -1


def _sleep(pipe: int, channel: Channel) -> None:
    """The copy's sleep: until it is its turn to wait, and there is time for a fork."""
    if not os.read(pipe, 1):
        os._exit(0)
    select.select([pipe, channel.fileno()], [], [])
    os.close(pipe)


def _receive(channel: Channel, idle: Callable[[], Iterator[object]]) -> tuple[Resume, list[int]]:
    for _ in idle():
        if select.select([channel.fileno()], [], [], 0)[0]:
            break
    try:
        received = channel.receive()
    except EOFError:
        os._exit(0)
    if received is None or not isinstance(received[0], Resume):
        os._exit(1)
    return received[0], received[1]
