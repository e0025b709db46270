"""Inputs that are no Python: what was read at import counts, what is written beside the code does not.

A fresh interpreter reads the file again. A log or a database it would only go on with, and write into: there it is the
number of the generation that is compared.
"""

import os
import struct
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.cases.modes import EYES, REQUEST, Mode, in_turn
from tests.end_to_end.reloading import FILES, agree, ask, built, remade, value
from tests.support.client import fetch
from tests.support.project import edit, replace
from tests.support.trouble import report


def mo(text: str) -> bytes:
    """A message catalogue of one message, word -> *text*. gettext(5), "MO files"."""
    word, translated = b"word", text.encode()
    head = struct.pack("<7I", 0x950412DE, 0, 1, 28, 36, 0, 0)
    return head + struct.pack("<4I", 4, 44, len(translated), 49) + word + b"\0" + translated + b"\0"


READ: dict[str, tuple[str, str, bytes, bytes]] = {
    "a template": ("page.html", "VALUE = open('page.html').read()", b"one", b"two"),
    "an .env file": (
        ".env",
        "VALUE = dict(line.strip().split('=') for line in open('.env'))['WHO']",
        b"WHO=one\n",
        b"WHO=two\n",
    ),
    "YAML": (
        "conf/site.yaml",
        "from pathlib import Path\nVALUE = Path('conf/site.yaml').read_text().split(': ')[1].strip()",
        b"who: one\n",
        b"who: two\n",
    ),
    "SQL": (
        "schema.sql",
        "import sqlite3\ndb = sqlite3.connect(':memory:')\n"
        "VALUE = db.executescript(open('schema.sql').read()).execute('select x from t').fetchone()[0]\ndb.close()",
        b"create table t as select 'one' as x;",
        b"create table t as select 'two' as x;",
    ),
    "a catalogue": (
        "locale/de/LC_MESSAGES/shop.mo",
        "import gettext\nVALUE = gettext.translation('shop', 'locale', ['de']).gettext('word')",
        mo("one"),
        mo("two"),
    ),
    "by os.open": (
        "raw",
        "import os\nfd = os.open('raw', os.O_RDONLY)\nVALUE = os.read(fd, 100).decode()\nos.close(fd)",
        b"one",
        b"two",
    ),
    "by a memory map": (
        "raw",
        "import mmap\nwith open('raw', 'rb') as f:\n"
        "    with mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m: VALUE = m[:].decode()",
        b"one",
        b"two",
    ),
    "a package's resource": (
        "shop/words.txt",
        "from importlib.resources import files\nVALUE = files('shop').joinpath('words.txt').read_text()",
        b"one",
        b"two",
    ),
    "named by bytes": ("raw", "VALUE = open(b'raw').read()", b"one", b"two"),
}


@in_turn("kind", READ)
def test_read_at_import(project: Project, runner: Runner, kind: str, mode: Mode) -> None:
    """What was read while the application was imported, however that was done, is an input."""
    name, module, before, after = READ[kind]
    place = project({**FILES, "module.py": module})
    (place / name).parent.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(before)
    served = runner(place, "app:main", *mode)
    assert ask(served).text == "one"
    (place / name).write_bytes(after)
    assert agree(served, place).text == "two"


@in_turn("env", EYES.values())
def test_optional_data_appears(project: Project, runner: Runner, env: dict[str, str], mode: Mode) -> None:
    """A file that was opened in vain is there now, and gone again."""
    module = "try:\n    VALUE = open('local.ini').read()\nexcept OSError:\n    VALUE = 'no'"
    place = project({**FILES, "module.py": module})
    served = runner(place, "app:main", *mode, env=env)
    assert ask(served).text == "no"
    edit(place / "local.ini", "yes")
    assert agree(served, place).text == "yes"
    (place / "local.ini").unlink()
    assert agree(served, place).text == "no"


WRITER = """
import sqlite3, logging, tempfile, pathlib
logging.basicConfig(filename="app.log", level="INFO")
db = sqlite3.connect("app.sqlite3")
db.executescript("pragma journal_mode=wal; create table if not exists t (x)")
known = db.execute("select count(*) from t").fetchone()
db.close()
def main(environ, start_response):
    logging.info("asked")
    db = sqlite3.connect("app.sqlite3")
    db.execute("insert into t values (1)")
    db.commit()
    db.close()
    pathlib.Path("uploads").mkdir(exist_ok=True)
    pathlib.Path("uploads/page.html").write_text("x")
    pathlib.Path("uploads/module.py").write_text("x")
    with tempfile.NamedTemporaryFile(dir=".", suffix=".py"):
        pass
    pathlib.Path("app.py~").touch()
    start_response("200 OK", [])
    return [b"fine"]
"""


@pytest.mark.parametrize("mode", [("--reload", "eager"), ("--reload", "request")], ids=" ".join)
def test_what_is_written_beside_the_code(project: Project, runner: Runner, mode: tuple[str, str]) -> None:
    """A log and a database that were opened at import, uploads, temporary files: no request of twenty reloads."""
    place = project({"app.py": WRITER})
    served = runner(place, "app:main", *mode, "--watch", "templates/**/*.html")
    number = report(served)["generation"]
    assert [ask(served)[:2] for _ in range(20)] == [(200, "fine")] * 20
    assert report(served)["generation"] == number


@in_turn()
def test_somebody_else_writes_the_database(project: Project, runner: Runner, mode: Mode) -> None:
    """A database beside the code, read at import by its own library, that another process fills: no reload."""
    import sqlite3

    place = project({"app.py": WRITER})
    served = runner(place, "app:main", *mode)
    for _ in range(5):
        with sqlite3.connect(place / "app.sqlite3") as db:
            db.execute("insert into t values (2)")
        db.close()
    ask(served)
    number = report(served)["generation"]
    with sqlite3.connect(place / "app.sqlite3") as db:
        db.execute("insert into t values (2)")
    db.close()
    assert ask(served).text == "fine"
    assert report(served)["generation"] == number


@in_turn("env", EYES.values(), modes=REQUEST)
def test_named_by_watch(project: Project, runner: Runner, env: dict[str, str], mode: Mode) -> None:
    """Templates that requests open are code if --watch names them: edited, renamed over, new, removed."""
    place = project({**FILES, "t/a.html": "a", "t/b.html": "b", "t/x.txt": ""})
    served = runner(place, "app:main", *mode, "--watch", "t/**/*.html", env=env)
    number = built(served)

    def reloads() -> int:
        """How many the next request causes."""
        nonlocal number
        assert ask(served).text == "0"
        before, number = number, built(served)
        return number - before

    edit(place / "t" / "x.txt", "changed")
    assert reloads() == 0
    edit(place / "t" / "a.html", "changed")
    assert reloads() == 1
    replace(place / "t" / "b.html", "changed")
    assert reloads() == 1
    (place / "new").mkdir()
    edit(place / "new" / "c.html", "new")
    assert reloads() == 0
    os.rename(place / "new", place / "t" / "deep")
    assert reloads() == 1
    (place / "t" / "deep" / "c.html").unlink()
    assert reloads() == 1


@in_turn()
def test_a_directory_that_was_listed(project: Project, runner: Runner, tmp_path: Path, mode: Mode) -> None:
    """Modules found by a listing at import: a new one counts, a log in the same directory does not."""
    module = "import os\nVALUE = sorted(name for name in os.listdir('parts') if name.endswith('.py'))"
    place = project({**FILES, "module.py": module, "parts/a.py": ""})
    served = runner(place, "app:main", *mode)
    assert ask(served).text == "['a.py']"
    edit(place / "parts" / "part.log", "x")
    assert agree(served, place).text == "['a.py']"
    assert report(served)["generation"] == 1
    edit(place / "parts" / "b.py", "")
    assert agree(served, place).text == "['a.py', 'b.py']"
    (place / "parts" / "a.py").unlink()
    assert agree(served, place).text == "['b.py']"


BUSY = """
import sqlite3
import module
try:
    import local as found
except ImportError:
    found = module
db = None
def main(environ, start_response):
    global db
    if db is None:
        db = sqlite3.connect("app.sqlite3", timeout=30)
        db.execute("create table if not exists t (x)")
    db.execute("insert into t values (1)")
    db.commit()
    start_response("200 OK", [])
    return [b"%d %d" % (module.VALUE, found.VALUE)]
"""


@in_turn("change", ["edited", "renamed over", "new"])
def test_beside_a_busy_database(project: Project, runner: Runner, change: str, mode: Mode) -> None:
    """Its journal comes and goes at each request, so often that nobody is asked about it any more: all is seen."""
    place = project({"app.py": BUSY, "module.py": value(0)})
    served = runner(place, "app:main", *mode)
    for number in range(1, 4):
        assert {fetch(served.http).status for _ in range(100)} <= {200, 307}
        generation = report(served)["generation"]
        assert {fetch(served.http).status for _ in range(20)} == {200}
        assert report(served)["generation"] == generation
        match change:
            case "edited":
                edit(place / "module.py", value(number))
                assert ask(served).text == f"{number} {number}"
            case "renamed over":
                replace(place / "module.py", value(number))
                assert ask(served).text == f"{number} {number}"
            case "new":
                (place / "local.py").unlink() if number == 2 else edit(place / "local.py", value(number))
                assert ask(served).text == ("0 0" if number == 2 else f"0 {number}")


LINKED = """
import module
def main(environ, start_response):
    with open("data/busy.log", "a") as log:
        log.write("asked")
    start_response("200 OK", [])
    return [b"%d" % module.VALUE]
"""


@in_turn()
def test_a_link_into_a_busy_directory(project: Project, runner: Runner, mode: Mode) -> None:
    """The code lies where the application logs; it is imported by a link from elsewhere, and edited in place."""
    place = project({"app.py": LINKED, "data/module.py": value(0)})
    (place / "module.py").symlink_to("data/module.py")
    served = runner(place, "app:main", *mode)
    for number in (1, 2):
        assert {fetch(served.http).status for _ in range(100)} <= {200, 307}
        edit(place / "data" / "module.py", value(number))
        assert ask(served).text == str(number)


MANIFEST = """
import base, view
def main(environ, start_response):
    start_response("200 OK", [])
    return [f"{base.VALUE} {view.VALUE}".encode()]
"""


@in_turn()
def test_what_a_later_module_writes_for_an_earlier_one(project: Project, runner: Runner, mode: Mode) -> None:
    """As of a fresh start: what the one before has left."""
    view = "VALUE = {0}\nopen('manifest', 'w').write('{0}')\n"
    base = "VALUE = open('manifest').read()\n"
    place = project({"app.py": MANIFEST, "base.py": base, "view.py": view.format(0), "manifest": "none"})
    served = runner(place, "app:main", "--workers", "1", *mode)
    assert ask(served).text == "none 0"
    for number in range(1, 4):
        before = remade(served)
        edit(place / "view.py", view.format(number))
        # One that was given up before it answered has left the manifest as it found it: to the one after it.
        found = ask(served).text
        assert found == f"{number - 1} {number}" or (found == f"{number} {number}" and remade(served) > before)
