"""The kernel's queue of changes to watched directories.

An event is in the queue before the writer's own system call returns, and poll(2) tells whether any waits without taking
it: both together make "did anything happen?" a question of one system call with an exact answer. FIONREAD would tell it
as well, but fcntl.ioctl is an audited event, which costs three times as much where somebody listens (recorder.py).

Laws: decode is pure; one process reads an instance, any number may look (`pending`) and add watches. Nothing here knows
which names matter. inotify(7); the limits are per user: fs.inotify.max_user_watches and max_user_instances.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from typing import NamedTuple

MODIFY = 0x002
ATTRIB = 0x004
CLOSE_WRITE = 0x008
MOVED_FROM = 0x040
MOVED_TO = 0x080
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
UNMOUNT = 0x2000
Q_OVERFLOW = 0x4000
IGNORED = 0x8000
ONLYDIR = 0x01000000
MASK_ADD = 0x20000000
ISDIR = 0x40000000

LOST = DELETE_SELF | MOVE_SELF | UNMOUNT | Q_OVERFLOW | IGNORED
"""After any of these the watches no longer cover what they did: look at everything."""

DIRECTORY_MASK = (
    MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF | ONLYDIR
)
"""Without OPEN and ACCESS: reading files must not fill the queue."""
NAMES_MASK = DIRECTORY_MASK & ~(MODIFY | CLOSE_WRITE)
PLACE_MASK = DELETE_SELF | MOVE_SELF | ONLYDIR
FILE_MASK = MODIFY | ATTRIB | CLOSE_WRITE | DELETE_SELF | MOVE_SELF

_HEADER = struct.Struct("iIII")
_LENGTH, _LENGTH_AT = struct.Struct("I"), 12
READ = 1 << 16


class Event(NamedTuple):
    """One change: *watch* is the number of the watch (-1: the queue overflowed), *name* the entry in it."""

    watch: int
    mask: int
    name: str


def decode(buffer: bytes) -> list[Event]:
    """The events in what one read returned (whole events: the kernel never splits one)."""
    return [parse(record) for record in split(buffer)]


def split(buffer: bytes) -> list[bytes]:
    """The same, each event still as it came."""
    records = []
    at = 0
    while at < len(buffer):
        end = at + _HEADER.size + _LENGTH.unpack_from(buffer, at + _LENGTH_AT)[0]
        records.append(buffer[at:end])
        at = end
    return records


def parse(record: bytes) -> Event:
    """One event."""
    watch, mask, _, _ = _HEADER.unpack_from(record)
    return Event(watch, mask, os.fsdecode(record[_HEADER.size :].rstrip(b"\0")))


class Inotify:
    """One inotify instance. Raises OSError from the constructor where there is none (other systems, EMFILE).

    RUNNER_NO_INOTIFY=1 in the environment makes this system one of those, to see how the runner works there.
    """

    def __init__(self) -> None:
        if os.environ.get("RUNNER_NO_INOTIFY") == "1":
            raise OSError("RUNNER_NO_INOTIFY is set")
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "inotify_init1"):
            raise OSError("this system has no inotify")
        self._add = libc.inotify_add_watch
        self.descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.descriptor < 0:
            raise _error("inotify_init1")
        queue = select.poll()
        queue.register(self.descriptor, select.POLLIN)
        self._poll = queue.poll

    def pending(self) -> bool:
        """Something happened that nobody has read yet. Takes nothing; safe in any process that holds the instance."""
        return bool(self._poll(0))

    def watch_directory(self, directory: str) -> int:
        """Begin to queue changes of entries of *directory*; the watch's number. Raises OSError (ENOSPC: the limit)."""
        return self._watch(directory, DIRECTORY_MASK)

    def watch_names(self, directory: str) -> int:
        """From now on queue what becomes of the names in *directory*, no longer what is written to its files."""
        return self._watch(directory, NAMES_MASK, add=False)

    def watch_entries(self, directory: str) -> int:
        """Begin to queue what becomes of the names in *directory*, nothing of what is written. Raises OSError."""
        return self._watch(directory, NAMES_MASK)

    def watch_itself(self, directory: str) -> None:
        """From now on queue only what becomes of *directory* itself."""
        self._watch(directory, PLACE_MASK, add=False)

    def watch_place(self, directory: str) -> int:
        """Begin to queue the removal or renaming of *directory* itself, nothing of what is in it. Raises OSError."""
        return self._watch(directory, PLACE_MASK)

    def watch_file(self, path: str) -> int:
        """Begin to queue changes of one inode, whichever name they come through. Raises OSError."""
        return self._watch(path, FILE_MASK)

    def take(self) -> list[Event]:
        """All events that wait, removed from the queue; empty if none do."""
        return decode(self.read())

    def read(self) -> bytes:
        """What waits, as it comes from the kernel: for `decode`; empty if nothing does."""
        try:
            return os.read(self.descriptor, READ)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Give the instance back; watches end when its last holder did."""
        os.close(self.descriptor)

    def _watch(self, path: str, mask: int, *, add: bool = True) -> int:
        wanted = mask | MASK_ADD if add else mask
        watch: int = self._add(self.descriptor, os.fsencode(path), ctypes.c_uint32(wanted))
        if watch < 0:
            raise _error(path)
        return watch


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)
