"""The two pages that need no application."""

import json
import os
from collections.abc import Iterator

import pytest

from runner.process.scoreboard import Counter, Scoreboard
from runner.request import Answer, Request
from runner.settings import resolve
from runner.worker.own_pages import OwnPages


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    """An empty page."""
    board = Scoreboard()
    yield board
    os.close(board.descriptor)


def answer(board: Scoreboard, path: str, peer: str = "127.0.0.1", **flags: str) -> Answer | None:
    """What these settings say to a request."""
    pages = OwnPages(resolve(flags, {}, "/").settings, 4, board)
    request = Request.__new__(Request)
    request.variables = {"PATH_INFO": path, "REMOTE_ADDR": peer}
    return pages.answer(request)


PATHS = {"ping_path": "/ping", "status_path": "/status"}


def test_without_the_options_there_are_no_pages(board: Scoreboard) -> None:
    """Not at any path."""
    assert [answer(board, path) for path in ("/", "", "/ping", "/status", "None")] == [None] * 5


def test_the_ping_says_pong(board: Scoreboard) -> None:
    """To anybody, and is not stored."""
    page = answer(board, "/ping", "203.0.113.9", **PATHS)
    assert page is not None and (page.status, page.body) == (200, b"pong\n")
    assert ("Cache-Control", "no-store") in page.headers


def test_only_the_whole_path_is_meant(board: Scoreboard) -> None:
    """What lies below or beside is the application's."""
    assert [answer(board, path, **PATHS) for path in ("/ping/", "/pingpong", "/PING", "/x/ping")] == [None] * 4


def test_the_status_has_the_numbers(board: Scoreboard) -> None:
    """Of each worker, and their sum."""
    board.row(0).count(Counter.REQUESTS, 3)
    board.row(1).count(Counter.REQUESTS, 4)
    page = answer(board, "/status", **PATHS)
    assert page is not None
    told = json.loads(page.body)
    assert (told["generation"], told["counters"]["requests"], len(told["workers"])) == (4, 7, 2)


def test_the_sum_includes_slots_that_are_wanted_no_more(board: Scoreboard) -> None:
    """Or that were wanted later than these settings; it would go backwards."""
    board.row(5).set(Counter.GENERATION, 3)
    board.row(5).count(Counter.REQUESTS, 4)
    page = answer(board, "/status", **PATHS)
    assert page is not None
    told = json.loads(page.body)
    assert (told["counters"]["requests"], [each["slot"] for each in told["workers"]]) == (4, [0, 1, 5])


@pytest.mark.parametrize(("peer", "status"), [
    ("127.0.0.1", 200), ("127.8.8.8", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("", 200),
    ("203.0.113.9", 404), ("::1234", 404), ("::ffff:10.0.0.1", 404), ("10.127.0.1", 404),
])
def test_the_status_is_for_this_machine(board: Scoreboard, peer: str, status: int) -> None:
    """Loopback and unix; for others there is nothing."""
    page = answer(board, "/status", peer, **PATHS)
    assert page is not None and page.status == status
