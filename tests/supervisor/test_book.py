"""Who there is, and which of them is meant."""

import pytest

from runner.supervisor.book import Book
from runner.supervisor.life import Fact, Phase


@pytest.fixture
def book() -> Book:
    """Three generations: 1 is outdated, 2 is live, 3 is loading."""
    book = Book()
    for number in (1, 2, 3):
        book.enter(float(number))
        if number < 3:
            book.step(number, Fact.LOADED)
    book.step(1, Fact.STALE)
    return book


def test_the_newest_that_serves_is_the_current_one(book: Book) -> None:
    """And another one is under construction."""
    current, loading = book.current(), book.loading()
    assert current is not None and loading is not None
    assert (current.number, loading.number, book.newest) == (2, 3, 3)


def test_a_page_is_the_current_one_only_if_there_is_no_other(book: Book) -> None:
    """Whatever its number, and it is nothing under construction."""
    book.enter(4.0, subject=3)
    loading = book.loading()
    assert loading is not None and loading.number == 3
    book.step(4, Fact.LOADED)
    seen = []
    for gone in (2, 1, 4):
        current = book.current()
        seen.append(current.number if current else 0)
        book.step(gone, Fact.GONE)
    assert (seen, book.current(), book.page()) == ([2, 1, 4], None, None)


@pytest.mark.parametrize("flaw", ["broken", "late", "subject"])
def test_the_last_good_one_has_no_flaw(book: Book, flaw: str) -> None:
    """Neither an error nor a mixture nor a page is what would be kept."""
    setattr(book.generations[2], flaw, 1)
    good = book.last_good()
    assert good is not None and good.number == 1


def test_what_is_gone_is_history(book: Book) -> None:
    """But for the newest."""
    for number in (2, 3):
        book.step(number, Fact.GONE)
    assert {number: each.phase for number, each in book.generations.items()} == {1: Phase.OUTDATED, 3: Phase.GONE}


def test_a_newer_one_replaces_all_but_the_spared(book: Book) -> None:
    """Those before it, that is."""
    book.replace_before(3, book.generations[1])
    assert [each.phase for each in book.generations.values()] == [Phase.OUTDATED, Phase.LEAVING, Phase.LOADING]


def test_workers_are_known_by_keys(book: Book) -> None:
    """Which are never used twice."""
    keys = [book.enlist(0, 1, 5.0), book.enlist(0, 2, 5.0)]
    assert (book.newest_served(), book.served(1), book.served(3)) == (2, True, False)
    book.workers.clear()
    assert book.enlist(0, 2, 5.0) not in keys
    assert book.newest_served() == 2


def test_the_streams_of_all_who_leave_are_counted(book: Book) -> None:
    """None, when nobody does."""
    assert book.streams() == 0
    for streams in (2, 0, 1):
        book.workers[book.enlist(0, 1, 5.0)].streams = streams
    assert book.streams() == 3
