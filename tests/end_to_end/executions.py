"""An application that notes each request it executes, and says of which code it is and what body came.

Start at start.
"""

import hashlib
from pathlib import Path

from tests.conftest import Project, Runner
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


class Place:
    """A run, its folder, and what its application has executed."""

    def __init__(self, directory: Path, served: Served) -> None:
        self.directory = directory
        self.served = served

    def save(self, text: str) -> None:
        """Change the module."""
        edit(self.directory / "module.py", text)

    def executed(self, path: str = "/it") -> int:
        """How often a request for *path* has been executed."""
        return (self.directory.parent / "executed").read_text().splitlines().count(path)

    def counter(self, name: str) -> int:
        """One number of `runner status`."""
        return int(report(self.served)["counters"][name])


def start(project: Project, runner: Runner, *options: str, python: Path = PYTHON) -> Place:
    """A run of it, whose module.py has the value 0."""
    directory = project({"app.py": APP, "module.py": "VALUE = 0\n"})
    return Place(directory, runner(directory, "app:main", *options, python=python))


def told(version: int, *parts: bytes) -> str:
    """What the application answers to a body of these *parts*."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return f"{version} {sum(map(len, parts))} {digest.hexdigest()}"
