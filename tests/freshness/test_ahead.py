"""What an import will ask for, had ready before: a directory listed, a module's code read."""

import os
import sys
from collections.abc import Callable
from importlib.machinery import FileFinder, PathFinder, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

from runner.freshness import ahead as module
from runner.freshness.ahead import Ahead
from runner.freshness.bytecode import Bytecode
from runner.freshness.inputs import Inputs
from runner.freshness.recorder import Recorder
from runner.freshness.stamps import stamp
from tests.freshness.recorded import record
from tests.support.project import edit, project, replace
from tests.support.trouble import until

YEAR_2001 = 10**18


@pytest.fixture
def recorder() -> Recorder:
    """Who looks."""
    return Recorder(Inputs(), Bytecode(None))


@pytest.fixture
def finder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileFinder:
    """Python's own, of the folder, which has been so since 2001 by its modification time."""
    finder = FileFinder(str(tmp_path), (SourceFileLoader, [".py"]))
    monkeypatch.setitem(sys.path_importer_cache, str(tmp_path), finder)
    os.utime(tmp_path, ns=(YEAR_2001, YEAR_2001))
    return finder


def secretly(directory: Path, name: str) -> None:
    """Save a module there, and set the time of the directory back, as copying does."""
    before = stamp(str(directory))
    (directory / name).touch()

    def told() -> bool:
        os.utime(directory, ns=(YEAR_2001, YEAR_2001))
        return stamp(str(directory)) != before

    until("the clock of the file system goes on", told)


def test_it_is_listed_once(
    recorder: Recorder, finder: FileFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks for a module there need not list it again, if it is what it was."""
    monkeypatch.setattr(module, "OLD", -1)
    (tmp_path / "a.py").touch()
    os.utime(tmp_path, ns=(YEAR_2001, YEAR_2001))
    recorder.ahead.list_directory(str(tmp_path))
    monkeypatch.setattr(FileFinder, "_fill_cache", None)
    recorder.look_up("a", [str(tmp_path)])
    assert finder.find_spec("a") is not None


def test_what_came_since_is_found(
    recorder: Recorder, finder: FileFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the time that Python goes by is the same again."""
    monkeypatch.setattr(module, "OLD", -1)
    recorder.ahead.list_directory(str(tmp_path))
    secretly(tmp_path, "b.py")
    assert finder.find_spec("b") is None
    recorder.look_up("b", [str(tmp_path)])
    assert finder.find_spec("b") is not None


def test_what_changed_just_now_is_not_listed(recorder: Recorder, finder: FileFinder, tmp_path: Path) -> None:
    """The next change may have the same time."""
    recorder.ahead.list_directory(str(tmp_path))
    secretly(tmp_path, "b.py")
    assert finder.find_spec("b") is not None


def test_where_nothing_is_looked_for(recorder: Recorder, tmp_path: Path) -> None:
    """There nothing is to be listed."""
    recorder.ahead.list_directory(str(tmp_path))
    recorder.ahead.list_directory(str(tmp_path / "none"))
    assert str(tmp_path) not in sys.path_importer_cache


# ---- code -----------------------------------------------------------------------------------------------------------

@pytest.fixture
def ahead(tmp_path: Path) -> Ahead:
    """With a cache."""
    return Ahead(Bytecode(str(tmp_path / "cache")))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A module with X = 1, compiled, that was saved long ago: as far as the clock of the modification times tells."""
    path = tmp_path / "view.py"
    path.write_text("X = 1\n")
    Bytecode(str(tmp_path / "cache")).load(str(path), SourceFileLoader("view", str(path)))
    return path


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is recent."""
    monkeypatch.setattr(module, "is_recent", lambda seen: False)


def taken(ahead: Ahead, path: Path, loader: type[SourceFileLoader] = SourceFileLoader) -> object:
    """What X is by the code that was ready; None if there was none."""
    found = ahead.take(str(path), stamp(str(path)), loader("view", str(path)))
    if found is None:
        return None
    assert found[1] == stamp(str(path))
    space: dict[str, object] = {}
    exec(found[0], space)
    return space["X"]


@pytest.mark.usefixtures("calm")
def test_code_is_taken_once(ahead: Ahead, source: Path) -> None:
    """Who imports it again gets it from the file."""
    ahead.read(str(source))
    assert [taken(ahead, source), taken(ahead, source)] == [1, None]


def test_what_was_saved_a_moment_ago_is_not_read(ahead: Ahead, source: Path) -> None:
    """The next save may be a part of that one."""
    ahead.read(str(source))
    assert taken(ahead, source) is None


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("save", [edit, replace])
def test_what_was_saved_since_is_not_taken(ahead: Ahead, source: Path, save: Callable[[Path, str], None]) -> None:
    """Even of the same size."""
    ahead.read(str(source))
    before = stamp(str(source))

    def saved() -> bool:
        save(source, "X = 2\n")
        return stamp(str(source)) != before

    until("the clock of the file system goes on", saved)
    assert taken(ahead, source) is None


@pytest.mark.usefixtures("calm")
def test_what_is_saved_while_it_is_read_is_not_taken(
    ahead: Ahead, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code may be that of either state."""
    find = Bytecode.find

    def slow(rule: Bytecode, path: str) -> CodeType | None:
        code = find(rule, path)
        replace(source, "X = 2\n")
        return code

    monkeypatch.setattr(Bytecode, "find", slow)
    ahead.read(str(source))
    assert taken(ahead, source) is None


@pytest.mark.usefixtures("calm")
def test_who_makes_code_in_another_way_takes_none(ahead: Ahead, source: Path) -> None:
    """A loader such as those of typeguard and beartype."""

    class Loader(SourceFileLoader):
        def source_to_code(self, data: Any, path: Any) -> CodeType:  # type: ignore[override]
            return super().source_to_code(b"X = 3\n", path)

    ahead.read(str(source))
    assert taken(ahead, source, Loader) is None


@pytest.mark.usefixtures("calm")
def test_what_nobody_has_compiled_is_not_ready(ahead: Ahead, tmp_path: Path) -> None:
    """Nor what is not there."""
    (tmp_path / "new.py").write_text("X = 1\n")
    for path in (tmp_path / "new.py", tmp_path / "none.py"):
        ahead.read(str(path))
        assert taken(ahead, path) is None


# ---- specs ----------------------------------------------------------------------------------------------------------

@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on sys.path, with a module, and a package with a module and a package; nothing of it is young."""
    monkeypatch.setattr(module, "OLD", -1)
    place = project(tmp_path / "project", {
        "view.py": "X = 1", "shop/__init__.py": "", "shop/model.py": "X = 1", "shop/api/__init__.py": "",
    })  # fmt: skip
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none"), str(place), *sys.path])
    monkeypatch.setattr(sys, "path_importer_cache", dict(sys.path_importer_cache))
    (tmp_path / "none").mkdir()
    return place


def found(ahead: Ahead, name: str, where: list[str]) -> object:
    """What a module's spec would be read from, by what was got ready, after a look at what is there now."""
    inputs = Inputs()
    for directory in where:
        inputs.add_lookup(name.rpartition(".")[2], directory)
    spec = ahead.find(name, where, inputs.names)
    return spec and spec.origin


def test_what_will_be_looked_for_is_found_once(ahead: Ahead, shop: Path) -> None:
    """As by Python's own finder; what it works out when it is asked is worked out."""
    ahead.search("view", str(shop / "view.py"))
    spec = ahead._specs["view"].spec
    assert spec == PathFinder.find_spec("view") and type(spec.loader) is SourceFileLoader
    assert found(ahead, "view", sys.path) == str(shop / "view.py")
    assert found(ahead, "view", sys.path) is None


def test_what_lies_in_a_package_that_is_not_there_yet(ahead: Ahead, shop: Path) -> None:
    """It will be found where the package's spec says."""
    for name, file in (("shop", "__init__.py"), ("shop.model", "model.py"), ("shop.api", "api/__init__.py")):
        ahead.search(name, str(shop / "shop" / file))
    assert found(ahead, "shop", sys.path) == str(shop / "shop" / "__init__.py")
    assert found(ahead, "shop.model", [str(shop / "shop")]) == str(shop / "shop" / "model.py")
    assert found(ahead, "shop.api", [str(shop / "shop")]) == str(shop / "shop" / "api" / "__init__.py")


@pytest.mark.parametrize("name", ["view", "other", "shop.model", "gone"])
def test_what_lies_elsewhere_is_not_ready(ahead: Ahead, shop: Path, tmp_path: Path, name: str) -> None:
    """A module that is found in another place than it was, in no place that is searched, or in a package that nobody
    has imported."""
    (tmp_path / "none" / "view.py").touch()
    ahead.search(name, str(shop / ("shop/model.py" if "." in name else f"{name}.py")))
    assert ahead._specs == {}


@pytest.mark.parametrize(
    "new", ["none/view.py", "none/view/__init__.py", "project/view/__init__.py", "project/view.so"]
)
def test_where_something_came_since_it_is_searched_anew(ahead: Ahead, shop: Path, tmp_path: Path, new: str) -> None:
    """What may be meant instead, there or in a folder before that."""
    ahead.search("view", str(shop / "view.py"))
    project(tmp_path, {new: ""})
    assert found(ahead, "view", sys.path) is None


@pytest.mark.parametrize("change", [
    lambda place: (place / "shop" / "__init__.py").unlink(),
    lambda place: (place / "shop" / "__init__.so").touch(),
    lambda place: (place / "shop.py").touch(),
], ids=["no __init__", "another __init__", "a module"])  # fmt: skip
def test_what_is_no_longer_that_package(ahead: Ahead, shop: Path, change: Callable[[Path], None]) -> None:
    """It is searched anew, although a module of that name would come after it."""
    ahead.search("shop", str(shop / "shop" / "__init__.py"))
    change(shop)
    assert found(ahead, "shop", sys.path) is None


def test_other_names_that_came_are_nothing_to_it(ahead: Ahead, shop: Path) -> None:
    """As when an editor saves by renaming."""
    ahead.search("view", str(shop / "view.py"))
    replace(shop / "view.py", "X = 2")
    project(shop, {"views.py": "", "aview.py": "", "view.txt": ""})
    assert found(ahead, "view", sys.path) == str(shop / "view.py")


def test_where_nobody_has_looked_nothing_is_found(ahead: Ahead, shop: Path) -> None:
    """What is there now is not known."""
    ahead.search("view", str(shop / "view.py"))
    assert ahead.find("view", sys.path, {}) is None


def test_those_who_go_on_get_ready_by_themselves(ahead: Ahead, shop: Path) -> None:
    """What was ready for whoever is paused would be memory for nothing."""
    ahead.search("view", str(shop / "view.py"))
    ahead.rest()
    assert found(ahead, "view", sys.path) is None


@pytest.mark.parametrize("change", ["path", "finder"])
def test_where_another_search_is_made_another_spec_is(
    ahead: Ahead, shop: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application has changed sys.path, or who searches a folder."""
    ahead.search("view", str(shop / "view.py"))
    if change == "path":
        monkeypatch.setattr(sys, "path", sys.path[1:])
    else:
        sys.path_importer_cache[str(shop)] = FileFinder(str(shop), (SourceFileLoader, [".py"]))
    assert found(ahead, "view", sys.path) is None


def test_what_others_search_is_left_to_them(ahead: Ahead, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook of somebody else's is not called ahead."""

    def hook(path: str) -> Any:
        raise AssertionError(path)

    monkeypatch.setattr(sys, "path_hooks", [hook, *sys.path_hooks])
    ahead.search("view", str(shop / "view.py"))
    assert ahead._specs == {}


@pytest.mark.parametrize(
    "text", ["def __getattr__(name): raise RuntimeError(name)", "__path__ = iter('x')", "__path__ = 1"]
)
def test_a_package_is_not_asked(ahead: Ahead, shop: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of its code runs; what it says in another way than Python's is not understood."""
    package = ModuleType("odd")
    exec(text, vars(package))
    monkeypatch.setitem(sys.modules, "odd", package)
    ahead.search("odd.view", str(shop / "view.py"))
    assert ahead._specs == {}


def test_a_package_without_init(ahead: Ahead, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A namespace."""
    (shop / "space").mkdir()
    (shop / "space" / "part.py").touch()
    spec = PathFinder.find_spec("space")
    assert spec is not None
    monkeypatch.setitem(sys.modules, "space", module_from_spec(spec))
    ahead.search("space.part", str(shop / "space" / "part.py"))
    assert found(ahead, "space.part", [str(shop / "space")]) == str(shop / "space" / "part.py")


def test_what_is_built_in_is_found_there(ahead: Ahead, shop: Path) -> None:
    """Before any file."""
    (shop / "time.py").touch()
    ahead.search("time", str(shop / "time.py"))
    assert ahead._specs == {}


# ---- in an import ---------------------------------------------------------------------------------------------------

READY = """
import sys
from runner.freshness import ahead
ahead.is_recent, ahead.OLD = lambda seen: False, -1
recorder = sys.meta_path[0]._recorder
with recorder.own_reads():
    recorder.ahead.search("view", {path!r})
    recorder.ahead.read({path!r})
assert "view" in recorder.ahead._specs
"""
SHUT = "recorder._bytecode.load = ahead.PathFinder.find_spec = None"
IMPORT = """
import view
print(view.X)
"""
ASKED = """
class Other:
    def find_spec(self, name, path, target):
        print("asked for", name)
        return importlib.util.spec_from_file_location(name, {other!r}) if {finds} else None
import importlib.util
sys.meta_path.insert({place}, Other())
"""


@pytest.fixture
def compiled(tmp_path: Path) -> tuple[Path, Path]:
    """A folder, and a cache in which its module's code is."""
    place, cache = project(tmp_path / "project", {"view.py": "X = 1", "other/view.py": "X = 2"}), tmp_path / "cache"
    record(place, "import view", cache=cache)
    return place, cache


def test_an_import_takes_what_is_ready(compiled: tuple[Path, Path]) -> None:
    """And notes where it was looked for, and its file, as if it had searched and read it now."""
    place, cache = compiled
    seen = record(place, READY.format(path=str(place / "view.py")) + SHUT + IMPORT, cache=cache)
    assert (seen.output, seen.changed) == ("1\n", [])
    assert "view.py" in seen.files
    assert seen.names[str(place)]["view"] == ["view.py"]


@pytest.mark.parametrize("finds", [False, True])
@pytest.mark.parametrize("place", [0, 1])
def test_others_who_search_are_asked_first(compiled: tuple[Path, Path], place: int, finds: bool) -> None:
    """Once, wherever they stand before the finder of files; what they find is what is imported."""
    directory, cache = compiled
    asked = ASKED.format(other=str(directory / "other" / "view.py"), finds=finds, place=place)
    seen = record(directory, READY.format(path=str(directory / "view.py")) + asked + IMPORT, cache=cache)
    assert seen.output == f"asked for view\n{2 if finds else 1}\n"


def test_one_that_is_asked_in_another_way_is(compiled: tuple[Path, Path]) -> None:
    """By importlib, until Python 3.11; then it is no finder."""
    place, cache = compiled
    old = "class Old:\n    def find_module(self, name, path=None): print('asked')\nsys.meta_path.insert(1, Old())\n"
    quiet = "import warnings\nwarnings.simplefilter('ignore')\n"
    seen = record(place, READY.format(path=str(place / "view.py")) + quiet + old + IMPORT, cache=cache)
    assert seen.output == ("asked\n1\n" if sys.version_info < (3, 12) else "1\n")


@pytest.mark.parametrize("taken", ["recorder", "others"])
def test_who_asks_us_by_another_way_gets_what_python_finds(compiled: tuple[Path, Path], taken: str) -> None:
    """We are not in the list, or the finder of files is not."""
    place, cache = compiled
    code = "found = sys.meta_path[0]\nsys.meta_path[:] = [found] if {!r} == 'others' else sys.meta_path[1:]\n"
    ask = "recorder.look_up('view', sys.path)\nprint(found.find_spec('view'))\n"
    seen = record(place, READY.format(path=str(place / "view.py")) + code.format(taken) + ask, cache=cache)
    assert seen.output == "None\n"
