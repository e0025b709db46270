"""An import that leaves checkpoints behind, and goes on from them."""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from runner.generation.lookout import read_journal
from runner.process import messages
from runner.process.channel import Channel, pair
from runner.process.messages import Message, Paused, Resume
from tests.conftest import Project
from tests.support.client import fetch
from tests.support.project import edit
from tests.support.stage import Stage, generation, receive
from tests.support.trouble import alive, until

APP = """
import base, view, tail
def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{base.VALUE} {view.VALUE} {tail.VALUE}".encode()]
"""
FILES = {"app.py": APP, "base.py": "VALUE = 1\n", "view.py": "VALUE = 1\n", "tail.py": "import view\nVALUE = 1\n"}


class Born(NamedTuple):
    """A generation, the checkpoints that it left, by module, and what it said when it was ready."""

    stage: Stage
    paused: dict[str, tuple[Paused, Channel]]
    last: Message


class Heir(NamedTuple):
    """What went on from a checkpoint: its channel, its journal, its process, and its last word."""

    channel: Channel
    journal: int
    pid: int
    last: Message


Give = Callable[..., Born]


@pytest.fixture
def leaving() -> Iterator[ExitStack]:
    """Closes what was opened."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def directory(project: Project) -> Path:
    """An application of four modules."""
    return project(FILES)


@pytest.fixture
def born(directory: Path, leaving: ExitStack) -> Give:
    """Have it imported, with checkpoints before the modules named."""

    def bear(*names: str, **flags: Any) -> Born:
        hot = [str(directory / f"{name}.py") for name in names]
        return hear_all(leaving.enter_context(generation(directory, hot=hot, **flags)), leaving)

    return bear


def hear_all(stage: Stage, leaving: ExitStack) -> Born:
    """What it says until it is imported."""
    paused: dict[str, tuple[Paused, Channel]] = {}
    while True:
        message, descriptors = receive(stage.channel)
        if not isinstance(message, Paused):
            return Born(stage, paused, message)
        channel = Channel(socket.socket(fileno=descriptors[0]))
        leaving.callback(channel.close)
        paused[message.module] = message, channel


def resume(born: Born, module: str, leaving: ExitStack, number: int = 2) -> Heir:
    """Have it go on from there."""
    ours, theirs = pair()
    leaving.callback(ours.close)
    journal = os.memfd_create("journal")
    leaving.callback(os.close, journal)
    assert born.paused[module][1].send(Resume(number, 0, [], 0.0), theirs.fileno(), journal)
    theirs.close()
    message, _ = receive(ours)
    assert isinstance(message, messages.Resumed)
    return Heir(ours, journal, message.pid, receive(ours)[0])


def words(channel: Channel) -> Iterator[Message]:
    """All that is said until the end."""
    with contextlib.suppress(EOFError):
        while True:
            yield receive(channel)[0]


def answer_of(born: Born, heir: Heir) -> str:
    """What a worker of it answers."""
    ours, theirs = pair()
    heir.channel.send(messages.Fork(0, 1), theirs.fileno())
    theirs.close()
    assert isinstance(receive(heir.channel)[0], messages.Forked)
    assert isinstance(receive(ours)[0], messages.Ready)
    text = fetch(born.stage.queue.getsockname()).text
    ours.close()
    return text


def test_a_zygote_is_there_before_anything_of_the_application(born: Give) -> None:
    """And checkpoints before what was edited last, each with the modules that it need not import again."""
    paused = {name: told.modules for name, (told, _) in born("view", "tail").paused.items()}
    assert list(paused) == ["", "view", "tail"]
    assert paused[""] < paused["view"] < paused["tail"]


def test_without_any_it_is_imported_all_the_same(born: Give) -> None:
    """--checkpoints 0."""
    assert list(born("view", checkpoints=0).paused) == []


def test_with_reload_off_there_are_none(born: Give) -> None:
    """Nobody would go on from them."""
    assert list(born("view", reload="off").paused) == []


def test_who_goes_on_has_what_is_saved(directory: Path, born: Give, leaving: ExitStack) -> None:
    """Again and again, and the first one serves on as it was."""
    first = born("view")
    for value in (2, 3):
        edit(directory / "view.py", f"VALUE = {value}\n")
        heir = resume(first, "view", leaving, value)
        assert isinstance(heir.last, messages.Loaded)
        assert answer_of(first, heir) == f"1 {value} 1"
        heir.channel.send(messages.Retire())


def test_what_was_imported_before_is_not_imported_again(directory: Path, born: Give, leaving: ExitStack) -> None:
    """It leaves its trace once; what comes after leaves it each time."""
    for name in ("base", "tail"):
        edit(directory / f"{name}.py", f"open('{name}.log', 'a').write('x')\nVALUE = 1\n")
    first = born("view")
    edit(directory / "view.py", "VALUE = 2\n")
    resume(first, "view", leaving)
    assert [(directory / f"{name}.log").read_text() for name in ("base", "tail")] == ["x", "xx"]


def test_who_is_too_late_says_so_and_ends(directory: Path, born: Give, leaving: ExitStack) -> None:
    """A module that was imported before the checkpoint was saved: another one has to be asked."""
    first = born("view")
    edit(directory / "base.py", "VALUE = 2\n")
    ours, theirs = pair()
    leaving.callback(ours.close)
    first.paused["view"][1].send(Resume(2, 0, [], 0.0), theirs.fileno(), ours.fileno())
    theirs.close()
    said = list(words(ours))
    assert [type(word) for word in said] == [messages.Resumed, messages.Passed]
    assert said[1] == messages.Passed([str(directory / "base.py")], 1)
    assert isinstance(resume(first, "", leaving).last, messages.Loaded)


def test_broken_code_is_broken_from_there_as_well(directory: Path, born: Give, leaving: ExitStack) -> None:
    """With its place, and it is mended from there, too."""
    first = born("view")
    edit(directory / "view.py", "1/0\n")
    broken = resume(first, "view", leaving).last
    assert isinstance(broken, messages.Broken)
    assert (broken.summary, broken.where) == ("ZeroDivisionError: division by zero", f"{directory}/view.py:1")
    edit(directory / "view.py", "VALUE = 3\n")
    assert answer_of(first, resume(first, "view", leaving, 3)) == "1 3 1"


def test_its_journal_tells_the_whole_import(born: Give, leaving: ExitStack) -> None:
    """Also what was noted before the pause."""
    heir = resume(born("view"), "view", leaving)
    names = [name for _, name in read_journal(heir.journal)[0]]
    assert [name for name in names if name in ("app", "base", "view", "tail")] == ["app", "base", "view", "tail"]


@pytest.mark.parametrize("left", [
    "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
    "import socket\nS = socket.socketpair()",
    "import asyncio\nLOOP = asyncio.new_event_loop()",
    "import subprocess\nP = subprocess.Popen(['sleep', '9'])",
])
def test_there_is_none_after_what_cannot_be_copied(directory: Path, born: Give, left: str) -> None:
    """But before it there is."""
    edit(directory / "base.py", f"{left}\nVALUE = 1\n")
    paused = born("base", "view").paused
    assert list(paused) == ["", "base"]


def test_one_that_does_not_end_importing_ends_with_the_supervisor(
    directory: Path, born: Give, leaving: ExitStack
) -> None:
    """Though it is not its child, and hears nothing."""
    first = born("view")
    edit(directory / "view.py", "open('begun', 'w')\nwhile True: pass\n")
    ours, theirs = pair()
    journal = os.memfd_create("journal")
    first.paused["view"][1].send(Resume(2, 0, [], 0.0), theirs.fileno(), journal)
    theirs.close()
    os.close(journal)
    resumed, _ = receive(ours)
    assert isinstance(resumed, messages.Resumed)
    until("it imports", (directory / "begun").exists)
    first.stage.lifeline.cut()
    until("it is gone", lambda: not alive({resumed.pid}))
    ours.close()
