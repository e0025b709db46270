"""Answers that come later: from the function itself, a timer, a task, a thread; once, in time, at the client's pace."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from runner.errors import LocalProtocolError
from runner.host.wsgi import Host
from runner.request import current
from runner.streaming import Delayed, Respond, Writer, delayed
from tests.front.rig import PATIENCE, Rig, get
from tests.host.calls import Answered, Start

HEADERS = [("Content-Type", "text/plain")]
SIZED = [*HEADERS, ("Content-Length", "4")]


class Guarded:
    """A guard that counts the ends."""

    def __init__(self) -> None:
        self.ended = 0

    def begin(self, exchange: object) -> None:
        """See Guard."""

    def end(self, exchange: object) -> None:
        """See Guard."""
        self.ended += 1


class Shop:
    """A front with an application that answers later, by *function*."""

    def __init__(self, rig: Rig, function: Callable[[Respond], object], timeout: float) -> None:
        self.rig = rig
        self.guard = Guarded()
        answer = delayed(function, timeout=timeout)

        def application(environ: dict[str, Any], start: Start) -> Delayed:
            return answer

        host = Host(application, rig.service.log, threads=1, debug=False, guards=[self.guard])
        rig.fastcgi(host.handle)

    def ask(self, raw: bytes = get(keep=False)) -> None:
        """Send a request."""
        self.rig.send(raw)

    def answered(self) -> Answered:
        """What came of it."""
        self.rig.until(lambda: self.rig.service.outcomes)
        assert self.guard.ended
        return Answered(self.rig.rest(), self.rig.service.lines())


@contextmanager
def shop(function: Callable[[Respond], object], *, timeout: float = PATIENCE, buffer: int = 0) -> Iterator[Shop]:
    """See Shop."""
    with Rig(buffer) as rig:
        yield Shop(rig, function, timeout)


def by_itself(respond: Respond) -> None:
    """At once."""
    respond("200 OK", SIZED, b"late")


def by_timer(respond: Respond) -> None:
    """By the loop."""
    asyncio.get_running_loop().call_later(0.01, respond, "200 OK", SIZED, b"late")


def by_task(respond: Respond) -> None:
    """By a coroutine that runs on the worker's own loop."""

    async def work() -> None:
        await asyncio.sleep(0.01)
        writer = respond("200 OK", SIZED)
        writer.write(b"la")
        await writer.drain()
        writer.write(b"te")
        writer.close()

    tasks.append(asyncio.get_running_loop().create_task(work()))


def by_thread(respond: Respond) -> None:
    """By somebody who knows no loop."""
    threading.Timer(0.01, respond, ["200 OK", SIZED, b"late"]).start()


def by_writing_thread(respond: Respond) -> None:
    """Part by part."""

    def work() -> None:
        writer = respond("200 OK", SIZED)
        for part in (b"la", b"te"):
            writer.write(part)
        writer.close()
        writer.close()

    threading.Thread(target=work).start()


tasks: list[asyncio.Task[None]] = []


@pytest.mark.parametrize("function", [by_itself, by_timer, by_task, by_thread, by_writing_thread])
def test_the_answer_may_come_from_anywhere(function: Callable[[Respond], object]) -> None:
    """And is whole, once; nothing is held open after it."""
    with shop(function) as made:
        made.ask()
        answered = made.answered()
    assert (answered.status, answered.body, answered.cut) == (200, b"late", False)
    assert answered.log == []


def test_others_are_answered_meanwhile() -> None:
    """It is called in a turn of the loop of its own, and waits outside of it."""
    held: list[Respond] = []
    with shop(held.append) as made, shop(by_itself) as other:
        made.ask()
        made.rig.until(lambda: held)
        other.ask()
        assert other.answered().body == b"late"
        held[0]("200 OK", SIZED, b"late")
        assert made.answered().body == b"late"


def test_there_is_one_answer() -> None:
    """Whoever comes second is told so, on any thread."""
    errors: list[BaseException] = []

    def twice(respond: Respond) -> None:
        respond("200 OK", SIZED, b"late")
        try:
            respond("200 OK", SIZED, b"more")
        except LocalProtocolError as error:
            errors.append(error)

    with shop(twice) as made:
        made.ask()
        assert made.answered().body == b"late"
    assert "responded to already" in str(errors[0])


def test_an_answer_that_does_not_come() -> None:
    """504 when the time is over; what comes then is told that it is too late."""
    held: list[Respond] = []
    with shop(held.append, timeout=0.02) as made:
        made.ask()
        answered = made.answered()
        assert (answered.status, answered.body) == (504, b"The answer did not come in time.\n")
        with pytest.raises(LocalProtocolError, match="too late"):
            held[0]("200 OK", SIZED, b"late")


def test_a_function_that_fails() -> None:
    """Is a failure like any other."""

    def fail(respond: Respond) -> None:
        raise ValueError("in the function")

    with shop(fail) as made:
        made.ask()
        answered = made.answered()
    assert answered.status == 500
    assert b"ValueError: in the function" in answered.log[0]


@pytest.mark.parametrize(("status", "headers"), [("nonsense", HEADERS), ("200 OK", [("Bad\n", "x")])])
def test_what_cannot_be_sent_is_raised_where_it_is_said(status: str, headers: list[tuple[str, str]]) -> None:
    """And the client gets a 500, not a silence."""
    raised: list[BaseException] = []

    def work(respond: Respond) -> None:
        try:
            respond(status, headers, b"x")
        except LocalProtocolError as error:
            raised.append(error)
            raise

    with shop(lambda respond: work(respond)) as made:
        made.ask()
        assert made.answered().status == 500
    assert raised


@pytest.mark.parametrize(("parts", "cut"), [((b"12345",), True), ((b"12",), True), ((b"12", b"34"), False)])
def test_the_length_is_kept(parts: tuple[bytes, ...], cut: bool) -> None:
    """What is announced is what arrives, or the answer is visibly cut."""

    def work(respond: Respond) -> None:
        writer = respond("200 OK", SIZED)
        try:
            for part in parts:
                writer.write(part)
        except LocalProtocolError:
            assert writer.closed
        writer.close()

    with shop(work) as made:
        made.ask()
        assert made.answered().cut is cut


def test_a_thread_may_be_later_than_the_worker() -> None:
    """What is closed stays closed, also when there is no event loop any more that could be asked."""
    writers: list[Writer] = []

    def work(respond: Respond) -> None:
        writers.append(respond("200 OK", SIZED))
        writers[0].write(b"done")
        writers[0].close()

    with shop(work) as made:
        made.ask()
        assert made.answered().body == b"done"
    with ThreadPoolExecutor(1) as threads:
        threads.submit(writers[0].write, b"x").result()
        threads.submit(writers[0].close).result()


def test_a_part_that_is_no_bytes() -> None:
    """Is refused where it is written."""

    def work(respond: Respond) -> None:
        writer = respond("200 OK", HEADERS)
        with pytest.raises(LocalProtocolError, match="is str, not bytes"):
            writer.write("text")  # type: ignore[arg-type]
        writer.close()

    with shop(work) as made:
        made.ask()
        assert made.answered().status == 200


# ---- the client ---------------------------------------------------------------------------------------------------


def test_a_thread_writes_at_the_pace_of_its_client() -> None:
    """It waits in write(), so that no memory fills; nobody else waits."""
    written: list[int] = []

    def work(respond: Respond) -> None:
        def write() -> None:
            writer = respond("200 OK", HEADERS)
            for number in range(100):
                writer.write(b"x" * 65536)
                written.append(number)
            writer.close()

        threading.Thread(target=write).start()

    with shop(work, buffer=65536) as made:
        made.ask()
        made.rig.until(lambda: written)
        for _ in range(50):
            made.rig.turn()
        assert len(written) < 20
        received = bytearray()
        made.rig.peer.setblocking(False)

        def all_there() -> bool:
            try:
                received.extend(made.rig.peer.recv(1 << 20))
            except BlockingIOError:
                pass
            return bool(made.rig.service.outcomes)

        made.rig.until(all_there)
    assert len(written) == 100


def test_a_task_waits_in_drain() -> None:
    """And is woken when there is room."""
    written: list[int] = []

    def work(respond: Respond) -> None:
        async def write() -> None:
            writer = respond("200 OK", HEADERS)
            for number in range(50):
                writer.write(b"x" * 65536)
                await writer.drain()
                written.append(number)
            writer.close()

        tasks.append(asyncio.get_running_loop().create_task(write()))

    with shop(work, buffer=65536) as made:
        made.ask()
        for _ in range(50):
            made.rig.turn()
        assert len(written) < 20
        made.rig.peer.setblocking(False)

        def read() -> bool:
            try:
                made.rig.peer.recv(1 << 20)
            except BlockingIOError:
                pass
            return bool(made.rig.service.outcomes)

        made.rig.until(read)
    assert len(written) == 50


@pytest.mark.parametrize("begun", [False, True])
def test_the_client_leaves(begun: bool) -> None:
    """Whoever wants to know is told, what was open is closed, and what is written then is nothing."""
    told: list[str] = []
    held: list[Respond] = []
    writers: list[Writer] = []

    def work(respond: Respond) -> None:
        held.append(respond)
        if begun:
            writer = respond("200 OK", HEADERS)
            writer.on_disconnect(lambda: told.append(current().path))
            writer.write(b"x")
            writers.append(writer)

    with shop(work) as made:
        made.ask()
        made.rig.until(lambda: held)
        made.rig.peer.close()
        made.rig.until(lambda: made.rig.service.outcomes)
        assert made.guard.ended == 1
        assert made.rig.service.outcomes[0].whole is False
        if begun:
            assert writers[0].closed
            writers[0].write(b"more")
            writers[0].close()
            assert told == ["/"]
        else:
            writer = held[0]("200 OK", HEADERS)
            assert writer.closed
            writer.on_disconnect(lambda: told.append("late"))
            assert told == ["late"]
            writer.close()


def test_a_writer_that_waits_is_released_when_the_client_leaves() -> None:
    """Else its thread would wait for ever."""
    ended = threading.Event()

    def work(respond: Respond) -> None:
        def write() -> None:
            writer = respond("200 OK", HEADERS)
            while not writer.closed:
                writer.write(b"x" * 65536)
            ended.set()

        threading.Thread(target=write).start()

    with shop(work, buffer=65536) as made:
        made.ask()
        made.rig.until(lambda: made.rig.connection.buffered)
        made.rig.peer.close()
        made.rig.until(lambda: ended.is_set() and made.rig.service.outcomes)


# ---- context ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["function", "timer", "task"])
def test_it_is_the_same_request(where: str) -> None:
    """In the function, and in whatever it starts on the loop."""

    def work(respond: Respond) -> None:
        def answer() -> None:
            respond("200 OK", HEADERS, current().path.encode())

        async def task() -> None:
            answer()

        match where:
            case "function":
                answer()
            case "timer":
                asyncio.get_running_loop().call_soon(answer)
            case "task":
                tasks.append(asyncio.get_running_loop().create_task(task()))

    with shop(work) as made:
        made.ask()
        assert made.answered().body == b"/"


def test_start_response_is_not_for_these() -> None:
    """Whoever has called it has begun another answer."""

    def application(environ: dict[str, Any], start: Start) -> Delayed:
        start("200 OK", HEADERS)
        return delayed(by_itself)

    with Rig() as rig:
        rig.fastcgi(Host(application, rig.service.log, threads=1, debug=False).handle)
        rig.send(get(keep=False))
        answered = Answered(rig.rest(), rig.service.lines())
    assert answered.status == 500
    assert b"begins with respond()" in answered.log[0]
