"""Extension modules and archives: code that Python does not read as source.

A library is loaded once into a process and never anew; only a new process has the new one. What is replaced by a rename
leaves the old one to those who have it.
"""

import os
import subprocess
import sysconfig
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from zipfile import ZipFile

from tests.conftest import Project, Runner
from tests.end_to_end.cases.modes import Mode, each_eye, in_turn
from tests.end_to_end.reloading import FILES, agree, ask, save, value
from tests.support.client import Conversation, Truncated
from tests.support.project import edit
from tests.support.runner_process import Served
from tests.support.trouble import ready_pids
from tests.support.trouble import until as awaited

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
SOURCE = """
#include <Python.h>
static PyObject *number(PyObject *self, PyObject *none) { return PyLong_FromLong(NUMBER); }
static PyMethodDef methods[] = {{"number", number, METH_NOARGS, ""}, {0}};
static struct PyModuleDef fast = {PyModuleDef_HEAD_INIT, "fast", "", -1, methods};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&fast); }
"""
MODULE = "import fast\nVALUE = fast.number()\n"


@cache
def compiled(number: int) -> bytes:
    """The module `fast` whose number() is *number*."""
    library = Path(mkdtemp(prefix="r-fast-")) / "fast.so"
    command = [os.environ.get("CC", "cc"), "-shared", "-fPIC", f"-DNUMBER={number}",
               "-isystem", sysconfig.get_path("include"), "-x", "c", "-", "-o", str(library)]  # fmt: skip
    subprocess.run(command, input=SOURCE, text=True, check=True)
    return library.read_bytes()


def put(place: Path, number: int, name: str = f"fast{SUFFIX}") -> None:
    """Replace the library by a rename, as linkers and installers do."""
    (place / "beside").write_bytes(compiled(number))
    os.replace(place / "beside", place / name)


@each_eye
@in_turn()
def test_a_library_is_replaced(project: Project, runner: Runner, env: dict[str, str], mode: Mode) -> None:
    """Twice renamed over while workers run: each time the new one answers."""
    place = project({**FILES, "module.py": MODULE})
    put(place, 1)
    served = runner(place, "app:main", *mode, env=env)
    assert ask(served).text == "1"
    for number in (2, 1):
        put(place, number)
        assert agree(served, place).text == str(number)


@in_turn("library_first", [True, False])
def test_library_and_source_together(project: Project, runner: Runner, library_first: bool, mode: Mode) -> None:
    """Both halves change, in either order: once both are saved no answer is of one old and one new."""
    place = project({**FILES, "module.py": "import fast\nVALUE = (1, fast.number())\n"})
    put(place, 1)
    served = runner(place, "app:main", *mode)
    for number in (2, 3):
        if library_first:
            put(place, number)
        edit(place / "module.py", f"import fast\nVALUE = ({number}, fast.number())\n")
        if not library_first:
            put(place, number)
        assert agree(served, place, saves=2).text == str((number, number))


@in_turn()
def test_a_worker_in_a_call_keeps_its_library(project: Project, runner: Runner, mode: Mode) -> None:
    """The library is replaced under a call that uses it before and after: the old worker finishes, undisturbed."""
    app = """
        import fast, os, time
        def main(environ, start_response):
            before = fast.number()
            if environ["PATH_INFO"] == "/wait":
                open("entered", "w").close()
                while not os.path.exists("leave"):
                    time.sleep(0.002)
            start_response("200 OK", [])
            return [f"{before} {fast.number()}".encode()]
    """
    place = project({"app.py": app})
    put(place, 1)
    served = runner(place, "app:main", *mode)
    with Conversation(served.http) as conversation:
        conversation.request("GET", "/wait", {"Connection": "close"})
        awaited("the call has begun", (place / "entered").exists, live=served)
        put(place, 2)
        assert agree(served, place).text == "2 2"
        (place / "leave").touch()
        assert conversation.reply().text == "1 1"


@in_turn()
def test_the_more_exact_name_wins(project: Project, runner: Runner, mode: Mode) -> None:
    """A library of this Python's own tag is put beside one for any Python, and taken away: imports prefer it."""
    place = project({**FILES, "module.py": MODULE})
    put(place, 1, "fast.abi3.so")
    served = runner(place, "app:main", *mode)
    assert ask(served).text == "1"
    put(place, 2)
    assert agree(served, place).text == "2"
    (place / f"fast{SUFFIX}").unlink()
    assert agree(served, place).text == "1"


@in_turn()
def test_a_library_instead_of_a_source(project: Project, runner: Runner, mode: Mode) -> None:
    """A module in Python gets a compiled twin, which imports prefer; then the twin goes."""
    place = project({**FILES, "module.py": MODULE, "fast.py": "def number(): return 1"})
    served = runner(place, "app:main", *mode)
    assert ask(served).text == "1"
    put(place, 2)
    assert agree(served, place).text == "2"
    (place / f"fast{SUFFIX}").unlink()
    assert agree(served, place).text == "1"


@in_turn("size, said", [(2000, "SIGBUS"), (0, "ImportError")])
def test_a_broken_library(project: Project, runner: Runner, size: int, said: str, mode: Mode) -> None:
    """Half a library, which ends the process that loads it, or an empty one is an error page; a whole one recovers."""
    place = project({**FILES, "module.py": MODULE})
    put(place, 1)
    served = runner(place, "app:main", *mode, "--debug")
    (place / "beside").write_bytes(compiled(2)[:size])
    os.replace(place / "beside", place / f"fast{SUFFIX}")
    answer = ask(served)
    assert (answer.status, said in answer.text) == (500, True)
    put(place, 2)
    assert agree(served, place).text == "2"


@in_turn()
def test_a_library_rewritten_in_place(project: Project, runner: Runner, mode: Mode) -> None:
    """As `cp` does it: a worker that runs it meanwhile dies, and cuts its client off; the new one answers in the end.

    A mapped page is the file's own, and one behind its end is SIGBUS (mmap(2)): nobody can be kept from that.
    """
    place = project({"app.py": "import fast\n" + FILES["app.py"].replace("module.VALUE", "fast.number()"),
                     "module.py": value(0)})  # fmt: skip
    put(place, 1)
    served = runner(place, "app:main", *mode)
    assert ask(served).text == "1"
    for number in (2, 3):
        with (place / f"fast{SUFFIX}").open("wb") as file:
            assert not survivor(served), "the trap is none: what was truncated is run all the same"
            file.write(compiled(number))
        text = str(number)
        awaited("the new library answers", partial(survivor, served, text), live=served)
        assert agree(served, place).text == text
    assert served.process.poll() is None
    awaited("all workers are there", lambda: len(ready_pids(served)) == 2, live=served)


def survivor(served: Served, text: str = "") -> bool:
    """Whether there is an answer, and it has *text*: who was to give it may have died."""
    try:
        return text in ask(served).text
    except (OSError, Truncated):
        return False


# ---- archives ---------------------------------------------------------------------------------------------------

ZIPPED = "import sys\nsys.path.insert(1, sys.path[0] + '/library.zip')\n" + FILES["app.py"]


def pack(archive: Path, files: dict[str, str]) -> None:
    """A new archive takes the old one's place."""
    beside = archive.with_name("beside")
    with ZipFile(beside, "w") as file:
        for name, text in files.items():
            file.writestr(name, text)
    os.replace(beside, archive)


@each_eye
@in_turn()
def test_an_archive_is_replaced(project: Project, runner: Runner, env: dict[str, str], mode: Mode) -> None:
    """Modules imported from a zip archive are those of the archive that is there now."""
    place = project({"app.py": ZIPPED})
    pack(place / "library.zip", {"module.py": value(1)})
    served = runner(place, "app:main", *mode, env=env)
    assert ask(served).text == "1"
    pack(place / "library.zip", {"module.py": value(2)})
    assert agree(served, place).text == "2"
    pack(place / "library.zip", {"module/__init__.py": "from module.inner import VALUE", "module/inner.py": value(3)})
    assert agree(served, place).text == "3"


@in_turn()
def test_an_archive_comes_later(project: Project, runner: Runner, mode: Mode) -> None:
    """An archive named on the path that was not there when its modules were found elsewhere."""
    place = project({"app.py": ZIPPED, "later/module.py": value(1)})
    app = ZIPPED + "\n"
    edit(place / "app.py", app.replace("import module", "sys.path.append(sys.path[0] + '/later')\nimport module"))
    served = runner(place, "app:main", *mode)
    assert ask(served).text == "1"
    pack(place / "library.zip", {"module.py": value(2)})
    assert agree(served, place).text == "2"
    (place / "library.zip").unlink()
    assert agree(served, place).text == "1"


@in_turn()
def test_compiled_modules_without_source(project: Project, runner: Runner, mode: Mode) -> None:
    """A module that is delivered as .pyc alone is replaced."""
    import py_compile

    place = project(FILES)
    save(place, {"source/module.py": value(1)})

    def deliver() -> None:
        py_compile.compile(str(place / "source" / "module.py"), str(place / "module.pyc"), doraise=True)

    (place / "module.py").unlink()
    deliver()
    served = runner(place, "app:main", *mode)
    assert ask(served).text == "1"
    edit(place / "source" / "module.py", value(2))
    deliver()
    assert agree(served, place).text == "2"
