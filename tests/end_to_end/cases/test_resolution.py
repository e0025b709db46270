"""What a name means can change without a change of any file that was read.

A fresh interpreter looks a name up anew; so the places where it was looked for in vain are inputs, too.
"""

from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.cases.modes import EAGER, Mode, each_eye, in_turn
from tests.end_to_end.reloading import FILES, agree, ask, save, value
from tests.support.installation import Installation, install
from tests.support.project import edit
from tests.support.trouble import until as awaited

OPTIONAL = """
try:
    from fast import VALUE
except ImportError:
    VALUE = "slow"
"""
SEARCHED = """
import importlib.util
VALUE = importlib.util.find_spec("extra") is not None
"""
NAMESPACE = """
import sys
sys.path[1:1] = [f"{sys.path[0]}/a", f"{sys.path[0]}/b"]
import shop, pkgutil
VALUE = sorted(each.name for each in pkgutil.iter_modules(shop.__path__)), shop.__file__ is None
"""


@each_eye
@in_turn()
def test_an_optional_import_becomes_available(
    project: Project, runner: Runner, env: dict[str, str], mode: Mode
) -> None:
    """What was caught as missing is there now, first as a module, then as a package beside it, then gone again."""
    place = project({**FILES, "module.py": OPTIONAL})
    served = runner(place, "app:main", *mode, env=env)
    assert ask(served).text == "slow"
    edit(place / "fast.py", value("quick"))
    assert agree(served, place).text == "quick"
    save(place, {"fast/__init__.py": value("quicker")})
    assert agree(served, place).text == "quicker"
    (place / "fast" / "__init__.py").unlink()
    (place / "fast.py").unlink()
    assert agree(served, place, saves=2).text == "slow"


@in_turn()
def test_a_search_without_an_import(project: Project, runner: Runner, mode: Mode) -> None:
    """find_spec told that there is no such module: its appearance is a change."""
    place = project({**FILES, "module.py": SEARCHED})
    served = runner(place, "app:main", *mode)
    assert ask(served).text == "False"
    edit(place / "extra.py", "")
    assert agree(served, place).text == "True"


@in_turn("shadow", ["module", "package", "empty directory"])
def test_a_name_of_the_standard_library(project: Project, runner: Runner, shadow: str, mode: Mode) -> None:
    """A new file or package of that name in the application's directory wins; a directory without code does not."""
    place = project({**FILES, "module.py": "import colorsys\nVALUE = getattr(colorsys, 'MINE', 'theirs')"})
    served = runner(place, "app:main", *mode)
    match shadow:
        case "module":
            edit(place / "colorsys.py", "MINE = 'mine'")
        case "package":
            save(place, {"colorsys/__init__.py": "MINE = 'mine'"})
        case _:
            (place / "colorsys").mkdir()
    assert agree(served, place).text == ("theirs" if shadow == "empty directory" else "mine")


@in_turn()
def test_a_module_in_an_earlier_directory(project: Project, runner: Runner, mode: Mode) -> None:
    """Of two directories on sys.path the first had no such module when it was imported from the second."""
    app = "import sys\nsys.path[1:1] = [f'{sys.path[0]}/first', f'{sys.path[0]}/second']\n" + FILES["app.py"]
    place = project({"app.py": app, "first/other.py": "", "second/module.py": value(1)})
    served = runner(place, "app:main", *mode)
    assert ask(served).text == "1"
    edit(place / "first" / "module.py", value(2))
    assert agree(served, place).text == "2"


@in_turn()
def test_a_directory_of_the_path_appears(project: Project, runner: Runner, mode: Mode) -> None:
    """An entry of sys.path that was not there when modules were looked for comes, with one of them in it."""
    app = "import sys\nsys.path.insert(0, sys.path[0] + '/not/yet')\n" + FILES["app.py"]
    place = project({"app.py": app, "module.py": value(1)})
    served = runner(place, "app:main", *mode)
    save(place, {"ready/yet/module.py": value(2)})
    (place / "ready").rename(place / "not")
    assert agree(served, place).text == "2"


@each_eye
@in_turn()
def test_a_namespace_package(project: Project, runner: Runner, env: dict[str, str], mode: Mode) -> None:
    """A second portion comes, then an `__init__.py` that makes the second one the whole package."""
    place = project({**FILES, "module.py": NAMESPACE, "a/shop/one.py": "", "b/other.py": ""})
    served = runner(place, "app:main", *mode, env=env)
    assert ask(served).text == str((["one"], True))
    save(place, {"b/new/two.py": ""})
    (place / "b" / "new").rename(place / "b" / "shop")
    assert agree(served, place).text == str((["one", "two"], True))
    edit(place / "b" / "shop" / "__init__.py", "")
    assert agree(served, place).text == str((["two"], False))


# ---- installations ----------------------------------------------------------------------------------------------


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An interpreter with a site-packages of its own."""
    return install(tmp_path / "venv")


@in_turn()
def test_an_editable_install_by_path(project: Project, runner: Runner, installation: Installation, mode: Mode) -> None:
    """The line of a .pth file leads elsewhere; a new .pth file adds a place; the file is removed."""
    place = project({"app.py": FILES["app.py"], "one/module.py": value(1), "two/module.py": value(2)})
    (installation.packages / "it.pth").write_text(f"{place}/one\n")
    served = runner(place, "app:main", *mode, python=installation.python)
    assert ask(served).text == "1"
    edit(place / "one" / "module.py", value(10))
    assert agree(served, place, python=installation.python).text == "10"
    edit(installation.packages / "it.pth", f"{place}/two\n")
    assert agree(served, place, python=installation.python).text == "2"
    edit(installation.packages / "a.pth", f"{place}/one\n")
    assert agree(served, place, python=installation.python).text == "10"
    (installation.packages / "a.pth").unlink()
    assert agree(served, place, python=installation.python).text == "2"


FINDER = """
import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
MAPPING = {mapping!r}
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in MAPPING:
            return spec_from_file_location(name, MAPPING[name])
def install():
    sys.meta_path.append(Finder)
"""


@in_turn()
def test_an_editable_install_by_finder(
    project: Project, runner: Runner, installation: Installation, mode: Mode
) -> None:
    """The finder's map leads to a file nobody walks to: the file is edited, then the map leads to another."""
    place = project({"app.py": FILES["app.py"], "one/module.py": value(1), "two/module.py": value(2)})
    finder = installation.packages / "__editable___it_finder.py"
    finder.write_text(FINDER.format(mapping={"module": f"{place}/one/module.py"}))
    (installation.packages / "__editable__.it.pth").write_text(
        "import __editable___it_finder; __editable___it_finder.install()\n"
    )
    served = runner(place, "app:main", *mode, python=installation.python)
    assert ask(served).text == "1"
    edit(place / "one" / "module.py", value(10))
    assert agree(served, place, python=installation.python).text == "10"
    edit(finder, FINDER.format(mapping={"module": f"{place}/two/module.py"}))
    assert agree(served, place, python=installation.python).text == "2"


@in_turn()
def test_a_package_is_installed(project: Project, runner: Runner, installation: Installation, mode: Mode) -> None:
    """A package that was missing is installed, upgraded and removed while the application runs."""
    place = project({**FILES, "module.py": OPTIONAL})
    served = runner(place, "app:main", *mode, python=installation.python)
    assert ask(served).text == "slow"
    for number in (1, 2):
        save(installation.packages, {"fast/__init__.py": "from fast.core import VALUE", "fast/core.py": value(number)})
        assert agree(served, place, saves=2, python=installation.python).text == str(number)
    for name in ("core.py", "__init__.py"):
        (installation.packages / "fast" / name).unlink()
    assert agree(served, place, saves=2, python=installation.python).text == "slow"


@in_turn(modes=EAGER)
def test_an_installation_while_the_interpreter_starts(
    project: Project, runner: Runner, installation: Installation, mode: Mode
) -> None:
    """A .pth file that is saved after the new interpreter has read it, and before it imports anything, counts."""
    place = project({**FILES, "one/it.py": value(1), "two/it.py": value(2), "module.py": "from it import VALUE"})
    gate, entered = place / "gate", place / "entered"
    (installation.packages / "a.pth").write_text(f"{place}/one\n")
    (installation.packages / "z.pth").write_text(
        f"import os; os.path.exists({str(gate)!r}) and (open({str(entered)!r}, 'w').close(), "
        f"[None for _ in iter(lambda: os.path.exists({str(gate)!r}), False)])\n"
    )
    served = runner(place, "app:main", *mode, "--checkpoints", "0", python=installation.python)
    assert ask(served).text == "1"
    gate.touch()
    edit(place / "app.py", FILES["app.py"] + "#\n")
    awaited("the new interpreter has read it", entered.exists, live=served)
    edit(installation.packages / "a.pth", f"{place}/two\n")
    gate.unlink()
    assert agree(served, place, python=installation.python).text == "2"


ENTRY_POINTS = """
from importlib.metadata import entry_points
VALUE = sorted(each.load().NAME for each in entry_points(group="shop.plugins"))
"""


def plugin(packages: Path, name: str, version: str = "1") -> None:
    """Install a distribution with one plugin, as pip does: the code first, what tells of it last."""
    save(packages, {f"{name}.py": f"NAME = {name + version!r}\n"})
    about = f"{name}-{version}.dist-info"
    save(packages, {f"{about}/METADATA": f"Name: {name}\nVersion: {version}\n"})
    save(packages, {f"{about}/entry_points.txt": f"[shop.plugins]\nit = {name}\n"})


@in_turn("where", ["site-packages", "beside the code"])
def test_plugins_by_entry_points(
    project: Project, runner: Runner, installation: Installation, where: str, mode: Mode
) -> None:
    """A distribution with a plugin is installed, another one upgraded: entry_points() would find them."""
    place = project({**FILES, "module.py": ENTRY_POINTS})
    packages = installation.packages if where == "site-packages" else place
    plugin(packages, "red")
    served = runner(place, "app:main", *mode, python=installation.python)
    assert ask(served).text == "['red1']"
    plugin(packages, "blue")
    assert agree(served, place, saves=3, python=installation.python).text == "['blue1', 'red1']"
    (packages / "red-1.dist-info").rename(packages / "red-2.dist-info")
    plugin(packages, "red", "2")
    assert agree(served, place, saves=4, python=installation.python).text == "['blue1', 'red2']"


@in_turn()
def test_a_plugin_changes_its_entry_points(
    project: Project, runner: Runner, installation: Installation, mode: Mode
) -> None:
    """The file that names a distribution's entry points is an input where it was read, in site-packages too."""
    place = project({**FILES, "module.py": ENTRY_POINTS})
    plugin(installation.packages, "red")
    served = runner(place, "app:main", *mode, python=installation.python)
    assert ask(served).text == "['red1']"
    edit(installation.packages / "red-1.dist-info" / "entry_points.txt", "[others]\nit = red\n")
    assert agree(served, place, python=installation.python).text == "[]"
