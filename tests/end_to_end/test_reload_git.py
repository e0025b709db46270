"""A real git checkout of some hundred files while somebody asks."""

import os
import subprocess
import threading
from pathlib import Path

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import FILES, ask
from tests.support.client import fetch

COUNT = 300
MODULE = f"""
import importlib
VALUE = sorted({{importlib.import_module(f"m{{number:03}}").V for number in reversed(range({COUNT}))}})
"""


def git(place: Path, *arguments: str) -> None:
    """Run git there, without anybody's configuration."""
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "init.defaultBranch=one", *arguments]
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nowhere"}
    subprocess.run(command, cwd=place, check=True, capture_output=True, timeout=30, env=environment)


def write(place: Path, value: str) -> None:
    """Give every module that value."""
    for number in range(COUNT):
        (place / f"m{number:03}.py").write_text(f"V = {value!r}\n")


def test_no_half_tree_is_served(project: Project, runner: Runner) -> None:
    """During a checkout every answer is of one branch, and after it of the one that was checked out."""
    # The filter makes git slow enough for an import to fit in between two files.
    place = project({**FILES, "module.py": MODULE, ".gitattributes": "m030.py filter=slow\nm150.py filter=slow\n"})
    git(place, "init")
    git(place, "config", "filter.slow.smudge", "sleep 0.2; cat")
    for branch in ("one", "two"):
        git(place, "checkout", "-B", branch)
        write(place, branch)
        git(place, "add", "m*.py", "app.py", "module.py", ".gitattributes")
        git(place, "commit", "-m", branch)
    served = runner(place, "app:main")
    seen: set[str] = set()
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            reply = fetch(served.http)
            if reply.status != 307:
                seen.add(reply.text)

    visitors = [threading.Thread(target=visit) for _ in range(2)]
    for visitor in visitors:
        visitor.start()
    try:
        for branch in ("one", "two"):
            git(place, "checkout", branch)
            assert ask(served).text == str([branch])
    finally:
        over.set()
        for visitor in visitors:
            visitor.join()
    assert seen <= {"['one']", "['two']"}
