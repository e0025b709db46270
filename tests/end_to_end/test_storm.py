"""Somebody saves faster than the application is imported."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import FILES, Answer, ask, until, value
from tests.support.process import PATIENCE
from tests.support.project import replace

MARK = "import os\nnotes = os.open('imports', os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
APP = f"{MARK}os.write(notes, b'+%d ' % os.getpid())\n{FILES['app.py']}os.write(notes, b'-%d ' % os.getpid())\n"


@contextmanager
def saving(file: Path, pause: float) -> Iterator[list[int]]:
    """Save 1, 2, 3 … in *file*, one each *pause* seconds; what was saved so far."""
    saved = [0]
    over = threading.Event()

    def save() -> None:
        while not over.wait(pause):
            replace(file, value(saved[-1] + 1))
            saved.append(saved[-1] + 1)

    thread = threading.Thread(target=save)
    thread.start()
    try:
        yield saved
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("seconds", [2.0, pytest.param(10.0, marks=pytest.mark.stress)])
def test_a_storm_of_saves(project: Project, runner: Runner, seconds: float) -> None:
    """100 a second: one import at a time, generations come all the same, and the last state is what is served."""
    place = project({**FILES, "app.py": APP})
    served = runner(place, "app:main")
    position = served.position
    with saving(place / "module.py", 0.01) as saved:
        deadline = time.monotonic() + seconds
        served.wait_for(r"module\.py changed → generation \d+ in", after=position)
        again = served.position
        served.wait_for(r"module\.py changed → generation \d+ in", after=again)
        while time.monotonic() < deadline:
            time.sleep(0.05)
    assert until(served, str(saved[-1])).text == str(saved[-1])
    imports = (place / "imports").read_text().split()
    begun, ended = imports[::2], imports[1::2]
    assert [each.lstrip("+") for each in begun] == [each.lstrip("-") for each in ended], "two imports at once"


def test_a_storm_without_forks(project: Project, runner: Runner) -> None:
    """Workers that import by themselves come up in it as well."""
    thread = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    place = project({**FILES, "app.py": thread + FILES["app.py"]})
    served = runner(place, "app:main", "--workers", "1")
    position = served.position
    with saving(place / "module.py", 0.01) as saved:
        served.wait_for(r"module\.py changed → generation \d+ in", after=position)
    assert until(served, str(saved[-1])).text == str(saved[-1])


@pytest.mark.parametrize("seconds", [2.0, pytest.param(10.0, marks=pytest.mark.stress)])
def test_requests_in_a_storm_are_answered(project: Project, runner: Runner, seconds: float) -> None:
    """20 a second, while 100 saves a second are made: all of them, and none by code older than its beginning."""
    place = project(FILES)
    served = runner(place, "app:main", "--on-change", "hold")

    def visit(saved: list[int]) -> tuple[int, Answer]:
        began = saved[-1]
        return began, ask(served)

    with ThreadPoolExecutor(64) as visitors, saving(place / "module.py", 0.01) as saved:
        visits = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            visits.append(visitors.submit(visit, saved))
            time.sleep(0.05)
        answers = [each.result(PATIENCE) for each in visits]
    assert {answer.status for _, answer in answers} == {200}
    assert [(began, answer) for began, answer in answers if int(answer.text) < began] == []
