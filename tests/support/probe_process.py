"""The probe being served: a copy in a folder of its own, a live runner, and what tests do to both.

Start at serve_probe, then Probe.
"""

import hashlib
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from runner.supervisor.control import ask
from tests.support import probe as application
from tests.support.client import Reply
from tests.support.project import edit, replace
from tests.support.runner_process import Served, serve

SOURCE = Path(application.__file__).read_text(encoding="utf-8")


class Seen(NamedTuple):
    """What /whoami says."""

    version: int
    pid: int
    length: int
    sha256: str


class Probe(NamedTuple):
    """The running probe: `folder` is where its waiting answers look for files."""

    served: Served
    file: Path
    folder: Path

    def save(self, version: int, *, by_renaming: bool = False) -> None:
        """Save the application with this version in it."""
        (replace if by_renaming else edit)(self.file, source(version))

    def spoil(self) -> None:
        """Save something that is no Python."""
        edit(self.file, "def main(\n")

    def status(self) -> dict[str, Any]:
        """What `runner status --json` prints."""
        return ask(str(self.served.control), {"command": "status"})

    def pids(self) -> set[int]:
        """The workers' processes."""
        return {worker["pid"] for worker in self.status()["workers"]}

    def executed(self) -> list[str]:
        """See below."""
        return executed(self.folder)

    def kill(self, pid: int) -> None:
        """SIGKILL one worker, which must be one of ours, and wait until the supervisor says so."""
        assert pid in self.pids()
        position = self.served.position
        os.kill(pid, signal.SIGKILL)
        self.served.wait_for(rf"worker.*\b{pid}\b|worker.*SIGKILL", after=position)


@contextmanager
def serve_probe(*options: str, target: str = "app:main") -> Iterator[Probe]:
    """Serve a copy of the probe with *options*; what it wrote is printed at the end. *target*: app:live is ASGI."""
    with tempfile.TemporaryDirectory(prefix="probe-") as name:
        directory, folder = Path(name, "project"), Path(name, "folder")
        directory.mkdir()
        folder.mkdir()
        file = directory / "app.py"
        edit(file, SOURCE)
        with serve(directory, target, *options, env={"PROBE_FOLDER": str(folder)}) as served:
            try:
                yield Probe(served, file, folder)
            finally:
                served.stop()
                print(served.output)


def source(version: int) -> str:
    """The application's text with that version."""
    assert "\nVERSION = 1\n" in SOURCE
    return SOURCE.replace("\nVERSION = 1\n", f"\nVERSION = {version}\n")


def executed(folder: Path) -> list[str]:
    """The tokens of all POSTs to /noted that the application was called for, one for each call, in their order."""
    log = folder / "tokens"
    return log.read_text(encoding="latin-1").splitlines() if log.exists() else []


def seen(reply: Reply) -> Seen:
    """Read an answer of /whoami."""
    assert reply.status == 200, reply
    version, pid, length, sha256 = reply.text.split()
    return Seen(int(version), int(pid), int(length), sha256)


def unsealed(body: bytes) -> bytes:
    """The body of a sealed answer without its last line, which must be right."""
    content, last = body[:-72], body[-72:]
    assert last == f"sha256 {hashlib.sha256(content).hexdigest()}\n".encode(), f"cut: ... {last!r}"
    return content
