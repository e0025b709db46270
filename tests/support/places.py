"""Places to listen on: free ports of 127.0.0.1, and folders for unix sockets that anybody may reach."""

import contextlib
import os
import random
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.process import PATIENCE, Live

Address = tuple[str, int] | Path
"""Where something listens: host and port, or the path of a unix socket."""
_CHANCE = random.SystemRandom()
"""Not the common generator: tests that run beside each other seed that, and would choose alike."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody has, and that the kernel gives to nobody.

    One that it has chosen itself is of those that it chooses for clients, too (net.ipv4.ip_local_port_range, 32768 and
    up), and there are many of these in a test run: once, one had it before the server that it was meant for.
    """
    for _ in range(1000):
        port = _CHANCE.randrange(15_000, 32_768)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port of 127.0.0.1 is free")


@contextmanager
def short_directory() -> Iterator[Path]:
    """A folder for sockets and the files of a web server, removed at the end.

    pytest's own folders do not serve: their names outgrow the 107 bytes that a unix socket's path may have
    (unix(7)), and their mode keeps out the user that Apache becomes when it is started as root.
    """
    directory = Path(tempfile.mkdtemp(prefix="r-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def connect(address: Address, timeout: float = PATIENCE) -> socket.socket:
    """Open a connection; *timeout* is for this and for every later operation, in seconds."""
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.connect(os.fspath(address) if isinstance(address, Path) else address)
    except OSError:
        connection.close()
        raise
    return connection


def wait_until_listening(address: Address, live: Live, timeout: float = PATIENCE) -> None:
    """Wait until *address* accepts; a failure shows what *live*, which should listen there, has said.

    For servers that say nothing when they are ready. What is awaited is named, so trying again every 10 ms is
    no hope.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            connect(address).close()
            return
        except OSError as error:
            if live.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"nobody listens on {address}: {error}\n{live.output}") from error
            time.sleep(0.01)
