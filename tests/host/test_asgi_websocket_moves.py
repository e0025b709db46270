"""A WebSocket of an ASGI application that moves to another process: here, to another front."""

from typing import Any

import pytest

from runner.errors import ClientGone, LocalProtocolError, NoRequest
from runner.front.http import HTTPFront
from runner.front.luggage import Luggage
from runner.host.talking import MAX_STATE, MOVE
from runner.request import current
from tests.host.asgi_calls import Application, Behind, Event, Receive, Send
from tests.support.frames import CLOSE, TEXT, Heard, Reader, close, code_of, frame, handshake

ACCEPT: Event = {"type": "websocket.accept", MOVE: True}
SAY: Event = {"type": MOVE, "state": "7"}


class Visit(Behind):
    """A client of *application*: a new one, or one that comes with *luggage*."""

    def __init__(self, application: Application, luggage: Luggage | None = None) -> None:
        super().__init__(application, http=True)
        self._reader = Reader()
        self._rest = b""
        front = self.connection.machine
        assert isinstance(front, HTTPFront)
        if luggage is not None:
            self.loop.call_soon(self.connection.come_over, lambda: front.come_over(luggage, refused=False))
            self.turn()
            return
        self.send(handshake("/live"))
        raw = b""
        while b"\r\n\r\n" not in raw:
            raw += self.receive()
        self._rest = raw.partition(b"\r\n\r\n")[2]

    @property
    def exchange(self) -> Any:
        """That of the socket."""
        return self.service.exchanges[0]

    def hear(self, count: int = 1) -> list[Heard]:
        """At least so many frames, fewer only if the connection ends."""
        found = self._reader.feed(self._rest)
        self._rest = b""
        while len(found) < count and (data := self.receive()):
            found += self._reader.feed(data)
        return found

    def move(self) -> Luggage:
        """Have it asked, as a worker that retires does, and leave."""
        self.loop.call_soon(lambda: self.exchange.invite(wanted=True))
        self.until(lambda: self.service.movings)
        luggage = Luggage.unpack(self.exchange.depart())
        self.connection.give(lambda sock: None)
        self.until(lambda: not self.host.busy)
        return luggage


def counter(told: list[Event]) -> Application:
    """Counts what it receives, wherever it is; *told*: its scopes and the last event of each call."""

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        told.append(scope)
        count = int(scope["extensions"][MOVE]["state"] or 0)
        assert await receive() == {"type": "websocket.connect"}
        await send(ACCEPT)
        while (event := await receive())["type"] == "websocket.receive":
            count += 1
            await send({"type": "websocket.send", "text": f"{count} {event['text']}"})
        told.append(event)
        if event["type"] == MOVE:
            await send({"type": MOVE, "state": str(count)})

    return application


def test_it_goes_on_elsewhere_with_what_was_said_of_it() -> None:
    """Its client sees one socket, the guards two calls, the log one line; the request is the same."""
    told: list[Event] = []
    with Visit(counter(told)) as before:
        before.send(frame(TEXT, b"a") + frame(TEXT, b"b"))
        assert [each.data for each in before.hear(2)] == [b"1 a", b"2 b"]
        luggage = before.move()
        assert luggage.state == "2"
        assert [what for what, _ in before.witness.told] == ["begin", "end"]
        assert (before.service.outcomes, before.service.lines()) == ([], [])
    with Visit(counter(told), luggage) as after:
        after.send(frame(TEXT, b"c"))
        assert [each.data for each in after.hear()] == [b"3 c"]
        after.send(close(1000))
        assert [code_of(each) for each in after.hear()] == [1000]
        after.ended()
        assert [what for what, _ in after.witness.told] == ["begin", "end"]
        assert after.service.outcomes == [(101, 3 * 5 + 4, True)]
    first, asked, second, end = told
    assert (asked, end["type"]) == ({"type": MOVE}, "websocket.disconnect")
    assert (first["extensions"][MOVE], second["extensions"][MOVE]) == ({"state": None}, {"state": "2"})
    assert first | {"extensions": 0, "state": 0} == second | {"extensions": 0, "state": 0}


def test_after_its_answer_the_call_is_background_work() -> None:
    """It has no request any more, nothing can be sent, and whoever receives is told of the end."""
    told: list[Any] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        assert (await receive())["type"] == MOVE
        await send(SAY)
        told.append(await receive())
        for event in ({"type": "websocket.send", "text": "x"}, SAY):
            with pytest.raises(LocalProtocolError, match="nothing more"):
                await send(event)
        with pytest.raises(NoRequest):
            current()
        told.append("background")

    with Visit(application) as visit:
        assert visit.move().state == "7"
    assert told == [{"type": "websocket.disconnect", "code": 1012, "reason": "moved"}, "background"]


def test_what_is_said_between_question_and_answer_leaves_first() -> None:
    """Of this process still."""

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        assert (await receive())["type"] == MOVE
        await send({"type": "websocket.send", "text": "last"})
        await send(SAY)

    with Visit(application) as visit:
        visit.move()
        assert visit.hear() == [Heard(TEXT, b"last")]


@pytest.mark.parametrize("state", [None, b"7", 7, "\ud800", "x" * (MAX_STATE + 1)])
@pytest.mark.parametrize("catches", [True, False])
def test_a_state_that_cannot_be_is_an_error_of_the_application(state: Any, catches: bool) -> None:
    """Who catches it may say another one; else it ends with 1011, and a line in the log."""

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        assert (await receive())["type"] == MOVE
        try:
            await send({"type": MOVE, "state": state})
        except LocalProtocolError:
            if not catches:
                raise
            await send(SAY)

    with Visit(application) as visit:
        if catches:
            assert visit.move().state == "7"
            return
        visit.loop.call_soon(lambda: visit.exchange.invite(wanted=True))
        [heard] = visit.hear()
        assert (heard.opcode, code_of(heard)) == (CLOSE, 1011)
        visit.ended()
        assert b"the state in" in b"".join(visit.service.lines())


def test_who_answers_too_late_hears_that_it_is_over() -> None:
    """Its client was told to come back."""
    raised: list[BaseException] = []
    told: list[Event] = []

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        while not told or told[-1]["type"] != "websocket.disconnect":
            told.append(await receive())
        try:
            await send(SAY)
        except ClientGone as error:
            raised.append(error)
            raise

    with Visit(application) as visit:
        visit.loop.call_soon(lambda: visit.exchange.invite(wanted=True))
        visit.until(lambda: told)
        visit.loop.call_soon(visit.connection.overdue)
        visit.ended()
        assert [code_of(each) for each in visit.hear()] == [1012]
        assert told == [{"type": MOVE}, {"type": "websocket.disconnect", "code": 1012, "reason": "service restart"}]
        assert (len(raised), visit.service.movings, visit.service.lines()) == (1, [], [])


def raising(scope: Event) -> None:
    """It cannot read what its former self has said."""
    raise ValueError(scope["extensions"][MOVE]["state"])


@pytest.mark.parametrize(("events", "code", "logged"), [
    ([{"type": "websocket.close", "code": 4001}], 4001, False), ([{"type": "websocket.close"}], 1000, False),
    ([], 1012, True), (None, 1012, True), ([{"type": "websocket.send", "text": "x"}], 1012, True),
    ([{"type": "websocket.accept"}], 1012, False), ([{**ACCEPT, "subprotocol": "chat"}], 1012, False),
    ([{"type": "websocket.http.response.start", "status": 401},
      {"type": "websocket.http.response.body", "body": b"no"}], 1012, False),
])  # fmt: skip
def test_what_is_not_taken_over_is_closed(events: list[Event] | None, code: int, logged: bool) -> None:
    """With the application's own code, or so that its client comes back: never by a byte of HTTP."""

    async def application(scope: Event, receive: Receive, send: Send) -> None:
        await receive()
        if events is None:
            raising(scope)
        for event in events or []:
            await send(event)

    with Visit(application, Luggage(handshake("/live"), "7", "", None, 1.0, 0, 0.0)) as visit:
        visit.ended()
        if not visit.connection.closed:
            visit.send(close(code))
        heard = visit.hear(9)
        assert [(each.opcode, code_of(each)) for each in heard] == [(CLOSE, code)]
        assert bool(visit.service.lines()) is logged
        assert [what for what, _ in visit.witness.told] == ["begin", "end"]
