"""How a call ends: with its answer, with its client, with its time; and what it does afterwards."""

import asyncio
import socket
from contextvars import ContextVar
from typing import Any

import pytest

from runner.errors import NoRequest
from runner.request import Request, current
from runner.wire import records
from tests.front.rig import get, post, record
from tests.host.asgi_calls import HTTP, Behind, Event, Receive, Send, ask, body, start


class Listening:
    """An application that begins a stream and waits for its client to leave; *told*: what it was told."""

    def __init__(self, *first: Event) -> None:
        self.first = first
        self.told: list[str] = []
        self.cancelled = False

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """See the class."""
        for event in self.first:
            await send(event)
        try:
            while "http.disconnect" not in self.told:
                self.told.append((await receive())["type"])
        except asyncio.CancelledError:
            self.cancelled = True
            raise


STREAM = (start(), body(b"begun", more=True))


def hang_up(behind: Behind) -> None:
    """The whole connection."""
    behind.peer.close()


def shut(behind: Behind) -> None:
    """The client's side only."""
    behind.peer.shutdown(socket.SHUT_WR)


def abort(behind: Behind) -> None:
    """In the words of FastCGI, section 5.4; the connection stays."""
    behind.send(record(records.ABORT_REQUEST))


@pytest.mark.parametrize("first", [(), STREAM], ids=["idle", "streaming"])
@pytest.mark.parametrize(("leave", "http"), [(hang_up, False), (abort, False), (hang_up, True), (shut, True)])
def test_a_client_that_leaves_is_told_of_at_once(leave: Any, http: bool, first: tuple[Event, ...]) -> None:
    """Once, also while nothing is sent; the call then ends as it likes, and nothing is logged."""
    application = Listening(*first)
    with Behind(application, http=http) as behind:
        behind.send(HTTP if http else get())
        behind.until(lambda: application.told)
        leave(behind)
        behind.ended()
        assert application.told == ["http.request", "http.disconnect"]
        assert not application.cancelled
        assert [what for what, _ in behind.witness.told] == ["begin", "end"]
        assert behind.service.outcomes[0].status == (200 if first else 499)
        assert not behind.service.lines()


def test_a_client_that_has_only_shut_its_side_is_answered_if_there_is_an_answer() -> None:
    """`printf … | nc` does so; whoever does not listen for the disconnect notices nothing."""
    step = asyncio.Event()

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await step.wait()
        await send(start())
        await send(body(b"all the same"))

    with Behind(application, http=True) as behind:
        behind.send(HTTP)
        shut(behind)
        behind.turn()
        step.set()
        assert b"all the same" in behind.rest()


def test_who_waits_for_room_is_woken_when_the_client_leaves() -> None:
    """And what it sends after that goes nowhere, without an exception (2.3; from 2.4 on it raises)."""
    sent: list[int] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await send(start())
        for number in range(40):
            await send(body(bytes(1 << 16), more=True))
            sent.append(number)
        await send(body())

    with Behind(application, buffer=1 << 16) as behind:
        behind.send(get())
        for _ in range(50):
            behind.turn()
        assert len(sent) < 40
        behind.peer.close()
        behind.ended()
        assert len(sent) == 40


def test_who_does_not_end_by_himself_is_cancelled() -> None:
    """When the grace is over."""
    cancelled: list[bool] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with Behind(application, grace=0.01) as behind:
        behind.send(get())
        behind.until(lambda: behind.service.exchanges[0].request.scope)
        behind.peer.close()
        behind.ended()
        assert cancelled
        assert [what for what, _ in behind.witness.told] == ["begin", "end"]
        assert not behind.service.lines()


def test_a_client_that_stays_is_never_waited_for_less() -> None:
    """The grace is for those whose client has left."""
    step = asyncio.Event()

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await step.wait()
        await send(start())
        await send(body(b"late"))

    with Behind(application, grace=0.001) as behind:
        behind.send(get(keep=False))
        behind.loop.run_until_complete(asyncio.sleep(0.01))
        step.set()
        assert b"late" in behind.rest()


def test_who_asks_on_and_on_is_told_once_and_blocks_nobody() -> None:
    """A loop that does not look at what it receives would keep the event loop for ever."""
    told: list[str] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        while True:
            told.append((await receive())["type"])

    with Behind(application, grace=0.01) as behind:
        behind.send(get())
        behind.until(lambda: told)
        behind.peer.close()
        behind.ended()
        assert told == ["http.request", "http.disconnect"]


def test_each_task_that_asks_is_told() -> None:
    """Frameworks listen in one task, and look in another."""
    told: list[str] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await receive()

        async def listen() -> None:
            told.append((await receive())["type"])

        await asyncio.gather(listen(), listen())
        await listen()

    with Behind(application) as behind:
        behind.send(get())
        behind.turn()
        behind.peer.close()
        behind.ended()
        assert told == ["http.disconnect"] * 3


# ---- afterwards -------------------------------------------------------------------------------------------


def test_background_work_goes_on_when_the_answer_is_complete() -> None:
    """The connection is free for the next request meanwhile, and the work learns that nobody is waiting."""
    step, done = asyncio.Event(), []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await receive()
        await send(start())
        await send(body(b"answered"))
        done.append((await receive())["type"])
        await step.wait()
        done.append("done")

    with Behind(application) as behind:
        for _ in range(2):
            behind.send(get())
            assert behind.replies()
        assert done == ["http.disconnect"] * 2
        assert behind.host.busy
        step.set()
        behind.ended()
        assert done[2:] == ["done"] * 2


def test_background_work_that_fails_is_logged() -> None:
    """The answer is whole all the same."""

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"whole"))
        raise ValueError("in the background")

    answered = ask(application)
    assert (answered.body, answered.cut) == (b"whole", False)
    assert any(b"ValueError: in the background" in line for line in answered.log)


@pytest.mark.parametrize(("background", "left"), [(True, ["waiting"]), (False, [])])
def test_what_has_no_more_time_is_cancelled(background: bool, left: list[str]) -> None:
    """Work after the answer, or everything: who waits is told to ask again, and nobody is blamed."""
    running: list[str] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        name = scope["path"].strip("/")
        running.append(name)
        try:
            if name == "working":
                await send(start())
                await send(body())
            await asyncio.Event().wait()
        finally:
            running.remove(name)

    one = Behind(application)
    two = Behind(application, beside=one)
    one.peer.send(get(PATH_INFO="/working"))
    two.peer.send(get(PATH_INFO="/waiting"))
    one.until(lambda: len(running) == 2 and one.service.outcomes)
    for behind in (one, two):
        behind.host.cancel(background=background)
    one.until(lambda: sorted(running) == left)
    two.host.cancel(background=False)
    one.until(lambda: not running)
    assert b"Status: 503" in two.receive()
    (line,) = two.service.lines()
    assert b"warning: GET /waiting: cut" in line
    for behind in (one, two):
        behind.connection.abort()
        behind.turn()
        behind.peer.close()
        behind.service.close()
    one.loop.close()


def test_its_end_is_told_before_the_last_byte_leaves() -> None:
    """Who has the whole answer can rely on what is closed with it; then the request is over."""
    order: list[str] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        request = current()
        await send(start())
        await send(body(b"part", more=True))
        order.append("sending")
        await send(body(b"last"))
        order.append("sent")
        assert request.over
        with pytest.raises(NoRequest):
            current()

    with Behind(application) as behind:
        aend = behind.witness.aend

        async def watched(exchange: Any) -> None:
            assert not behind.service.outcomes
            order.append("end")
            await aend(exchange)

        behind.witness.aend = watched  # type: ignore[method-assign]
        behind.send(get(keep=False))
        assert b"last" in behind.rest()
        behind.ended()
        assert not behind.service.lines()
    assert order == ["sending", "end", "sent"]


# ---- context ----------------------------------------------------------------------------------------------

WHO: ContextVar[str] = ContextVar("who", default="nobody")


def test_the_present_request_is_the_same_in_all_that_it_starts() -> None:
    """Child tasks, threads of the pool, and callbacks."""
    seen: list[Request] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        async def child() -> None:
            seen.append(current())

        called = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: called.set_result(current()))
        seen.append(await called)
        await asyncio.create_task(child())
        seen.append(await asyncio.to_thread(current))
        await send(start())
        await send(body())

    with Behind(application) as behind:
        behind.send(get(keep=False))
        behind.rest()
        assert seen == [behind.service.exchanges[0].request] * 3


def test_what_one_request_sets_no_other_one_sees() -> None:
    """Each has a context of its own, copied from that of the import."""
    seen: list[str] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        seen.append(WHO.get())
        WHO.set(scope["path"])
        await asyncio.sleep(0)
        assert WHO.get() == scope["path"]
        await send(start())
        await send(body())

    with Behind(application) as behind:
        for _ in range(3):
            behind.send(post(b""))
            assert behind.replies()
    assert seen == ["nobody"] * 3


def test_a_thousand_interleaved_streams_each_know_their_request() -> None:
    """A thousand parts of a hundred answers, in an order that nobody planned."""
    count = 100

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await send(start())
        for _ in range(10):
            await send(body(current().path.encode() + b"\n", more=True))
        await send(body())

    first = Behind(application)
    all_of_them = [first, *(Behind(application, beside=first) for _ in range(count - 1))]
    for number, behind in enumerate(all_of_them):
        behind.peer.send(get(keep=False, PATH_INFO=f"/{number}"))
    answers = [behind.rest() for behind in all_of_them]
    for number, (behind, answer) in enumerate(zip(all_of_them, answers, strict=True)):
        lines = [line for line in answer.replace(b"\x00", b"\n").split(b"\n") if line.startswith(b"/")]
        assert set(lines) == {f"/{number}".encode()}
        behind.peer.close()
        behind.service.close()
    first.loop.close()


