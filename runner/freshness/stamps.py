"""What identifies one state of one file.

A stamp is compared with `!=`, never with `>`: restoring an older file is a change too. The change time is in it because
no tool can set it back, inode and device because a rename over the path leaves size and times as they please.

Laws: one stat a stamp; a file that cannot be looked at is absent (None), and absent is a state like any other; equal
stamps prove nothing as long as they are young (`is_young`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import heapq
import os
import signal
import stat
import time
from collections.abc import Collection, Container, Mapping
from typing import NamedTuple

HASHED = 4 << 20
"""Bytes up to which a content is worth hashing to tell `touch` from a change."""

TICK = 20_000_000
"""Nanoseconds within which two changes of a file may get the same times: the clock that stamps them stands still
between two ticks of the kernel, up to 10 ms apart; on some file systems since Linux 6.13 it does not."""

WRITING = 2.0
"""Seconds a writer may stay inside a file before its half-written state counts as saved."""

LAG = 10_000_000
"""Nanoseconds by which a change time may be earlier than the change, as the usual clock has it."""


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
        return stamp_of(os.stat(path))
    except (OSError, ValueError):
        return None


def stamp_of(seen: os.stat_result) -> Stamp:
    """The stamp in what stat(2) has told."""
    return Stamp(seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_nlink)


def is_young(seen: Stamp | None) -> bool:
    """Whether the file could be changed once more without a change of *seen*, which has just been taken."""
    # After the clock was set back nobody knows, until it has caught up.
    return seen is not None and time.time_ns() < seen.ctime_ns + TICK


def is_recent(seen: Stamp | None) -> bool:
    """Whether the change was so short a time ago that a writer who is still inside is waited for."""
    return seen is not None and time.time_ns() < seen.ctime_ns + int(WRITING * 1e9)


def digest(path: str) -> bytes | None:
    """A hash of the content; None if it cannot be read or is larger than HASHED."""
    try:
        content = read(path, HASHED + 1)
    except (OSError, ValueError):
        return None
    return hash_bytes(content) if len(content) <= HASHED else None


def read(path: str, size: int = -1) -> bytes:
    """The content (its first *size* bytes) of a regular file. Raises OSError, for anything else too, and ValueError.

    What is opened under the name of a file need not be one: of a FIFO the open waits for a writer, the reading takes
    what is meant for somebody else, and a device may have no end.
    """
    # Not by a file object: to make one takes longer than to read a module.
    descriptor, length = _open_regular(path)
    try:
        content = os.read(descriptor, length + 1 if size < 0 else min(size, length + 1))
        while part := os.read(descriptor, 1 << 16 if size < 0 else size - len(content)):
            content += part
        return content
    finally:
        os.close(descriptor)


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


def _open_regular(path: str) -> tuple[int, int]:
    """A descriptor to read it by, and its size."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    seen = os.fstat(descriptor)
    if not stat.S_ISREG(seen.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor, seen.st_size


class Reading(NamedTuple):
    """A file as it was read: its stamp then, and when that was certain (nanoseconds of the wall clock)."""

    seen: Stamp | None
    at: int


def torn(
    noted: Mapping[str, Stamp | None], read: Mapping[str, Reading], missed: Collection[str],
    confirmed: Container[str] = (), at: int = 0,
) -> bool:  # fmt: skip
    """Whether what was read may have been on the disk at no moment: a change of one of the files *missed* could be
    older than that of another one, which was read as it is since then.

    *noted* has the stamps before reading. What was *confirmed* was still what it had been, at that moment. A file that
    was missed may have been changed more than once since it was read, so nothing follows from what it is now: it was
    what was read until it was read, and by then all others must have become what they are.
    """
    became = {path: seen.ctime_ns + LAG for path, seen in noted.items() if seen is not None}
    for path, reading in read.items():
        became[path] = min(reading.at, reading.seen.ctime_ns + LAG if reading.seen is not None else reading.at)
    last = heapq.nlargest(2, became.items(), key=lambda item: item[1])
    for path in missed:
        until = max(read[path].at if path in read else 0, at if path in confirmed else 0)
        if any(other != path and moment > until for other, moment in last):
            return True
    return False
