"""The last words of a process that was busy, to those who waited for that."""

import os
from collections.abc import Iterator

import pytest

from runner.generation import pages
from runner.generation.hush import Hushes, LastWords, last_words


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Of one who waits: what it reads, what it is told by."""
    read, write = os.pipe()
    yield read, write
    os.close(read)


@pytest.fixture
def other() -> Iterator[tuple[int, int]]:
    """Of another one."""
    read, write = os.pipe()
    yield read, write
    os.close(read)


@pytest.fixture(autouse=True)
def written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages: the n-th, if n - 1 are known."""
    monkeypatch.setattr(pages, "written", lambda before: b"page %03d" % (len(before) // 8 + 1))


def test_nothing_is_said_as_long_as_one_is_busy(pipe: tuple[int, int]) -> None:
    """Nor by who ends without a word."""
    hushes = Hushes(pipe[1])
    assert last_words(pipe[0]) == LastWords()
    hushes.let_go()
    assert last_words(pipe[0]) == LastWords()


@pytest.mark.parametrize("nearer", [False, True])
def test_the_origin_hears_what_it_need_not_do_any_more(pipe: tuple[int, int], nearer: bool) -> None:
    """Those who were left behind stand nearer to what was saved."""
    hushes = Hushes(pipe[1])
    hushes.note_written()
    hushes.nearer = nearer
    hushes.release()
    assert last_words(pipe[0]) == LastWords(b"", nearer)


def test_the_origin_hears_of_pages_if_it_is_curious(pipe: tuple[int, int]) -> None:
    """Whenever they were noted, each once; not of those that were there before it went on."""
    hushes = Hushes(pipe[1], curious=True, before=b"page 001")
    hushes.note_written()
    hushes.note_written()
    hushes.release()
    assert last_words(pipe[0]) == LastWords(b"page 002page 003")


def test_more_is_not_said_than_a_pipe_has_room_for(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads it yet, and whoever speaks has other things to do; each number is whole."""
    monkeypatch.setattr(pages, "written", lambda before: bytes(1 << 20))
    hushes = Hushes(pipe[1], curious=True)
    hushes.note_written()
    hushes.release()
    assert len(last_words(pipe[0]).pages) == pages.TOLD


def test_who_was_left_behind_hears_that_it_is_over(pipe: tuple[int, int], other: tuple[int, int]) -> None:
    """Of pages it would learn nothing: they were written before it was there."""
    hushes = Hushes(pipe[1], curious=True)
    hushes.add(other[1])
    hushes.nearer = True
    hushes.note_written()
    hushes.release()
    assert last_words(other[0]) == LastWords()
    assert last_words(pipe[0]) == LastWords(b"page 001", nearer=True)


def test_each_word_is_said_once(pipe: tuple[int, int]) -> None:
    """The pipes are closed then."""
    hushes = Hushes(pipe[1])
    hushes.release()
    assert os.read(pipe[0], 10) == b"."
    hushes.release()
    assert os.read(pipe[0], 10) == b""


def test_who_was_given_up_is_told_nothing() -> None:
    """That is no error."""
    read, write = os.pipe()
    os.close(read)
    Hushes(write).release()
