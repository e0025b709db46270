"""A request that begins after a save is answered by the code that was saved."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import FILES, ask, generation, save, until, value
from tests.support.client import fetch
from tests.support.process import PATIENCE
from tests.support.project import edit, replace

BLIND = {"RUNNER_NO_INOTIFY": "1"}
MODES = [("eager", {}), ("request", {}), ("eager", BLIND), ("request", BLIND)]
each_mode = pytest.mark.parametrize(
    ("reload", "env"), MODES, ids=["eager", "request", "eager without inotify", "request without inotify"]
)
THREADED = """
import threading, module
threading.Thread(target=threading.Event().wait, daemon=True).start()
def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(module.VALUE).encode()]
"""
GATED = """
import os, time
{value}
if os.path.exists("gate"):
    open("entered", "w").close()
    while os.path.exists("gate"):
        time.sleep(0.002)
"""


@each_mode
def test_many_saves(project: Project, runner: Runner, reload: str, env: dict[str, str]) -> None:
    """Save, connect, ask: five times in a row the answer is the saved one, with at most one redirect each."""
    place = project(FILES)
    served = runner(place, "app:main", "--reload", reload, env=env)
    for number in range(1, 6):
        (edit if number % 2 else replace)(place / "module.py", value(number))
        assert ask(served, fastcgi=number % 3 == 0)[:2] == (200, str(number))


@pytest.mark.parametrize("env", [{}, BLIND], ids=["inotify", "sweep"])
def test_nobody_need_ask(project: Project, runner: Runner, env: dict[str, str]) -> None:
    """`--reload eager`: the next generation is made at the save, before anybody asks."""
    place = project(FILES)
    served = runner(place, "app:main", env=env)
    for number in range(2, 4):
        edit(place / "module.py", value(number))
        served.wait_for(f"module.py changed → generation {number} ")


def test_a_burst_of_equal_size(project: Project, runner: Runner) -> None:
    """Fifty edits of the same size, many of them in one second, all with one modification time: no old answer."""
    place = project(FILES)
    served = runner(place, "app:main", "--workers", "1")
    for number in range(10, 60):
        edit(place / "module.py", value(number))
        os.utime(place / "module.py", (10**9, 10**9))
        if number % 5 == 4:
            assert ask(served).text == str(number)


def test_a_foreign_pyc_is_not_believed(project: Project, runner: Runner) -> None:
    """A .pyc that another interpreter left, right by second and size and wrong by content, is not what answers."""
    place = project({**FILES, "module.py": value(1)})
    os.utime(place / "module.py", (10**9, 10**9))
    subprocess.run(["python3", "-c", "import module"], cwd=place, check=True,
                   env={"PATH": os.environ["PATH"]})  # fmt: skip
    edit(place / "module.py", value(2))
    os.utime(place / "module.py", (10**9, 10**9))
    assert ask(runner(place, "app:main")).text == "2"


def test_the_root_module(project: Project, runner: Runner) -> None:
    """The target's own module is reloaded like any other."""
    place = project(FILES)
    served = runner(place, "app:main")
    edit(place / "app.py", FILES["app.py"].replace("module.VALUE", "'edited'"))
    assert ask(served).text == "edited"


@each_mode
def test_an_application_that_cannot_be_forked(
    project: Project, runner: Runner, reload: str, env: dict[str, str]
) -> None:
    """Where the import leaves a thread each worker imports by itself, and a save is answered all the same."""
    place = project({**FILES, "app.py": THREADED})
    served = runner(place, "app:main", "--reload", reload, env=env)
    for number in range(1, 4):
        edit(place / "module.py", value(number))
        assert ask(served).text == str(number)


@each_mode
def test_a_save_during_the_import(project: Project, runner: Runner, reload: str, env: dict[str, str]) -> None:
    """What was saved while the application was imported, after its source was read, is never served old."""
    place = project({**FILES, "module.py": GATED.format(value=value(0))})
    served = runner(place, "app:main", "--reload", reload, env=env)
    (place / "gate").touch()
    edit(place / "module.py", GATED.format(value=value(1)))
    if reload == "request":
        assert ask_once(served.http) == 307
    wait_for(place / "entered")
    save(place, {"module.py": value(2)})
    (place / "gate").unlink()
    assert ask(served).text == "2"


def test_saves_all_the_time(project: Project, runner: Runner) -> None:
    """While somebody saves ten times in a row without asking, the last save is what the next request gets."""
    place = project(FILES)
    served = runner(place, "app:main")
    for number in range(1, 4):
        for step in range(10):
            edit(place / "module.py", value(number * 100 + step))
        assert ask(served).text == str(number * 100 + 9)


def test_there_and_back(project: Project, runner: Runner) -> None:
    """A save that is undone before anybody asked is answered by the first content."""
    place = project(FILES)
    served = runner(place, "app:main")
    for _ in range(5):
        edit(place / "module.py", value(1))
        edit(place / "module.py", value(0))
        assert ask(served).text == "0"


def test_touching_reloads_nothing(project: Project, runner: Runner) -> None:
    """New times without new content cost no reload."""
    place = project(FILES)
    served = runner(place, "app:main")
    deadline = time.monotonic() + PATIENCE
    while True:
        # The content is hashed when the generation has nothing else to do; from then on a touch is known to be one.
        number = generation(served)
        os.utime(place / "module.py")
        if generation(served) == number:
            break
        assert time.monotonic() < deadline
    os.utime(place / "module.py")
    os.utime(place / "app.py")
    assert generation(served) == number


def test_half_a_file_is_never_imported(project: Project, runner: Runner) -> None:
    """Between the truncation and the end of a slow save the old code answers, after it the new one; nothing else."""
    place = project(FILES)
    served = runner(place, "app:main")
    with (place / "module.py").open("w") as file:
        assert ask(served).text == "0"
        file.write(value(1))
        file.flush()
        assert ask(served).text == "0"
    assert ask(served).text == "1"


def test_without_reload(project: Project, runner: Runner) -> None:
    """`--reload off` never looks; `runner reload` still does it."""
    place = project(FILES)
    served = runner(place, "app:main", "--reload", "off")
    edit(place / "module.py", value(1))
    assert ask(served).text == "0"
    served.signal(1)
    until(served, "1")


def test_a_swapped_release(project: Project, runner: Runner) -> None:
    """`current`, a link that deployments swap, is followed anew after the swap."""
    place = project({f"{release}/{name}": text for release in ("one", "two") for name, text in FILES.items()})
    edit(place / "two" / "module.py", value(2))
    (place / "current").symlink_to("one")
    served = runner(place, "app:main", "--chdir", "current")
    assert ask(served).text == "0"
    (place / "next").symlink_to("two")
    os.replace(place / "next", place / "current")
    assert ask(served).text == "2"


def ask_once(address: tuple[str, int]) -> int:
    """The status of one request, not followed."""
    return fetch(address).status


def wait_for(path: Path) -> None:
    """Until *path* exists."""
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.002)
