"""A sub-request given to whichever sibling of this generation is free, over their private socket.

Who is free takes it out of the queue, this worker itself included; so what is slow is spread over all, and nobody waits
behind a call while another one is idle. A connection each: a kept one would bind its next request to the same worker.

Laws: on the loop's thread; waits without holding anything up; asks once, whatever becomes of it; a caller that is
cancelled hangs up, which the sibling takes for a client that has left. Start at ask. FastCGI 1.0, through
wire/requester.py; what a sibling says as its exit status is how long its call took, in microseconds.
"""

from __future__ import annotations

import asyncio
import socket

from runner.errors import RemoteProtocolError
from runner.front.inside import Collected
from runner.wire.requester import End, Requester, Stdout

FULL = 0.01
"""Seconds until the next look at a queue that had no room."""
_READ = 65536
_NOTHING = Collected(0, b"", whole=False)


async def ask(address: str, variables: dict[str, str], body: bytes, most: int) -> Collected:
    """The answer of the application at *address* (Private.address); at most *most* bytes of it are read."""
    loop = asyncio.get_running_loop()
    requester = Requester()
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in variables.items()]
    stdin = requester.stdin(1, body) if body else b""
    raw = requester.request(1, pairs, keep=False) + stdin + requester.stdin(1, b"")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        try:
            await _connect(sock, address)
            await loop.sock_sendall(sock, raw)
            return await _collect(loop, sock, requester, most)
        except (OSError, RemoteProtocolError):
            # It died, or cut its answer (the poison record).
            return _NOTHING


async def _connect(sock: socket.socket, address: str) -> None:
    """At once, or when there is room: connect(2) of unix(7) never begins and goes on, it is done or says EAGAIN.

    asyncio's sock_connect takes that for a beginning, and would then write to a socket without a peer.
    """
    while True:
        try:
            sock.connect(address)
        except BlockingIOError:
            await asyncio.sleep(FULL)
        else:
            return


async def _collect(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, requester: Requester, most: int
) -> Collected:
    parts: list[bytes] = []
    room = most + _READ  # for the head
    while data := await loop.sock_recv(sock, _READ):
        for event in requester.feed(data):
            if isinstance(event, Stdout):
                parts.append(event.data)
                room -= len(event.data)
            elif isinstance(event, End):
                return _split(b"".join(parts), most)._replace(seconds=event.app_status / 1e6)
        if room < 0:
            return _split(b"".join(parts), most)._replace(whole=False, large=True)
    return _split(b"".join(parts), most)._replace(whole=False)


def _split(stdout: bytes, most: int) -> Collected:
    """The parts of a CGI response (RFC 3875 section 6.2), of which ours have the status first."""
    head, _, body = stdout.partition(b"\r\n\r\n")
    status = head.removeprefix(b"Status: ")[:3]
    large = len(body) > most
    return Collected(int(status), body, not large, large) if status.isdigit() else _NOTHING
