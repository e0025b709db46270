"""The scope of the present request, for tasks: as a host whose calls are coroutines says its begin and its end."""

import asyncio
import contextvars
import random
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar, cast

import pytest

from runner import resources
from runner.log import Log
from runner.request import Exchange, Request, current, enter
from runner.resources import ascope
from runner.resources.present import RequestScopes, recipes
from tests.resources.tasks import when

Result = TypeVar("Result")


class FakeExchange:
    """As much of an exchange as a guard asks for."""

    def __init__(self, path: str = "/x") -> None:
        self.request = Request({"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path}, "http", 0.0)
        self.gone = self.committed = False
        self.looked = 0

    def look(self) -> bool:
        """See Exchange."""
        self.looked += 1
        return self.gone


class Host:
    """Calls coroutines as an ASGI host does: one task a request, its end said when it is over or cancelled."""

    def __init__(self, **options: Any) -> None:
        self.guard = RequestScopes(Log("worker 0", "info", "text"), **{"most": 0, "waits": True, **options})

    def call(self, application: Coroutine[Any, Any, Result], path: str = "/x") -> asyncio.Task[Result]:
        """One request."""
        exchange = cast(Exchange, FakeExchange(path))
        return asyncio.get_running_loop().create_task(self._run(application, exchange), context=contextvars.Context())

    async def _run(self, application: Coroutine[Any, Any, Result], exchange: Exchange) -> Result:
        enter(exchange.request)
        self.guard.begin(exchange)
        try:
            return await application
        finally:
            await self.guard.aend(exchange)


class Book:
    """What was opened and closed, by request."""

    def __init__(self) -> None:
        self.events: dict[str, list[tuple[str, int]]] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.number = 0

    def note(self, what: str, number: int) -> None:
        """In the book of the present request."""
        self.events.setdefault(current().path, []).append((what, number))

    async def open(self, option: int = 0) -> int:
        """The opener."""
        self.number += 1
        number = self.number
        await asyncio.sleep(0)
        self.note("open", number)
        return number

    async def close(self, number: int) -> None:
        """The closer."""
        await self.gate.wait()
        self.note("close", number)

    def closed(self) -> list[int]:
        """Numbers of those that are."""
        return [number for events in self.events.values() for what, number in events if what == "close"]


@pytest.fixture
def book() -> Iterator[Book]:
    """With "line", whose opener and closer are coroutine functions, "plain", and "kept" of scope worker."""
    book = Book()
    resources.register("line", book.open, book.close)
    resources.register("plain", book.open, lambda number: book.note("close", number))
    resources.register("kept", book.open, book.close, scope="worker", limit=1)
    yield book
    for name in ("line", "plain", "kept"):
        del recipes._known[name]


def test_what_a_request_opens_is_closed_with_it(book: Book) -> None:
    """The last one first, before its call is over; closers have the present request."""

    async def application() -> None:
        for name in ("line", "plain", "line"):
            await resources.aopen(name)

    async def main() -> None:
        await Host().call(application())

    asyncio.run(main())
    assert book.events == {"/x": [("open", 1), ("open", 2), ("open", 3), ("close", 3), ("close", 2), ("close", 1)]}


def test_what_a_thread_has_opened_is_closed_on_the_loops(book: Book) -> None:
    """A framework's thread may be gone by then, or busy with another request."""
    threads: list[int] = []
    resources.register("plain", threading.get_ident, lambda _: threads.append(threading.get_ident()))

    async def main() -> list[int]:
        async def application() -> int:
            opened: int = await asyncio.to_thread(resources.open, "plain")
            return opened

        return [await Host().call(application()), threading.get_ident()]

    opened_in, loops = asyncio.run(main())
    assert opened_in != loops and threads == [loops]


def test_a_singleton_is_the_same_in_all_tasks_of_its_request(book: Book) -> None:
    """And in its threads; never another request's, however their steps follow each other."""

    async def task() -> int:
        await asyncio.sleep(0)
        one: int = await resources.aopen_singleton("line")
        other = await asyncio.to_thread(resources.open_singleton, "line")
        assert one == other
        return one

    async def application() -> set[int]:
        resources.register("line", book.open, book.close)
        first = await resources.aopen_singleton("line")
        return {first, *await asyncio.gather(*(task() for _ in range(3)))}

    async def main() -> list[set[int]]:
        host = Host()
        return await asyncio.gather(*(host.call(application(), f"/{number}") for number in range(50)))

    found = asyncio.run(main())
    assert all(len(each) == 1 for each in found)
    assert len(set.union(*found)) == 50
    assert len(book.closed()) == 50


@pytest.mark.parametrize("number", [300, pytest.param(10_000, marks=pytest.mark.stress)])
def test_whatever_clients_do(book: Book, number: int) -> None:
    """Requests that are cancelled at random, their ends too: nothing stays open, nothing is closed twice."""
    chance = random.Random(7)

    async def application() -> None:
        for number in range(4):
            await resources.aopen_singleton("line", option=number % 3)
            await asyncio.gather(resources.aopen("line"), resources.aopen("plain"))
        await asyncio.sleep(0)

    async def main() -> None:
        host, calls = Host(), list[asyncio.Task[Any]]()
        for path in range(number):
            calls.append(host.call(application(), f"/{path}"))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
                calls[chance.randrange(len(calls))].cancel()
        await asyncio.wait(calls)
        await when("all is closed", lambda: host.guard.report() == [])
        assert not host.guard._open

    asyncio.run(main())
    assert len(book.events) > number / 3
    for events in book.events.values():
        opened = [number for what, number in events if what == "open"]
        assert events[len(opened) :] == [("close", number) for number in reversed(opened)]


def test_an_end_that_is_cancelled_goes_on(book: Book) -> None:
    """What is still being closed is still told as open; said again, the end waits for it."""

    async def main() -> None:
        host, exchange = Host(), cast(Exchange, FakeExchange())
        enter(exchange.request)
        host.guard.begin(exchange)
        for _ in range(3):
            await resources.aopen("line")
        book.gate.clear()
        ending = asyncio.create_task(host.guard.aend(exchange))
        await when("it is being closed", lambda: len(host.guard.report()) == 3 and exchange.request.keeper is None)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        assert len(host.guard.report()) == 3
        asyncio.get_running_loop().call_soon(book.gate.set)
        await host.guard.aend(exchange)
        assert book.closed() == [3, 2, 1]
        await when("it is forgotten", lambda: not host.guard._open)

    asyncio.run(main())


def test_after_the_end_of_the_request_nothing_is_opened(book: Book) -> None:
    """By a task of it that goes on."""
    over = asyncio.Event()

    async def later() -> None:
        await over.wait()
        await resources.aopen("line")

    async def application() -> asyncio.Task[None]:
        return asyncio.create_task(later())

    async def main() -> None:
        task = await Host().call(application())
        over.set()
        with pytest.raises(resources.ResourcesClosed, match="after the end of GET /x"):
            await task

    asyncio.run(main())
    assert book.number == 0


def test_only_the_loops_thread_looks_at_the_connection(book: Book) -> None:
    """A thread of the request takes what is known."""

    async def main() -> list[int]:
        exchange = FakeExchange()
        guard = Host().guard
        enter(exchange.request)
        guard.begin(cast(Exchange, exchange))
        looked = []
        for open_one in (lambda: resources.open("list"), lambda: asyncio.to_thread(resources.open, "list")):
            if (begun := open_one()) != []:
                await begun
            looked.append(exchange.looked)
        exchange.gone = True
        with pytest.raises(resources.ResourcesClosed, match="client that has left"):
            await asyncio.to_thread(resources.open, "list")
        await guard.aend(cast(Exchange, exchange))
        return looked

    assert asyncio.run(main()) == [1, 1]


def test_what_hangs_is_logged(book: Book, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """With its place and its request; the end comes all the same."""
    monkeypatch.setattr(ascope, "CLOSING", 0.01)

    async def main() -> None:
        book.gate.clear()
        await Host().call(resources_of_one(), "/shop")

    async def resources_of_one() -> None:
        await resources.aopen("line")

    asyncio.run(main())
    log = capfd.readouterr().err
    assert "could not close line, opened at " in log and "test_present_tasks.py" in log
    assert "GET /shop" in log and "its closer had not ended after 0.01 s" in log


def test_an_answer_that_came_later_is_ended_on_the_loop(book: Book) -> None:
    """WSGI: `end` cannot wait for what a task of the application has opened, but a task can; nothing stays open."""

    async def main() -> None:
        host, exchange = Host(), cast(Exchange, FakeExchange())
        enter(exchange.request)
        host.guard.begin(exchange)
        for name in ("line", "plain"):
            await resources.aopen(name)
        host.guard.end(exchange)
        assert book.closed() == [2]
        await host.guard.aretire()
        assert book.closed() == [2, 1]

    asyncio.run(main())


def test_what_is_kept_is_closed_when_the_worker_retires(book: Book) -> None:
    """And what comes back after that, when it does."""
    leave = asyncio.Event()

    async def application() -> None:
        await resources.aopen("kept")
        await leave.wait()

    async def main() -> None:
        resources.register("kept", book.open, book.close, scope="worker", limit=2)
        host = Host()
        staying = host.call(application(), "/stays")
        other = host.call(application(), "/other")
        await when("both are open", lambda: len(host.guard.report()) == 2)
        other.cancel()
        await asyncio.wait([other])
        assert book.number == 2
        enter(cast(Any, FakeExchange("/retires").request))
        await host.guard.aretire()
        assert book.closed() == [2]
        leave.set()
        await staying
        assert sorted(book.closed()) == [1, 2]

    asyncio.run(main())


def test_what_comes_back_late_from_an_answer_that_came_later(book: Book) -> None:
    """Its end cannot wait, but a task can."""

    async def main() -> None:
        host, exchange = Host(), cast(Exchange, FakeExchange())
        enter(exchange.request)
        host.guard.begin(exchange)
        await resources.aopen("kept")
        await host.guard.aretire()
        assert book.closed() == []
        host.guard.end(exchange)
        await when("it is closed", lambda: book.closed() == [1])

    asyncio.run(main())


def test_a_task_waits_for_what_another_request_has(book: Book) -> None:
    """Many requests, one line of scope worker: all are served, and it is opened once."""

    async def application() -> int:
        line: int = await resources.aopen("kept")
        await asyncio.sleep(0)
        return line

    async def main() -> list[int]:
        host = Host()
        return await asyncio.gather(*(host.call(application(), f"/{number}") for number in range(100)))

    assert asyncio.run(main()) == [1] * 100
