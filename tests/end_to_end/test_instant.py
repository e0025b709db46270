"""An edit costs the import of what changed: seen from outside, by what runs again and what the runner says."""

import signal
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import agree, ask, built, until_settled
from tests.support.census import private
from tests.support.project import edit
from tests.support.runner_process import CHECKPOINTS
from tests.support.trouble import descendants, report, stat_of, title_of, until

APP = """
import {foreign}
{between}
import base, view
def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"0 {{base.VALUE}} {{view.VALUE}}".encode()]
"""
NOTES = "open('notes', 'a').write({name!r} + ' ')\n"
"""Each module writes down that it runs; a file that the application writes itself is no input."""


def files(foreign: str = "wave, plistlib", between: str = "") -> dict[str, str]:
    """An application of three modules, which asks for modules of others."""
    app = NOTES.format(name="app") + APP.format(foreign=foreign, between=between)
    return {"app.py": app, **{f"{name}.py": module(name, 0) for name in ("base", "view")}}


def module(name: str, value: int) -> str:
    """One of them, with that value."""
    return f"{NOTES.format(name=name)}VALUE = {value}\n"


def notes(place: Path) -> list[str]:
    """What has run since the last call."""
    text = (place / "notes").read_text().split()
    (place / "notes").write_text("")
    return text


def test_only_what_comes_after_the_edited_module_runs_again(project: Project, runner: Runner) -> None:
    """The second time from right before it; log and status say from where."""
    place = project(files())
    served = runner(place, "app:main", *CHECKPOINTS)
    assert notes(place) == ["app", "base", "view"]
    for value in (1, 2):
        position = served.position
        edit(place / "view.py", module("view", value))
        assert ask(served).text == f"0 0 {value}"
    assert notes(place)[-1:] == ["view"]
    wanted = r"view\.py changed → generation \d+ in \d+ ms \(resumed before view, \d+ of \d+ modules kept\)"
    served.wait_for(wanted, after=position)
    assert built(served) == 3
    assert "view" in [each["module"] for each in report(served)["checkpoints"]]


@pytest.mark.parametrize("options", [("--checkpoints", "0"), ("--reload", "off")])
def test_without_checkpoints_everything_runs_again(
    project: Project, runner: Runner, options: tuple[str, ...]
) -> None:
    """And there are none."""
    place = project(files())
    served = runner(place, "app:main", *options)
    assert report(served)["checkpoints"] == []
    if "off" not in options:
        notes(place)
        edit(place / "view.py", module("view", 1))
        assert ask(served).text == "0 0 1"
        assert notes(place) == ["app", "base", "view"]


def test_a_reload_by_order_begins_at_the_beginning(project: Project, runner: Runner) -> None:
    """Whoever asks for it wants what a start gives, also of what is no file."""
    place = project(files())
    served = runner(place, "app:main", *CHECKPOINTS)
    edit(place / "view.py", module("view", 1))
    assert ask(served).text == "0 0 1"
    until_settled(served)
    notes(place)
    position = served.position
    served.signal(signal.SIGHUP)
    assert "resumed" not in served.wait_for(r"SIGHUP → generation \d+ in.*", after=position)[0]
    assert notes(place) == ["app", "base", "view"]


def test_an_import_that_ends_its_process_begins_at_the_beginning(project: Project, runner: Runner) -> None:
    """It may be the fault of going on in the middle; a fresh interpreter then says how it ends. Saving mends it."""
    place = project(files())
    served = runner(place, "app:main", *CHECKPOINTS, "--debug")
    edit(place / "view.py", "import os\nos._exit(7)\n")
    assert "ended with exit code 7 while importing view" in ask(served).text
    assert "importing from the beginning" in served.output
    edit(place / "view.py", module("view", 2))
    assert agree(served, place).text == "0 0 2"


def test_what_was_learned_is_loaded_before_the_next_start(
    project: Project, runner: Runner, tmp_path: Path
) -> None:
    """It is not among what an edit of the main module imports; and it is the same application."""
    place = project(files())
    cache = ("--cache-dir", str(tmp_path / "cache"))
    first = runner(place, "app:main", *CHECKPOINTS, *cache)
    assert ask(first).status == 200
    first.stop()
    served = runner(place, "app:main", *CHECKPOINTS, *cache)
    edit(place / "app.py", files()["app.py"] + "# edited\n")
    assert agree(served, place).text == "0 0 0"
    served.wait_for(r"app\.py changed → generation 2 in \d+ ms \(resumed .*, [1-9]\d* of \d+ modules kept\)")


def test_what_was_learned_is_loaded_meanwhile(project: Project, runner: Runner) -> None:
    """The first start teaches, and a zygote is made that knows: the main module need not be edited for that."""
    place = project(files())
    served = runner(place, "app:main", *CHECKPOINTS)

    def knows() -> bool:
        return any(each["modules"] and not each["module"] for each in report(served)["checkpoints"])

    until("a zygote is there that knows", knows, live=served)
    edit(place / "app.py", files()["app.py"] + "# edited\n")
    assert agree(served, place).text == "0 0 0"
    served.wait_for(r"app\.py changed → generation 2 in \d+ ms \(resumed from the zygote, [1-9]\d* of \d+ modules")
    assert "from the beginning" not in served.output


@pytest.mark.parametrize("foreign", ["plistlib, wave", "plistlib", "colorsys, wave, plistlib"])
def test_another_order_is_found_out(project: Project, runner: Runner, tmp_path: Path, foreign: str) -> None:
    """What was learned is wrong now: the answer is that of a fresh interpreter all the same, and it learns again."""
    place = project(files())
    cache = ("--cache-dir", str(tmp_path / "cache"))
    runner(place, "app:main", *CHECKPOINTS, *cache).stop()
    served = runner(place, "app:main", *CHECKPOINTS, *cache)
    for number in range(3):
        edit(place / "app.py", files(foreign)["app.py"] + f"# {number}\n")
        assert agree(served, place).text == "0 0 0"
    assert report(served)["notes"] == []


def test_what_the_application_changes_first_is_found_out_and_said_once(
    project: Project, runner: Runner, tmp_path: Path
) -> None:
    """What it asks for after that is never loaded before it again."""
    between = "import os\nos.environ['CHANGED'] = '1'\nimport colorsys\n"
    place = project(files(between=between))
    cache = ("--cache-dir", str(tmp_path / "cache"))
    runner(place, "app:main", *CHECKPOINTS, *cache).stop()
    for _ in range(2):
        served = runner(place, "app:main", *CHECKPOINTS, *cache)
        edit(place / "app.py", files(between=between)["app.py"] + "# edited\n")
        assert agree(served, place).text == "0 0 0"
        served.stop()
    reason = "colorsys is not preloaded: the application changes first what it may see"
    assert served.output.count(reason) == 0, "it is remembered"


def test_who_goes_on_twice_is_not_the_same(project: Project, runner: Runner) -> None:
    """Random numbers are drawn anew, and what was registered to run after a fork has run: as in every fork."""
    app = """
        import os, random
        FORKS = []
        os.register_at_fork(after_in_child=lambda: FORKS.append(os.getpid()))
        random.random()
        import drawn
        def main(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [f"{drawn.VALUE} {os.getpid() in FORKS}".encode()]
    """
    place = project({"app.py": app, "drawn.py": "import random\nVALUE = 0\n"})
    served = runner(place, "app:main", *CHECKPOINTS)
    # Who begins at the zygote imports what asks to be told, and may answer before it is forked.
    edit(place / "drawn.py", "import random\nVALUE = 1\n")
    agree(served, place)
    drawn = set()
    for number in range(3):
        edit(place / "drawn.py", f"import random\nVALUE = random.random()  # {number}\n")
        value, forked = ask(served).text.split()
        drawn.add(value)
        assert forked == "True"
    assert len(drawn) == 3
    served.wait_for(r"resumed before drawn")


def test_all_who_go_on_know_where_the_first_has_written(project: Project, runner: Runner) -> None:
    """Each has that memory for itself before it is told to, not only the second one."""
    place = project(files())
    served = runner(place, "app:main", *CHECKPOINTS)
    sizes: list[int] = []
    seen: set[int] = set()

    def asleep() -> int:
        """The one that is to go on next, once it has nothing more to do: its parent waits before the same module."""
        before = {pid for pid in descendants(served.pid) if title_of(pid).startswith("runner: checkpoint before view")}
        states = {pid: stat for pid in before - seen if (stat := stat_of(pid)) is not None}
        return next((pid for pid, (state, parent) in states.items() if parent in before and state == "S"), 0)

    for value in range(1, 6):
        edit(place / "view.py", module("view", value))
        assert ask(served).text == f"0 0 {value}"
        pid = until("there is a spare", asleep)
        seen.add(pid)
        sizes.append(private(pid))
    assert min(sizes[2:]) >= 0.95 * sizes[1]
