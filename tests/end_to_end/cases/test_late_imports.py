"""Imports that happen in a request: the newest code, and never two versions of it in one process.

A fresh interpreter that is asked the same thing imports what is on the disk now, and everything it has is of now. It
is asked between saves; of a call that is under way when somebody saves only its age is judged.
"""

import threading
from pathlib import Path

from tests.conftest import Project, Runner
from tests.end_to_end.cases.modes import EAGER, REQUEST, Mode, each_eye, in_turn
from tests.end_to_end.reloading import agree, ask, save, value
from tests.support.client import Conversation, fetch
from tests.support.project import edit, replace
from tests.support.trouble import report
from tests.support.trouble import until as awaited

APP = """
import importlib, os, time
import early

def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    name = environ["PATH_INFO"].strip("/")
    if environ["QUERY_STRING"]:
        open(environ["QUERY_STRING"], "w").close()
        while not os.path.exists("leave"):
            time.sleep(0.002)
    late = importlib.import_module(name).VALUE if name else None
    return [f"{early.VALUE} {late}".encode()]
"""
FILES = {"app.py": APP, "early.py": value(0), "late.py": value(0)}


@each_eye
@in_turn(often=2)
def test_changed_together_before_the_first_import(
    project: Project, runner: Runner, env: dict[str, str], mode: Mode
) -> None:
    """One module is in memory, one is not yet; both are saved: what answers has both new, on every worker."""
    place = project(FILES)
    served = runner(place, "app:main", *mode, env=env)
    for number in (1, 2):
        edit(place / "early.py", value(number))
        edit(place / "late.py", value(number))
        assert agree(served, place, "/late", saves=2).text == f"{number} {number}"
        assert {ask(served, "/late").text for _ in range(4)} == {f"{number} {number}"}


@in_turn(often=2)
def test_changed_alone_before_the_first_import(project: Project, runner: Runner, mode: Mode) -> None:
    """Only what nobody has imported yet is saved: that costs no reload, and the first import gets it."""
    place = project(FILES)
    served = runner(place, "app:main", *mode)
    for number in (1, 2, 3):
        edit(place / "late.py", value(number))
    assert agree(served, place, "/late") == (200, "0 3", 0)
    assert report(served)["generation"] == 1


@in_turn(modes=EAGER)
def test_a_call_that_is_under_way_when_both_are_saved(project: Project, runner: Runner, mode: Mode) -> None:
    """A call that began before the save may mix, since what it imports now is new; the next one never does.

    With one worker, which is busy, nobody but its generation can notice the save: `request` would wait for the call.
    """
    place = project(FILES)
    served = runner(place, "app:main", *mode, "--workers", "1")
    with Conversation(served.http) as conversation:
        conversation.request("GET", "/late?entered", {"Connection": "close"})
        awaited("the call has begun", (place / "entered").exists, live=served)
        edit(place / "early.py", value(1))
        edit(place / "late.py", value(1))
        assert ask(served, "/late").text == "1 1"
        (place / "leave").touch()
        assert conversation.reply().status == 200
    assert {ask(served, "/late").text for _ in range(4)} == {"1 1"}


@in_turn(modes=REQUEST)
def test_one_worker_reads_the_old_one_and_one_the_new(project: Project, runner: Runner, mode: Mode) -> None:
    """Two workers import the same module late, one before a save and one after it: nobody answers by the old one."""
    place = project(FILES)
    served = runner(place, "app:main", *mode, "--workers", "2")
    assert ask(served, "/late").text == "0 0"
    edit(place / "late.py", value(1))
    assert {ask(served, "/late").text for _ in range(8)} == {"0 1"}
    replace(place / "late.py", value(2))
    assert agree(served, place, "/late").text == "0 2"
    assert {ask(served, "/late").text for _ in range(8)} == {"0 2"}


@each_eye
@in_turn()
def test_a_save_right_after_the_late_import(project: Project, runner: Runner, env: dict[str, str], mode: Mode) -> None:
    """The import and the save follow each other at once, again and again: the next answer is the saved one."""
    place = project(FILES)
    served = runner(place, "app:main", *mode, "--workers", "1", env=env)
    for number in range(1, 5):
        ask(served, "/late")
        (edit if number % 2 else replace)(place / "late.py", value(number))
        assert agree(served, place, "/late").text == f"0 {number}"


@in_turn()
def test_a_late_package_with_late_parts(project: Project, runner: Runner, mode: Mode) -> None:
    """A package whose parts are imported by one request after the other: a save of any of them counts."""
    place = project({**FILES, "pack/__init__.py": value("p0"), "pack/one.py": value("o0"), "pack/two.py": value("t0")})
    served = runner(place, "app:main", *mode, "--workers", "1")
    assert [ask(served, f"/{name}").text for name in ("pack", "pack.one", "pack.two")] == ["0 p0", "0 o0", "0 t0"]
    edit(place / "pack" / "two.py", value("t1"))
    assert agree(served, place, "/pack.two").text == "0 t1"
    edit(place / "pack" / "__init__.py", value("p1"))
    assert agree(served, place, "/pack").text == "0 p1"
    assert ask(served, "/pack.one").text == "0 o0"
    save(place, {"pack/three.py": value("new")})
    assert agree(served, place, "/pack.three").text == "0 new"


@in_turn()
def test_a_late_import_that_is_broken(project: Project, runner: Runner, mode: Mode) -> None:
    """The request fails alone, the rest is answered, and the fix alone mends it."""
    place = project({**FILES, "late.py": "VALUE = ("})
    served = runner(place, "app:main", *mode, "--workers", "1")
    assert (ask(served, "/late").status, ask(served).status) == (500, 200)
    edit(place / "late.py", "1/0")
    assert (ask(served, "/late").status, ask(served).status) == (500, 200)
    edit(place / "late.py", value(1))
    assert agree(served, place, "/late").text == "0 1"


@in_turn()
def test_many_late_imports_under_saves(project: Project, runner: Runner, mode: Mode) -> None:
    """Two visitors have modules imported by name while each is saved: an answer is never older than its request."""
    names = [f"late{number}" for number in range(8)]
    place = project({**FILES, **{f"{name}.py": value(0) for name in names}})
    served = runner(place, "app:main", *mode)
    saved = dict.fromkeys(names, 0)
    stale: list[str] = []

    def visit(mine: list[str]) -> None:
        for turn in range(12):
            name = mine[turn % len(mine)]
            floor = saved[name]
            reply = fetch(served.http, f"/{name}")
            if reply.status == 307:
                reply = fetch(served.http, f"/{name}")
            if reply.status == 200 and int(reply.text.split()[1]) < floor:
                stale.append(f"{name}: {reply.text} after {floor}")
            elif reply.status not in (200, 307):
                stale.append(f"{name}: {reply.status}")

    visitors = [threading.Thread(target=visit, args=[names[number::2]]) for number in range(2)]
    for visitor in visitors:
        visitor.start()
    for number in range(1, 4):
        for name in names:
            # By renaming: a call under way imports what it finds, and in place that may be the empty file of a moment.
            replace(place / f"{name}.py", value(number))
            saved[name] = number
    for visitor in visitors:
        visitor.join()
    assert stale == []
    assert {ask(served, f"/{name}").text for name in names} == {"0 3"}


@in_turn()
def test_plugins_found_by_listing(project: Project, runner: Runner, mode: Mode) -> None:
    """Plugins that each request looks for in a directory: one comes, one changes, one goes."""
    app = """
        import importlib, pathlib
        def main(environ, start_response):
            start_response("200 OK", [])
            names = sorted(path.stem for path in pathlib.Path("plugins").glob("*.py"))
            return [" ".join(str(importlib.import_module(f"plugins.{name}").VALUE) for name in names).encode()]
    """
    place = project({"app.py": app, "plugins/a.py": value("a0"), "plugins/b.py": value("b0")})
    served = runner(place, "app:main", *mode, "--workers", "1")
    assert ask(served).text == "a0 b0"
    edit(place / "plugins" / "c.py", value("c0"))
    assert agree(served, place).text == "a0 b0 c0"
    edit(place / "plugins" / "b.py", value("b1"))
    assert agree(served, place).text == "a0 b1 c0"
    Path(place / "plugins" / "a.py").unlink()
    assert agree(served, place).text == "b1 c0"
