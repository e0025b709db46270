"""Cases 6 and 7: broken code is an answer, never the end; the saving of the fix alone recovers, and nothing is left."""

import re
import time
from math import log2
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import FILES, agree, ask, save, until, until_settled, value
from tests.support.client import fetch
from tests.support.project import edit
from tests.support.runner_process import Served

BLIND = {"RUNNER_NO_INOTIFY": "1"}
BREAKS: dict[str, tuple[dict[str, str], str, dict[str, str]]] = {
    "SyntaxError": ({"module.py": "VALUE = ("}, "module.py:1", {"module.py": value(1)}),
    "SyntaxError of the target": (
        {"app.py": "def main(:"}, "app.py:1", {"app.py": FILES["app.py"].replace("module.VALUE", "1")},
    ),
    "NameError": ({"module.py": "VALUE = nobody"}, "module.py:1", {"module.py": value(1)}),
    "ImportError, no such module": ({"module.py": "from new import VALUE"}, "module.py:1", {"new.py": value(1)}),
    "ImportError, no such name": (
        {"module.py": "from pack import new\nVALUE = new.VALUE", "pack/__init__.py": ""}, "module.py:1",
        {"pack/new.py": value(1)},
    ),
    "ImportError, no such package": (
        {"module.py": "from new.deep import VALUE"}, "module.py:1", {"new/deep.py": value(1)},
    ),
    "exception in a nested package": (
        {"pack/__init__.py": "from pack.inner import VALUE", "pack/inner/__init__.py": "from .core import VALUE",
         "pack/inner/core.py": "#\n1/0", "module.py": "from pack import VALUE"},
        "pack/inner/core.py:2",
        {"pack/inner/core.py": value(1)},
    ),
    "SyntaxError in a nested package": (
        {"pack/__init__.py": "from pack.inner import VALUE", "pack/inner.py": "#\nVALUE = (",
         "module.py": "from pack import VALUE"},
        "pack/inner.py:2",
        {"pack/inner.py": value(1)},
    ),
    "missing data": ({"module.py": "VALUE = open('data').read()"}, "module.py:1", {"data": "1"}),
    "sys.exit": ({"module.py": "raise SystemExit(3)"}, "module.py:1", {"module.py": value(1)}),
}  # fmt: skip

MODES: list[tuple[tuple[str, ...], dict[str, str]]] = [
    (("--reload", "eager"), {}),
    (("--reload", "request", "--on-change", "hold"), {}),
    (("--reload", "request"), BLIND),
    (("--reload", "eager", "--on-change", "hold"), BLIND),
]
ENDS = {"os._exit": "import os; os._exit(3)", "SIGKILL": "import os; os.kill(os.getpid(), 9)"}

LEAVE = """
import atexit, builtins, os, signal, sys, threading, registry, pack.part
registry.found.append("left")
builtins.left = True
sys.path.insert(0, "/left")
os.environ["LEFT"] = "left"
os.chdir("/")
signal.signal(signal.SIGPROF, lambda *_: None)
atexit.register(lambda: open({told!r}, "a").write(f"{{os.getpid()}}\\n"))
if {thread}:
    threading.Thread(target=threading.Event().wait, name="left", daemon=True).start()
1 / 0
"""
SEARCH = """
import builtins, os, signal, sys, threading, registry
from module import VALUE
def main(environ, start_response):
    start_response("200 OK", [("X-Process", str(os.getpid()))])
    return [repr([
        VALUE, registry.found, hasattr(builtins, "left"), "/left" in sys.path, os.environ.get("LEFT"),
        os.getcwd(), signal.getsignal(signal.SIGPROF) is signal.SIG_DFL, "pack.part" in sys.modules,
        [thread.name for thread in threading.enumerate() if thread.name == "left"],
    ]).encode()]
"""


def check_page(served: Served, place: Path, where: str) -> None:
    """The page and the log both name the file to look at, the log its line, too."""
    answer = agree(served, place)
    assert answer.status == 500
    assert f"{place}/{where.partition(':')[0]}" in answer.text
    assert re.search(rf"failed: .*{re.escape(where)}\)", served.output)


# ---- case 6: broken, then fixed --------------------------------------------------------------------------

@pytest.mark.parametrize(("kind", "mode"), [(kind, number % len(MODES)) for number, kind in enumerate(BREAKS)])
def test_broken_then_fixed(project: Project, runner: Runner, kind: str, mode: int) -> None:
    """The error page is the answer to the next request, and the whole application is to the one after the fix."""
    broken, where, fix = BREAKS[kind]
    place = project(FILES)
    options, env = MODES[mode]
    served = runner(place, "app:main", *options, "--debug", env=env)
    save(place, broken)
    check_page(served, place, where)
    save(place, fix)
    assert agree(served, place)[:2] == (200, "1")


@pytest.mark.parametrize(
    "kind",
    ["SyntaxError", "NameError", "ImportError, no such module", "ImportError, no such package",
     "exception in a nested package"],
)  # fmt: skip
def test_broken_at_the_first_start(project: Project, runner: Runner, kind: str) -> None:
    """A first start with broken code serves the error page, and the fix alone recovers."""
    broken, where, fix = BREAKS[kind]
    place = project({**FILES, **broken})
    served = runner(place, "app:main", "--debug", ready=False)
    served.wait_for("failed: ")
    check_page(served, place, where)
    save(place, fix)
    assert agree(served, place)[:2] == (200, "1")


def test_one_mistake_after_the_other(project: Project, runner: Runner) -> None:
    """Each page is about the mistake that was saved last, also if the one before was in another file."""
    place = project(FILES)
    served = runner(place, "app:main", "--debug")
    save(place, {"module.py": "VALUE = ("})
    check_page(served, place, "module.py:1")
    save(place, {"app.py": "\nimport nobody\n" + FILES["app.py"]})
    check_page(served, place, "app.py:2")
    save(place, {"app.py": FILES["app.py"]})
    check_page(served, place, "module.py:1")
    save(place, {"module.py": value(1)})
    assert agree(served, place)[:2] == (200, "1")


@pytest.mark.parametrize(
    ("kind", "reload", "start"),
    [("os._exit", "eager", True), ("SIGKILL", "eager", False), ("SIGKILL", "request", False)],
)
def test_an_import_that_ends_its_process(
    project: Project, runner: Runner, kind: str, reload: str, start: bool
) -> None:
    """It is shown as well, with the module that was being imported; the fix recovers, and the supervisor lives on."""
    place = project({**FILES, "module.py": ENDS[kind] if start else value(0)})
    served = runner(place, "app:main", "--reload", reload, "--debug", ready=False)
    served.wait_for("ready|failed: ")
    save(place, {"module.py": ENDS[kind]})
    answer = ask(served)
    assert answer.status == 500
    assert "importing module" in answer.text
    save(place, {"module.py": value(1)})
    assert until(served, "1").status == 200
    assert served.process.poll() is None


def test_only_the_fix_is_tried(project: Project, runner: Runner) -> None:
    """A broken application is not imported again and again while nobody saves, only now and then; never by request."""
    place = project({**FILES, "module.py": "open('tries', 'a').write('x')\nimport os\nos._exit(1)"})
    served = runner(place, "app:main", ready=False)
    served.wait_for("during the import")
    assert ask(served).status == 500
    before, began = len((place / "tries").read_text()), time.monotonic()
    for _ in range(20):
        ask(served)
    # After 0.1 s, 0.2 s, 0.4 s …, of which one pause may have been over when we began.
    pauses = 1 + log2(1 + (time.monotonic() - began) / 0.1)
    assert len((place / "tries").read_text()) - before <= pauses


@pytest.mark.parametrize("reload", ["eager", "request"])
def test_keep(project: Project, runner: Runner, reload: str) -> None:
    """`--on-broken keep`: the last good code goes on, the log says so, the fix recovers; and so a second time."""
    place = project(FILES)
    served = runner(place, "app:main", "--reload", reload, "--on-broken", "keep")
    for number in range(2):
        for broken in ("VALUE = (", "VALUE = (("):
            position = served.position
            edit(place / "module.py", broken)
            assert until(served, str(number)).status == 200
            served.wait_for("failed: .*goes on", after=position)
            assert ask(served)[:2] == (200, str(number))
        edit(place / "module.py", value(number + 1))
        assert until(served, str(number + 1)).status == 200
        # Workers that were told to go on do so until each is replaced.
        until_settled(served)


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


# ---- case 7: half-imported leftovers ---------------------------------------------------------------------

@pytest.mark.parametrize(("thread", "first"), [(False, False), (True, True)])
def test_nothing_is_left_behind(project: Project, runner: Runner, tmp_path: Path, thread: bool, first: bool) -> None:
    """What failed imports did to their interpreter is not to be found in the recovered one: submodules, registries,
    sys.path, the environment, handlers of signals and of the end, threads."""
    left = LEAVE.format(thread=thread, told=str(tmp_path / "ended"))
    place = project({
        "app.py": SEARCH, "module.py": left if first else value(0), "registry.py": "found = []",
        "pack/__init__.py": "", "pack/part.py": "",
    })  # fmt: skip
    served = runner(place, "app:main", "--debug", ready=False)
    served.wait_for("ready|failed: ")
    for number in range(2):
        save(place, {"module.py": f"{left}#{number}"})
        assert agree(served, place).status == 500
    save(place, {"module.py": value(1)})
    assert agree(served, place).text.startswith("[1, [], False, False")
    recovered = {fetch(served.http).header("x-process") for _ in range(4)}
    served.stop()
    assert not recovered & set((tmp_path / "ended").read_text().split())
