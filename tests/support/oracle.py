"""What a fresh interpreter, started at this moment with an empty bytecode cache, would answer.

It is the measure of every reload: nothing it says can come from a worker that lived on, from an import that failed
before, or from compiled code that somebody left. Law: it knows the target's file only by name and asks it one GET; what
it compiles goes to a folder that is thrown away. Start at answer.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.support.process import PATIENCE
from tests.support.runner_process import PYTHON, environment

_CODE = """
import sys
sys.pycache_prefix = sys.argv[1]   # before the application's first import; the interpreter's own are done
import importlib, io
target, path, found, sys.path[0] = sys.argv[2:6]
def start_response(status, headers, error=None):
    told.append(status.partition(" ")[0])
told = []
environ = {
    "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path.partition("?")[0],
    "QUERY_STRING": path.partition("?")[2], "SERVER_NAME": "localhost", "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(),
    "wsgi.errors": sys.stderr, "wsgi.multithread": False, "wsgi.multiprocess": True, "wsgi.run_once": True,
}
try:
    module, _, name = target.partition(":")
    body = b"".join(getattr(importlib.import_module(module), name)(environ, start_response))
    status = told[-1]
except BaseException as error:
    status, body = "500", type(error).__name__.encode()
with open(found, "wb") as file:
    file.write(status.encode() + b"\\n" + body)
"""


class Told(NamedTuple):
    """Status and body; of what was raised, 500 and the name of the exception."""

    status: int
    text: str


def answer(
    directory: Path,
    path: str = "/",
    target: str = "app:main",
    *,
    python: Path = PYTHON,
    env: Mapping[str, str] | None = None,
) -> Told:
    """Import *target* in *directory*, ask it for *path*, end; *python* and *env* are as for a runner.

    Raises AssertionError if the import, or the call, ends its interpreter: then there is nothing to agree with.
    """
    return _run(_CODE, directory, path, target, python, env or {})


def misled(directory: Path, path: str = "/", target: str = "app:main") -> Told:
    """The same by an interpreter that believes the .pyc files beside the sources, as Python does: it shows the trap."""
    code = _CODE.replace("sys.pycache_prefix = sys.argv[1]", "sys.dont_write_bytecode = True")
    return _run(code, directory, path, target, PYTHON, {})


def _run(code: str, directory: Path, path: str, target: str, python: Path, env: Mapping[str, str]) -> Told:
    with TemporaryDirectory(prefix="oracle-") as folder:
        found = Path(folder, "answer")
        command = [str(python), "-c", code, f"{folder}/cache", target, path, str(found), str(directory)]
        around = environment(**env)
        done = subprocess.run(
            command, cwd=directory, env=around, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert found.exists(), f"the interpreter ended without an answer: {done}"
        status, _, body = found.read_bytes().partition(b"\n")
    return Told(int(status), body.decode())
