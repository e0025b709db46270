"""`runner serve` as a real command, in an environment that hides nothing.

PYTHONDONTWRITEBYTECODE is removed, because it hides answers from stale bytecode; RUNNER_* and LISTEN_* are
removed, because they are options in disguise. One may stay: `RUNNER_CHECKPOINTS=0 pytest tests/end_to_end` runs all of
them without checkpoints, and what is shown to be right does not rest on them.
"""

import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from runner.supervisor.control import ask
from tests.support.places import free_port, short_directory
from tests.support.process import PATIENCE, Live

ROOT = Path(__file__).parent.parent.parent
PYTHON = Path(sys.executable)
MEANT = "RUNNER_CHECKPOINTS"
"""The option in disguise that is meant."""
CHECKPOINTS = ("--checkpoints", "6")
"""For tests of the checkpoints themselves, whatever the environment says of them."""
READY = r"ready in \d+ ms"
"""The line, in the log and on a terminal alike, after which requests are answered by the application."""

NO_TIME = "or the machine had no time for us"
"""In each line that a busy machine alone can be the reason of."""


class Served(Live):
    """A running `runner serve`: over HTTP at `http`, over FastCGI at `fastcgi`, controlled at `control`."""

    def __init__(self, directory: Path, options: tuple[str, ...], env: Mapping[str, str], python: Path) -> None:
        """Start in *directory*, which is then the first on the application's sys.path."""
        self._places = ExitStack()
        sockets = self._places.enter_context(short_directory())
        self.http = ("127.0.0.1", free_port())
        self.fastcgi = sockets / "fastcgi"
        self.control = sockets / "control"
        command = [str(python), "-m", "runner", "serve", *options, "--control", str(self.control)]
        if not {"--http", "--fastcgi"} & set(options):
            command += ["--http", f"127.0.0.1:{self.http[1]}"]
            command += ["--fastcgi", f"unix:{self.fastcgi}", "--socket-mode", "666"]
        super().__init__(command, cwd=directory, env=env)

    def said(self, after: int = 0) -> list[str]:
        """The lines, *after* that many, without those of a machine that had no time for it."""
        return [line for line in self.lines[after:] if NO_TIME not in line]

    def wait_until_complete(self) -> None:
        """Until no worker is on its way."""
        deadline = time.monotonic() + PATIENCE
        while any(each["state"] == "starting" for each in ask(str(self.control), {"command": "status"})["workers"]):
            assert time.monotonic() < deadline, f"a worker does not come\n{self.output}"
            time.sleep(0.002)

    def stop(self, timeout: float = PATIENCE) -> int:
        """As Live.stop; the sockets go, too."""
        with self._places:
            return super().stop(timeout)


def environment(**changes: str) -> dict[str, str]:
    """Return our environment, less what would change the runner, with this checkout first, and *changes*."""
    kept = {
        name: value for name, value in os.environ.items()
        if name == MEANT or (name != "PYTHONDONTWRITEBYTECODE" and not name.startswith(("RUNNER_", "LISTEN_")))
    }
    return {**kept, "PYTHONPATH": str(ROOT), **changes}


def serve(
    directory: Path,
    *options: str,
    env: Mapping[str, str] | None = None,
    ready: bool = True,
    python: Path = PYTHON,
) -> Served:
    """Start `runner serve` with *options* (the target among them) in *directory*, and wait until *ready*.

    That is, until all workers accept, not only the first one: each looks at the disk when it starts, so one that is
    late could be the first to find what the test edits, and who asks then would be held where it expects a redirect.

    Listens on a free port and on a FastCGI socket, unless *options* say where. *env* is added to
    environment(). *python* is the interpreter.
    """
    served = Served(directory, options, environment(**(env or {})), python)
    try:
        if ready:
            served.wait_for(READY)
            served.wait_until_complete()
    except BaseException:
        served.stop()
        raise
    return served
