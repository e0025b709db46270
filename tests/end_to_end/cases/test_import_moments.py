"""Cases 1 and 10: a save while the application is being imported is never lost, whenever it comes."""

import os
import random
import threading
import time
from pathlib import Path

import pytest

from runner.supervisor.control import ask as ask_supervisor
from tests.conftest import Project, Runner
from tests.end_to_end.cases import gates
from tests.end_to_end.cases.gates import held
from tests.end_to_end.reloading import FILES, agree, ask, built, save, value
from tests.support.project import edit, replace
from tests.support.runner_process import READY, Served

BLIND = {"RUNNER_NO_INOTIFY": "1"}
SLOWLY = "import time\ntime.sleep(0.01)\n"
PARTS = 8
SPAN = 0.25
"""Seconds from a save to the answers of the next generation, more or less."""


def reload_soon(served: Served) -> None:
    """Begin the next generation, if nobody else does: with `--reload request` that takes a request."""
    if "request" in served.command:
        ask_supervisor(str(served.control), {"command": "reload", "wait": False})


# ---- case 1: between reading and stamping ----------------------------------------------------------------

@pytest.mark.parametrize(
    ("moment", "reload", "on_change", "env"),
    [
        ("stamped", "eager", "redirect", {}),
        ("stamped", "request", "hold", BLIND),
        ("read", "eager", "hold", {}),
        ("read", "request", "redirect", {}),
        ("compiled", "eager", "redirect", BLIND),
        ("running", "eager", "redirect", {}),
        ("imported", "request", "hold", {}),
    ],
)
def test_a_save_between_reading_and_stamping(
    project: Project, runner: Runner, moment: str, reload: str, on_change: str, env: dict[str, str]
) -> None:
    """Saved while the import stands at *moment*, with the same size and time: the next answer is the saved code's."""
    place = project(gates.FILES)
    served = runner(place, "app:main", "--reload", reload, "--on-change", on_change, env=env)
    with held(place, moment) as gate:
        edit(place / "module.py", gates.module(1))
        reload_soon(served)
        gate.wait()
        times = (place / "module.py").stat()
        save_at(place / "module.py", gates.module(2), times.st_mtime_ns)
    assert agree(served, place).text == "2"


@pytest.mark.parametrize("moment", ["read", "imported"])
def test_a_save_during_the_very_first_import(project: Project, runner: Runner, moment: str) -> None:
    """The same when no generation has been before."""
    place = project(gates.FILES)
    with held(place, moment) as gate:
        served = runner(place, "app:main", ready=False)
        gate.wait()
        replace(place / "module.py", gates.module(1))
    served.wait_for(READY)
    assert agree(served, place).text == "1"


def saves_at(place: Path, served: Served, moments: list[float]) -> None:
    """For each of *moments*: one save that starts an import, that many seconds later a save of one of its modules."""
    for turn, moment in enumerate(moments, 1):
        edit(place / "part0.py", SLOWLY + value(-turn))
        reload_soon(served)
        # Not a wait for something: the moment of the next save is what is tried.
        time.sleep(moment)
        (edit if turn % 2 else replace)(place / f"part{turn % PARTS}.py", SLOWLY + value(turn))
        agree(served, place, fastcgi=turn % 2 == 0, saves=2)


@pytest.fixture
def parts(project: Project) -> Path:
    """An application of eight modules, each of which takes a while to import, and whose answer is all their values."""
    names = [f"part{number}" for number in range(PARTS)]
    app = f"import {', '.join(names)}\nVALUE = [{', '.join(f'{name}.VALUE' for name in names)}]"
    return project({"app.py": FILES["app.py"], "module.py": app, **{f"{n}.py": SLOWLY + value(0) for n in names}})


@pytest.mark.parametrize(("reload", "env"), [("eager", {}), ("request", BLIND)], ids=["eager", "request, sweep"])
def test_a_save_at_any_moment_of_the_import(runner: Runner, parts: Path, reload: str, env: dict[str, str]) -> None:
    """Wherever between the start and the end of a reload a second save falls, the answer that follows has it."""
    served = runner(parts, "app:main", "--reload", reload, env=env)
    saves_at(parts, served, [SPAN * step / 4 for step in range(4)])


@pytest.mark.stress
@pytest.mark.parametrize("env", [{}, BLIND], ids=["inotify", "sweep"])
@pytest.mark.parametrize("reload", ["eager", "request"])
def test_a_save_at_a_hundred_moments_of_the_import(
    runner: Runner, parts: Path, reload: str, env: dict[str, str]
) -> None:
    """The same at a hundred moments, taken at random."""
    chance = random.Random(f"{reload} {env}")
    served = runner(parts, "app:main", "--reload", reload, env=env)
    saves_at(parts, served, [chance.uniform(0, 1.5 * SPAN) for _ in range(100)])


# ---- case 10: a change during a reload -------------------------------------------------------------------

@pytest.mark.parametrize("on_change", ["redirect", "hold"])
def test_an_overtaken_generation_answers_nobody(project: Project, runner: Runner, on_change: str) -> None:
    """Who asks while the import of the first save is overtaken by a second one gets the second one's answer."""
    place = project(gates.FILES)
    served = runner(place, "app:main", "--on-change", on_change)
    found: list[str] = []
    visitors = [threading.Thread(target=lambda: found.append(ask(served).text)) for _ in range(4)]
    with held(place, "running") as gate:
        edit(place / "module.py", gates.module(1))
        gate.wait()
        for visitor in visitors:
            visitor.start()
        edit(place / "module.py", gates.module(2))
    for visitor in visitors:
        visitor.join()
    assert found == ["2"] * len(visitors)
    assert agree(served, place).text == "2"


@pytest.mark.parametrize("env", [{}, BLIND], ids=["inotify", "sweep"])
def test_there_and_back_within_the_load(project: Project, runner: Runner, env: dict[str, str]) -> None:
    """A save that is undone while its import runs ends with the first content, and nothing is built after that."""
    place = project(gates.FILES)
    served = runner(place, "app:main", env=env)
    with held(place, "read") as gate:
        edit(place / "module.py", gates.module(1))
        gate.wait()
        edit(place / "module.py", gates.module(0))
    assert agree(served, place).text == "0"
    number = built(served)
    assert number <= 3
    assert {ask(served).text for _ in range(5)} == {"0"}
    assert built(served) == number


@pytest.mark.parametrize("moment", ["stamped", "read"])
def test_broken_code_that_is_mended_within_the_load(project: Project, runner: Runner, moment: str) -> None:
    """A mistake that is corrected while its import runs is shown to nobody."""
    place = project(gates.FILES)
    served = runner(place, "app:main")
    with held(place, moment) as gate:
        edit(place / "module.py", gates.module(1) + "nobody\n")
        gate.wait()
        edit(place / "module.py", gates.module(2))
    assert agree(served, place).text == "2"
    assert "failed" not in served.output


@pytest.mark.parametrize("reload", ["eager", "request"])
def test_the_last_of_many_saves(project: Project, runner: Runner, reload: str) -> None:
    """While somebody saves ten times in a row without asking, the last save is what the next request gets."""
    place = project(FILES)
    served = runner(place, "app:main", "--reload", reload)
    for number in range(1, 3):
        for step in range(10):
            edit(place / "module.py", value(number * 100 + step))
        assert agree(served, place, saves=10).text == str(number * 100 + 9)


def test_there_and_back(project: Project, runner: Runner) -> None:
    """A save that is undone before anybody asked is answered by the first content."""
    place = project(FILES)
    served = runner(place, "app:main")
    for _ in range(2):
        save(place, {"module.py": value(1)})
        save(place, {"module.py": value(0)})
        assert agree(served, place).text == "0"


def save_at(path: Path, text: str, nanoseconds: int) -> None:
    """Save in place, and set the modification time."""
    edit(path, text)
    os.utime(path, ns=(nanoseconds, nanoseconds))
