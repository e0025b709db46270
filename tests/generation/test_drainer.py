"""Questions of workers, answered by the one reader of the change queue."""

import errno
import os
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.freshness.additions import Additions, File
from runner.freshness.inotify import Inotify
from runner.freshness.noise import NOISE
from runner.freshness.notice import Word
from runner.freshness.watch import Watch
from runner.generation import drainer as module
from runner.generation.drainer import Drainer
from tests.support.memory import open_files
from tests.support.project import edit
from tests.support.trouble import until


class Well:
    """A drainer over one file, and one worker's socket."""

    def __init__(self, file: Path, *, eager: bool) -> None:
        self.told: list[tuple[str, ...]] = []
        self.file = file
        self.eager = eager
        self._selector = selectors.DefaultSelector()
        self._watch = Watch()
        self._watch.inputs.add_file(str(file))
        self.drainer = Drainer(self._watch, self._selector, self.told.append)
        self.drainer.open(eager=eager)
        self.worker, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.worker.setblocking(False)
        self.drainer.add_worker(theirs)

    def hash(self) -> None:
        """Know what is in the file, so that an equal one is no change."""
        for _ in self._watch.inputs.unhashed():
            pass

    def pending(self) -> bool:
        """Something is in the queue."""
        assert self._watch.inotify is not None
        return self._watch.inotify.pending()

    def empties(self) -> bool:
        """Nothing is in the queue after another turn."""
        self.turn()
        return not self.pending()

    def woken(self) -> bool:
        """The generation's loop would not sleep now."""
        return bool(self._selector.select(0)) or self.drainer.overdue()

    def rests(self) -> bool:
        """Nothing is left to do after another turn."""
        self.turn()
        return not self.woken()

    def turn(self) -> None:
        """One round of the generation's loop."""
        for key, _ in self._selector.select(0):
            key.data()
        if self.drainer.overdue():
            self.drainer.drain()

    def ask(self, number: int, *paths: str) -> Word:
        """The verdict on question *number*, which tells of *paths*, late imports that found nothing."""
        told = Additions([File(path, None) for path in paths]).to_json().encode() if paths else b""
        self.worker.send(b"?" + bytes([number]) + told)
        answers: list[bytes] = []

        def answered() -> bool:
            self.turn()
            try:
                answers.append(self.worker.recv(10))
            except BlockingIOError:
                return False
            return True

        until("it is answered", answered)
        assert answers[0][0] == number
        return Word(answers[0][1])

    def close(self) -> None:
        """Leave nothing open."""
        self.drainer.close()
        self.worker.close()
        self._selector.close()
        if self._watch.inotify is not None:
            os.close(self._watch.inotify.descriptor)


@pytest.fixture(params=[True, False], ids=["eager", "asked"])
def well(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Well]:
    """See Well."""
    file = tmp_path / "code" / "app.py"
    file.parent.mkdir()
    edit(file, "x = 1\n")
    well = Well(file, eager=request.param)
    yield well
    well.close()


def test_nothing_happened(well: Well) -> None:
    """Fresh, as often as it is asked, each answer with the number of its question."""
    assert [well.ask(number) for number in (1, 2, 255, 0)] == [Word.FRESH] * 4
    assert well.told == []


def test_a_save_is_stale_for_good_and_told_once(well: Well) -> None:
    """Whatever is saved after it."""
    edit(well.file, "x = 22\n")
    assert well.ask(1) is Word.STALE
    edit(well.file, "x = 1\n")
    assert well.ask(2) is Word.STALE
    assert well.told == [(str(well.file),)]
    assert well.drainer.word[0] == Word.STALE


def test_stale_is_never_unsaid(well: Well) -> None:
    """Woken once more for a queue that a question had read meanwhile: else the next to come would "find" the change."""
    edit(well.file, "x = 22\n")
    assert well.ask(1) is Word.STALE
    well.drainer.drain()
    assert well.drainer.word[0] == Word.STALE


def test_by_order_it_goes_on(well: Well) -> None:
    """Kept is the last word."""
    edit(well.file, "x = 22\n")
    assert well.ask(1) is Word.STALE
    well.drainer.keep()
    assert well.ask(2) is Word.KEPT
    edit(well.file, "x = 333\n")
    assert well.ask(3) is Word.KEPT


def test_a_file_that_vanishes_is_given_a_moment(well: Well) -> None:
    """Editors save by removing first: the question waits for the verdict, and no unchanged file is stale."""
    content = well.file.read_text()
    well.file.unlink()
    well.worker.send(b"?\x01")
    well.turn()
    with pytest.raises(BlockingIOError):
        well.worker.recv(10)
    assert well.drainer.word[0] == Word.BUSY
    well.file.write_text(content + "# changed\n")

    def told() -> bool:
        well.turn()
        return bool(well.told)

    until("it is told", told)
    assert well.drainer.word[0] == Word.STALE


@pytest.mark.parametrize("told", [(), ("late.py",)], ids=["nothing", "more"])
def test_a_question_that_was_broken_off_is_forgotten(well: Well, told: tuple[str, ...]) -> None:
    """A worker lost patience in the middle of a long one: its next one stands for itself, and tells of all again."""
    paths = [str(well.file.with_name(name)) for name in told]
    well.worker.send(b"+\x07" + b'[["/half/of/a/lo')
    assert well.ask(8, *paths) is Word.FRESH
    assert well.ask(9) is Word.FRESH
    if told:
        edit(well.file.with_name("late.py"), "y = 1\n")
        assert well.ask(10) is Word.STALE


def test_a_worker_that_leaves_is_forgotten(well: Well) -> None:
    """Its descriptor is closed."""
    before = open_files()
    well.worker.close()
    well.turn()
    assert open_files() == before - 2


def test_what_is_of_no_interest_is_read_unasked(well: Well) -> None:
    """So the next request finds an empty queue and need not ask."""
    edit(well.file.with_name("a.log"), "")
    assert well.pending()
    until("the queue is read", well.empties)
    assert well.drainer.word[0] == Word.FRESH


def test_a_save_is_told_at_once_or_at_the_next_question(well: Well) -> None:
    """If at the next question, then whoever comes has to ask, because the word says so."""
    edit(well.file, "x = 22\n")
    until("the queue is read", well.empties)
    assert bool(well.told) is well.eager
    assert well.drainer.word[0] == (Word.STALE if well.eager else Word.BUSY)
    assert well.ask(1) is Word.STALE
    assert well.told == [(str(well.file),)]


@pytest.mark.parametrize("stale", [True, False])
def test_who_is_kept_listens_no_more(well: Well, stale: bool) -> None:
    """Or the queue, which nobody reads any more, would wake it for ever."""
    if stale:
        edit(well.file, "x = 22\n")
        assert well.ask(1) is Word.STALE
    well.drainer.keep()
    edit(well.file.with_name("a.log"), "")
    assert well.pending()
    assert not well.woken()


def bustling(well: Well) -> Well:
    """*well*, after a journal has come and gone so often that only queues of their own hear of it."""
    journal = well.file.with_name("a-journal")
    for _ in range(NOISE):
        edit(journal, "")
        journal.unlink()
        until("the queue is read", well.empties)
    assert list(well.drainer.word.bustle()[1].values()) == [["a-journal"]]
    return well


def test_names_that_come_and_go_wake_it_now_and_then(well: Well, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each of them: until some time has passed what follows waits."""
    monkeypatch.setattr(module, "LULL", 1.0)
    journal = bustling(well).file.with_name("a-journal")
    until("it has read all of them", lambda: well.rests() and well.drainer.again is None)
    edit(journal, "")
    assert well.woken()
    well.turn()
    journal.unlink()
    assert not well.woken()
    assert well.drainer.again is not None
    until("it looks again", well.woken)


def test_a_new_name_among_them_is_found(well: Well) -> None:
    """By itself, or when somebody asks."""
    bustling(well)
    assert well.ask(1, str(well.file.with_name("late.py"))) is Word.FRESH
    bustling(well)
    edit(well.file.with_name("late.py"), "x = 1\n")
    if well.eager:
        until("it is told", lambda: well.rests() and well.told)
    assert well.ask(2) is Word.STALE


def test_what_cannot_be_watched_any_more(well: Well, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of watches a directory comes back: the workers, forked before that, have to ask each time."""

    def full(inotify: Inotify, directory: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", directory)

    monkeypatch.setattr(Inotify, "watch_directory", full)
    content = well.file.read_text()
    well.hash()
    well.file.parent.rename(well.file.parent.with_name("old"))
    well.file.parent.mkdir()
    well.file.write_text(content)
    until("it has settled", lambda: well.rests() and well.drainer.word[0] != Word.BUSY)
    assert well.ask(1) is not Word.STALE
    assert well.drainer.word[0] == Word.SWEPT
    edit(well.file, "x = 22\n")
    assert well.ask(2) is Word.STALE
