"""Other threads of the application import while one looks at everything: each look is whole, and ends."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from runner.freshness.noise import NOISE
from runner.freshness.watch import State, Watch
from tests.freshness.watched import append, watching
from tests.support.project import project


@contextmanager
def another_thread(watch: Watch, place: Path) -> Iterator[None]:
    """In the second turn of each loop something is imported, as when threads take turns at the worst."""
    imported = 0
    turns: dict[tuple[FrameType, int], int] = {}
    done: set[tuple[CodeType, int]] = set()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal imported
        if not frame.f_globals.get("__name__", "").startswith("runner.freshness."):
            return None
        frame.f_trace_opcodes = True  # a comprehension is one line
        at, here = (frame, frame.f_lasti), (frame.f_code, frame.f_lasti)
        turns[at] = turns.get(at, 0) + (event == "opcode")
        if turns[at] == 2 and here not in done:
            done.add(here)
            imported += 1
            (place / f"link{imported}.py").symlink_to("a.py")
            watch.inputs.add_file(f"{place}/late{imported}.py")
            watch.inputs.add_file(f"{place}/link{imported}.py")
            for directory in list(watch.inputs.names):
                watch.inputs.add_lookup(f"late{imported}", directory)
            watch.inputs.add_lookup("a", f"{place}/{imported}")
            watch.inputs.add_scan(f"{place}/{imported}")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
    assert imported


def some(watch: Watch) -> None:
    """Look at all that is in swept directories."""
    watch.swept.update(watch.directories)
    watch.verdict()


def anew(watch: Watch) -> None:
    """Watch everything anew."""
    watch._coverage.rearm(watch.inputs.files)


def prove(watch: Watch) -> None:
    """Look at everything, and first at what is young."""
    watch.prove()


@pytest.mark.parametrize("look", [some, anew, prove])
def test_what_is_looked_at_may_grow(tmp_path: Path, look: Callable[[Watch], None]) -> None:
    """Where one would be told that a dictionary has changed its size the worker, or its generation, would end."""
    watch = watching(project(tmp_path, {"a.py": "", "b.py": "", "one/c.py": ""}), "a.py", "b.py")
    for directory in (tmp_path, tmp_path / "one"):
        (directory / "link.py").symlink_to(tmp_path / "a.py")
        watch.inputs.add_file(f"{directory}/link.py")
        watch.inputs.add_lookup("a", str(directory))
        watch.inputs.add_lookup("none", str(directory))
        watch.inputs.add_scan(str(directory))
        (directory / "d.py").touch()
    with another_thread(watch, tmp_path):
        look(watch)


def test_what_is_quieted_may_grow(tmp_path: Path) -> None:
    """The inputs beside a busy log."""
    watch = watching(project(tmp_path, {"a.py": "", "b.py": ""}), "a.py", "b.py")
    for _ in range(NOISE):
        append(tmp_path / "busy.log")
        os.utime(tmp_path / "busy.log")  # between equal events, or the kernel would make them one
    with another_thread(watch, tmp_path):
        assert watch.verdict().state is State.FRESH
