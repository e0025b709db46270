"""A request that begins after a save is answered by the code that was saved."""

import os

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import FILES, ask, built, until, until_hashed, value
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





def test_touching_reloads_nothing(project: Project, runner: Runner) -> None:
    """New times without new content cost no reload."""
    place = project(FILES)
    served = runner(place, "app:main")
    for name in ("module.py", "app.py"):
        until_hashed(served, place / name)
    number = built(served)
    for _ in range(3):
        os.utime(place / "module.py")
        os.utime(place / "app.py")
        assert ask(served) == (200, "0", 0)
    assert built(served) == number



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
