"""What identifies one state of one file.

A stamp is compared with `!=`, never with `>`: restoring an older file is a change too. The change time is in it because
no tool can set it back, inode and device because a rename over the path leaves size and times as they please.

Laws: one stat a stamp; a file that cannot be looked at is absent (None), and absent is a state like any other.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import signal
from typing import NamedTuple

HASHED = 4 << 20
"""Bytes up to which a content is worth hashing to tell `touch` from a change."""


class Stamp(NamedTuple):
    """device, inode, size in bytes, modification and change time in nanoseconds, number of hard links."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    links: int


def stamp(path: str) -> Stamp | None:
    """The present stamp of *path*, symbolic links followed; None if there is nothing (or nothing we may see)."""
    try:
        seen = os.stat(path)
    except (OSError, ValueError):
        return None
    return Stamp(seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_nlink)


def digest(path: str) -> bytes | None:
    """A hash of the content; None if it cannot be read or is larger than HASHED."""
    try:
        with open(path, "rb", opener=_open_regular) as file:
            content = file.read(HASHED + 1)
    except (OSError, ValueError):
        return None
    return hash_bytes(content) if len(content) <= HASHED else None


def hash_bytes(content: bytes) -> bytes:
    """The hash that `digest` gives for this content."""
    return hashlib.blake2b(content, digest_size=16).digest()


def being_written(path: str) -> bool | None:
    """Whether somebody has *path* open for writing at this moment; None if that cannot be told.

    The kernel refuses a read lease while a writer is inside (fcntl(2), F_SETLEASE). It grants leases to a file's owner
    and to root only.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # Who opens the file for writing while we hold the lease has us sent a signal, by default SIGIO, which would end
        # this process; SIGURG is ignored unless somebody wants it.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except (OSError, AttributeError):  # no lease for us; no leases on this system
        return None
    else:
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False
    finally:
        os.close(descriptor)


def _open_regular(path: str, flags: int) -> int:
    # A FIFO under the name of a source file must not hang us: without O_NONBLOCK its open waits for a writer.
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
