"""Runs code in an interpreter of its own with a Recorder open, since audit hooks stay for the life of a process.

Start at record; `python -m tests.freshness.recorded` is the other side.
"""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from runner.freshness.bytecode import Bytecode
from runner.freshness.inputs import Inputs
from runner.freshness.recorder import Recorder
from tests.support.runner_process import PYTHON, ROOT, environment


class Recorded(NamedTuple):
    """What was noted: paths relative to the project where they are in it; *late*: after the import was over."""

    files: set[str]
    late: set[str]
    names: dict[str, dict[str, list[str]]]
    changed: list[str]
    output: str


def record(
    directory: Path, code: str, late: str = "", *, cache: Path | None = None, python: Path = PYTHON
) -> Recorded:
    """Run *code* as an import in *directory*, then *late* as a request."""
    order = {"directory": str(directory), "code": code, "late": late, "cache": str(cache) if cache else None}
    done = subprocess.run(
        [str(python), "-P", "-m", "tests.freshness.recorded"],
        input=json.dumps(order), env=environment(), cwd=directory, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)

    def here(paths: list[str]) -> set[str]:
        return {path.removeprefix(f"{directory}/") for path in paths}

    changed = sorted(here(seen["changed"]))
    return Recorded(here(seen["files"]), here(seen["late"]), seen["names"], changed, seen["output"])


def main() -> None:
    """The other side: order on stdin, what was noted on stdout."""
    order = json.loads(sys.stdin.read())
    inputs = Inputs()
    recorder = Recorder(inputs, Bytecode(order["cache"]))
    sys.path.insert(0, order["directory"])
    recorder.open()
    space = {"__name__": "application"}
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(order["code"], space)
        recorder.settle()
        before = set(inputs.files)
        exec(order["late"], space)
    names = {place: {stem: sorted(found) for stem, found in known.items()} for place, known in inputs.names.items()}
    seen = {
        "files": sorted(before), "late": sorted(set(inputs.files) - before), "names": names, "changed": inputs.sweep(),
        "output": output.getvalue(),
    }  # fmt: skip
    print(json.dumps(seen))


if __name__ == "__main__":
    assert str(ROOT) in sys.path
    main()
