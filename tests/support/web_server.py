"""What nginx and Apache have in common: a real server in the foreground, on a free port, with its own files.

Laws: no system service is touched and no file outside the server's own folder is written. A server that is
not installed is a failure that names its package, not a skipped test.
"""

import base64
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

from tests.support.places import free_port, short_directory, wait_until_listening
from tests.support.process import Live

USER, PASSWORD = "ann", "secret"
AUTHORIZATION = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
"""The Authorization header that the variants with a password file accept."""


@dataclass(frozen=True)
class WebServer:
    """A running web server; what it logs is in `live`."""

    live: Live
    address: tuple[str, int]
    directory: Path


@contextmanager
def run(
    command: Callable[[Path], list[str]], configuration: Callable[[Path, int], str]
) -> Iterator[WebServer]:
    """Write *configuration*(folder, port) to server.conf, run *command*(that file) for the block.

    At the end the server's log is printed, which pytest shows for a test that failed.
    """
    with short_directory() as directory:
        address = ("127.0.0.1", free_port())
        _write_passwords(directory / "passwords")
        file = directory / "server.conf"
        file.write_text(configuration(directory, address[1]), encoding="utf-8")
        with Live(command(file), cwd=directory) as live:
            try:
                wait_until_listening(address, live)
                yield WebServer(live, address, directory)
            finally:
                live.stop()
                print(live.output)


def program(name: str, package: str) -> str:
    """Return the path of a server's program. Debian keeps it where an ordinary user's PATH does not look."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    assert path, f"{name} is not installed; apt-get install {package}, or let `make test` do it"
    return path


def title(site: object) -> str:
    """Name a variant by what differs from its defaults, `nginx mount=/app split=True`, for a test's id."""
    assert is_dataclass(site)
    values = [(field.name, getattr(site, field.name), field.default) for field in fields(site)]
    different = [f"{name}={value}" for name, value, default in values if value != default]
    return " ".join([type(site).__module__.rpartition(".")[2], *different])


def _write_passwords(file: Path) -> None:
    """One user. {SHA} is the oldest scheme that both servers read without a system library's help."""
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
    file.write_text(f"{USER}:{{SHA}}{digest}\n", encoding="ascii")
