"""A unix socket at a path: taken, and given back.

Laws: a path is taken over only from a dead owner, and never something that is no socket; a lock beside it decides
between two who try at once; the socket has its mode and owner, and listens, before it has its name, so nobody can find
it half made; at the end it is removed only if it is still a socket. unix(7), rename(2).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable

from runner.supervisor.locks import HeldError, hold, release

_LONGEST = 107
"""Bytes of a path, unix(7)."""


class TakenError(Exception):
    """What is at the path, and what to do about it, in words that follow its name."""


def open_at(
    path: str, *, mode: int, backlog: int, prepare: Callable[[str], None] = lambda path: None
) -> tuple[socket.socket, int]:
    """A socket that listens at *path*, and the lock to give back with it; *prepare* is called with its file before.

    Raises TakenError, or OSError if the path cannot be.
    """
    if len(os.fsencode(path)) > _LONGEST:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    try:
        lock = hold(_lock_of(path), 0o600)
    except HeldError as error:
        raise TakenError(f"is already served by process {error.owner}; stop it") from error
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    beside = os.path.join(os.path.dirname(path), f".{os.urandom(4).hex()}")
    try:
        _refuse_others(path)
        # On Linux the file takes its mode from the unbound socket, so it is never open wider than asked.
        os.fchmod(sock.fileno(), mode)
        before = os.umask(0o777 & ~mode)
        try:
            _bind(sock, beside)
        finally:
            os.umask(before)
        prepare(beside)
        sock.listen(backlog)
        os.rename(beside, path)
    except BaseException:
        sock.close()
        with contextlib.suppress(OSError):
            os.unlink(beside)
        release(_lock_of(path), lock)
        raise
    return sock, lock


def remove(path: str, lock: int) -> None:
    """Remove what `open_at` has made. The lock is still held, so nobody else has bound this name meanwhile."""
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    release(_lock_of(path), lock)


def _lock_of(path: str) -> str:
    return path + ".lock"


def _bind(sock: socket.socket, path: str) -> None:
    if len(os.fsencode(path)) <= _LONGEST:
        sock.bind(path)
        return
    # The name that it has for a moment may be longer than its last one, and then too long.
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        sock.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    finally:
        os.close(directory)


def _refuse_others(path: str) -> None:
    """Only a dead socket may be replaced: never a file, a directory, a link, or a socket somebody answers on."""
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(seen.st_mode):
        raise TakenError("exists and is not a socket; remove it yourself")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return
        except OSError:
            pass
    raise TakenError("is already served by another program; stop it")
