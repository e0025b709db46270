"""Whether this process may be forked, and if not, who is to blame.

    threads      a child has one thread; what the others held, it holds for ever
    connections  one for all children, and each would read what is meant for another
    event loops  the same: their epoll is shared
    children     of the application's own: only the process that has them hears of their end. No reason against a
                 worker, which takes over nothing, but against a copy that is to go on in its parent's place

Law: looks, and changes nothing. Native threads that libraries keep for themselves (OpenBLAS) see to their own forks.
Start at culprit.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading

_EPOLL = "anon_inode:[eventpoll]"

Streams = frozenset[tuple[int, str]]
"""Sockets and event polls that are open, by descriptor."""


def culprit(before: Streams) -> str:
    """Why this process cannot be forked; "" if it can. *before*: what was open before the import."""
    return _thread_left() or _connection_left(before)


def streams() -> Streams:
    """The sockets and event polls that are open now; none where there is no /proc."""
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                kind = os.readlink(f"/proc/self/fd/{name}")
                if kind == _EPOLL or kind.startswith("socket:"):
                    found.add((int(name), kind))
    return frozenset(found)


def children() -> frozenset[int]:
    """The processes that this one has started and not collected; none where the kernel does not tell, proc(5)."""
    try:
        with open(f"/proc/self/task/{threading.get_native_id()}/children", "rb") as file:
            return frozenset(map(int, file.read().split()))
    except OSError:
        return frozenset()


def _thread_left() -> str:
    if len(sys._current_frames()) <= 1:
        return ""
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            code = getattr(getattr(thread, "_target", None), "__module__", None) or type(thread).__module__
            return f"the import left thread {thread.name!r} of {code} running"
    return "the import left a thread running"


def _connection_left(before: Streams) -> str:
    """Sockets without a connection (a datagram each, as to a log or a statistics daemon) may be shared."""
    for descriptor, kind in sorted(streams() - before):
        if kind == _EPOLL:
            return "the import left an event loop open"
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
            if connection.type == socket.SOCK_STREAM:
                peer = connection.getpeername()
                name = ":".join(map(str, peer[:2])) if isinstance(peer, tuple) else os.fsdecode(peer)
                return f"the import left a connection to {name or 'an unnamed socket'} open"
    return ""
