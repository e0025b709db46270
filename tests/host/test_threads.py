"""Application threads: calls beside each other, every byte on the loop's thread, a slow reader holds only its own."""

import asyncio
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from runner.front.inside import Inside
from runner.host.threads import ThreadExchange, Threads
from runner.host.wsgi import Host
from runner.request import Request
from tests.front.rig import PATIENCE, Rig, get, poisoned
from tests.host.calls import CLOSES, Answered, Body, Start, answering


@contextmanager
def threaded(
    application: Callable[..., Iterable[bytes]], count: int = 2, *, buffer: int = 0
) -> Iterator[tuple[Rig, Threads, list[int]]]:
    """A front whose application runs in *count* threads, and a list that grows when one is free again."""
    freed: list[int] = []
    with Rig(buffer) as rig:
        host = Host(application, rig.service.log, threads=count, debug=False)
        threads = Threads(count, rig.loop, lambda: freed.append(threads.idle))
        rig.fastcgi(threads.handling(host))
        yield rig, threads, freed
        rig.until(lambda: threads.idle == count)
        threads.close()


@pytest.mark.parametrize("name", CLOSES)
def test_close_is_called_exactly_once_in_a_thread_too(name: str) -> None:
    """The same table as for inline calls."""
    _, how, raw, status = CLOSES[name]
    parts = {
        "normal": (b"a", b"b"), "nothing": (), "an exception before the first part": (ValueError("x"),),
        "an exception after a part": (b"a", ValueError("x")), "SystemExit after a part": (b"a", SystemExit(3)),
        "str": ("a",), "str after a part": (b"a", "b"), "None": (None,), "HEAD": (b"a", b"b"), "204": (b"a", b"b"),
        "length met, and nothing more": (b"ab",), "length met early, and more": (b"ab", b"c"),
        "longer in one part": (b"abc",), "shorter": (b"a",), "empty, but a length": (),
    }[name]  # fmt: skip
    body = Body(*parts)
    with threaded(answering(body, **how)) as (rig, _, _):
        rig.send(raw)
        answered = Answered(rig.rest(), rig.service.lines())
        assert len(rig.service.outcomes) == 1
    assert (body.closed, answered.status) == (1, status)


def test_who_has_left_before_a_thread_was_free_is_not_called_for() -> None:
    """The request ends all the same: a part of a batch that was cancelled, say."""
    called: list[str] = []
    release = threading.Event()

    def application(environ: dict[str, Any], start: Start) -> list[bytes]:
        called.append(environ["PATH_INFO"])
        release.wait(PATIENCE)
        start("200 OK", [])
        return [b"ok"]

    with threaded(application, 1) as (rig, _, _):
        rig.send(get(PATH_INFO="/first"))
        rig.until(lambda: called)
        other = Inside(Request(dict(rig.service.requests[0].variables), "http", 0.0), rig.service, rig.loop, 100)
        other.request.body = io.BytesIO()
        rig.service.handle(other)
        other.leave()
        release.set()
        rig.until(other.collected.done)
        assert not other.collected.result().whole
        rig.until(lambda: len(rig.service.outcomes) == 2)
    assert called == ["/first"]


def test_the_call_runs_in_a_thread_and_the_thread_is_counted() -> None:
    """`idle` is what the acceptor goes by."""
    seen: list[str] = []

    def application(environ: dict[str, Any], start: Start) -> list[bytes]:
        seen.append(threading.current_thread().name)
        start("200 OK", [])
        return [b"ok"]

    with threaded(application) as (rig, threads, freed):
        rig.peer.send(get())
        rig.until(lambda: threads.idle == 1)
        rig.until(lambda: freed)
        assert Answered(rig.receive(50), []).body == b"ok"
    assert seen[0].startswith("application")
    assert freed == [2]


def test_asyncio_run_works_in_a_thread() -> None:
    """No loop runs there."""

    async def work() -> bytes:
        await asyncio.sleep(0)
        return b"done"

    def application(environ: dict[str, Any], start: Start) -> list[bytes]:
        start("200 OK", [])
        return [asyncio.run(work())]

    with threaded(application) as (rig, _, _):
        rig.send(get(keep=False))
        assert Answered(rig.rest(), []).body == b"done"


def test_a_slow_reader_holds_its_own_thread_back() -> None:
    """Nothing piles up in memory; when it reads, all of it comes."""
    body = Body(*[bytes([number]) * 8192 for number in range(200)])
    with threaded(answering(body), buffer=4096) as (rig, _, _):
        rig.send(get(keep=False))
        rig.until(lambda: rig.connection.buffered > 65536)
        assert body.taken < 40
        assert len(Answered(rig.rest(), []).body) == 200 * 8192
    assert body.closed == 1


def test_a_client_that_leaves_wakes_a_thread_that_waits_for_it() -> None:
    """The thread would wait for ever otherwise."""
    body = Body(*[bytes(8192)] * 200)
    with threaded(answering(body), buffer=4096) as (rig, threads, _):
        rig.send(get(keep=False))
        rig.until(lambda: rig.connection.buffered > 65536)
        rig.peer.close()
        rig.until(lambda: threads.idle == 2)
        assert [outcome.whole for outcome in rig.service.outcomes] == [False]
    assert body.closed == 1


def test_write_waits_for_room_and_raises_when_the_client_is_gone() -> None:
    """The loop knows of it at once, so a silent producer learns it with its next word."""
    raised = threading.Event()

    def application(environ: dict[str, Any], start: Start) -> list[bytes]:
        write = start("200 OK", [])
        try:
            while True:
                write(b"x" * 8192)
        except ConnectionError:
            raised.set()
        return []

    with threaded(application) as (rig, _, _):
        rig.send(get())
        rig.receive(100_000)
        rig.peer.close()
        rig.until(raised.is_set)


def test_an_exception_after_the_first_part_cuts_the_answer() -> None:
    """From a thread as well."""
    with threaded(answering(Body(b"part", ValueError("x")))) as (rig, _, _):
        rig.send(get(keep=False))
        assert poisoned(rig.rest())


def test_calls_run_beside_each_other() -> None:
    """Two that wait for one another."""
    barrier = threading.Barrier(2, timeout=PATIENCE)

    def application(environ: dict[str, Any], start: Start) -> list[bytes]:
        barrier.wait()
        start("200 OK", [])
        return [b"met"]

    with threaded(application) as (one, threads, _), Rig() as two:
        two.loop.close()
        two.connection._loop = two.loop = one.loop
        two.fastcgi(threads.handling(Host(application, two.service.log, threads=2, debug=False)))
        one.peer.send(get(keep=False))
        two.peer.send(get(keep=False))
        assert Answered(one.rest(), []).body == b"met"
        assert Answered(two.rest(), []).body == b"met"
        two.connection.abort()
        two.loop = asyncio.new_event_loop()
        two.connection._loop = two.loop


def test_a_call_back_is_the_loops() -> None:
    """The thread itself simply goes on."""
    called: list[int] = []
    with Rig() as rig:
        rig.fastcgi(lambda exchange: None)
        rig.send(get())
        exchange = ThreadExchange(rig.service.exchanges[0], rig.loop)
        other = threading.Thread(target=exchange.soon, args=[lambda: called.append(threading.get_ident())])
        other.start()
        other.join()
        assert called == []
        rig.until(lambda: called)
        assert called == [threading.get_ident()]
        assert exchange.plain is rig.service.exchanges[0] is exchange.plain.plain
        assert (exchange.gone, exchange.committed) == (False, False)
        exchange.flush(1)
