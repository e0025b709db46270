"""git rewrites hundreds of files while somebody asks: one save, however many files it has.

Between two commits there is a tree that nobody has written. A fresh interpreter could be unlucky enough to read it; a
running application need not, since git says when it begins and when it is done (`index.lock`). Hence it is asked once
git is done; meanwhile every answer must be of one commit.
"""

import os
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from runner.freshness.git import PATIENCE
from tests.conftest import Project, Runner
from tests.end_to_end.cases.modes import BLIND, Mode, in_turn
from tests.end_to_end.reloading import FILES, agree, ask, check_said_once, remade, visitors
from tests.support.project import edit
from tests.support.runner_process import Served
from tests.support.trouble import report

MANY, VERY_MANY = 300, 2000
THERE = [("checkout one", "one")]
THERE_AND_BACK = [*THERE, ("checkout two", "two")]
SLOW = "m0030.py filter=slow\nm0150.py filter=slow\n"
MODULE = """
import importlib
VALUE = sorted({{importlib.import_module(f"m{{number:04}}").V for number in reversed(range({count}))}})
"""
each_answer = pytest.mark.parametrize("answer", ["redirect", "hold"])


def git(place: Path, *arguments: str) -> None:
    """Run git there, without anybody's configuration."""
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "init.defaultBranch=one", *arguments]
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nowhere"}
    subprocess.run(command, cwd=place, check=True, capture_output=True, timeout=60, env=environment)


def write(place: Path, value: str, count: int = MANY) -> None:
    """Give every module that value."""
    for number in range(count):
        (place / f"m{number:04}.py").write_text(f"V = {value!r}\n")


def repository(project: Project, *branches: str, count: int = MANY, slow: bool = False) -> Path:
    """A work tree with branches, on each of which all modules have its name; the last one is checked out."""
    place = project({**FILES, "module.py": MODULE.format(count=count), ".gitattributes": SLOW if slow else ""})
    return versioned(place, *branches, count=count)


def versioned(place: Path, *branches: str, count: int = MANY) -> Path:
    """Make *place* such a work tree."""
    git(place, "init")
    # Makes git slow enough for an import to fit in between two files.
    git(place, "config", "filter.slow.smudge", "sleep 0.2; cat")
    for branch in branches:
        git(place, "checkout", "-B", branch)
        write(place, branch, count)
        git(place, "add", ".")
        git(place, "commit", "-m", branch)
    return place


def reloads(served: Served) -> int:
    """How many there were so far."""
    return int(report(served)["counters"]["reloads"])


def check_steps(
    served: Served, place: Path, first: str, steps: Iterable[tuple[str, str]], tree: Path | None = None
) -> None:
    """Let git do each, after which all modules say what stands beside it; now they say *first*.

    All the while every answer is of one state, after each step of the right one, by one reload or two. The work tree is
    *place*, unless *tree* is.
    """
    states = {first}
    with visitors(served) as seen:
        for step, state in steps:
            before = reloads(served) - remade(served)
            git(tree or place, *step.split())
            states.add(state)
            assert agree(served, place).text == str([state])
            assert 1 <= reloads(served) - remade(served) - before <= 2
    assert seen <= {(200, str([state])) for state in states}


@in_turn("slow, env, steps", [(False, {}, THERE_AND_BACK), (True, {}, THERE), (False, BLIND, THERE)])
def test_a_checkout(
    project: Project, runner: Runner, slow: bool, env: dict[str, str], steps: list[tuple[str, str]], mode: Mode
) -> None:
    """300 files, all at once or with a stop in the middle of them; where events tell of it, and where files are
    looked at: nobody imports the half tree."""
    place = repository(project, "one", "two", slow=slow)
    check_steps(runner(place, "app:main", *mode, env=env), place, "two", steps)


@each_answer
def test_a_checkout_of_a_library_elsewhere(project: Project, runner: Runner, tmp_path: Path, answer: str) -> None:
    """The work tree is none of the application's, which finds it by a path of its own: no half of it is served."""
    library = tmp_path / "library"
    library.mkdir()
    for name, text in {"module.py": MODULE.format(count=MANY), ".gitattributes": SLOW}.items():
        (library / name).write_text(text)
    versioned(library, "one", "two")
    place = project({"app.py": f"import sys\nsys.path.append({str(library)!r})\n" + FILES["app.py"]})
    served = runner(place, "app:main", "--on-change", answer)
    check_steps(served, place, "two", THERE_AND_BACK, tree=library)
    assert report(served)["notes"] == []


@each_answer
def test_a_forgotten_lock_is_waited_for_only_so_long(project: Project, runner: Runner, answer: str) -> None:
    """git has died: the first save after that is answered when the patience is over, others as ever; said once."""
    place = repository(project, "one")
    served = runner(place, "app:main", "--on-change", answer)
    lock = place / ".git" / "index.lock"
    began = time.monotonic()
    lock.touch()
    edit(place / "m0007.py", "V = 'new'\n")
    assert ask(served).text == "['new', 'one']"
    assert PATIENCE - 0.1 < time.monotonic() - began < 15
    for word in ("newer", "newest"):
        edit(place / "m0007.py", f"V = {word!r}\n")
        assert ask(served).text == f"['{word}', 'one']"
    check_said_once(served, f"git was not done after 2 s, by {lock}")


@pytest.mark.stress
@in_turn()
def test_a_large_checkout(project: Project, runner: Runner, mode: Mode) -> None:
    """2,000 files, six times to and fro."""
    place = repository(project, "one", "two", count=VERY_MANY)
    check_steps(runner(place, "app:main", *mode), place, "two", THERE_AND_BACK * 3)


@in_turn()
def test_a_stash(project: Project, runner: Runner, mode: Mode) -> None:
    """An edit of all files is stashed away and popped back: one state or the other, never a mixture."""
    place = repository(project, "one")
    write(place, "edited")
    steps = [("stash", "one"), ("stash pop", "edited")]
    check_steps(runner(place, "app:main", *mode), place, "edited", steps)


@in_turn()
def test_a_rebase(project: Project, runner: Runner, mode: Mode) -> None:
    """Three commits, each of which edits all files, are put upon another branch: each answer is of one commit."""
    place = repository(project, "base")
    for number in range(3):
        write(place, f"step{number}")
        git(place, "commit", "-am", f"step {number}")
    git(place, "checkout", "-B", "other", "HEAD~3")
    (place / "elsewhere").write_text("")
    git(place, "add", "elsewhere")
    git(place, "commit", "-m", "other")
    git(place, "checkout", "base")
    served = runner(place, "app:main", *mode)
    before = reloads(served)
    with visitors(served) as seen:
        git(place, "rebase", "other")
        assert agree(served, place).text == "['step2']"
    assert seen <= {(200, f"['{name}']") for name in ("base", "step0", "step1", "step2")}
    # Each commit is a state of its own that somebody may ask for: back to the base, and one for each step.
    assert reloads(served) - before <= 2 * 4


@in_turn()
def test_a_reset_and_a_restored_file(project: Project, runner: Runner, mode: Mode) -> None:
    """`reset --hard` and the checkout of one file are saves like others."""
    place = repository(project, "one", "two")
    served = runner(place, "app:main", *mode)
    git(place, "reset", "--hard", "one")
    assert agree(served, place).text == "['one']"
    git(place, "checkout", "ORIG_HEAD", "--", "m0007.py")
    assert agree(served, place).text == "['one', 'two']"
    git(place, "checkout", "HEAD", "--", "m0007.py")
    assert agree(served, place).text == "['one']"
