"""A changed file that is no good source: always a clear answer, and the next save alone brings the code back.

What a fresh interpreter makes of each file is asked of one, and written beside it: a value, or words of the error. Not
asked: about a file that root could read and the application cannot, and about an import that ends its interpreter.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.cases.modes import BLIND, EYES, Mode, in_turn
from tests.end_to_end.reloading import FILES, agree, ask, save, until_hashed, value, visitors
from tests.support.client import Conversation
from tests.support.places import short_directory
from tests.support.project import edit, replace
from tests.support.runner_process import Served
from tests.support.trouble import until as awaited

LARGE = 50 << 20


def fifo(path: Path) -> None:
    """A FIFO takes the place of the source."""
    beside = path.with_name("beside")
    os.mkfifo(beside)
    os.replace(beside, path)


def directory(path: Path) -> None:
    """A directory takes its place."""
    path.unlink()
    path.mkdir()


def dangling(path: Path) -> None:
    """A symbolic link to nothing takes its place."""
    path.unlink()
    path.symlink_to("nowhere")


def circle(path: Path) -> None:
    """A symbolic link to itself takes its place."""
    path.unlink()
    path.symlink_to(path.name)


def device(path: Path) -> None:
    """A device takes its place, in which there is always something to read."""
    path.unlink()
    path.symlink_to("/dev/zero")


def content(data: bytes) -> Callable[[Path], None]:
    """These bytes are saved in it."""

    def put(path: Path) -> None:
        path.write_bytes(data)

    return put


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "a FIFO": (fifo, "ModuleNotFoundError"),
    "a directory": (directory, "ModuleNotFoundError"),
    "a link to nothing": (dangling, "ModuleNotFoundError"),
    "a link to itself": (circle, "ModuleNotFoundError"),
    "a device": (device, "ModuleNotFoundError"),
    "NUL bytes": (content(b"VALUE = 1\n\0\0\0\n"), "null bytes"),
    "only NUL bytes": (content(bytes(4096)), "null bytes"),
    "an unknown encoding": (content(b"# -*- coding: klingon -*-\nVALUE = 1\n"), "unknown encoding"),
    "a wrong encoding": (content(b"# -*- coding: ascii -*-\nVALUE = '\xc3\xa9'\n"), "SyntaxError"),
    "no UTF-8": (content(b"VALUE = '\xe9'\n"), "SyntaxError"),
    "two encodings": (content(b"\xef\xbb\xbf# -*- coding: latin-1 -*-\nVALUE = 1\n"), "SyntaxError"),
    "nothing at all": (content(b""), "AttributeError"),
}
OFTEN = (
    "a FIFO", "a directory", "a link to nothing", "a device", "NUL bytes", "an unknown encoding", "two encodings",
    "nothing at all",
)  # fmt: skip
"""What the normal run tries; the rest takes the same ways."""
GOOD: dict[str, tuple[bytes, str]] = {
    "a byte order mark": (b"\xef\xbb\xbfVALUE = 1\n", "1"),
    "latin-1": (b"# -*- coding: latin-1 -*-\nVALUE = '\xe9'\n", "é"),
    "carriage returns": (b"VALUE = 1\rVALUE = 2\r", "2"),
    "no newline at the end": (b"VALUE = 1", "1"),
    "a large source": (b"VALUE = 1\n" + (b"#" * 1023 + b"\n") * (LARGE >> 10) + b"VALUE = 3\n", "3"),
}


@in_turn("kind, env", [
    *((kind, {}) if kind in OFTEN else pytest.param(kind, {}, marks=pytest.mark.stress) for kind in BAD),
    ("a FIFO", BLIND), pytest.param("a directory", BLIND, marks=pytest.mark.stress),
])  # fmt: skip
def test_bad_source(project: Project, runner: Runner, kind: str, env: dict[str, str], mode: Mode) -> None:
    """The error page says what a fresh interpreter says; the next save alone is answered, also where files are looked
    at."""
    spoil, words = BAD[kind]
    place = project(FILES | {"app.py": FILES["app.py"] + "\nmodule.VALUE\n"})
    served = runner(place, "app:main", *mode, "--debug", env=env)
    spoil(place / "module.py")
    answer = agree(served, place, saves=2)
    assert (answer.status, words in answer.text) == (500, True), answer.text
    if (place / "module.py").is_dir():
        (place / "module.py").rmdir()
    replace(place / "module.py", value(1))
    assert agree(served, place, saves=2)[:2] == (200, "1")
    assert served.process.poll() is None


@in_turn("kind", GOOD)
def test_unusual_source(project: Project, runner: Runner, kind: str, mode: Mode) -> None:
    """What Python can read is served, and so is the save after it."""
    data, text = GOOD[kind]
    place = project(FILES)
    served = runner(place, "app:main", *mode)
    (place / "module.py").write_bytes(data)
    assert agree(served, place)[:2] == (200, text)
    edit(place / "module.py", value(9))
    assert agree(served, place)[:2] == (200, "9")


@in_turn()
def test_a_fifo_that_somebody_writes_into(project: Project, runner: Runner, mode: Mode) -> None:
    """Reading the FIFO would take what is meant for its reader, and wait when it is empty: nobody of ours does."""
    place = project(FILES)
    served = runner(place, "app:main", *mode)
    until_hashed(served, place / "module.py")
    fifo(place / "module.py")
    descriptor = os.open(place / "module.py", os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(descriptor, b"for its reader")
        assert ask(served).status == 500
        assert os.read(descriptor, 100) == b"for its reader"
        replace(place / "module.py", value(1))
        assert agree(served, place).text == "1"
    finally:
        os.close(descriptor)


@in_turn("name", ["__pycache__/module.{tag}.pyc", ".git", "runner.toml", ".env"])
def test_a_fifo_beside_the_code(project: Project, runner: Runner, name: str, mode: Mode) -> None:
    """A FIFO where only the runner itself would read is not opened as if it were a file."""
    place = project(FILES)
    path = place / name.format(tag=sys.implementation.cache_tag)
    path.parent.mkdir(exist_ok=True)
    served = runner(place, "app:main", *mode)
    os.mkfifo(path)
    for number in (1, 2):
        edit(place / "module.py", value(number))
        assert agree(served, place)[:2] == (200, str(number))


# ---- who may read -----------------------------------------------------------------------------------------------


@pytest.fixture
def anybody_s() -> Iterator[tuple[Path, tuple[str, ...]]]:
    """A folder, and the options for an application that is not root's, whoever runs the tests.

    Root may read everything; pytest's folders are closed for others.
    """
    with short_directory() as place:
        options = ("--user", "nobody", "--cache-dir", str(place / "cache")) if os.geteuid() == 0 else ()
        yield place, options


@in_turn("env", EYES.values())
@pytest.mark.parametrize("what", ["module.py", "pack"])
def test_unreadable(
    anybody_s: tuple[Path, tuple[str, ...]], runner: Runner, what: str, env: dict[str, str], mode: Mode
) -> None:
    """A source, or a package's directory, that the application may no longer read; the mode alone is what mends it."""
    place, options = anybody_s
    save(place, {**FILES, "app.py": "import pack.part\n" + FILES["app.py"], "pack/part.py": ""})
    served = runner(place, "app:main", *mode, *options, env=env)
    assert ask(served).text == "0"
    permissions = (place / what).stat().st_mode
    try:
        for _ in range(2):
            (place / what).chmod(0)
            until_broken(served)
            (place / what).chmod(permissions)
            assert agree(served, place).text == "0"
    finally:
        (place / what).chmod(permissions)


@in_turn()
def test_unreadable_and_edited(anybody_s: tuple[Path, tuple[str, ...]], runner: Runner, mode: Mode) -> None:
    """It is replaced by a readable one."""
    place, options = anybody_s
    save(place, FILES)
    served = runner(place, "app:main", *mode, *options)
    (place / "module.py").chmod(0)
    until_broken(served)
    replace(place / "module.py", value(1))
    assert agree(served, place).text == "1"


# ---- imports that end, and edits meanwhile ----------------------------------------------------------------------

ENDS = {
    "os._exit(0)": "ended with exit code 0",
    "sys.exit('no')": "SystemExit: no",
    "os.abort()": "ended by SIGABRT",
    "os.kill(os.getpid(), 15) or time.sleep(0.3)": "",
    "os.closerange(3, 1000)": "",
    "os.chdir('/')": "",
    "os.execv('/bin/true', ['true'])": "ended with exit code 0",
}


@in_turn("statement", ENDS)
def test_an_import_that_ends_things(project: Project, runner: Runner, statement: str, mode: Mode) -> None:
    """An error page or a good answer, the supervisor lives, and the save that mends it is answered."""
    place = project(FILES)
    served = runner(place, "app:main", *mode, "--debug")
    edit(place / "module.py", f"import os, sys, time\n{statement}\nVALUE = 1\n")
    answer = ask(served)
    assert answer.status in (200, 500)
    assert ENDS[statement] in answer.text
    edit(place / "module.py", value(2))
    assert agree(served, place).text == "2"
    assert served.process.poll() is None


@in_turn()
def test_edits_while_the_error_page_is_served(project: Project, runner: Runner, mode: Mode) -> None:
    """Visitors ask without a pause while the code is broken in one way after the other: every answer is a whole one."""
    place = project(FILES)
    served = runner(place, "app:main", *mode, "--debug")
    with visitors(served, 3) as seen:
        for number, broken in enumerate(("VALUE = (", "1/0", "import nowhere", "VALUE = \x00", "raise SystemExit")):
            edit(place / "module.py", broken)
            assert ask(served).status == 500
            edit(place / "module.py", f"{broken}  # and again")
            assert ask(served).status == 500
            if number % 2:
                replace(place / "module.py", value(number))
                assert agree(served, place).text == str(number)
    edit(place / "module.py", value(9))
    assert agree(served, place).text == "9"
    assert {status for status, _ in seen} <= {200, 500}


@in_turn()
def test_an_edit_during_the_answer_of_the_error_page(project: Project, runner: Runner, mode: Mode) -> None:
    """A client that has sent half its request when the fix is saved gets an answer, and it is not an old one."""
    place = project({**FILES, "module.py": "VALUE = ("})
    served = runner(place, "app:main", *mode, ready=False)
    served.wait_for("failed")
    with Conversation(served.http) as conversation:
        conversation.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        edit(place / "module.py", value(1))
        conversation.send(b"Connection: close\r\n\r\n")
        assert conversation.reply().status in (200, 307)
    assert agree(served, place).text == "1"


def until_broken(served: Served) -> None:
    """Until the error page comes: a closed file is given a moment to come back."""
    awaited("the error page", lambda: ask(served).status == 500, live=served)
