"""The memory between a drainer and its workers."""

import threading
from collections.abc import Iterator

import pytest

from runner.freshness.notice import HEAD, Notice, Word, calm
from tests.freshness.forked import forked

BUSTLE = {"/srv/shop": frozenset({"hits-journal", "größe"})}


@pytest.fixture
def notice() -> Iterator[Notice]:
    """A new one."""
    made = Notice()
    yield made
    made.close()


def test_at_first_it_is_calm(notice: Notice) -> None:
    """Fresh, and no name is dull."""
    assert notice[:HEAD] == calm(0)
    assert notice.bustle() == (0, {})


@pytest.mark.parametrize("word", list(Word))
def test_the_word_is_the_first_byte(notice: Notice, word: Word) -> None:
    """Only FRESH is calm."""
    notice[0] = word
    assert notice[0] == word
    assert (notice[:HEAD] == calm(0)) is (word is Word.FRESH)


def test_a_new_edition_is_not_calm_until_it_is_known(notice: Notice) -> None:
    """Whoever has read it knows what to compare with."""
    assert notice.publish(BUSTLE)
    assert notice[:HEAD] != calm(0)
    edition, bustle = notice.bustle()
    assert notice[:HEAD] == calm(edition)
    assert {directory: set(names) for directory, names in bustle.items()} == BUSTLE


def test_a_child_reads_what_is_published_later(notice: Notice) -> None:
    """It is one memory."""
    with forked(lambda: repr(notice.bustle())) as answer:
        notice.publish({"/srv": ["x"]})
        assert answer() == "(1, {'/srv': ['x']})"


def test_what_is_too_much_is_refused(notice: Notice) -> None:
    """And the last edition stays."""
    notice.publish({"/srv": ["x"]})
    assert not notice.publish({"/srv": [f"{number:04}" for number in range(4000)]})
    assert notice.bustle() == (1, {"/srv": ["x"]})


def test_nobody_reads_half_an_edition(notice: Notice) -> None:
    """While it is published again and again each reading is one whole edition."""
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            notice.publish({"/srv": [str(number)] * 1, "/etc": ["y" * (number % 500)]})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(2000):
            edition, bustle = notice.bustle()
            assert not edition or bustle["/srv"] == [str(edition)]
    finally:
        over.set()
        writer.join()
