"""What is told of a reload: one line, one record, one answer to whoever waits."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from runner.log import Log
from runner.process import messages
from runner.settings import resolve
from runner.supervisor.banner import Banner
from runner.supervisor.checkpoints import Checkpoint
from runner.supervisor.chronicle import Chronicle
from runner.supervisor.control import Question
from runner.supervisor.report import Ledger


class Told(Log):
    """Keeps its lines as "level: text"."""

    def __init__(self) -> None:
        super().__init__("supervisor")
        self.lines: list[str] = []

    def _write(self, level: str, message: str) -> None:
        self.lines.append(f"{level}: {message}")


class Story:
    """A chronicle, its log and its ledger."""

    def __init__(self) -> None:
        settings = resolve({"target": "app:main"}, {}, "/srv").settings
        self.log = Told()
        self.ledger = Ledger(settings, ["http://127.0.0.1:8000/"])
        banner = Banner(settings, ["http://127.0.0.1:8000/"], self.log)
        self.chronicle = Chronicle(self.log, self.ledger, banner, settings)

    def ready(
        self, number: int, *, broken: bool = False, due: bool = False, checkpoint: Checkpoint | None = None, **more: Any
    ) -> None:
        """A generation is loaded and its first worker accepts."""
        values: dict[str, Any] = {"files": 7, "kind": "WSGI", "culprit": "", "milliseconds": 5.0, "notes": [],
                                  "good_until": 0.0, "late": []}
        values |= more
        self.chronicle.loaded(messages.Loaded(**values), checkpoint)
        self.chronicle.ready(number, broken=broken, due=due)

    def broken(self, number: int, kept: int | None = None) -> None:
        """The import failed."""
        message = messages.Broken("NameError: x", "/srv/app.py:3", 0, 7, "", 5.0, [], 0.0, [])
        self.chronicle.broken(number, message, kept)

    def wait(self, after: int) -> "Waiting":
        """Somebody asks to be told."""
        waiting = Waiting()
        self.chronicle.wait(Question({}, waiting.theirs), after)
        return waiting


class Waiting:
    """The other end of a question."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)

    def answer(self) -> Any:
        """What came, or None; a second call finds nothing."""
        try:
            data = self.ours.recv(65536)
        except BlockingIOError:
            self.theirs.close()
            data = b""
        self.ours.close()
        return json.loads(data) if data else None


@pytest.fixture
def story() -> Iterator[Story]:
    """A run whose first generation is ready, without the lines that said so."""
    story = Story()
    story.ready(1)
    assert len(story.log.lines) == 1 and "ready in" in story.log.lines[0]
    story.log.lines.clear()
    yield story


def line(story: Story) -> str:
    """The only line, without its milliseconds."""
    (only,) = story.log.lines
    return only.rpartition(" in ")[0] or only


def test_a_save_is_one_line(story: Story) -> None:
    """The file as people call it, and the generation; other workers say nothing more."""
    story.chronicle.note_change(["/srv/shop/views.py"])
    story.ready(2)
    story.chronicle.ready(2, broken=False, due=False)
    assert line(story) == "info: shop/views.py changed → generation 2"


def test_many_files_are_a_number(story: Story) -> None:
    """The first has its name."""
    story.chronicle.note_change(["/srv/a.py", "/srv/b.py", "/else/c.py"])
    story.ready(2)
    assert line(story) == "info: a.py and 2 more changed → generation 2"


def test_a_wish_names_who_had_it(story: Story) -> None:
    """And one that came while the first was granted is not forgotten."""
    story.chronicle.note_request("SIGHUP")
    story.ready(2, due=True)
    story.ready(3)
    assert [each.partition(" in ")[0] for each in story.log.lines] == [
        "info: SIGHUP → generation 2", "info: SIGHUP → generation 3"]


def test_a_worker_that_is_replaced_makes_no_reload(story: Story) -> None:
    """Neither a line nor a count."""
    story.chronicle.ready(1, broken=False, due=False)
    assert story.log.lines == []


def test_a_failure_is_one_line_with_its_place(story: Story) -> None:
    """And the record has it."""
    story.chronicle.note_change(["/srv/app.py"])
    story.broken(2)
    story.chronicle.ready(2, broken=True, due=False)
    assert story.log.lines == ["error: app.py changed → generation 2 failed: NameError: x (/srv/app.py:3)"]
    assert story.ledger.error == "NameError: x (/srv/app.py:3)"


def test_whoever_waits_is_told(story: Story) -> None:
    """By the first later generation that is ready, broken or kept out; and only once."""
    waiting = story.wait(after=1)
    story.chronicle.note_request("runner reload")
    story.chronicle.ready(1, broken=False, due=False)
    story.ready(2)
    assert waiting.answer()["last_reload"]["generation"] == 2
    broken, kept = story.wait(after=2), story.wait(after=3)
    story.broken(3)
    story.chronicle.ready(3, broken=True, due=False)
    assert broken.answer()["last_reload"]["error"] == "NameError: x (/srv/app.py:3)"
    story.broken(4, kept=1)
    assert "NameError" in kept.answer()["last_reload"]["error"]
    assert story.wait(after=9).answer() is None


@pytest.mark.parametrize(("checkpoint", "origin"), [
    (Checkpoint(3, "shop.view", 1087), "resumed before shop.view, 1,087 of 1,088 modules kept"),
    (Checkpoint(3, "", 600), "resumed from the zygote, 600 of 1,088 modules kept"),
])
def test_it_is_told_where_an_import_went_on(story: Story, checkpoint: Checkpoint, origin: str) -> None:
    """In the log's line and to whoever waits; of the next one that begins at the beginning nothing is said."""
    story.ready(1)
    steps: list[tuple[int, dict[str, Any]]] = [(2, {"checkpoint": checkpoint, "modules": 1088}), (3, {})]
    for number, more in steps:
        waiting = story.wait(after=number - 1)
        story.chronicle.note_change(["/srv/shop/view.py"])
        story.ready(number, **more)
        told = waiting.answer()["last_reload"]
        assert told.get("origin", "") == (origin if more else "")
        assert (f"({origin})" in story.log.lines[-1]) is bool(more)


def test_what_cannot_be_exact_is_said_once(story: Story) -> None:
    """In the log; in the status for good."""
    for number in (2, 3):
        story.ready(number, culprit="the import left thread 'x' of y running", notes=["/mnt is swept"])
    warnings = [each for each in story.log.lines if each.startswith("warning")]
    assert warnings == [
        "warning: /mnt is swept",
        "warning: the import left thread 'x' of y running: workers cannot be forked, each imports by itself",
    ]
    assert len(story.ledger.notes) == 2


def test_what_turns_out_later_is_said_once_too(story: Story) -> None:
    """Whoever finds it out, and whether it was known from the import of another generation."""
    story.ready(2, notes=["/mnt is swept"])
    for text in ("/mnt is swept", "/far is swept", "/far is swept"):
        story.chronicle.note(text)
    warnings = [each for each in story.log.lines if each.startswith("warning")]
    assert warnings == ["warning: /mnt is swept", "warning: /far is swept"]
    assert story.ledger.notes == ["/mnt is swept", "/far is swept"]


def test_a_void_attempt_is_told(story: Story) -> None:
    """With the file that changed under it."""
    story.chronicle.note_void(["/srv/app.py"])
    assert story.log.lines == ["info: app.py changed while it was imported; importing again"]


@pytest.mark.parametrize(("why", "inflight", "said"), [
    ("SIGTERM", 0, "SIGTERM: stopping"),
    ("SIGINT", 0, "SIGINT: stopping"),
    ("SIGTERM", 2, "SIGTERM: stopping; requests under way: 2, which have up to 30 s"),
    ("SIGINT", 1, "SIGINT: stopping; requests under way: 1, which have up to 30 s; a second SIGINT ends them"),
])  # fmt: skip
def test_a_stop_tells_what_it_waits_for(story: Story, why: str, inflight: int, said: str) -> None:
    """And who is at the keyboard, how not to."""
    story.chronicle.stopping(why, inflight, 30.0)
    assert story.log.lines == [f"info: {said}"]


@pytest.mark.parametrize(("reason", "rest", "said"), [
    ("", 8, "(its answer took too long): another one is made, and the next 8 are forked before they answer"),
    ("a thread", 0, "(a thread): another one is made, and from now on each is forked before it answers"),
])  # fmt: skip
def test_who_is_spent_is_told_and_for_how_long(story: Story, reason: str, rest: int, said: str) -> None:
    """That no other one answers first."""
    story.chronicle.spent(5, reason, rest)
    assert story.log.lines == [f"info: generation 5 answered a request and cannot be forked now {said}"]


def test_an_import_that_takes_long_is_told(story: Story) -> None:
    """In the log once, and to whoever asks."""
    story.chronicle.importing("the application is still being imported, since 30 s")
    assert story.log.lines == ["warning: the application is still being imported, since 30 s"]
    assert story.ledger.importing == "the application is still being imported, since 30 s"


def test_saves_that_follow_each_other_are_one_wait(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its milliseconds count from the first save that no worker has answered yet."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    story.ready(1)
    for _ in range(3):
        clock[0] += 0.1
        story.chronicle.note_change(["/srv/app.py"])
    clock[0] += 0.1
    story.ready(2, due=True)
    clock[0] += 0.5
    story.chronicle.note_change(["/srv/app.py"])
    clock[0] += 0.1
    story.ready(3)
    assert story.log.lines[-2:] == [
        "info: app.py changed → generation 2 in 300 ms", "info: app.py changed → generation 3 in 600 ms"
    ]


def test_a_failure_that_others_answer_for_ends_the_wait(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fix begins another one, however late it comes."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    story.ready(1)
    story.chronicle.note_change(["/srv/app.py"])
    story.broken(2, kept=1)
    clock[0] += 3600.0
    story.chronicle.note_change(["/srv/app.py"])
    clock[0] += 0.1
    story.ready(3)
    assert story.log.lines[-1] == "info: app.py changed → generation 3 in 100 ms"
