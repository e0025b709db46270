"""Somebody saves faster than the application is imported: a hundred times a second, by the clock."""

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import FILES, until, value
from tests.support.process import PATIENCE
from tests.support.project import edit, replace
from tests.support.runner_process import Served
from tests.support.visitor import Visitor

MARK = "import os\nnotes = os.open('imports', os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
APP = f"{MARK}os.write(notes, b'+%d ' % os.getpid())\n{FILES['app.py']}os.write(notes, b'-%d ' % os.getpid())\n"
SAVES, REQUESTS = 100, 20
"""A second."""
LONGEST = 15.0
"""Seconds that a request may take; one or two are usual while other work fills the machine."""


class Visit(NamedTuple):
    """One request: what was saved when it began and when its answer was there, what it was answered, how it went."""

    before: int
    after: int
    status: int
    text: str
    redirects: int
    seconds: float


def beats(rate: int, over: threading.Event) -> Iterator[int]:
    """0, 1, 2 … so many a second by the clock, which catch up when they were kept; until *over*."""
    begin = time.monotonic()
    for number in itertools.count():
        if over.wait(max(0.0, begin + number / rate - time.monotonic())):
            return
        yield number


@contextmanager
def saving(file: Path) -> Iterator[list[float]]:
    """Save 1, 2, 3 … in *file*, in place and by renaming in turn; when each had returned, the 0 before them first."""
    returned = [time.monotonic()]
    over = threading.Event()

    def save() -> None:
        for number in beats(SAVES, over):
            (replace if number % 2 else edit)(file, value(number + 1))
            returned.append(time.monotonic())

    thread = threading.Thread(target=save)
    thread.start()
    try:
        yield returned
    finally:
        over.set()
        thread.join()


def visit(served: Served, returned: list[float]) -> Visit:
    """A GET, as a browser makes it."""
    before, began = len(returned) - 1, time.monotonic()
    with Visitor(served.http, most=len(returned) + SAVES * int(LONGEST)) as visitor:
        reply = visitor.ask("/")
        seconds = time.monotonic() - began
        return Visit(before, len(returned) - 1, reply.status, reply.text, visitor.redirects, seconds)


@pytest.mark.parametrize("seconds", [1.0, pytest.param(10.0, marks=pytest.mark.stress)])
@pytest.mark.parametrize(("mode", "checkpoints"), [("redirect", "6"), ("hold", "6"), ("hold", "0")])
def test_a_storm_of_saves_and_requests(
    project: Project, runner: Runner, mode: str, checkpoints: str, seconds: float, request: pytest.FixtureRequest
) -> None:
    """One import at a time, as far as each has a process of its own; all are answered, soon, and by no older code; the
    last state is what is served."""
    place = project({**FILES, "app.py": APP})
    served = runner(place, "app:main", "--on-change", mode, "--checkpoints", checkpoints)
    position, over = served.position, threading.Event()
    with ThreadPoolExecutor(REQUESTS * int(LONGEST)) as visitors, saving(place / "module.py") as returned:
        timer = threading.Timer(seconds, over.set)
        timer.start()
        visits = [visitors.submit(visit, served, returned) for _ in beats(REQUESTS, over)]
        saves = len(returned) - 1
        for _ in range(2):   # there is progress while it lasts
            served.wait_for(r"changed → generation \d+ in", after=position)
            position = served.position
        answers = [each.result(PATIENCE) for each in visits]
    assert until(served, str(len(returned) - 1)).text == str(len(returned) - 1)
    waits = sorted(answer.seconds for answer in answers)
    print(f"{mode}: {saves / seconds:.1f} saves a second, {len(answers)} answers, the longest after {waits[-1]:.2f} s,"
          f" {max(answer.redirects for answer in answers)} redirects at most")
    assert {answer.status for answer in answers} == {200}
    assert [answer for answer in answers if int(answer.text) < answer.before] == []
    assert [answer for answer in answers if answer.redirects > answer.after - answer.before + 1] == []
    assert waits[-1] < LONGEST
    assert checkpoints != "0" or overlapping(place / "imports") == [], "two imports at once"
    if request.node.get_closest_marker("stress"):
        assert saves >= 0.95 * SAVES * seconds
        assert len(answers) >= 0.95 * REQUESTS * seconds


def overlapping(imports: Path) -> list[tuple[str, str]]:
    """Marks of imports between whose begin and end there is another's; one without an end was killed for a save."""
    written = imports.read_text().split()
    marks = [mark for mark in written if f"-{mark[1:]}" in written]
    pairs = itertools.zip_longest(marks[::2], marks[1::2], fillvalue="")
    return [(begun, ended) for begun, ended in pairs if (begun[0], begun[1:]) != ("+", ended[1:])]


def test_a_storm_without_forks(project: Project, runner: Runner) -> None:
    """Workers that import by themselves come up in it as well."""
    thread = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    place = project({**FILES, "app.py": thread + FILES["app.py"]})
    served = runner(place, "app:main", "--workers", "1")
    position = served.position
    with saving(place / "module.py") as returned:
        served.wait_for(r"module\.py changed → generation \d+ in", after=position)
    assert until(served, str(len(returned) - 1)).text == str(len(returned) - 1)
