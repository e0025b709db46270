"""An application that notes each request it executes, and says of which code it is and what body came.

Start at start.
"""

import hashlib
from pathlib import Path

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import ask, until_settled, value
from tests.support.project import edit
from tests.support.runner_process import PYTHON, Served
from tests.support.trouble import report

APP = """
import hashlib
import module
def main(environ, start_response):
    with open("../executed", "a") as log:
        log.write(environ["PATH_INFO"] + "\\n")
    digest, length = hashlib.sha256(), 0
    while part := environ["wsgi.input"].read(1 << 16):
        digest.update(part)
        length += len(part)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{module.VALUE} {length} {digest.hexdigest()}".encode()]
"""
FILES = {"app.py": APP, "module.py": value(0)}


class Place:
    """A run, its folder, and what its application has executed."""

    def __init__(self, directory: Path, served: Served) -> None:
        self.directory = directory
        self.served = served
        self._log = directory.parent / "executed"

    def save(self, text: str) -> None:
        """Change the module."""
        edit(self.directory / "module.py", text)

    def begin_again(self) -> None:
        """The value is 0 in all workers, as at a start, and nothing has been executed."""
        self.save(value(0))
        assert ask(self.served).text == told(0)
        until_settled(self.served)
        self._log.unlink()

    def executed(self, path: str = "/it") -> int:
        """How often a request for *path* has been executed."""
        return self._log.read_text().splitlines().count(path)

    def counter(self, name: str) -> int:
        """One number of `runner status`."""
        return int(report(self.served)["counters"][name])


def start(project: Project, runner: Runner, *options: str, python: Path = PYTHON) -> Place:
    """A run of it, whose module.py has the value 0."""
    directory = project(FILES)
    return Place(directory, runner(directory, "app:main", *options, python=python))


def told(version: int, *parts: bytes) -> str:
    """What the application answers to a body of these *parts*."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return f"{version} {sum(map(len, parts))} {digest.hexdigest()}"
