"""The scope of the present request, and of scripts."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest

from runner import resources
from runner.errors import NoRequest
from runner.log import Log
from runner.request import Exchange, Request, current, enter
from runner.resources.present import HELD, RequestScopes, recipes


class FakeExchange:
    """As much of an exchange as a guard asks for."""

    def __init__(self, path: str = "/x") -> None:
        self.request = Request({"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path}, "http", 0.0)
        self.gone = self.committed = False

    def look(self) -> bool:
        """See Exchange."""
        return self.gone


class Desk:
    """Requests that a guard is told of, each in a context of its own."""

    def __init__(self, **options: Any) -> None:
        self.guard = RequestScopes(Log("worker 0", "info", "text"), **{"most": 0, "waits": False, **options})

    def begin(self, exchange: FakeExchange) -> contextvars.Context:
        """A request begins; its context."""
        context = contextvars.copy_context()
        context.run(enter, exchange.request)
        context.run(self.guard.begin, cast(Exchange, exchange))
        return context

    def end(self, context: contextvars.Context) -> None:
        """The request of that context ends."""
        context.run(lambda: self.guard.end(current().keeper[1]))


@pytest.fixture
def closed() -> Iterator[list[Any]]:
    """What was closed of the kinds "thing" and "kept"."""
    closed: list[Any] = []
    resources.register("thing", object, closed.append)
    resources.register("kept", object, closed.append, scope="worker")
    yield closed
    for name in ("thing", "kept"):
        del recipes._known[name]


def test_outside_of_a_request() -> None:
    """The error says what to do."""
    with pytest.raises(NoRequest, match=r"with runner\.resources\.scope\(\)"):
        resources.open("list")


def test_requests_have_scopes_of_their_own(closed: list[Any]) -> None:
    """However their steps follow each other."""
    desk = Desk()
    first, second = desk.begin(FakeExchange()), desk.begin(FakeExchange())
    one = first.run(resources.open_singleton, "thing")
    two = second.run(resources.open_singleton, "thing")
    assert one is not two
    assert first.run(resources.open_singleton, "thing") is one
    desk.end(second)
    assert closed == [two]
    desk.end(first)
    assert closed == [two, one]


def test_a_client_that_has_left(closed: list[Any]) -> None:
    """Is asked about at each opening."""
    exchange = FakeExchange()
    desk = Desk()
    context = desk.begin(exchange)
    context.run(resources.open, "thing")
    exchange.gone = True
    with pytest.raises(resources.ResourcesClosed):
        context.run(resources.open, "thing")
    desk.end(context)


def test_a_thread_of_the_request(closed: list[Any]) -> None:
    """Opens for it, if it was bound."""
    desk = Desk()
    context = desk.begin(FakeExchange())
    found: list[Any] = []

    def work() -> None:
        found.append(resources.open("thing"))

    def begin() -> None:
        thread = threading.Thread(target=current().bind(work))
        thread.start()
        thread.join()

    context.run(begin)
    desk.end(context)
    assert closed == found


def test_what_could_not_be_closed_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    """With its place and its request."""

    def fail(_: object) -> None:
        raise ValueError("no")

    resources.register("fails", object, fail)
    desk = Desk()
    context = desk.begin(FakeExchange("/a\nb"))
    context.run(resources.open, "fails")
    desk.end(context)
    log = capfd.readouterr().err
    assert "could not close fails, opened at " in log
    assert "test_present.py" in log and "ValueError: no" in log
    assert "\nb" not in log.replace("\\nb", "")
    del recipes._known["fails"]


def test_what_is_kept_is_closed_when_the_worker_retires(closed: list[Any]) -> None:
    """Not before; what is in use then, when it comes back; what is idle, at once."""
    desk = Desk()
    context = desk.begin(FakeExchange())
    kept, idle = context.run(resources.open, "kept"), context.run(resources.open, "kept")
    desk.end(context)
    assert closed == []
    late = desk.begin(FakeExchange())
    assert late.run(resources.open, "kept") is kept
    asyncio.run(desk.guard.aretire())
    assert closed == [idle]
    desk.end(late)
    assert closed == [idle, kept]


def test_it_is_known_what_is_open(closed: list[Any]) -> None:
    """What, where, for whom, since when."""
    desk = Desk()
    context = desk.begin(FakeExchange("/shop"))
    context.run(resources.open, "thing")
    (row,) = desk.guard.report()
    name, place, seconds, whose = row
    assert (name, whose) == ("thing", "GET /shop")
    assert "test_present.py:" in place and 0 <= seconds < 60
    desk.end(context)
    assert desk.guard.report() == []


def test_as_many_as_max_open(closed: list[Any]) -> None:
    """For each request."""
    desk = Desk(most=1)
    context = desk.begin(FakeExchange())
    context.run(resources.open, "thing")
    with pytest.raises(resources.TooManyOpen):
        context.run(resources.open, "thing")
    desk.end(context)


def test_what_a_stream_holds_for_long_is_told_once(closed: list[Any], capfd: pytest.CaptureFixture[str]) -> None:
    """What is built in is no burden; nor is an answer that has not begun to leave a stream."""
    desk, exchange = Desk(), FakeExchange("/export")
    context = desk.begin(exchange)
    for name in ("list", "thing", "thing"):
        context.run(resources.open, name)
    (made,) = desk.guard._open.values()
    later = time.monotonic() + HELD
    made.look(later)
    exchange.committed = True
    made.look(later - 1)
    assert capfd.readouterr().err == ""
    made.look(later)
    made.look(later)
    desk.guard.look()
    log = capfd.readouterr().err
    assert log.count("\n") == 1
    assert "GET /export streams, and has held thing (opened at " in log and ") and 1 more for 30 s" in log
    desk.end(context)


def test_after_the_end_of_the_request_nothing_is_opened(closed: list[Any]) -> None:
    """Whether something had been opened before or not."""
    desk = Desk()
    for before in (True, False):
        context = desk.begin(FakeExchange())
        if before:
            context.run(resources.open, "thing")
        desk.end(context)
        with pytest.raises(resources.ResourcesClosed, match="after the end of GET /x"):
            context.run(resources.open, "thing")
    assert len(closed) == 1
