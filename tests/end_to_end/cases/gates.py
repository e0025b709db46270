"""An application whose import stops where the test wants it, and goes on when the test says so.

    stamped   module.py has been noted as an input, and not been opened
    read      its bytes are in memory, and not yet compiled
    compiled  its code is about to run
    running   in the midst of its code
    imported  all of the application is imported, and not yet proven fresh

Law: a moment is the interpreter's own (audit events `open`, `compile`, `exec`), no sleep. Who opens module.py to
compare it, rather than to import it, passes. Start at FILES, then held.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.process import PATIENCE

_APP = """
import os, sys, time

def gate(moment):
    if os.path.exists("../gate " + moment):
        os.makedirs("../entered " + moment, exist_ok=True)
        while os.path.exists("../gate " + moment):
            time.sleep(0.001)

def imports(frame):
    while frame is not None and frame.f_code.co_name != "get_code":
        frame = frame.f_back
    return frame is not None

def audit(event, arguments):
    if event == "open" and str(arguments[0]).endswith("/module.py"):
        if imports(sys._getframe(1)):
            gate("stamped")
    elif event == "compile" and str(arguments[1]).endswith("/module.py"):
        gate("read")
    elif event == "exec" and arguments[0].co_filename.endswith("/module.py"):
        gate("compiled")

sys.addaudithook(audit)
sys.gate = gate
from module import VALUE
gate("imported")

def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(VALUE).encode()]
"""


def module(number: object) -> str:
    """The text of module.py with that VALUE."""
    return f"import sys\nVALUE = {number!r}\nsys.gate('running')\n"


FILES = {"app.py": _APP, "module.py": module(0)}


class Gate:
    """One closed gate of the application in *place*."""

    def __init__(self, place: Path, moment: str) -> None:
        self._shut = place.parent / f"gate {moment}"
        self._entered = place.parent / f"entered {moment}"
        self._shut.touch()

    def wait(self) -> None:
        """Until an import stands there."""
        deadline = time.monotonic() + PATIENCE
        while not self._entered.exists():
            assert time.monotonic() < deadline, f"no import came to {self._entered}"
            time.sleep(0.001)

    def open(self) -> None:
        """Let the import go on, and all later ones pass."""
        if self._entered.exists():
            self._entered.rmdir()
        self._shut.unlink(missing_ok=True)


@contextmanager
def held(place: Path, moment: str) -> Iterator[Gate]:
    """The next import stops at *moment*; at the end, if not before, it goes on."""
    gate = Gate(place, moment)
    try:
        yield gate
    finally:
        gate.open()
