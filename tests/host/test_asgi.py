"""One request as a task: what the application receives, what it may send, what leaves of it."""

import asyncio
from contextlib import closing
from typing import Any

import pytest

from runner.errors import LocalProtocolError
from runner.host.asgi import CHUNK
from runner.wire import records
from runner.wire.requester import Requester
from tests.front.rig import get, params, post
from tests.host.asgi_calls import HTTP, Application, Behind, Event, Receive, Send, ask, body, start


def sending(*events: Event) -> Application:
    """An application that sends these."""

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    return application


# ---- the answer -------------------------------------------------------------------------------------------


def test_an_answer_is_what_was_sent() -> None:
    """Status, headers in their order and their case, and the body."""
    answered = ask(sending(start(201, (b"X-One", b"1"), (b"x-two", b"\xe9")), body(b"ab", more=True), body(b"c")))
    assert answered.block.startswith("Status: 201 Created\r\nX-One: 1\r\nx-two: \xe9\r\n")
    assert (answered.body, answered.cut, answered.log) == (b"abc", False, [])


def test_nothing_leaves_before_the_first_part() -> None:
    """Until then an error page could still take its place ("Response Start": not before the first body)."""
    step = asyncio.Event()

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await send(start())
        await step.wait()
        raise ValueError("late")

    with Behind(application) as behind:
        behind.send(get(keep=False))
        behind.until(lambda: behind.service.exchanges[0].request.scope)
        behind.turn()
        assert not behind.service.exchanges[0].committed
        step.set()
        assert b"Status: 500" in behind.rest()


def test_parts_leave_as_they_come() -> None:
    """Whoever waits for one has it before the next one is made."""
    step = asyncio.Event()

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await send(start())
        await send(body(b"first", more=True))
        await step.wait()
        await send(body(b"second"))

    with Behind(application) as behind:
        behind.send(get(keep=False))
        assert b"first" in behind.receive(50)
        step.set()
        assert b"second" in behind.rest()


@pytest.mark.parametrize(("events", "status", "cut"), [
    ([], 500, False), ([start()], 500, False), ([start(), body(b"a", more=True)], 200, True),
    ([body(b"a")], 500, False), ([start(), start()], 500, False), ([start(0)], 500, False),
    ([start(), body("a")], 500, False), ([start(200, (b"a b", b"1"))], 500, False),  # type: ignore[arg-type]
    ([start(200, (b"content-length", b"2")), body(b"abc")], 200, True),
    ([start(200, (b"content-length", b"2")), body(b"a")], 500, False),
    ([start(200, (b"content-length", b"2")), body(b"a", more=True), body(b"")], 200, True),
    ([start(), body(b"a", more=True), {"type": "http.response.push"}], 200, True),
])  # fmt: skip
def test_a_broken_contract_is_a_500_or_a_visible_cut(events: list[Event], status: int, cut: bool) -> None:
    """With a line in the log; the surplus of an announced length never leaves."""
    answered = ask(sending(*events))
    assert (answered.status, answered.cut) == (status, cut)
    assert any(b"LocalProtocolError" in line for line in answered.log)


def test_the_application_hears_of_its_mistake() -> None:
    """By an exception of `send`, after which it may do better."""

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        with pytest.raises(LocalProtocolError, match="expected was"):
            await send(body(b"a"))
        with pytest.raises(LocalProtocolError, match="expected was"):
            await send({"type": "http.response.trailers"})
        await send(start(200, (b"content-length", b"2")))
        with pytest.raises(LocalProtocolError, match="before its Content-Length"):
            await send(body(b"a"))
        raise ValueError("so it gives up")

    assert ask(application).status == 500


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_whatever_is_raised_is_an_error_page(error: type[BaseException]) -> None:
    """And the loop goes on."""

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        raise error

    answered = ask(application)
    assert (answered.status, answered.cut) == (500, False)


def test_an_exception_after_the_first_part_cuts_the_answer() -> None:
    """Its beginning has left, so no error page can take its place."""

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await sending(start(), body(b"a", more=True))(scope, receive, send)
        raise ValueError("why")

    answered = ask(application)
    assert answered.cut
    assert b"GET / failed, reference " in answered.log[0]


@pytest.mark.parametrize("raw", [get(keep=False, REQUEST_METHOD="HEAD"), get(keep=False)], ids=["HEAD", "204"])
def test_an_answer_without_a_body_ends_with_its_head(raw: bytes) -> None:
    """There are bodies without an end; what is sent of them is sent nowhere, and the client has long been told."""
    sent: list[int] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await send(start(200 if scope["method"] == "HEAD" else 204))
        for number in range(3):
            await send(body(b"never", more=True))
            sent.append(number)
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"

    answered = ask(application, raw)
    assert (answered.body, answered.cut, sent) == (b"", False, [0, 1, 2])


@pytest.mark.parametrize(("events", "told"), [
    ([start(), body(b"a", more=True), body()], 1), ([start(), body(b"a")], 0),
    ([start(200, (b"content-length", b"1")), body(b"a", more=True), body()], 0),
    ([start(200, (b"content-type", b"text/event-stream")), body(b"a", more=True), body()], 1),
    ([start(200, (b"x-accel-buffering", b"yes")), body(b"a", more=True), body()], 0),
])  # fmt: skip
def test_a_stream_is_not_to_be_collected_on_the_way(events: list[Event], told: int) -> None:
    """nginx would wait until it has a buffer full."""
    assert ask(sending(*events)).block.count("X-Accel-Buffering: no") == told


def test_a_slow_reader_holds_back_his_own_application_only() -> None:
    """`send` waits until there is room; memory does not grow with what is to come."""
    sent: list[int] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await send(start())
        for number in range(64):
            await send(body(bytes(1 << 16), more=True))
            sent.append(number)
        await send(body())

    with Behind(application, buffer=1 << 16) as behind:
        behind.send(get(keep=False))
        for _ in range(100):
            behind.turn()
        assert len(sent) < 16
        assert behind.connection.buffered < 1 << 19
        assert len(behind.rest()) > 64 << 16
        assert len(sent) == 64


def test_a_fast_producer_leaves_turns_to_others() -> None:
    """Between two parts, even if the kernel takes each at once."""
    turns: list[int] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        async def other() -> None:
            for number in range(10):
                turns.append(number)
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        await send(start())
        for _ in range(12):
            await send(body(b"x", more=True))
        assert turns == list(range(10))
        await task
        await send(body())

    assert ask(application).status == 200


# ---- the request ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK])
def test_a_body_comes_in_parts_and_the_last_one_says_so(size: int) -> None:
    """None is empty but that of an empty body; none is larger than CHUNK."""
    events: list[Event] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        while not events or events[-1]["more_body"]:
            events.append(await receive())
        await sending(start(), body(b"ok"))(scope, receive, send)

    data = bytes(range(256)) * (size // 256 + 1)
    assert ask(application, post(data[:size], keep=False)).body == b"ok"
    assert b"".join(event["body"] for event in events) == data[:size]
    assert {event["type"] for event in events} == {"http.request"}
    assert all(0 < len(event["body"]) <= CHUNK for event in events) or (size, len(events)) == (0, 1)


def test_a_body_that_need_not_be_read_need_not_be_read() -> None:
    """The connection goes on with the next request."""
    with Behind(sending(start(), body(b"ok"))) as behind:
        for _ in range(3):
            behind.send(post(bytes(3 * CHUNK)))
            assert behind.replies()
        assert [outcome.status for outcome in behind.service.outcomes] == [200] * 3


def test_a_body_that_did_not_become_whole_is_a_client_that_left() -> None:
    """It is not given in part: an early end would look like a whole upload."""
    events: list[str] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        events.append((await receive())["type"])

    with Behind(application) as behind:
        behind.send(post(b"abc", length=5, keep=False))
        assert behind.rest() == records.POISON
        behind.ended()
    assert events == ["http.disconnect"]


def test_the_scope_is_of_this_request() -> None:
    """And runner.request knows it as well."""
    seen: list[Any] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await sending(start(), body())(scope, receive, send)

    with Behind(application) as behind:
        behind.send(get(keep=False, PATH_INFO="/x"))
        behind.rest()
        assert seen[0]["path"] == "/x"
        assert behind.service.exchanges[0].request.scope is seen[0]


def test_requests_on_one_connection_follow_each_other() -> None:
    """Each with an answer of its own."""

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await sending(start(), body(scope["path"].encode()))(scope, receive, send)

    with Behind(application, http=True) as behind:
        behind.send(HTTP.replace(b"/ ", b"/one ") + HTTP.replace(b"/ ", b"/two "))
        answer = behind.receive(150)
        while b"/two" not in answer:
            answer += behind.receive()
        assert answer.index(b"/one") < answer.index(b"/two")


def test_many_requests_at_once_are_under_way_at_once() -> None:
    """None waits for another one to be answered."""

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        arrived.append(scope)
        await everybody.wait()
        await sending(start(), body(b"ok"))(scope, receive, send)

    arrived: list[Event] = []
    everybody = asyncio.Event()
    one = Behind(application)
    two = Behind(application, beside=one)
    with closing(one.loop):
        for each in (one, two):
            each.peer.send(get(keep=False))
        one.until(lambda: len(arrived) == 2)
        everybody.set()
        for each in (one, two):
            assert b"ok" in each.rest()
            each.peer.close()
            each.service.close()


def test_a_request_may_be_split_into_any_pieces() -> None:
    """Byte by byte."""
    requester = Requester()
    raw = requester.request(1, params(), keep=False) + requester.stdin(1, b"")
    with Behind(sending(start(), body(b"ok"))) as behind:
        for byte in raw:
            behind.send(bytes((byte,)))
        assert b"ok" in behind.rest()
