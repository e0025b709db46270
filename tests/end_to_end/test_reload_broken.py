"""Broken code is an answer, never the end; the saving of the fix alone recovers."""

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import FILES, ask, save, until, value
from tests.support.project import edit

BREAKS: dict[str, tuple[dict[str, str], str, dict[str, str]]] = {
    "SyntaxError": ({"module.py": "VALUE = ("}, "SyntaxError", {"module.py": value(1)}),
    "NameError": ({"module.py": "VALUE = nobody"}, "NameError", {"module.py": value(1)}),
    "missing module": ({"module.py": "from new import VALUE"}, "ModuleNotFoundError", {"new.py": value(1)}),
    "missing package": ({"module.py": "from new.deep import VALUE"}, "ModuleNotFoundError", {"new/deep.py": value(1)}),
    "nested package": (
        {"pack/__init__.py": "from pack.inner import VALUE", "pack/inner.py": "1/0", "module.py": "from pack import *"},
        "ZeroDivisionError",
        {"pack/inner.py": value(1)},
    ),
    "missing data": ({"module.py": "VALUE = open('data').read()"}, "FileNotFoundError", {"data": "1"}),
    "sys.exit": ({"module.py": "raise SystemExit(3)"}, "SystemExit", {"module.py": value(1)}),
    "os._exit": ({"module.py": "import os; os._exit(3)"}, "importing module", {"module.py": value(1)}),
    "SIGKILL": ({"module.py": "import os; os.kill(os.getpid(), 9)"}, "importing module", {"module.py": value(1)}),
}


@pytest.mark.parametrize(
    ("kind", "reload"), [*((kind, "eager") for kind in BREAKS), ("SyntaxError", "request"), ("SIGKILL", "request")]
)
def test_broken_and_fixed(project: Project, runner: Runner, kind: str, reload: str) -> None:
    """The error page names the fault, the supervisor lives on, and the fix alone brings the application back."""
    broken, words, fix = BREAKS[kind]
    place = project(FILES)
    served = runner(place, "app:main", "--reload", reload, "--debug")
    save(place, broken)
    answer = ask(served)
    assert answer.status == 500
    assert words in answer.text
    save(place, fix)
    assert until(served, "1").text == "1"
    assert served.process.poll() is None


@pytest.mark.parametrize("kind", ["SyntaxError", "missing module", "os._exit"])
def test_broken_at_the_first_start(project: Project, runner: Runner, kind: str) -> None:
    """A first start with broken code serves the error page, and the fix recovers."""
    broken, words, fix = BREAKS[kind]
    place = project({**FILES, **broken})
    served = runner(place, "app:main", "--debug", ready=False)
    served.wait_for("ready|failed")
    answer = ask(served)
    assert answer.status == 500
    assert words in answer.text
    save(place, fix)
    assert until(served, "1").text == "1"


def test_without_inotify(project: Project, runner: Runner) -> None:
    """The same where files are looked at."""
    place = project(FILES)
    served = runner(place, "app:main", env={"RUNNER_NO_INOTIFY": "1"})
    edit(place / "module.py", "VALUE = (")
    assert ask(served).status == 500
    edit(place / "module.py", value(1))
    assert ask(served)[:2] == (200, "1")


def test_nothing_is_left_behind(project: Project, runner: Runner) -> None:
    """What a failed import had done to its interpreter is not to be found in the recovered application."""
    place = project({**FILES, "state.py": "import sys\nsys.seen = getattr(sys, 'seen', 0) + 1\n"})
    app = "import state, sys\nfrom module import VALUE\n" + FILES["app.py"].replace("module.VALUE", "sys.seen")
    edit(place / "app.py", app)
    served = runner(place, "app:main")
    for _ in range(3):
        edit(place / "module.py", "import json, sys, threading\nsys.path.insert(0, '/nowhere')\n1/0")
        assert ask(served).status == 500
    edit(place / "module.py", value(1))
    assert ask(served).text == "1"


def test_only_the_fix_is_tried(project: Project, runner: Runner) -> None:
    """A broken application is not imported again and again while nobody saves."""
    place = project({**FILES, "module.py": "open('tries', 'a').write('x')\nimport os\nos._exit(1)"})
    served = runner(place, "app:main", ready=False)
    served.wait_for("during the import")
    assert ask(served).status == 500
    before = len((place / "tries").read_text())
    for _ in range(20):
        ask(served)
    assert len((place / "tries").read_text()) - before <= 1


@pytest.mark.parametrize("reload", ["eager", "request"])
def test_keep(project: Project, runner: Runner, reload: str) -> None:
    """`--on-broken keep`: the last good code goes on, the log says so, the fix recovers; and so a second time."""
    place = project(FILES)
    served = runner(place, "app:main", "--reload", reload, "--on-broken", "keep")
    for number in range(2):
        for broken in ("VALUE = (", "VALUE = (("):
            position = served.position
            edit(place / "module.py", broken)
            # Workers that were told to go on do so until each is replaced, so the one before may still be met.
            assert until(served, str(number)).status == 200
            served.wait_for("failed: .*goes on", after=position)
            assert ask(served)[:2] == (200, str(number))
        edit(place / "module.py", value(number + 1))
        assert until(served, str(number + 1)).status == 200


def test_keep_without_forks(project: Project, runner: Runner) -> None:
    """Workers that import by themselves go on as well."""
    thread = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    place = project({**FILES, "app.py": thread + FILES["app.py"]})
    served = runner(place, "app:main", "--on-broken", "keep", "--workers", "1")
    edit(place / "module.py", "VALUE = (")
    served.wait_for("failed: .*goes on")
    for _ in range(4):
        assert ask(served)[:2] == (200, "0")
    edit(place / "module.py", value(1))
    assert until(served, "1").status == 200

