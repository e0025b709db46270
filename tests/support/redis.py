"""A real redis-server: on a port of 127.0.0.1, in a folder of its own, killed and started again as often as one likes.

Law: only what was started here is ended, by its number. Start at run.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import BusyLoadingError
from redis.retry import Retry

from tests.support.places import free_port, short_directory, wait_until_listening
from tests.support.process import Live
from tests.support.web_server import program


class RedisServer:
    """*directory*: where it keeps its data; *options*: as on its command line, without the dashes."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.port = free_port()
        self._options = options
        self._live: Live | None = None

    @property
    def url(self) -> str:
        """For --channels."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *options: str) -> None:
        """Begin to serve what is in the folder; *options* for this time only."""
        words = ["port", str(self.port), "bind", "127.0.0.1", "dir", str(self.directory), "save", ""]
        command = [program("redis-server", "redis-server"), *_options([*words, *self._options, *options])]
        self._live = Live(command, cwd=self.directory)
        wait_until_listening(("127.0.0.1", self.port), self._live)

    def kill(self) -> None:
        """As if the machine had lost its power; what is on the disk stays."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As its service does it."""
        self._end(signal.SIGTERM)

    def empty(self) -> None:
        """Between two lives: lose everything."""
        for path in self.directory.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def keep(self, place: Path) -> None:
        """Between two lives: copy what it has to *place*."""
        shutil.copytree(self.directory, place)

    def return_to(self, place: Path) -> None:
        """Between two lives: have what was kept there."""
        self.empty()
        shutil.copytree(place, self.directory, dirs_exist_ok=True)

    def ask(self, *words: str | int | bytes) -> Any:
        """The answer to one command; as long as it is loading its data it is asked again."""
        retry = Retry(ConstantBackoff(0.05), 300, supported_errors=(BusyLoadingError,))
        with Redis(port=self.port, socket_timeout=5.0, protocol=2, retry=retry) as client:
            return client.execute_command(*words)

    @property
    def output(self) -> str:
        """What it has written in this life."""
        return self._live.output if self._live is not None else ""

    def _end(self, number: int) -> None:
        if self._live is not None:
            self._live.signal(number)
            self._live.wait()
            self._live = None


@contextmanager
def run(*options: str) -> Iterator[RedisServer]:
    """One that serves, and is ended at the end."""
    with short_directory() as directory:
        server = RedisServer(directory, *options)
        server.start()
        try:
            yield server
        finally:
            print(server.output)
            server.kill()


def _options(words: list[str]) -> Iterator[str]:
    for name, value in zip(words[::2], words[1::2], strict=True):
        yield from (f"--{name}", value)
