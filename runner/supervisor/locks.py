"""A name that only one process holds: a lock on a file, which the kernel gives back whatever way its holder ends.

Laws: the file says who holds it; a symbolic link is never followed and nothing but our own number is ever written; only
the holder removes the file, and who waited for a removed one notices. flock(2).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time

_WRITING = 0.1
"""Seconds that the holder of a lock is given to write who it is."""


class HeldError(OSError):
    """Another process holds it; *owner* is its number, or "unknown"."""

    def __init__(self, owner: str) -> None:
        super().__init__(f"held by process {owner}")
        self.owner = owner


def hold(path: str, mode: int) -> int:
    """Hold *path*, a file made with *mode* if it is not there; the descriptor that holds it.

    Raises HeldError, or OSError if there cannot be such a file.
    """
    while True:
        # Not blocking, or a pipe of that name would hold us up.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(path, flags, mode)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(descriptor)
            os.close(descriptor)
            raise HeldError(owner) from None
        if _is_at(path, descriptor):
            break
        # Its last holder removed the file between our open and our lock: what we hold is a name nobody else sees.
        os.close(descriptor)
    seen = os.fstat(descriptor)
    if not stat.S_ISREG(seen.st_mode) or seen.st_size > 20 or os.pread(descriptor, 20, 0).strip(b"0123456789\n"):
        os.close(descriptor)
        raise FileExistsError(errno.EEXIST, "it exists and is something else")
    # Written, then cut: who reads meanwhile finds a whole first line.
    os.ftruncate(descriptor, os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0))
    return descriptor


def release(path: str, descriptor: int) -> None:
    """Remove the file, if it is still the one that is held, and let go of it."""
    with contextlib.suppress(OSError):
        if _is_at(path, descriptor):
            os.unlink(path)
    os.close(descriptor)


def _owner(descriptor: int) -> str:
    """Who holds it. One that holds it since this moment is just about to write its number."""
    deadline = time.monotonic() + _WRITING
    while not (line := os.pread(descriptor, 20, 0).partition(b"\n")[0]) and time.monotonic() < deadline:
        time.sleep(0.001)
    return line.decode("ascii", "replace") or "unknown"


def _is_at(path: str, descriptor: int) -> bool:
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (seen.st_dev, seen.st_ino) == (held.st_dev, held.st_ino)
