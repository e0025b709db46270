"""The house keeps its laws: what may know what, how large a room is, what importing may do.

Most of what makes this code readable are absences ("the supervisor knows no application"), and an absence is only
true as long as something looks for it.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.settings import table

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "runner"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
CODE = [path for path in MODULES if path.name not in ("__init__.py", "__main__.py")]

FLOORS: dict[str, set[str]] = {
    "__main__": {"cli", "process"},
    "cli": {"supervisor", "process", "settings", "values", "status", "version", "errors"},
    "supervisor": {"process", "settings", "addresses", "channels_url", "log", "version", "errors"},
    "generation": {"worker", "process", "freshness", "host", "channels_place", "settings", "log", "errors"},
    "worker": {
        "process", "freshness", "front", "host", "batch", "resources", "channels", "wire", "request", "origin",
        "settings", "log", "errors",
    },
    "process": {"settings", "log", "errors"},
    "front": {"request", "wire", "origin", "log", "errors"},
    "host": {"batch", "request", "streaming", "wire", "log", "errors"},
    "freshness": {"errors"},
    "wire": {"errors"},
    "resources": {"request", "values", "log", "errors"},
    "batch": {"request", "errors"},
    "channels": {"channels_place", "channels_url", "origin", "log", "errors"},
    "request": {"log", "errors"},
    "streaming": {"errors"},
    "settings": {"addresses", "channels_url", "values", "errors"},
    "addresses": {"errors"},
    "channels_url": {"values", "errors"},
    "channels_place": {"errors"},
    "values": {"errors"},
    "origin": set(),
    "status": set(),
    "version": set(),
    "log": set(),
    "errors": set(),
}
"""Which part may import which other part; its own folder is always allowed."""

SUPERVISOR_KNOWS = {
    "addresses", "channels_url", "errors", "log", "settings", "values", "version", "supervisor", "process",
}
"""The parts of the runner that the supervisor's process may ever load."""


def name_of(path: Path) -> str:
    """`supervisor.roster` for runner/supervisor/roster.py, `process` for its folder's __init__."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports_of(path: Path) -> Iterator[tuple[str, ast.stmt]]:
    """Every module that *path* imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node
            if node.module.startswith("runner"):
                yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)


def own_imports(path: Path) -> set[str]:
    """The runner's own modules among them, without the leading `runner.`."""
    known = {name_of(module) for module in MODULES}
    found = {name.removeprefix("runner.") for name, _ in imports_of(path) if name.startswith("runner.")}
    return found & known


def run_python(code: str) -> str:
    """What a fresh interpreter prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_downwards_only(path: Path) -> None:
    """A module imports what stands on lower floors, or in its own folder."""
    part = name_of(path).partition(".")[0]
    if not part:
        assert not own_imports(path), "runner/__init__.py runs in every process and imports nothing"
        return
    used = {name.partition(".")[0] for name in own_imports(path)} - {part}
    assert used <= FLOORS[part], f"{name_of(path)} reaches for {sorted(used - FLOORS[part])}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Following imports never leads back to where one came from."""
    graph = {name_of(path): own_imports(path) for path in MODULES}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for other in graph[name]:
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", [p for p in CODE if p.parent.name == "wire"] + [
    *(PACKAGE / "supervisor" / f"{name}.py" for name in ("roster", "book", "life", "leaving", "orders")),
    *(PACKAGE / "supervisor" / f"{name}.py" for name in ("transit", "heirs")), PACKAGE / "status.py",
    PACKAGE / "channels_url.py", *(PACKAGE / "front" / f"{name}.py" for name in ("variables", "on_change", "luggage")),
    *(PACKAGE / "batch" / f"{name}.py" for name in ("scanning", "splitting", "objects", "answers", "options")),
], ids=name_of)  # fmt: skip
def test_pure_modules_touch_no_world(path: Path) -> None:
    """Decisions and codecs know no socket, clock, thread, process or loop; time comes in as an argument."""
    impure = {"socket", "select", "selectors", "asyncio", "threading", "subprocess", "signal", "time", "os", "random"}
    assert not {name.partition(".")[0] for name, _ in imports_of(path)} & impure


def test_the_supervisor_knows_no_application() -> None:
    """What the supervisor's process loads of the runner is on a short list, and asyncio is not among the rest."""
    code = (
        "import sys, json; before = set(sys.modules); import runner.supervisor.serve;"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    loaded = set(json.loads(run_python(code)))
    parts = {name.split(".")[1] for name in loaded if name.startswith("runner.")}
    assert parts <= SUPERVISOR_KNOWS
    assert not loaded & {"asyncio", "uvloop", "httptools", "werkzeug", "watchfiles", "logging"}


def test_importing_starts_nothing() -> None:
    """After importing every module there is one thread, no child and no descriptor more than before."""
    names = [f"runner.{name_of(path)}" for path in CODE]
    code = (
        "import os, threading, importlib, json\n"
        "before = set(os.listdir('/proc/self/fd'))\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(json.dumps([threading.active_count(), sorted(set(os.listdir('/proc/self/fd')) - before)]))"
    )
    assert json.loads(run_python(code)) == [1, []]


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_a_room_has_one_job(path: Path) -> None:
    """No file is longer than 360 lines, no function longer than 50."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 360
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or node.lineno) - node.lineno <= 50, f"{node.name} is too long"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    """Every module begins with a docstring; one that does something states its laws there."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring
    if path in CODE:
        assert re.search(r"\bLaws?:", docstring), "say what this file must never do or know"


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_a_module_has_its_tests(path: Path) -> None:
    """tests/ mirrors runner/: a module's tests stand in a file of its name."""
    folder = ROOT / "tests" / path.relative_to(PACKAGE).parent
    assert list(folder.glob(f"test_{path.stem}*.py")), f"no tests for {name_of(path)}"


def test_no_room_is_called_anything() -> None:
    """Names that say nothing are taken by nobody."""
    assert not {path.stem for path in MODULES} & {"utils", "helpers", "manager", "common", "misc", "base"}


def test_every_folder_draws_its_map() -> None:
    """The docstring of a folder names each module in it."""
    for folder in {path.parent for path in CODE}:
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        for path in folder.glob("*.py"):
            if path.name not in ("__init__.py", "__main__.py"):
                assert re.search(rf"\b{path.stem}\b", text), f"{folder.name}/__init__.py does not name {path.stem}"


def test_the_readme_shows_every_setting() -> None:
    """The table in README.md is the one that the settings themselves print."""
    assert table() in (ROOT / "README.md").read_text(encoding="utf-8")
