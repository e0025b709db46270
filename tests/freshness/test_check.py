"""A worker's one question, and everything that can go wrong between it and the drainer."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.freshness import check as module
from runner.freshness.additions import Additions, File
from runner.freshness.check import OwnCheck, SharedCheck, Unchecked, split
from runner.freshness.inputs import Inputs
from runner.freshness.notice import Notice, Word, calm
from runner.freshness.watch import Watch
from tests.freshness.watched import watching
from tests.support.project import edit
from tests.support.trouble import until


class Drainer:
    """The other end of a check: answers each question with *word*, unless *say* says otherwise."""

    def __init__(self, watch: Watch) -> None:
        self.word = Notice()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock, self._theirs = ours, theirs
        self.told: list[tuple[str, ...]] = []
        self.check = SharedCheck(watch, self.word, theirs, self.told.append)
        self.heard: list[bytes] = []
        self.say: Callable[[int], list[bytes]] = lambda number: [bytes([number, self.word[0]])]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Be gone, as after kill -9."""
        self.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.sock.close()

    def __exit__(self, *error: object) -> None:
        if self.sock.fileno() >= 0:
            self.close()
        self._theirs.close()
        self.word.close()

    def __enter__(self) -> "Drainer":
        return self

    def _serve(self) -> None:
        while data := self.sock.recv(1 << 17):
            self.heard.append(data)
            if data[:1] == b"?":
                for reply in self.say(data[1]):
                    self.sock.send(reply)


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """A watch over one file, a.py, with nothing left to tell."""
    (tmp_path / "a.py").write_text("X = 1\n")
    made = watching(tmp_path)
    made.inputs.take_additions()
    return made


@pytest.fixture
def drainer(watch: Watch) -> Iterator[Drainer]:
    """A drainer that answers at once."""
    with Drainer(watch) as made:
        yield made


def test_nothing_happened(drainer: Drainer) -> None:
    """An empty queue and the word FRESH are the answer; nobody is asked."""
    assert not drainer.check.stale()
    assert drainer.heard == []


@pytest.mark.parametrize(("word", "stale"), [(Word.FRESH, False), (Word.STALE, True), (Word.KEPT, False)])
def test_an_event_waits(drainer: Drainer, tmp_path: Path, word: Word, stale: bool) -> None:
    """With something in the queue the drainer decides, unless it has decided already: stale, or go on all the same."""
    (tmp_path / "noise").touch()
    drainer.word[0] = word
    assert drainer.check.stale() is stale
    assert len(drainer.heard) == (word is Word.FRESH)


@pytest.mark.parametrize("verdict", [Word.FRESH, Word.STALE])
def test_the_drainer_is_at_it(drainer: Drainer, verdict: Word) -> None:
    """With an empty queue and the word BUSY it has read an event and not judged it yet: ask."""
    drainer.word[0] = Word.BUSY
    drainer.say = lambda number: [bytes([number, verdict])]
    assert drainer.check.stale() is (verdict is Word.STALE)
    assert len(drainer.heard) == 1


def test_what_is_stale_already_is_believed(drainer: Drainer) -> None:
    """Nobody is asked: a generation never becomes fresh again, and its drainer may be gone."""
    drainer.close()
    drainer.word[0] = Word.STALE
    assert drainer.check.stale()
    assert drainer.heard == []


@pytest.mark.parametrize(("word", "found"), [(Word.FRESH, True), (Word.BUSY, True), (Word.STALE, False)])
def test_who_meets_a_change_first_has_found_it(drainer: Drainer, tmp_path: Path, word: Word, found: bool) -> None:
    """Whoever comes when the word says STALE is not the first."""
    (tmp_path / "noise").touch()
    drainer.word[0] = word
    drainer.say = lambda number: [bytes([number, Word.STALE])]
    assert drainer.check.stale()
    assert drainer.check.found is found


def test_the_second_look_of_the_same_worker_finds_nothing(drainer: Drainer, tmp_path: Path) -> None:
    """The drainer has raised the word before it said "stale"."""
    (tmp_path / "noise").touch()
    drainer.word[0] = Word.BUSY

    def judge(number: int) -> list[bytes]:
        drainer.word[0] = Word.STALE
        return [bytes([number, Word.STALE])]

    drainer.say = judge
    assert [(drainer.check.stale(), drainer.check.found) for _ in range(3)] == [(True, True), *[(True, False)] * 2]


def test_the_queue_is_looked_at_before_the_word(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drainer raises the word before it reads, so a reader of the word must have seen the queue first."""
    seen: list[str] = []

    class Spy(Notice):
        def __getitem__(self, at: object) -> bytes:   # type: ignore[override]
            seen.append("word")
            return calm(0)

    class Queue:
        def pending(self) -> bool:
            seen.append("queue")
            return False

    monkeypatch.setattr(Watch, "inotify", Queue())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not SharedCheck(watch, Spy(), theirs, print).stale()
    assert seen == ["queue", "word"]


def test_a_dead_drainer(drainer: Drainer, tmp_path: Path) -> None:
    """When the drainer is gone the worker looks by itself: fresh what is fresh, stale what is stale."""
    drainer.close()
    (tmp_path / "noise").touch()
    assert not drainer.check.stale()
    assert drainer.told == []
    edit(tmp_path / "a.py", "X = 2\n")
    assert drainer.check.stale()
    assert drainer.told == [(str(tmp_path / "a.py"),)], "somebody has to build what is newer"


def test_what_was_found_without_the_drainer_stands(drainer: Drainer, tmp_path: Path) -> None:
    """It is told once, it is final, and nobody is sent to ask again for it: that would be for ever."""
    drainer.close()
    (tmp_path / "noise").touch()
    assert not drainer.check.seems_stale()
    edit(tmp_path / "a.py", "X = 2\n")
    assert [(drainer.check.stale(), drainer.check.found) for _ in range(3)] == [(True, False)] * 3
    edit(tmp_path / "a.py", "X = 1\n")
    assert drainer.check.stale()
    assert drainer.check.seems_stale()
    assert len(drainer.told) == 1


@pytest.mark.parametrize("by_word", [False, True])
def test_what_was_found_without_the_drainer_goes_on_by_order(drainer: Drainer, tmp_path: Path, by_word: bool) -> None:
    """Whether the order comes to this worker first or to a drainer that is back."""
    drainer.close()
    edit(tmp_path / "a.py", "X = 2\n")
    assert drainer.check.stale()
    if by_word:
        drainer.word[0] = Word.KEPT
    else:
        drainer.check.keep()
    assert not drainer.check.stale()
    assert not drainer.check.seems_stale()


def test_a_drainer_that_is_stopped_is_waited_for_once(
    drainer: Drainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known to be stale costs no further patience."""
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    drainer.say = lambda number: []
    edit(tmp_path / "a.py", "X = 2\n")
    assert [drainer.check.stale() for _ in range(3)] == [True] * 3
    until("it was heard", lambda: drainer.heard)
    assert len(drainer.heard) == 1


def test_a_silent_drainer(drainer: Drainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the drainer is stopped the worker waits PATIENCE seconds, then looks by itself."""
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    drainer.say = lambda number: []
    edit(tmp_path / "a.py", "X = 2\n")
    began = time.monotonic()
    assert drainer.check.stale()
    assert time.monotonic() - began >= 0.05


def test_a_late_answer_is_no_answer(drainer: Drainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was said to the question before last is not taken for the answer to this one."""
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    drainer.say = lambda number: []
    (tmp_path / "noise").touch()
    assert not drainer.check.stale()
    monkeypatch.setattr(module, "PATIENCE", 5.0)
    drainer.say = lambda number: [bytes([number - 1, Word.FRESH]), bytes([number, Word.STALE])]
    assert drainer.check.stale()


def test_late_imports_are_told_first(drainer: Drainer, watch: Watch, tmp_path: Path) -> None:
    """What this worker imported since goes with the question, before any answer is believed, and only once."""
    watch.inputs.add_file(str(tmp_path / "late.py"))
    assert not drainer.check.stale()
    assert Additions.from_json(drainer.heard[0][2:].decode()).items == [File(str(tmp_path / "late.py"), None)]
    assert not drainer.check.stale()
    assert len(drainer.heard) == 1


def test_what_could_not_be_told_is_told_again(drainer: Drainer, watch: Watch, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """Additions whose question was not answered go with the next one."""
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    drainer.say = lambda number: []
    watch.inputs.add_file(str(tmp_path / "late.py"))
    assert not drainer.check.stale()
    assert not drainer.check.stale()
    until("both were heard", lambda: len(drainer.heard) > 1)
    assert [Additions.from_json(data[2:].decode()).items for data in drainer.heard] == [
        [File(str(tmp_path / "late.py"), None)]
    ] * 2


def test_only_certainty_seems_stale(drainer: Drainer, tmp_path: Path) -> None:
    """Before accepting nobody is asked: an event alone is no certainty, the word STALE is."""
    (tmp_path / "noise").touch()
    assert not drainer.check.seems_stale()
    drainer.word[0] = Word.BUSY
    assert not drainer.check.seems_stale()
    drainer.word[0] = Word.STALE
    assert drainer.check.seems_stale()
    assert drainer.heard == []


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_questions_of_any_length(count: int) -> None:
    """Many additions are split into messages of bounded size, which together are the whole text."""
    inputs = Inputs()
    for number in range(count):
        inputs.add_file(f"/nowhere/{'x' * 50}/{number}")
    parts = split(inputs.take_additions(), 7)
    assert max(map(len, parts)) <= module.REPORT
    assert [part[:2] for part in parts] == [b"+\7"] * (len(parts) - 1) + [b"?\7"]
    text = b"".join(part[2:] for part in parts)
    assert len(Additions.from_json(text.decode()).items if text else []) == count


def test_the_order_to_go_on_may_overtake_the_word(drainer: Drainer, tmp_path: Path) -> None:
    """A worker that was told to go on does so, also while the word still says STALE."""
    (tmp_path / "noise").touch()
    drainer.word[0] = Word.STALE
    drainer.check.keep()
    assert not drainer.check.stale()
    assert not drainer.check.seems_stale()
    assert drainer.heard == []


def test_a_child_asks_for_itself(drainer: Drainer, tmp_path: Path) -> None:
    """In a forked worker, which shares queue and word, an event of later is seen."""
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        fresh = not drainer.check._pending()
        os.write(ready[1], b".")
        os.read(go[0], 1)
        os._exit(0 if fresh and drainer.check._pending() else 1)
    os.read(ready[0], 1)
    (tmp_path / "noise").touch()
    os.write(go[1], b".")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for descriptor in (*ready, *go):
        os.close(descriptor)


def test_who_drains_by_himself(watch: Watch, tmp_path: Path) -> None:
    """A process that is its own drainer is stale after a save, says so once, and is fresh by order if told to go on."""
    told: list[tuple[str, ...]] = []
    check = OwnCheck(watch, told.append)
    (tmp_path / "noise").touch()
    assert not check.stale()
    edit(tmp_path / "a.py", "X = 2\n")
    # Whether a sibling has met the change before cannot be known.
    assert [(check.stale(), check.found) for _ in range(2)] == [(True, False), (True, False)]
    assert check.seems_stale()
    assert told == [(str(tmp_path / "a.py"),)]
    check.keep()
    assert not check.stale()
    assert not check.seems_stale()


def test_a_vanished_file_is_waited_for(watch: Watch, tmp_path: Path) -> None:
    """Its own drainer does not say fresh, nor stale, before a removed file has had its time to come back."""
    check = OwnCheck(watch, lambda paths: None)
    (tmp_path / "a.py").unlink()
    began = time.monotonic()
    assert check.stale()
    assert time.monotonic() - began >= 0.02


def test_without_reload_nothing_is_stale() -> None:
    """`--reload off` asks nobody."""
    assert not Unchecked().stale()
    assert not Unchecked().seems_stale()
    assert not Unchecked().found


# ---- names that come and go -------------------------------------------------------------------------------------


def test_an_edition_that_is_not_known_is_asked_about(drainer: Drainer, tmp_path: Path) -> None:
    """Once: what the common queue was not told before we listened has been heard by the drainer."""
    drainer.word.publish({str(tmp_path): ["dull"]})
    assert not drainer.check.stale()
    assert not drainer.check.stale()
    assert len(drainer.heard) == 1


def test_a_name_that_is_not_dull_is_asked_about(drainer: Drainer, watch: Watch, tmp_path: Path) -> None:
    """Although there is nothing in the common queue; of a dull one nobody is asked."""
    assert watch.inotify is not None
    watch.inotify.watch_itself(str(tmp_path))
    drainer.word.publish({str(tmp_path): ["dull"]})
    assert not drainer.check.stale()
    (tmp_path / "dull").touch()
    assert not drainer.check.stale()
    assert len(drainer.heard) == 1
    drainer.say = lambda number: [bytes([number, Word.STALE])]
    (tmp_path / "other.py").touch()
    assert drainer.check.stale()
    assert len(drainer.heard) == 2


def test_who_cannot_listen_asks_each_time(drainer: Drainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of instances: slower, and as exact."""

    def missing() -> object:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(module, "Names", missing)
    drainer.word.publish({str(tmp_path): ["dull"]})
    assert [drainer.check.stale() for _ in range(3)] == [False] * 3
    assert len(drainer.heard) == 3
    drainer.word.publish({})
    assert [drainer.check.stale() for _ in range(3)] == [False] * 3
    assert len(drainer.heard) == 4
