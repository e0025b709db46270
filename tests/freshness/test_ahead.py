"""What an import will ask for, had ready before: a directory listed, a module's code read."""

import contextlib
import os
import sys
from collections.abc import Callable
from importlib.machinery import FileFinder, PathFinder, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple, cast

import pytest

from runner.freshness import ahead as module
from runner.freshness.additions import Additions, File, Lookup
from runner.freshness.ahead import Ahead, Step
from runner.freshness.bytecode import Bytecode
from runner.freshness.inputs import Inputs
from runner.freshness.recorder import Recorder
from runner.freshness.stamps import is_recent, stamp
from tests.freshness.recorded import record
from tests.support.project import project, replace
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


# ---- steps: the code ------------------------------------------------------------------------------------------------

class Shop(NamedTuple):
    """A folder on sys.path, what is noted of an import there, and what is had ready for it."""

    place: Path
    inputs: Inputs
    ahead: Ahead

    def get_ready(self, name: str, file: str = "") -> bool:
        """Whether a step is ready for that module, of that file."""
        self.ahead.get_ready(name, str(self.place / (file or f"{name}.py")))
        return name in self.ahead._steps

    def find(self, name: str, where: list[str] | None = None) -> str | None:
        """What the spec that was ready would be read from."""
        spec = self.ahead.find(name, sys.path if where is None else where)
        return spec.origin if spec is not None else None

    def take(self, name: str = "view") -> Step | None:
        """The step, once it was found."""
        spec = self.ahead.find(name, sys.path)
        return None if spec is None else self.ahead.take(name, cast("SourceFileLoader", spec.loader))


FILES = {"view.py": "X = 1", "shop/__init__.py": "", "shop/model.py": "X = 1", "shop/api/__init__.py": ""}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """With a module, and a package with a module and a package; all are compiled, and nothing is recent."""
    monkeypatch.setattr(module, "OLD", -1)
    for rule in ("is_recent", "is_young"):
        monkeypatch.setattr(module, rule, lambda seen: False)
    place = project(tmp_path / "project", FILES)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none"), str(place), *sys.path])
    monkeypatch.setattr(sys, "path_importer_cache", dict(sys.path_importer_cache))
    (tmp_path / "none").mkdir()
    bytecode, inputs = Bytecode(str(tmp_path / "cache")), Inputs()
    for file in FILES:
        bytecode.load(str(place / file), SourceFileLoader("any", str(place / file)))
    for directory in sys.path:
        if not os.path.isdir(directory):
            inputs.add_file(directory)
    inputs.take_additions()
    return Shop(place, inputs, Ahead(inputs, bytecode))


def test_a_step_is_taken_once(shop: Shop) -> None:
    """Who imports it again gets it from the file."""
    assert shop.get_ready("view")
    step = shop.take()
    assert step is not None
    space: dict[str, object] = {}
    exec(step.code, space)
    assert (space["X"], step.file) == (1, File(str(shop.place / "view.py"), stamp(str(shop.place / "view.py"))))
    assert shop.take() is None


def test_it_tells_what_is_noted(shop: Shop) -> None:
    """In the order of the search, the file last; and in the words of the journal."""
    assert shop.get_ready("shop", "shop/__init__.py")
    step = shop.take("shop")
    assert step is not None
    seen = [(item.directory, set(item.names)) for item in step.items if isinstance(item, Lookup)]
    inside = str(shop.place / "shop"), {"__init__.py"}
    assert seen[:3] == [(sys.path[0], set()), (str(shop.place), {"shop"}), inside]
    assert step.items[-1] == step.file
    assert step.line == Additions(step.items).to_line("shop")


def test_its_look_ups_are_noted_when_it_is_found(shop: Shop) -> None:
    """As by a search; and nothing before that."""
    assert shop.get_ready("view")
    assert shop.inputs.take_additions().items == [] and not shop.inputs.names
    step = shop.take()
    assert step is not None
    found = Inputs()
    for directory in filter(os.path.isdir, sys.path):
        found.add_lookup("view", directory)
    assert shop.inputs.names == found.names
    assert [*shop.inputs.take_additions().items, step.file] == step.items


def test_what_was_saved_a_moment_ago_is_not_ready(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next save may be a part of that one."""
    monkeypatch.setattr(module, "is_recent", is_recent)
    assert not shop.get_ready("view")


def test_where_a_name_came_a_moment_ago_none_is_ready(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one may come without another stamp of the folder."""
    monkeypatch.setattr(module, "is_young", lambda seen: seen == stamp(str(shop.place)))
    assert not shop.get_ready("view")


def test_what_is_saved_while_it_is_read_is_not_ready(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code may be that of either state."""
    find = Bytecode.find

    def slow(rule: Bytecode, path: str) -> CodeType | None:
        code = find(rule, path)
        replace(Path(path), "X = 2\n")
        return code

    monkeypatch.setattr(Bytecode, "find", slow)
    assert not shop.get_ready("view")


def test_another_loader_takes_none(shop: Shop) -> None:
    """One such as those of typeguard and beartype, for which somebody has searched on his own; or another module's."""
    assert shop.get_ready("view")
    spec = shop.ahead.find("view", sys.path)
    assert spec is not None and spec.loader is not None
    assert shop.ahead.take("view", SourceFileLoader("view", str(spec.origin))) is None
    assert shop.ahead.take("view", cast("SourceFileLoader", spec.loader)) is None


def test_who_loads_it_by_another_name_takes_none(shop: Shop) -> None:
    """That is an error, which the loader will raise."""
    assert shop.get_ready("view")
    spec = shop.ahead.find("view", sys.path)
    assert spec is not None
    assert shop.ahead.take("other", cast("SourceFileLoader", spec.loader)) is None


def test_what_nobody_has_compiled_is_not_ready(shop: Shop) -> None:
    """Nor what is not there."""
    (shop.place / "new.py").write_text("X = 1\n")
    assert not shop.get_ready("new") and not shop.get_ready("gone")


@pytest.mark.parametrize("make", [os.link, os.symlink])
def test_what_has_two_names_is_not_ready(shop: Shop, make: Callable[[Path, Path], None]) -> None:
    """It can be saved by the other one, of which more must be noted."""
    (shop.place / "view.py").rename(shop.place / "other.txt")
    make(shop.place / "other.txt", shop.place / "view.py")
    assert not shop.get_ready("view")


# ---- steps: where a module is ---------------------------------------------------------------------------------------

def test_what_will_be_looked_for_is_found_once(shop: Shop) -> None:
    """As by Python's own finder; what it works out when it is asked is worked out."""
    assert shop.get_ready("view")
    spec = shop.ahead._steps["view"].spec
    assert spec == PathFinder.find_spec("view") and type(spec.loader) is SourceFileLoader
    assert shop.find("view") == str(shop.place / "view.py")
    assert shop.find("view") is None


def test_what_lies_in_a_package_that_is_not_there_yet(shop: Shop) -> None:
    """It will be found where the package's spec says."""
    inside = [str(shop.place / "shop")]
    for name, file in (("shop", "__init__.py"), ("shop.model", "model.py"), ("shop.api", "api/__init__.py")):
        assert shop.get_ready(name, f"shop/{file}")
    assert shop.find("shop") == str(shop.place / "shop" / "__init__.py")
    assert shop.find("shop.model", inside) == str(shop.place / "shop" / "model.py")
    assert shop.find("shop.api", inside) == str(shop.place / "shop" / "api" / "__init__.py")


def test_what_lies_in_a_package_that_has_just_been_saved(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """That one is imported as ever; what follows it need not be."""
    recent = stamp(str(shop.place / "shop" / "__init__.py"))
    monkeypatch.setattr(module, "is_recent", lambda seen: seen == recent)
    assert not shop.get_ready("shop", "shop/__init__.py")
    assert shop.get_ready("shop.model", "shop/model.py")


@pytest.mark.parametrize("name", ["view", "other", "shop.model", "gone"])
def test_what_lies_elsewhere_is_not_ready(shop: Shop, name: str) -> None:
    """A module that is found in another place than it was, in no place that is searched, or in a package that nobody
    has imported."""
    (shop.place.parent / "none" / "view.py").touch()
    assert not shop.get_ready(name, "shop/model.py" if "." in name else "")


@pytest.mark.parametrize(
    "new", ["none/view.py", "none/view/__init__.py", "project/view/__init__.py", "project/view.so"]
)
@pytest.mark.parametrize("early", [True, False])
def test_where_something_came_since_it_is_searched_anew(shop: Shop, new: str, early: bool) -> None:
    """What may be meant instead, there or in a folder before that; also if somebody has looked for it before."""
    if early:
        for directory in sys.path[:2]:
            shop.inputs.add_lookup("view", directory)
    assert shop.get_ready("view")
    before = [stamp(each) for each in sys.path[:2]]

    def told() -> bool:
        project(shop.place.parent, {new: ""})
        (shop.place / "tick.txt").touch()
        (shop.place / "tick.txt").unlink()
        return [stamp(each) for each in sys.path[:2]] != before

    until("the clock of the file system goes on", told)
    # Whoever has looked before is told of the change by others: see freshness.watch.
    assert shop.find("view") == (str(shop.place / "view.py") if early else None)


@pytest.mark.parametrize("change", [
    lambda place: (place / "shop" / "__init__.py").unlink(),
    lambda place: (place / "shop" / "__init__.so").touch(),
    lambda place: (place / "shop.py").touch(),
], ids=["no __init__", "another __init__", "a module"])  # fmt: skip
def test_what_is_no_longer_that_package(shop: Shop, change: Callable[[Path], None]) -> None:
    """It is searched anew, although a module of that name would come after it."""
    assert shop.get_ready("shop", "shop/__init__.py")
    before = stamp(str(shop.place)), stamp(str(shop.place / "shop"))

    def told() -> bool:
        with contextlib.suppress(FileNotFoundError):
            change(shop.place)
        return (stamp(str(shop.place)), stamp(str(shop.place / "shop"))) != before

    until("the clock of the file system goes on", told)
    assert shop.find("shop") is None


def test_other_findings_than_expected_are_not_believed(shop: Shop) -> None:
    """Somebody has looked for it, and found something else."""
    assert shop.get_ready("view")
    shop.inputs.names[str(shop.place)] = {"view": frozenset({"view.so"})}
    assert shop.find("view") is None


def test_those_who_go_on_get_ready_by_themselves(shop: Shop) -> None:
    """What was ready for whoever is paused would be memory for nothing."""
    assert shop.get_ready("view")
    shop.ahead.rest()
    assert shop.find("view") is None


def test_what_is_imported_late_is_searched_anew(shop: Shop) -> None:
    """Nobody proves that, so each look has to be one."""
    recorder = Recorder(shop.inputs, shop.ahead._bytecode)
    recorder.ahead.get_ready("view", str(shop.place / "view.py"))
    assert recorder.ahead._steps
    recorder.settle()
    assert recorder.ahead.find("view", sys.path) is None


@pytest.mark.parametrize("change", ["path", "finder"])
def test_where_another_search_is_made_another_spec_is(
    shop: Shop, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application has changed sys.path, or who searches a folder."""
    assert shop.get_ready("view")
    if change == "path":
        monkeypatch.setattr(sys, "path", sys.path[1:])
    else:
        place = str(shop.place)
        sys.path_importer_cache[place] = FileFinder(place, (SourceFileLoader, [".py"]))
    assert shop.find("view") is None


def test_what_others_search_is_left_to_them(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook of somebody else's is not called ahead."""

    def hook(path: str) -> Any:
        raise AssertionError(path)

    monkeypatch.setattr(sys, "path_hooks", [hook, *sys.path_hooks])
    assert not shop.get_ready("view")


@pytest.mark.parametrize("odd", ["", "relative", Path("/path"), "/none/at/all"])
def test_where_the_places_are_not_all_known_none_is_ready(
    shop: Shop, odd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What will be noted of them then is not certain."""
    monkeypatch.setattr(sys, "path", [*sys.path, odd])
    assert not shop.get_ready("view")


def test_a_broken_link_makes_a_folder_uncertain(shop: Shop) -> None:
    """Where it leads something can come to be."""
    (shop.place / "link.py").symlink_to("nowhere.py")
    assert not shop.get_ready("view")


@pytest.mark.parametrize(
    "text", ["def __getattr__(name): raise RuntimeError(name)", "__path__ = iter('x')", "__path__ = 1"]
)
def test_a_package_is_not_asked(shop: Shop, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of its code runs; what it says in another way than Python's is not understood."""
    package = ModuleType("odd")
    exec(text, vars(package))
    monkeypatch.setitem(sys.modules, "odd", package)
    assert not shop.get_ready("odd.view", "view.py")


def test_a_package_without_init(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A namespace."""
    (shop.place / "space").mkdir()
    (shop.place / "shop" / "model.py").rename(shop.place / "space" / "part.py")
    part = str(shop.place / "space" / "part.py")
    shop.ahead._bytecode.load(part, SourceFileLoader("space.part", part))
    spec = PathFinder.find_spec("space")
    assert spec is not None
    monkeypatch.setitem(sys.modules, "space", module_from_spec(spec))
    assert shop.get_ready("space.part", "space/part.py")
    assert shop.find("space.part", [str(shop.place / "space")]) == part


def test_what_is_built_in_is_found_there(shop: Shop) -> None:
    """Before any file."""
    (shop.place / "view.py").rename(shop.place / "time.py")
    assert not shop.get_ready("time")


# ---- in an import ---------------------------------------------------------------------------------------------------

READY = """
import sys
from runner.freshness import ahead
ahead.is_recent, ahead.is_young, ahead.OLD = lambda seen: False, lambda seen: False, -1
recorder = sys.meta_path[0]._recorder
with recorder.own_reads():
    recorder.look_up("none", sys.path)
    recorder.ahead.get_ready("view", {path!r})
assert "view" in recorder.ahead._steps
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


ABOUT = "recorder.about = lambda name, path: print('about', name, path.rpartition('/')[2])\n"
JOURNAL = r"""
def started(line):
    items = ahead.Additions.from_json(line.decode().partition("\t")[0]).items
    print(*[item.path.rpartition("/")[2] if hasattr(item, "path") else item.stem for item in items], line[-5:])
recorder.inputs.take_additions()
recorder.started = started
"""


@pytest.mark.parametrize("ready", [True, False])
def test_the_journal_says_the_same(compiled: tuple[Path, Path], ready: bool) -> None:
    """Whether a step was ready or not: the look-ups, the file, the name; and who asks hears of it before that."""
    place, cache = compiled
    told = JOURNAL + ABOUT
    forget = SHUT if ready else "recorder.ahead.rest()"
    seen = record(place, READY.format(path=str(place / "view.py")) + told + forget + IMPORT, cache=cache)
    about, line, value = seen.output.splitlines()
    assert (about, value) == ("about view view.py", "1")
    *stems, file, name = line.split()
    assert (set(stems), file, name) == ({"view"}, "view.py", r"b'view\n'")


def test_a_file_that_is_saved_after_the_search_is_read(compiled: tuple[Path, Path]) -> None:
    """The last look at it comes when its code is asked for."""
    place, cache = compiled
    path = str(place / "view.py")
    save = f"recorder.about = lambda name, path: open({path!r}, 'w').write('X = 22')\n"
    seen = record(place, READY.format(path=path) + save + IMPORT, cache=cache)
    assert (seen.output, seen.changed) == ("22\n", [])


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
