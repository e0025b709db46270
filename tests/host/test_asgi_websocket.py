"""A WebSocket of an ASGI application, behind a real front."""

import asyncio
from typing import Any

import pytest

from runner.request import current
from tests.host.asgi_calls import Application, Behind, Event, Receive, Send
from tests.support.frames import BINARY, CLOSE, TEXT, Heard, Reader, close, code_of, frame, handshake

ACCEPT: Event = {"type": "websocket.accept"}
CLOSED: Event = {"type": "websocket.close", "code": 4000, "reason": "enough"}


class Visit(Behind):
    """A client of *application*, once it has asked; *head*: the answer."""

    def __init__(self, application: Application, *, grace: float = 5.0, buffer: int = 0, **headers: str) -> None:
        super().__init__(application, http=True, grace=grace, buffer=buffer)
        self._reader = Reader()
        self.send(handshake("/live?a=1", **headers))
        raw = b""
        while b"\r\n\r\n" not in raw:
            raw += self.receive()
        head, _, self.body = raw.partition(b"\r\n\r\n")
        self.head = head.decode()

    def hear(self, count: int = 1) -> list[Heard]:
        """At least so many frames, fewer only if the connection ends."""
        found = self._reader.feed(self.body)
        self.body = b""
        while len(found) < count and (data := self.receive()):
            found += self._reader.feed(data)
        return found

    def goodbye(self) -> int:
        """The code of the close frame, which is answered; then the call has ended, and its request."""
        [heard] = self.hear()
        self.send(close(code_of(heard)))
        assert self.rest() == b""
        self.ended()
        return code_of(heard)


async def echo(scope: Event, receive: Receive, send: Send) -> None:
    """Send back what comes."""
    assert await receive() == {"type": "websocket.connect"}
    await send(ACCEPT)
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


def test_messages_go_to_the_application_and_back() -> None:
    """Text as str, binary as bytes; in the end the guards are told, once."""
    with Visit(echo) as visit:
        assert visit.head.startswith("HTTP/1.1 101 ")
        visit.send(frame(TEXT, "a€".encode()) + frame(BINARY, b"\xff"))
        assert visit.hear(2) == [Heard(TEXT, "a€".encode()), Heard(BINARY, b"\xff")]
        visit.send(close(1000))
        assert [code_of(each) for each in visit.hear()] == [1000]
        visit.ended()
        assert [what for what, _ in visit.witness.told] == ["begin", "end"]
        assert visit.service.outcomes[0][::2] == (101, True)
        assert visit.service.lines() == []


def test_the_scope_is_that_of_a_websocket() -> None:
    """And the present request is its own."""
    seen: dict[str, Any] = {}

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        seen.update(scope)
        assert current().scope is scope
        await send({**ACCEPT, "subprotocol": "chat", "headers": [(b"x-a", b"1")]})

    with Visit(application, Sec_WebSocket_Protocol="other, chat") as visit:
        assert visit.goodbye() == 1000
        assert "\r\nSec-WebSocket-Protocol: chat\r\n" in visit.head
        assert visit.head.endswith("\r\nx-a: 1")
    assert (seen["type"], seen["scheme"], seen["path"], seen["query_string"]) == ("websocket", "ws", "/live", b"a=1")
    assert seen["subprotocols"] == ["other", "chat"]
    assert seen["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert "websocket.http.response" in seen["extensions"]
    assert "method" not in seen
    assert (b"upgrade", b"websocket") in seen["headers"]


def sending(*events: Event) -> Application:
    """An application that sends these, and returns."""

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    return application


DENIED: list[Event] = [
    {"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-a", b"1")]},
    {"type": "websocket.http.response.body", "body": b"no", "more_body": True},
    {"type": "websocket.http.response.body", "body": b"t you"},
]


@pytest.mark.parametrize(("events", "status", "body"), [
    ([CLOSED], 403, b"not accepted"), (DENIED, 401, b"t you"), ([], 500, b""),
    ([{"type": "websocket.send", "text": "x"}], 500, b""), ([{**ACCEPT, "subprotocol": "none"}], 500, b""),
    ([{**ACCEPT, "headers": [(b"a b", b"")]}], 500, b""),
])  # fmt: skip
def test_what_is_not_accepted_is_answered(events: list[Event], status: int, body: bytes) -> None:
    """403, the application's own answer, or the error page; another request may follow."""
    with Visit(sending(*events)) as visit:
        visit.ended()
        assert visit.head.startswith(f"HTTP/1.1 {status} ")
        while body not in visit.body:
            visit.body += visit.receive()
        assert bool(visit.service.lines()) is (status == 500)
        assert not visit.connection.closed
        assert [what for what, _ in visit.witness.told] == ["begin", "end"]


@pytest.mark.parametrize(("events", "code"), [
    ([ACCEPT], 1000), ([ACCEPT, CLOSED], 4000), ([ACCEPT, {"type": "websocket.close"}], 1000),
    ([ACCEPT, ACCEPT], 1011), ([ACCEPT, {"type": "websocket.close", "code": 1006}], 1011),
    ([ACCEPT, {"type": "websocket.send", "text": "\ud800"}], 1011),
])  # fmt: skip
def test_how_the_call_ends_is_how_the_socket_ends(events: list[Event], code: int) -> None:
    """1000 for who has nothing more to say, 1011 for who fails, with a line in the log."""
    with Visit(sending(*events)) as visit:
        assert visit.goodbye() == code
        assert bool(visit.service.lines()) is (code == 1011)
        assert len(visit.service.outcomes) == 1


class Patient:
    """An application that accepts and waits for the end; *told*: what it was told."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.cancelled = False

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """See the class."""
        await send(ACCEPT)
        try:
            while not self.told or self.told[-1]["type"] != "websocket.disconnect":
                self.told.append(await receive())
        except asyncio.CancelledError:
            self.cancelled = True
            raise


@pytest.mark.parametrize(("raw", "code", "reason"), [
    (close(4001, b"bye"), 4001, "bye"), (frame(CLOSE), 1005, ""), (b"", 1006, ""),
    (frame(TEXT, b"\xff"), 1007, "invalid start byte"),
])  # fmt: skip
def test_the_end_is_told_with_code_and_reason(raw: bytes, code: int, reason: str) -> None:
    """The peer's own, ours for what it did wrong, 1006 where nobody said anything."""
    application = Patient()
    with Visit(application) as visit:
        if raw:
            visit.send(raw)
        else:
            visit.peer.close()
        visit.ended()
        assert application.told[-1] == {"type": "websocket.disconnect", "code": code, "reason": reason}


def test_what_came_before_the_end_is_received_before_it() -> None:
    """No message is lost because its sender leaves."""
    application = Patient()
    with Visit(application) as visit:
        visit.send(frame(TEXT, b"1") + frame(TEXT, b"2") + close(1000))
        visit.ended()
    assert [event.get("text") for event in application.told] == [None, "1", "2", None]


def test_a_cut_is_told_at_once() -> None:
    """The peer is told to come back, and need not answer for the application to hear of it."""
    application = Patient()
    with Visit(application) as visit:
        exchange: Any = visit.service.exchanges[0]
        visit.loop.call_soon(exchange.cut)
        visit.ended()
        assert application.told[-1] == {
            "type": "websocket.disconnect", "code": 1012, "reason": "service restart"
        }
        assert [code_of(each) for each in visit.hear()] == [1012]


def test_who_sends_to_nobody_is_told_by_an_error() -> None:
    """An OSError, which frameworks take for the end of the client; nothing is logged if it is let through."""
    raised: list[BaseException] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        try:
            while True:
                await send({"type": "websocket.send", "text": "tick"})
                await asyncio.sleep(0.001)
        except OSError as error:
            raised.append(error)
            raise

    with Visit(application) as visit:
        visit.peer.close()
        visit.ended()
        assert raised
        assert visit.service.lines() == []


def test_who_does_not_hear_of_the_end_is_cancelled() -> None:
    """After a time."""

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await asyncio.sleep(600)

    with Visit(application, grace=0.05) as visit:
        visit.send(close(1000))
        visit.ended()
        assert visit.service.lines() == []


def test_a_sender_waits_for_a_slow_reader() -> None:
    """What it sends is not kept in memory without end, and all of it arrives."""
    sent: list[int] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        for number in range(100):
            await send({"type": "websocket.send", "bytes": bytes(50000)})
            sent.append(number)

    with Visit(application, buffer=4096) as visit:
        for _ in range(500):
            visit.turn()
        assert len(sent) < 10
        assert [len(each.data) for each in visit.hear(100)[:100]] == [50000] * 100


def test_after_its_close_a_call_is_background_work() -> None:
    """The request is over; it may take its time, and asking once more says how it ended."""
    gate = asyncio.Event()
    told: list[Event] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await send(CLOSED)
        told.append(await receive())
        await gate.wait()

    with Visit(application) as visit:
        assert [code_of(each) for each in visit.hear()] == [4000]
        assert (len(visit.service.outcomes), visit.host.busy) == (1, True)
        visit.until(lambda: told)
        gate.set()
        visit.ended()
        assert told == [{"type": "websocket.disconnect", "code": 4000, "reason": "enough"}]


def test_a_request_that_asks_for_nothing_is_an_ordinary_one() -> None:
    """So is one for a protocol that nobody speaks here."""
    kinds: list[str] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        kinds.append(scope["type"])
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    with Visit(application, Upgrade="h2c") as visit:
        visit.ended()
    assert kinds == ["http"]


def test_a_bad_request_never_reaches_the_application() -> None:
    """Nor its guards."""

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        raise AssertionError("it was called")

    with Visit(application, Origin="http://evil.example") as visit:
        assert visit.head.startswith("HTTP/1.1 403 ")
        assert (visit.host.busy, visit.witness.told, len(visit.service.outcomes)) == (False, [], 1)
