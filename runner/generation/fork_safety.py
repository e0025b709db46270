"""Whether this process may be forked, and if not, who is to blame.

    threads      a child has one thread; what the others held, it holds for ever
    connections  one for all children, and each would read what is meant for another
    event loops  the same: their epoll is shared
    children     of the application's own: only the process that has them hears of their end. No reason against a
                 worker, which takes over nothing, but against a copy that is to go on in its parent's place

Who has answered a request meanwhile (worker/first.py) is looked at more closely: whatever it has open since, a
database's connection, a file, would be one for all; and what is written into a file that is open waits in each copy's
buffer, to be written by each of them. Not so the log of a logger: its handler leaves nothing in the buffer when it has
written a record (logging.StreamHandler.emit).

Law: looks, and changes nothing. Native threads that libraries keep for themselves (OpenBLAS) see to their own forks.
Start at culprit.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import sys
import threading
from collections.abc import Set as AbstractSet

_EPOLL = "anon_inode:[eventpoll]"

Opened = frozenset[tuple[int, str]]
"""What is open, by descriptor."""


def culprit(before: Opened) -> str:
    """Why this process cannot be forked; "" if it can. *before*: the streams before the import."""
    return _thread_left("the import") or _connection_left(before)


def culprit_since(before: Opened, copies: AbstractSet[int], thread: int) -> str:
    """The same of one that has answered a request. *before*: all that was open before that; *copies*: children that are
    ours, and not the application's, as is *thread*, which is about to end."""
    if children() - copies:
        return "the answer left a child process running"
    if since := _but_logs(opened() - before):
        return f"the answer left {_name(*since[0])} open"
    return _thread_left("the answer", thread)


def opened() -> Opened:
    """All that is open now; nothing where there is no /proc."""
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # the directory itself was among them
                found.add((int(name), os.readlink(f"/proc/self/fd/{name}")))
    return frozenset(found)


def streams() -> Opened:
    """The sockets and event polls that are open now."""
    return frozenset(each for each in opened() if each[1] == _EPOLL or each[1].startswith("socket:"))


def files_written(of: Opened) -> list[str]:
    """The files among these that are open for writing, but for standard streams and devices."""
    return [path for _, path in _but_logs({each for each in of if _is_written(*each)})]


def logs() -> frozenset[int]:
    """The descriptors of the files that loggers write."""
    found = set()
    for logger in (logging.root, *list(logging.root.manager.loggerDict.values())):
        for handler in getattr(logger, "handlers", ()):
            if isinstance(handler, logging.FileHandler) and handler.stream is not None:
                with contextlib.suppress(AttributeError, ValueError, OSError):  # closed again, or no file
                    found.add(handler.stream.fileno())
    return frozenset(found)


def children() -> frozenset[int]:
    """The processes that this one has started and not collected; none where the kernel does not tell, proc(5)."""
    try:
        with open(f"/proc/self/task/{threading.get_native_id()}/children", "rb") as file:
            return frozenset(map(int, file.read().split()))
    except OSError:
        return frozenset()


def _but_logs(of: AbstractSet[tuple[int, str]]) -> list[tuple[int, str]]:
    # Nobody is asked in vain: each logger that is looked at costs a forked process a page.
    ours = logs() if of else frozenset()
    return sorted(each for each in of if each[0] not in ours)


def _is_written(descriptor: int, path: str) -> bool:
    if descriptor <= 2 or not path.startswith("/") or path.startswith(("/memfd:", "/dev/", "/proc/", "/sys/")):
        return False
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except OSError:
        return False


def _thread_left(what: str, ours: int = 0) -> str:
    if set(sys._current_frames()) <= {threading.get_ident(), ours}:
        return ""
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            code = getattr(getattr(thread, "_target", None), "__module__", None) or type(thread).__module__
            return f"{what} left thread {thread.name!r} of {code} running"
    return f"{what} left a thread running"


def _connection_left(before: Opened) -> str:
    """Sockets without a connection (a datagram each, as to a log or a statistics daemon) may be shared."""
    for descriptor, kind in sorted(streams() - before):
        name = _name(descriptor, kind)
        if name != kind:
            return f"the import left {name} open"
    return ""


def _name(descriptor: int, kind: str) -> str:
    """What people call what is open there; *kind* if it is no connection and no event loop."""
    if kind == _EPOLL:
        return "an event loop"
    if kind.startswith("socket:"):
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
            if connection.type == socket.SOCK_STREAM:
                peer = connection.getpeername()
                name = ":".join(map(str, peer[:2])) if isinstance(peer, tuple) else os.fsdecode(peer)
                return f"a connection to {name or 'an unnamed socket'}"
    return kind
