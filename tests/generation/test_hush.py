"""The last words of a process that was busy, to those who waited for that."""

import mmap
import os
from array import array
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


PAGE = mmap.PAGESIZE


def told(*numbers: int) -> bytes:
    """These pages."""
    return array("Q", [number * PAGE for number in numbers]).tobytes()


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What each look at the pages will find, one after the other."""
    found: list[bytes] = []
    monkeypatch.setattr(pages, "written", lambda: found.pop(0))
    return found


def test_nothing_is_said_as_long_as_one_is_busy(pipe: tuple[int, int]) -> None:
    """Nor by who ends without a word."""
    hushes = Hushes(pipe[1])
    assert last_words(pipe[0]) == LastWords()
    hushes.let_go()
    assert last_words(pipe[0]) == LastWords()


@pytest.mark.parametrize("nearer", [False, True])
def test_the_origin_hears_what_it_need_not_do_any_more(
    pipe: tuple[int, int], nearer: bool, look: list[bytes]
) -> None:
    """Those who were left behind stand nearer to what was saved."""
    look[:] = [told(1)] if nearer else []
    hushes = Hushes(pipe[1])
    hushes.nearer = nearer
    hushes.note_written()
    hushes.release()
    assert last_words(pipe[0]) == LastWords(told(1) if nearer else b"", nearer)


def test_the_origin_hears_of_pages_if_it_is_curious(pipe: tuple[int, int], look: list[bytes]) -> None:
    """Whenever they were noted, each once; not of those that were there before it went on."""
    look[:] = [told(1, 2), told(1, 2, 3)]
    hushes = Hushes(pipe[1], curious=True, before=told(1))
    hushes.note_written()
    hushes.note_written()
    hushes.release()
    assert last_words(pipe[0]) == LastWords(told(2) + told(1, 3))


def test_more_is_not_said_than_a_pipe_has_room_for(pipe: tuple[int, int], look: list[bytes]) -> None:
    """Nobody reads it yet, and whoever speaks has other things to do; each number is whole."""
    look[:] = [told(*range(0, 20000, 2))]
    hushes = Hushes(pipe[1], curious=True)
    hushes.note_written()
    hushes.release()
    assert len(last_words(pipe[0]).pages) == pages.TOLD


@pytest.mark.parametrize("curious", [False, True])
def test_who_stands_nearer_hears_of_what_came_since(
    pipe: tuple[int, int], other: tuple[int, int], curious: bool, look: list[bytes]
) -> None:
    """Those who go on from it will write there; what was written before it was left behind is nothing to it."""
    look[:] = [told(1, 2)] * curious + [told(2, 3)]
    hushes = Hushes(pipe[1], curious=curious, before=told(1))
    hushes.note_written()
    hushes.add(other[1])
    hushes.nearer = True
    hushes.note_written()
    hushes.release()
    assert last_words(other[0]) == LastWords(told(2, 3))
    assert last_words(pipe[0]) == LastWords(told(2) + told(3) if curious else told(2, 3), nearer=True)


def test_others_who_were_left_behind_hear_of_none(pipe: tuple[int, int], other: tuple[int, int]) -> None:
    """Nobody is expected to go on from there; to look would take time."""
    hushes = Hushes(pipe[1])
    hushes.add(other[1])
    hushes.note_written()
    hushes.release()
    assert last_words(other[0]) == LastWords()


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
