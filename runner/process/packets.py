"""One packet from one process to another over a pair of sockets, with descriptors: what unix(7) has to say of that.

Sequenced packets keep the bounds of what is sent; an empty one is never sent, so it is the end of file.

Laws: knows nothing of what is said (messages.py); receiving never waits, sending as long as its caller has patience.
"""

from __future__ import annotations

import array
import errno
import fcntl
import select
import socket
import struct
import termios
import time
from collections.abc import Sequence

SIZE = 1 << 17
"""Bytes of the largest packet that is read whole; the kernel's default buffers hold one of that size."""
_DESCRIPTORS = 253
"""As many as come with one packet: SCM_MAX_FD, unix(7)."""
_CROWDED = 0.005
"""Seconds after which to try again where too many descriptors are on their way."""


def send(sock: socket.socket, data: bytes, descriptors: Sequence[int], patience: float) -> bool:
    """Send; False if the other end is gone, or has read nothing for *patience* seconds."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    deadline = time.monotonic() + patience
    while True:
        try:
            sock.sendmsg([data], rights)
        except OSError as error:
            # Not by a timeout of the socket: two threads of a worker may be sending.
            if not _may_send_again(sock, error, deadline - time.monotonic()):
                return False
        else:
            return True


def laden(sock: socket.socket) -> bool:
    """Half of what may lie unread at the other end lies there: what can wait should, to leave room for orders."""
    try:
        lying = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0]
    except (OSError, ValueError):
        # No Linux; or closed here, which sending will tell.
        return False
    return bool(lying > sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2)


def receive(sock: socket.socket) -> tuple[bytes, list[int]] | None:
    """The next packet and its descriptors, None if there is none now. Raises EOFError: the other end is gone."""
    try:
        data, ancillary = _read(sock)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError as error:
        raise EOFError from error
    if not data:
        raise EOFError
    return data, _descriptors(ancillary)


def _may_send_again(sock: socket.socket, error: OSError, left: float) -> bool:
    if left <= 0:
        return False
    if error.errno == errno.ETOOMANYREFS:
        # This user has as many descriptors on their way as one process may have open, unix(7). They are being read,
        # but the kernel tells nobody when.
        time.sleep(min(_CROWDED, left))
        return True
    return isinstance(error, BlockingIOError) and _writable(sock, left)


def _read(sock: socket.socket) -> tuple[bytes, list[tuple[int, int, bytes]]]:
    room = socket.CMSG_SPACE(_DESCRIPTORS * 4)
    try:
        data, ancillary, _, _ = sock.recvmsg(SIZE, room, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        # The other end closed with something of ours unread, unix(7). That is said once, before its last words.
        data, ancillary, _, _ = sock.recvmsg(SIZE, room, socket.MSG_CMSG_CLOEXEC)
    return data, ancillary


def _writable(sock: socket.socket, timeout: float) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    return bool(poll.poll(timeout * 1000))


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)
