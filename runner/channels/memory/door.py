"""How the hub is reached: through a socket without a name, by the number of its descriptor (process/private.py).

Connecting does not wait for the hub: the queue is the supervisor's, and who is in it is why the hub is started.

Law: what cannot be reached is a ChannelsUnavailable that says why. connect(2); unix(7).
"""

from __future__ import annotations

import socket

from runner.channels.store import PATIENCE
from runner.errors import ChannelsUnavailable


def check_door(door: int) -> int:
    """*door* if there is one. Raises ChannelsUnavailable."""
    if door < 0:
        raise ChannelsUnavailable(
            "there are no channels in memory here: they are of the processes that `runner serve` starts, and need "
            "Linux; use --channels redis://…"
        )
    return door


def connect(door: int) -> socket.socket:
    """A new connection, which does not block. Raises OSError: the queue is full, or there is no descriptor left."""
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(False)
    try:
        sock.connect(f"/proc/self/fd/{door}")
    except OSError:
        sock.close()
        raise
    return sock


def unanswered() -> ChannelsUnavailable:
    """Nothing was heard for PATIENCE seconds."""
    return ChannelsUnavailable(
        f"the channels' process did not answer within {PATIENCE:.0f} seconds; try again, with the same id"
    )
