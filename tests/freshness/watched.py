"""A Watch over a scratch directory, and what it says, for the tests beside this file."""

import time
from collections.abc import Iterator
from pathlib import Path

from runner.freshness.noise import NOISE
from runner.freshness.watch import State, Verdict, Watch
from tests.support.process import PATIENCE


def watching(directory: Path, *names: str, watch: Watch | None = None) -> Watch:
    """A Watch that has *names* of *directory* as inputs, stamped and hashed, and nothing in its queue."""
    made = watch or Watch()
    for name in names or ("a.py",):
        made.inputs.add_file(f"{directory}/{name}")
    for _ in made.inputs.unhashed():
        pass
    assert made.prove() == ()
    return made


def quieted(watch: Watch, directory: Path) -> Watch:
    """*watch*, after so much was written to a log in *directory* that it no longer listens to that."""
    for _ in range(NOISE):
        append(directory / "busy.log")
        assert watch.verdict().state is State.FRESH
    append(directory / "busy.log")
    assert not watch.pending()
    return watch


def append(file: Path) -> None:
    """Write a line to a log."""
    with file.open("a") as log:
        log.write("a request\n")


def verdicts(watch: Watch) -> Iterator[Verdict]:
    """Verdict after verdict, each when the last one said to ask again; ends with one that has no such wish."""
    deadline = time.monotonic() + PATIENCE
    while True:
        verdict = watch.verdict()
        yield verdict
        if verdict.again is None:
            return
        assert time.monotonic() < deadline, "the verdict never settles"
        time.sleep(max(0.0, verdict.again - time.monotonic()))


def settled(watch: Watch) -> State:
    """The verdict that stays."""
    return list(verdicts(watch))[-1].state
