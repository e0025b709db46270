"""An application of modules that import each other at random, and somebody who edits them at random.

Modules note when they run, in which order, and what they find: so an answer tells apart any two ways in which the
application might have come into being. Some are imported late, by a request; some may fail, or be absent; some are in
packages with and without `__init__.py`; some change what others see while they are imported; some ask for modules of
others, which may have been loaded before.
Start at Graph.
"""

import random
from collections.abc import Callable
from pathlib import Path

MODULES = 14
"""m0 to m13; each imports only modules of a higher number, and what is absent."""

APP = """
import os, sys
import trace_of
for name in {imports}:
    try:
        __import__(name)
    except Exception as error:
        trace_of.TRACE.append(f"{{name}} fails: {{type(error).__name__}}")
def main(environ, start_response):
    late = environ["QUERY_STRING"]
    if late:
        try:
            __import__(late)
        except Exception as error:
            trace_of.TRACE.append(f"{{late}} fails: {{type(error).__name__}}")
    loaded = [name for name in {foreign!r} if name in sys.modules]
    loaded += sorted(name for name in sys.modules if name.partition(".")[0] in ("pack", "space") or name[:1] == "m"
                    and name[1:].isdigit())
    start_response("200 OK", [("Content-Type", "text/plain")])
    text = [*trace_of.TRACE, *loaded, os.environ.get("GRAPH", ""), str(len(sys.path))]
    return ["\\n".join(text).encode()]
"""
FOREIGN = ("sqlite3", "wave", "plistlib", "colorsys")
"""Of the standard library; nothing else here imports them, so who has them has asked for them."""
TRACE_OF = "TRACE = []\n"


class Graph:
    """In *directory*, by *dice*."""

    def __init__(self, directory: Path, dice: random.Random) -> None:
        self._directory = directory
        self._dice = dice
        self._edits = 0
        names = [f"m{number}" for number in range(MODULES)]
        chosen = sorted(dice.sample(range(MODULES // 2), 4))
        self._write("trace_of.py", TRACE_OF)
        self._write("app.py", APP.format(foreign=FOREIGN, imports=[f"m{number}" for number in chosen]))
        (directory / "pack").mkdir()
        (directory / "space").mkdir()
        self._write("pack/__init__.py", self._module("pack", MODULES))
        for place in ("pack", "space"):
            self._write(f"{place}/part.py", self._module(f"{place}.part", MODULES))
        for number, name in enumerate(names):
            self._write(f"{name}.py", self._module(name, number))

    def late(self) -> str:
        """The name of a module that a request may import."""
        return f"m{self._dice.randrange(MODULES)}"

    def edit(self) -> str:
        """Save something, in one of many ways; what was done."""
        self._edits += 1
        ways: list[Callable[[], str]] = [
            self._rewrite, self._rewrite, self._rewrite, self._touch, self._break, self._remove, self._make_package,
            self._shadow, self._toggle_init, self._main,
        ]  # fmt: skip
        return self._dice.choice(ways)()

    def heal(self) -> None:
        """Save an app.py that imports nothing of what may fail, different each time."""
        self._edits += 1
        self._write("app.py", APP.format(foreign=FOREIGN, imports=[]) + f"# edit {self._edits}\n")

    # ---- ways ---------------------------------------------------------------------------------------------------

    def _rewrite(self) -> str:
        name, path = self._any()
        self._write(path, self._module(name, self._number(name)))
        return f"{path} is rewritten"

    def _touch(self) -> str:
        _, path = self._any()
        if (self._directory / path).exists():
            (self._directory / path).touch()
        return f"{path} is touched"

    def _break(self) -> str:
        _, path = self._any()
        wrong = ["def broken(:\n", "1 / 0\n", "import absent_altogether\n", "x = undefined\n"]
        self._write(path, self._dice.choice(wrong))
        return f"{path} is broken"

    def _remove(self) -> str:
        _, path = self._any()
        (self._directory / path).unlink(missing_ok=True)
        return f"{path} is removed"

    def _make_package(self) -> str:
        name = self._plain()
        (self._directory / name).mkdir(exist_ok=True)
        self._write(f"{name}/__init__.py", self._module(name, self._number(name)))
        return f"{name} is a package"

    def _shadow(self) -> str:
        number = self._dice.randrange(3)
        path = self._directory / f"optional{number}.py"
        if path.exists():
            path.unlink()
            return f"{path.name} is removed"
        self._write(path.name, self._module(f"optional{number}", MODULES))
        return f"{path.name} is there"

    def _toggle_init(self) -> str:
        path = self._directory / self._dice.choice(["pack", "space"]) / "__init__.py"
        if path.exists():
            path.unlink()
            return f"{path} is removed"
        self._write(str(path.relative_to(self._directory)), self._module(path.parent.name, MODULES))
        return f"{path} is there"

    def _main(self) -> str:
        chosen = self._dice.sample(range(MODULES), self._dice.randrange(1, 6))
        if self._dice.random() < 0.2:
            self._write("app.py", f"import m{chosen[0]}, absent_altogether\n")
            return "app.py cannot be imported"
        self._write("app.py", APP.format(foreign=FOREIGN, imports=[f"m{number}" for number in chosen]))
        return f"app.py imports {chosen}"

    # ---- texts --------------------------------------------------------------------------------------------------

    def _module(self, name: str, number: int) -> str:
        """Notes that it runs, does something, notes what it found."""
        dice = self._dice
        lines = ["import trace_of, os, sys", f"trace_of.TRACE.append({f'{name} begins, edit {self._edits}'!r})"]
        for _ in range(dice.randrange(3)):
            lines += self._import(number)
        lines += dice.choice([
            [], [], [f"os.environ['GRAPH'] = os.environ.get('GRAPH', '') + {name!r}"],
            [f"sys.path.append({f'/nowhere/{name}'!r})"], ["trace_of.TRACE.append(os.environ.get('GRAPH', '-'))"],
            ["trace_of.COUNT = getattr(trace_of, 'COUNT', 0) + 1", "trace_of.TRACE.append(str(trace_of.COUNT))"],
            ["if os.environ.get('GRAPH'): raise RuntimeError('seen')"],
        ])  # fmt: skip
        return "\n".join([*lines, f"VALUE = {dice.randrange(1000)}", f"trace_of.TRACE.append({f'{name} ends'!r})", ""])

    def _import(self, number: int) -> list[str]:
        dice = self._dice
        higher = [f"m{other}" for other in range(number + 1, MODULES)]
        others = [*FOREIGN, "pack.part", "space.part", *(f"optional{number}" for number in range(3))]
        wanted = dice.choice([*higher, *higher, *others])
        if dice.random() < 0.5 and not wanted.startswith("optional"):
            return [f"import {wanted}"]
        return [
            "try:", f"    import {wanted}", "except Exception as error:",
            f"    trace_of.TRACE.append(f'{wanted}: {{type(error).__name__}}')",
        ]  # fmt: skip

    # ---- places -------------------------------------------------------------------------------------------------

    def _plain(self) -> str:
        return f"m{self._dice.randrange(MODULES)}"

    def _any(self) -> tuple[str, str]:
        name = self._dice.choice([self._plain(), self._plain(), self._plain(), "pack.part", "space.part"])
        return name, f"{name.replace('.', '/')}.py"

    def _number(self, name: str) -> int:
        return int(name[1:]) if name[1:].isdigit() else MODULES

    def _write(self, path: str, text: str) -> None:
        (self._directory / path).parent.mkdir(exist_ok=True)
        (self._directory / path).write_text(text, encoding="utf-8")
