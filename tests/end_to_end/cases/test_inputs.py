"""What is an input of a running application, and what is none."""

from tests.conftest import Project, Runner
from tests.end_to_end.cases.modes import EAGER, EYES, REQUEST, Mode, in_turn
from tests.end_to_end.reloading import FILES, agree, ask, generation, value
from tests.support.project import edit, replace
from tests.support.runner_process import Served
from tests.support.trouble import report, until

LATE = """
def main(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    start_response("200 OK", [])
    try:
        return [str(__import__(name).VALUE).encode()]
    except ImportError:
        return [b"absent"]
"""
DATA = """
import os, tomllib
with open("settings.toml", "rb") as file:
    VALUE = tomllib.load(file)["value"]
"""
BUSY = """
import sqlite3
def main(environ, start_response):
    with open("app.log", "a") as log:
        log.write("x")
    db = sqlite3.connect("app.sqlite3")
    db.execute("create table if not exists t (x)")
    db.execute("insert into t values (1)")
    db.commit()
    db.close()
    start_response("200 OK", [])
    return [b"fine"]
"""


def wait_for_workers(served: Served, count: int) -> None:
    """Until that many workers are there."""
    until(f"{count} workers", lambda: len(report(served)["workers"]) == count, live=served)


@in_turn("env", EYES.values())
def test_late_imports(project: Project, runner: Runner, env: dict[str, str], mode: Mode) -> None:
    """A module that a request imports is the one on disk: changed before its first import, and after."""
    place = project({"app.py": LATE, "late.py": value(0)})
    served = runner(place, "app:main", *mode, env=env)
    edit(place / "late.py", value(1))
    assert ask(served, "/late").text == "1"
    for number in range(2, 5):
        replace(place / "late.py", value(number))
        assert agree(served, place, "/late").text == str(number)


@in_turn()
def test_a_late_import_that_failed(project: Project, runner: Runner, mode: Mode) -> None:
    """A module that a request looked for in vain is there for the next one after it was saved."""
    place = project({"app.py": LATE})
    served = runner(place, "app:main", *mode)
    for _ in range(3):
        assert ask(served, "/later").text == "absent"
    (place / "later").mkdir()
    edit(place / "later" / "__init__.py", value(1))
    assert agree(served, place, "/later", saves=2).text == "1"


@in_turn(modes=REQUEST)
def test_every_worker_hears_of_it(project: Project, runner: Runner, mode: Mode) -> None:
    """A module that only one worker has imported late makes all of them leave when it changes."""
    place = project({"app.py": LATE, "late.py": value(0)})
    served = runner(place, "app:main", *mode, "--workers", "3")
    assert ask(served, "/late").text == "0"
    edit(place / "late.py", value(1))
    for _ in range(6):
        assert ask(served, "/late").text == "1"


@in_turn()
def test_data_read_at_import(project: Project, runner: Runner, mode: Mode) -> None:
    """A TOML file that was read while importing is an input."""
    place = project({**FILES, "module.py": DATA, "settings.toml": "value = 0"})
    served = runner(place, "app:main", *mode)
    for number in range(1, 4):
        edit(place / "settings.toml", f"value = {number}")
        assert agree(served, place).text == str(number)


@in_turn()
def test_a_new_module_shadows(project: Project, runner: Runner, mode: Mode) -> None:
    """A new file that would be found before what was imported is a change."""
    app = FILES["app.py"].replace("import module", "import colorsys as module").replace(".VALUE", ".__name__")
    place = project({"app.py": app})
    served = runner(place, "app:main", *mode)
    assert ask(served).text == "colorsys"
    edit(place / "colorsys.py", "__name__ = 'mine'")
    assert agree(served, place).text == "mine"
    (place / "colorsys.py").unlink()
    assert agree(served, place).text == "colorsys"


@in_turn()
def test_what_the_application_writes(project: Project, runner: Runner, mode: Mode) -> None:
    """A log and a database beside the code, written at each request, reload nothing."""
    place = project({"app.py": BUSY})
    served = runner(place, "app:main", *mode)
    assert {ask(served).text for _ in range(30)} == {"fine"}
    assert generation(served) == 1


@in_turn(modes=EAGER)
def test_watch_and_ignore(project: Project, runner: Runner, mode: Mode) -> None:
    """`--watch` makes a change of, and a new file among, what it names an input; `--ignore` takes away."""
    place = project({**FILES, "t/a.html": "", "t/skip.html": ""})
    served = runner(place, "app:main", *mode, "--watch", "t/**/*.html", "--ignore", "**/skip*")
    edit(place / "t" / "skip.html", "x")
    edit(place / "t" / "skipped_too.html", "x")
    edit(place / "t" / "b.txt", "x")
    assert ask(served).text == "0"
    assert generation(served) == 1
    for number, name in enumerate(("t/a.html", "t/new.html", "t/deep/new.html"), 2):
        position = served.position
        (place / name).parent.mkdir(exist_ok=True)
        edit(place / name, "x")
        served.wait_for(f"{name} changed → generation {number} ", after=position)
        assert generation(served) == number


@in_turn()
def test_an_env_file(project: Project, runner: Runner, mode: Mode) -> None:
    """An edit of the environment's file applies like code."""
    place = project({**FILES, "module.py": "import os\nVALUE = os.environ.get('VALUE')", "env": "VALUE=0\n"})
    served = runner(place, "app:main", *mode, "--env-file", "env")
    edit(place / "env", "VALUE=1\n")
    assert agree(served, place, env={"VALUE": "1"}).text == "1"
    edit(place / "env", "no such line\n")
    assert ask(served).status == 500
    edit(place / "env", "VALUE=2\n")
    assert agree(served, place, env={"VALUE": "2"}).text == "2"


@in_turn(modes=EAGER)
def test_the_settings_file(project: Project, runner: Runner, mode: Mode) -> None:
    """An edit of runner.toml applies; an invalid one keeps what was, and is said in one line; the next one applies."""
    place = project({**FILES, "runner.toml": "workers = 1\n"})
    served = runner(place, "app:main", *mode)
    wait_for_workers(served, 1)
    edit(place / "runner.toml", "workers = 3\n")
    wait_for_workers(served, 3)
    position = served.position
    edit(place / "runner.toml", "werkers = 2\n")
    served.wait_for("no key 'werkers'.*workers.*stay as they were", after=position)
    assert ask(served).status == 200
    assert len([line for line in served.lines if "werkers" in line]) == 1
    edit(place / "runner.toml", "workers = 2\n")
    wait_for_workers(served, 2)
    assert ask(served).text == "0"


@in_turn(modes=EAGER)
def test_a_new_settings_file(project: Project, runner: Runner, mode: Mode) -> None:
    """A runner.toml that is made while the application runs applies."""
    place = project(FILES)
    served = runner(place, "app:main", *mode)
    replace(place / "runner.toml", "workers = 3\n")
    wait_for_workers(served, 3)


@in_turn()
def test_plugins(project: Project, runner: Runner, mode: Mode) -> None:
    """A module added to a directory that the application lists for plugins is found."""
    listing = "import pkgutil, plugins\nVALUE = sorted(m.name for m in pkgutil.iter_modules(plugins.__path__))"
    place = project({**FILES, "module.py": listing, "plugins/__init__.py": "", "plugins/one.py": ""})
    served = runner(place, "app:main", *mode)
    assert ask(served).text == "['one']"
    edit(place / "plugins" / "two.py", "")
    assert agree(served, place).text == "['one', 'two']"


@in_turn()
def test_an_application_that_rewrites_what_it_reads(project: Project, runner: Runner, mode: Mode) -> None:
    """An application that changes at its import what it has read is served, and still hears of others' edits."""
    counting = "VALUE = int(open('count').read())\nopen('count', 'w').write(str(VALUE + 1))"
    place = project({**FILES, "module.py": counting, "count": "1"})
    served = runner(place, "app:main", *mode)
    assert ask(served).text == "1"
    edit(place / "count", "7")
    assert ask(served).text == "7"

