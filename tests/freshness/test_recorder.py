"""What an import reads is noted, however it reads it; and nothing else is."""

import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.freshness.recorded import record
from tests.support.installation import install
from tests.support.project import project

EDITABLE = """
import importlib.util, sys
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "remote":
            return importlib.util.spec_from_file_location(name, {path!r})
sys.meta_path.insert(0, Finder)
import remote
"""
FROM_LOCATION = """
import importlib.util
spec = importlib.util.spec_from_file_location("plug-in", {path!r})
importlib.util.module_from_spec(spec)
spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""
HOOKED = """
import importlib.machinery, sys
class Loader(importlib.machinery.SourceFileLoader):
    pass
sys.path_hooks.insert(0, importlib.machinery.FileFinder.path_hook((Loader, [".py"])))
sys.path_importer_cache.clear()
import module
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder for the scratch project."""
    directory = tmp_path / "project"
    directory.mkdir()
    return directory


def test_modules_and_packages(place: Path) -> None:
    """Every source that an import runs is a file of the application, and no .pyc is."""
    project(place, {"app.py": "import shop.view", "shop/__init__.py": "", "shop/view.py": "X = 1"})
    seen = record(place, "import app")
    assert {"app.py", "shop/__init__.py", "shop/view.py"} <= seen.files
    assert not [path for path in seen.files if path.endswith(".pyc")]
    assert seen.changed == []


@pytest.mark.parametrize("code", [EDITABLE, FROM_LOCATION], ids=["editable finder", "spec_from_file_location"])
def test_modules_that_no_path_leads_to(place: Path, tmp_path: Path, code: str) -> None:
    """A source found by an editable install's own finder, or loaded by its location, is noted too."""
    elsewhere = tmp_path / "elsewhere" / "remote.py"
    project(tmp_path, {"elsewhere/remote.py": "X = 1"})
    assert str(elsewhere) in record(place, code.format(path=str(elsewhere))).files


def test_path_hooks(place: Path) -> None:
    """A source that comes through somebody's path hook is noted."""
    project(place, {"module.py": "X = 1"})
    assert "module.py" in record(place, HOOKED).files


def test_zip_archives(place: Path) -> None:
    """Of an import from a zip archive the archive is the input."""
    with ZipFile(place / "lib.zip", "w") as archive:
        archive.writestr("zipped.py", "X = 1")
    assert "lib.zip" in record(place, "import sys; sys.path.append('lib.zip'); import zipped").files


def test_extension_modules(place: Path) -> None:
    """A shared library that is imported is noted before it is loaded."""
    code = "import _elementtree" if _is_shared("_elementtree") else "import httptools.parser.parser"
    files = record(place, code).files
    assert [path for path in files if path.endswith(sysconfig.get_config_var("EXT_SUFFIX"))]


def test_sourceless_modules(place: Path) -> None:
    """A .pyc that is a module itself, without a source, is an input."""
    project(place, {"bare.py": "X = 1"})
    record(place, "import py_compile; py_compile.compile('bare.py', 'bare.pyc')")
    (place / "bare.py").unlink()
    seen = record(place, "import bare; print(bare.X)")
    assert (seen.output, "bare.pyc" in seen.files) == ("1\n", True)


def test_late_modules_without_a_source(place: Path) -> None:
    """A .pyc that is a module itself, and a zip archive, are inputs too when a request imports them."""
    project(place, {"bare.py": "X = 1"})
    record(place, "import py_compile; py_compile.compile('bare.py', 'bare.pyc')")
    (place / "bare.py").unlink()
    with ZipFile(place / "lib.zip", "w") as archive:
        archive.writestr("zipped.py", "X = 1")
    seen = record(place, "import sys", late="sys.path.append('lib.zip'); import bare, zipped")
    assert {"bare.pyc", "lib.zip"} <= seen.late


def test_failed_look_ups(place: Path) -> None:
    """A module that was looked for and is absent is an input: its appearance is a change."""
    seen = record(place, "try:\n import ujson_not_here\nexcept ImportError: pass")
    assert seen.names[str(place)]["ujson_not_here"] == []


def test_a_place_of_sys_path_that_is_not_there(place: Path) -> None:
    """An entry of sys.path that does not exist yet is an input."""
    assert "later" in record(place, f"import sys; sys.path.append({str(place / 'later')!r}); import colorsys").files


def test_namespace_packages(place: Path) -> None:
    """A directory that is a package without __init__.py is asked for one, so that its appearance is a change."""
    project(place, {"space/inner.py": "X = 1"})
    seen = record(place, "import space.inner")
    assert "space/inner.py" in seen.files
    assert seen.names[str(place / "space")]["__init__"] == []


def test_data_read_while_importing(place: Path) -> None:
    """What the application opens for reading while it is imported is an input; later it is its own affair."""
    project(place, {".env": "A=1", "conf/app.toml": "a = 1", "late.txt": ""})
    seen = record(place, "open('.env').read(); import tomllib; tomllib.load(open('conf/app.toml', 'rb'))",
                  late="open('late.txt').read()")  # fmt: skip
    assert {".env", "conf/app.toml"} <= seen.files
    assert seen.late == set()


def test_data_that_is_not_there(place: Path) -> None:
    """A file that the application tried to open in vain is an input, absent."""
    assert "local.toml" in record(place, "try:\n open('local.toml')\nexcept OSError: pass").files


def test_what_is_written_is_no_input(place: Path) -> None:
    """A log, a database or a file made new is not read, so it is none of the inputs."""
    code = "import sqlite3, os\nopen('app.log', 'a').write('x')\nsqlite3.connect('db').execute('create table t (x)')"
    seen = record(place, code)
    assert seen.files.isdisjoint({"app.log", "db"})


def test_own_writes_are_accepted(place: Path) -> None:
    """An application that changes while it is imported what it has read is fresh all the same, or it never could be."""
    project(place, {"count": "1"})
    code = "n = int(open('count').read()); open('count', 'w').write(str(n + 1))\n"
    code += "open('made.py', 'w').write('X = 1')\nimport made, os\nos.remove('made.py')"
    seen = record(place, code)
    assert "count" in seen.files
    assert seen.changed == []


def test_late_imports(place: Path) -> None:
    """A module that a request imports is noted like any other, and so is what it could not find."""
    project(place, {"late.py": "try:\n import absent\nexcept ImportError: pass"})
    seen = record(place, "pass", late="import late")
    assert "late.py" in seen.late
    assert seen.names[str(place)]["absent"] == []


def test_the_own_cache_is_no_input(place: Path, tmp_path: Path) -> None:
    """What the runner reads for itself, its bytecode cache, is not noted."""
    project(place, {"app.py": "X = 1"})
    cache = tmp_path / "cache"
    for _ in range(2):
        assert not [path for path in record(place, "import app", cache=cache).files if path.startswith(str(cache))]
    assert list(cache.iterdir())


def test_a_listed_directory(place: Path) -> None:
    """A search for plugins is answered differently when a module is added, and only then."""
    project(place, {"plugins/one.py": "", "plugins/data.txt": ""})
    add = "import os; os.listdir('plugins')\nopen('plugins/{name}', 'w').close()"
    assert record(place, add.format(name="log.txt")).changed == []
    # Written by somebody else, so that it is not accepted as the import's own work.
    other = "import os, subprocess; os.scandir('plugins'); subprocess.run(['touch', 'plugins/two.py'])"
    assert record(place, other).changed == ["plugins/two.py"]


def test_loaders_with_code_of_their_own(place: Path, tmp_path: Path) -> None:
    """A loader that makes other code of a source gets neither a stranger's .pyc nor a place in the cache."""
    project(place, {"module.py": "X = 1"})
    code = HOOKED.replace("    pass", "    def source_to_code(self, data, path, **more):\n"
                                      "        return compile(data.replace(b'1', b'2'), path, 'exec')")  # fmt: skip
    record(place, "import module", cache=tmp_path / "cache")
    assert record(place, code + "print(module.X)", cache=tmp_path / "cache").output == "2\n"
    assert record(place, "import module; print(module.X)", cache=tmp_path / "cache").output == "1\n"


def _is_shared(name: str) -> bool:
    directory = Path(sysconfig.get_config_var("DESTSHARED") or "/nowhere")
    return (directory / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}").exists()


def test_what_the_interpreter_read_at_its_start(place: Path, tmp_path: Path) -> None:
    """The .pth files of its site-packages are files of the application, and a new one is a change."""
    installation = install(tmp_path / "venv")
    (installation.packages / "it.pth").write_text("/nowhere\n")
    seen = record(place, "", python=installation.python)
    assert str(installation.packages / "it.pth") in seen.files
    added = f"open({str(installation.packages / 'new.pth')!r}, 'w').close()"
    assert str(installation.packages / "new.pth") in record(place, "", added, python=installation.python).changed


def test_what_changed_since_the_interpreter_began(place: Path, tmp_path: Path) -> None:
    """A .pth file that is younger than the process may have been read before it was saved: that counts as changed."""
    installation = install(tmp_path / "venv")
    (installation.packages / "it.pth").write_text("import os; os.utime(os.path.join(sitedir, 'it.pth'))\n")
    assert str(installation.packages / "it.pth") in record(place, "", python=installation.python).changed


@pytest.mark.parametrize("where", ["site-packages", "project"])
def test_distributions(place: Path, tmp_path: Path, where: str) -> None:
    """What tells of installed distributions is noted where it is asked for, and a new distribution is a change."""
    installation = install(tmp_path / "venv")
    packages = installation.packages if where == "site-packages" else place
    project(packages, {"red-1.dist-info/METADATA": "Name: red", "red-1.dist-info/entry_points.txt": "[shop]\nit = os"})
    code = "from importlib.metadata import entry_points; print(*entry_points(group='shop'))"
    late = f"import os; os.mkdir({str(packages / 'blue-1.dist-info')!r}); os.mkdir({str(packages / 'blue.data')!r})"
    seen = record(place, code, late, python=installation.python)
    assert "os" in seen.output
    assert {path.rpartition("/")[2] for path in seen.files} >= {"entry_points.txt"}
    assert [name for path in seen.changed if "blue" in (name := path.rpartition("/")[2])] == ["blue-1.dist-info"]


def test_names_as_bytes(place: Path) -> None:
    """A file or directory that is named by bytes is noted like any other, and so is what is written so."""
    project(place, {"data": "1", "own": "1"})
    code = "import os; open(b'data').close(); open(b'own').close(); open(b'own', 'w').close(); os.listdir(b'.')"
    seen = record(place, code, "open('new.py', 'w').close()")
    assert {"data", "own"} <= seen.files
    assert seen.changed == ["new.py"]
