"""Modules that were imported before the application, and are given to it when it asks for them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

SETUP = """
import importlib.util, os, sys
from runner.generation.preload import Preload
sys.path[:0] = [{libraries!r}, {application!r}]

class Finder:
    def find_spec(self, name, path=None, target=None):
        return preload.give(name) if preload is not None else None

def unfit(name, reason):
    print(f"unfit: {{name or '-'}}: {{reason}}", flush=True)
    os._exit(0)

preload = None
sys.meta_path.insert(0, Finder())
made = Preload({names!r}, "app", ({libraries!r},), unfit)
made.load()
preload = made
print("aside:", [name for name in {names!r} if name in sys.modules])
import importlib
importlib.import_module("app")
print("learned:", preload.settle())
"""
FILES = {
    "lib/one.py": "print('one')\nimport inner\n", "lib/two.py": "import one, inner\nprint('two')\n", "lib/inner.py": "",
    "lib/pack/__init__.py": "print('pack')\n", "lib/pack/part.py": "print('part')\n",
    "app/own/__init__.py": "", "app/own/part.py": "", "app/space/here.py": "", "lib/space/there.py": "",
    "lib/thread.py": "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n",
}

Start = Callable[[list[str], str], list[str]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """A fresh interpreter with these modules preloaded; the lines it prints while the application is imported."""

    def run(names: list[str], app: str) -> list[str]:
        for name, text in {**FILES, "app/app.py": dedent(app)}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        # The loader of the main module stands for runner/host/loading.py.
        code = SETUP.format(names=names, libraries=str(tmp_path / "lib"), application=str(tmp_path / "app"))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_it_learns_what_the_application_itself_asks_for(start: Start) -> None:
    """In its order; what those import in turn comes with them, and a module of its own is none."""
    lines = start([], "import two, pack.part\n")
    assert lines[-1] == "learned: ['two', 'pack', 'pack.part']"


def test_what_is_preloaded_is_put_aside_and_given(start: Start) -> None:
    """Its code runs once, before; the application finds it as if it ran now."""
    app = """
        import sys
        print("mine", "one" in sys.modules, "inner" in sys.modules)
        import one
        print(one.__spec__.name, type(one.__spec__.loader).__name__, sys.modules["one"] is one, "inner" in sys.modules)
        import two
    """
    assert start(["one", "two"], app) == [
        "one", "two", "aside: []", "mine False False", "one SourceFileLoader True True", "learned: ['one', 'two']",
    ]


def test_packages_and_their_parts(start: Start) -> None:
    """A part that the application asks for by itself is the next in order."""
    lines = start(["pack", "pack.part"], "import pack.part\nprint(pack.part.__name__)\n")
    assert lines[-2:] == ["pack.part", "learned: ['pack', 'pack.part']"]


def test_packages_of_the_application_are_none(start: Start) -> None:
    """Wherever they stand; of one without an __init__.py, which may be in two places, each module counts."""
    lines = start([], "import own.part, one, own, space.here, space.there, two\n")
    assert lines[-1] == "learned: ['one', 'space.there', 'two']"


@pytest.mark.parametrize(("app", "reason"), [
    ("import two, one\n", "unfit: -: two is imported earlier than before"),
    ("import inner\n", "unfit: -: inner is imported earlier than before"),
    ("import one\n", "unfit: -: two is imported no more"),
    ("", "unfit: -: one is imported no more"),
])
def test_another_order_is_unfit(start: Start, app: str, reason: str) -> None:
    """For once: what it learns the next time is right again."""
    assert start(["one", "two"], app)[-1] == reason


@pytest.mark.parametrize("change", [
    "import os; os.environ['A'] = 'b'", "import sys; sys.path.append('/nowhere')", "import os; os.chdir('/')",
    "import warnings; warnings.simplefilter('error')", "import logging; logging.basicConfig()",
    "import logging; logging.getLogger().setLevel(10)", "import sys; sys.meta_path.append(object())",
    "import time; time.sleep = print", "import builtins; builtins.open = print",
    "import locale; locale.setlocale(locale.LC_ALL, 'C.UTF-8')",
])
def test_what_the_application_changes_first_is_never_given_after_it(start: Start, change: str) -> None:
    """The module could have seen it."""
    assert start(["one"], f"{change}\nimport one\n")[-1].startswith("unfit: one: one is not preloaded: the application")


def test_what_leaves_a_thread_is_not_preloaded(start: Start) -> None:
    """A process with one cannot be copied."""
    (line,) = start(["thread"], "import thread\n")
    assert line.startswith("unfit: thread: thread is not preloaded: the import left thread")


def test_what_cannot_be_imported_any_more_is_not_preloaded(start: Start) -> None:
    """The application will see for itself."""
    (line,) = start(["gone"], "")
    assert line == "unfit: gone: gone is not preloaded: ModuleNotFoundError: No module named 'gone'"
