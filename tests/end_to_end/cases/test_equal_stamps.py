"""Cases 2 and 3: edits that leave size and time as they were, and compiled code that fits them and is wrong."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import FILES, agree, ask, value
from tests.support import oracle
from tests.support.project import edit, replace
from tests.support.runner_process import environment

MODES: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "eager": ((), {}),
    "request": (("--reload", "request"), {}),
    "request, sweep": (("--reload", "request"), {"RUNNER_NO_INOTIFY": "1"}),
    "eager, hold, sweep": (("--on-change", "hold"), {"RUNNER_NO_INOTIFY": "1"}),
}
SECOND = 10**9


def date(place: Path, seconds: int) -> None:
    """Give every file below *place* one modification time."""
    for path in place.rglob("*"):
        os.utime(path, (seconds, seconds))


def save_dated(path: Path, text: str, seconds: int) -> None:
    """Save in place, then set the modification time."""
    edit(path, text)
    os.utime(path, (seconds, seconds))


def leave_compiled(place: Path) -> None:
    """Another interpreter imports the application and leaves its .pyc files."""
    subprocess.run([sys.executable, "-c", "import app"], cwd=place, check=True, env=environment())
    assert list(place.glob("__pycache__/module.*.pyc"))


@pytest.mark.parametrize(("mode", "compiled"), [*((mode, True) for mode in MODES), ("eager", False)])
def test_equal_size_and_time(project: Project, runner: Runner, mode: str, compiled: bool) -> None:
    """One edit, and two edits in a row, all of one size and one modification time: the answer is the last one's."""
    place = project({**FILES, "module.py": value(1)})
    date(place, SECOND)
    if compiled:
        leave_compiled(place)
    options, env = MODES[mode]
    served = runner(place, "app:main", "--workers", "1", *options, env=env)
    assert agree(served, place).text == "1"
    save_dated(place / "module.py", value(2), SECOND)
    assert agree(served, place).text == "2"
    save_dated(place / "module.py", value(3), SECOND)
    save_dated(place / "module.py", value(4), SECOND)
    if compiled:
        assert oracle.misled(place).text == "1", "the trap is none: that .pyc is not believed by Python either"
    assert agree(served, place).text == "4"


@pytest.mark.parametrize("mode", ["eager", "request, sweep"])
def test_a_burst_within_one_second(project: Project, runner: Runner, mode: str) -> None:
    """Twenty edits of one size and one modification time, every fifth of them asked for: no old answer."""
    place = project(FILES)
    options, env = MODES[mode]
    served = runner(place, "app:main", "--workers", "1", *options, env=env)
    for number in range(10, 30):
        save_dated(place / "module.py", value(number), SECOND)
        if number % 5 == 4:
            assert agree(served, place).text == str(number)


@pytest.mark.parametrize("mode", ["eager", "request, sweep"])
def test_a_file_with_the_times_of_the_old_one(project: Project, runner: Runner, mode: str) -> None:
    """A rename over the file, and then back the old one: neither needs a newer time to be seen."""
    place = project(FILES)
    options, env = MODES[mode]
    served = runner(place, "app:main", *options, env=env)
    times = os.stat(place / "module.py").st_mtime_ns
    os.link(place / "module.py", place / "module.old")
    replace(place / "module.py", value(1))
    os.utime(place / "module.py", ns=(times, times))
    assert agree(served, place).text == "1"
    os.replace(place / "module.old", place / "module.py")
    assert agree(served, place).text == "0"


@pytest.mark.parametrize("mode", ["request", "eager, hold, sweep"])
def test_a_clock_that_was_set_back(project: Project, runner: Runner, mode: str) -> None:
    """All files, and their .pyc, are of tomorrow; each edit is older than what it replaces, and is the answer."""
    place = project({**FILES, "module.py": value(1)})
    tomorrow = int(time.time()) + 24 * 3600
    date(place, tomorrow)
    leave_compiled(place)
    date(place, tomorrow)
    options, env = MODES[mode]
    served = runner(place, "app:main", *options, env=env)
    assert agree(served, place).text == "1"
    edit(place / "module.py", value(2))
    assert agree(served, place).text == "2"
    for number, hours in ((3, 1), (4, 2)):
        save_dated(place / "module.py", value(number), tomorrow - hours * 3600)
        assert agree(served, place).text == str(number)


@pytest.mark.parametrize(("seconds", "env"), [(0, {}), (1, {"RUNNER_NO_INOTIFY": "1"}), (SECOND, {})])
def test_a_stale_pyc(project: Project, runner: Runner, seconds: int, env: Mapping[str, str]) -> None:
    """A .pyc of another interpreter that fits by second and size, and all files of one age: neither start nor edit
    believes it."""
    place = project({**FILES, "module.py": value(1)})
    date(place, seconds)
    leave_compiled(place)
    save_dated(place / "module.py", value(2), seconds)
    date(place, seconds)
    assert oracle.misled(place).text == "1", "the trap is none"
    served = runner(place, "app:main", env=env)
    assert agree(served, place).text == "2"
    save_dated(place / "module.py", value(3), seconds)
    date(place, seconds)
    assert agree(served, place).text == "3"


@pytest.mark.stress
def test_a_stale_pyc_that_is_younger_than_its_source(project: Project, runner: Runner) -> None:
    """Where all sources have the epoch's time a .pyc of other source is not believed although it was touched later."""
    place = project({**FILES, "module.py": value(1)})
    date(place, 1)
    leave_compiled(place)
    save_dated(place / "module.py", value(2), 1)
    time.sleep(2.5)   # Not a wait for something: an age is what is tried.
    for path in place.glob("__pycache__/*"):
        os.utime(path)
    assert oracle.misled(place).text == "1", "the trap is none"
    assert agree(runner(place, "app:main"), place).text == "2"


def test_a_pyc_that_appears_while_running(project: Project, runner: Runner) -> None:
    """A .pyc of what is no longer there, left beside the running application, changes no answer of a reload."""
    place = project({**FILES, "module.py": value(1)})
    date(place, SECOND)
    served = runner(place, "app:main")
    leave_compiled(place)
    assert ask(served).text == "1"
    save_dated(place / "module.py", value(2), SECOND)
    assert oracle.misled(place).text == "1", "the trap is none"
    assert agree(served, place).text == "2"
