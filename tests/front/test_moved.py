"""A WebSocket that has come over from another process, and what its host makes of it."""

import sys
import time
from collections.abc import Callable

import pytest

from runner.errors import ClientGone
from runner.front.luggage import Luggage
from runner.front.moved import MovedExchange
from runner.origin import OWN_PAGES, Origins
from runner.request import Answer, Exchange
from tests.front.rig import Outcome, ok
from tests.front.sockets import Arrived, Talk
from tests.support.frames import CLOSE, TEXT, Heard, close, frame, handshake

BEGAN = 12.5
HEAD = handshake("/live?a=1", Sec_WebSocket_Protocol="chat")


def luggage(head: bytes = HEAD, script: str = "", subprotocol: str | None = None) -> Luggage:
    """Of one that was accepted long ago."""
    return Luggage(head, "state", script, subprotocol, BEGAN, 1000, time.monotonic() + 17.0)


def came(exchange: Exchange) -> MovedExchange:
    """It, as its host sees it."""
    websocket = exchange.websocket()
    assert isinstance(websocket, MovedExchange)
    return websocket


def leave(exchange: Exchange) -> None:
    """A host that does nothing yet."""


def test_it_goes_on_where_it_was() -> None:
    """Without a byte of HTTP; one line for all of it, at the end, with what was sent here and there."""
    with Arrived(luggage()) as talk:
        assert talk.exchange.state == "state"
        assert (talk.exchange.upgraded, talk.service.sockets) == (True, [talk.exchange])
        assert talk.exchange.request.began == BEGAN
        assert talk.exchange.request.variables["QUERY_STRING"] == "a=1"
        talk.send(frame(TEXT, b"x"))
        assert talk.hear() == [Heard(TEXT, b"x")]
        talk.send(close(1000))
        assert talk.end() == 1000
        assert talk.service.outcomes == [Outcome(101, 1000 + 3 + 4, True)]
        assert talk.service.requests == [], "it was let in when it was new"


def test_its_next_ping_comes_when_it_was_due() -> None:
    """However often it moves, the line is never idle for longer."""
    one = luggage()
    with Arrived(one) as talk:
        assert talk.connection.deadline == one.due
        talk.connection.overdue()
        assert [each.opcode for each in talk.hear()] == [9]


def test_it_can_move_on() -> None:
    """With the same head and its new state; all else as it was, too."""
    with Arrived(luggage(subprotocol="chat"), answer=leave) as talk:
        websocket = came(talk.service.exchanges[0])
        websocket.accept("chat", [("X-A", "1")], moves=True)
        websocket.invite(wanted=True)
        assert websocket.take() is not None
        websocket.move("newer")
        assert talk.service.movings == [websocket]
        left = Luggage.unpack(websocket.depart())
        assert left._replace(due=0.0) == luggage(subprotocol="chat")._replace(state="newer", due=0.0)


def test_nothing_is_received_before_it_is_accepted() -> None:
    """As of one that is new; who waits for it is told then."""
    with Arrived(luggage(), answer=leave) as talk:
        websocket = came(talk.service.exchanges[0])
        talk.send(frame(TEXT, b"x"))
        assert websocket.take() is None
        told: list[object] = []
        websocket.resume = lambda: told.append(websocket.take())
        websocket.accept(None, [], moves=True)
        assert told == ["x"]


@pytest.mark.parametrize(("subprotocol", "moves"), [(None, True), ("chat", False), ("other", True)])
def test_who_does_not_take_it_for_what_it_was_has_the_client_come_back(subprotocol: str | None, moves: bool) -> None:
    """It accepts no state, or speaks another subprotocol than the client was told."""
    with Arrived(luggage(subprotocol="chat"), answer=leave) as talk:
        websocket = came(talk.service.exchanges[0])
        with pytest.raises(ClientGone, match="ask anew"):
            websocket.accept(subprotocol, [], moves=moves)
        websocket.fail()
        talk.send(close(1012))
        assert talk.end() == 1012
        assert (talk.service.sockets, talk.service.outcomes[0].whole) == ([], True)


def deny(exchange: Exchange) -> None:
    """A denial of the application's own, part by part."""
    websocket = came(exchange)
    websocket.start(401, "Unauthorized", [("X-A", "1")])
    assert websocket.send(b"members")
    websocket.finish(b" only")


def forget(exchange: Exchange) -> None:
    """Nothing is said at all."""
    came(exchange).fail()


def cut(exchange: Exchange) -> None:
    """The process is about to end."""
    assert isinstance(exchange, MovedExchange)
    exchange.cut()
    exchange.fail()


ANSWERS: dict[str, Callable[[Exchange], None]] = {
    "denied": deny, "failed": forget, "a page": ok, "an error page": lambda it: it.answer(Answer(500, [], b"no")),
    "an error page of its host": lambda it: came(it).answer(Answer(500, [], b"no")),
    "finished without a word": lambda it: came(it).finish(), "cut": lambda it: cut(came(it)), "cut at once": cut,
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_every_other_answer_is_a_close_frame(name: str) -> None:
    """Never a byte of HTTP, whichever host it is; 1012, so that the client comes back."""
    with Arrived(luggage(), answer=ANSWERS[name]) as talk:
        assert talk.service.exchanges[0].gone
        if not talk.connection.closed:
            talk.send(close(1012))
        heard = talk.hear_all()
        assert [(each.opcode, each.data[:2]) for each in heard] == [(CLOSE, b"\x03\xf4")]
        assert talk.service.outcomes == [Outcome(101, 1000 + 2 + len(heard[0].data), True)]


def test_who_closes_it_before_it_is_accepted_does_so_with_his_code() -> None:
    """He knows better than we whether its client should come back."""
    with Arrived(luggage(), answer=leave) as talk:
        websocket = came(talk.service.exchanges[0])
        websocket.hang_up(4001, "no more")
        websocket.finish()
        talk.send(close(4001))
        assert talk.end() == 4001


def test_an_accepted_one_that_fails_fails_as_any_other() -> None:
    """1011."""
    with Arrived(luggage()) as talk:
        talk.exchange.fail()
        talk.send(close(1011))
        assert talk.end() == 1011


@pytest.mark.parametrize(("head", "script", "origins"), [
    (handshake(Origin="http://evil.example"), "", OWN_PAGES), (HEAD, "/live", OWN_PAGES),
], ids=["a site that may no longer", "another mount"])
def test_what_would_be_refused_now_is_to_come_back(head: bytes, script: str, origins: Origins) -> None:
    """And hears why, like everybody who asks now. A state is for who has said it."""
    with Arrived(luggage(head, script), origins=origins) as talk:
        assert talk.end() == 1012


def test_what_stands_no_longer_below_the_root_path_is_to_come_back() -> None:
    """--root-path is another one now: nobody would be asked."""
    with Arrived(luggage(), root_path="/shop") as talk:
        assert talk.end() == 1012
        assert talk.service.exchanges == []


def test_sites_are_asked_for_again() -> None:
    """One that is listed may go on."""
    with Arrived(
        luggage(handshake(Origin="http://a.example")), origins=Origins(frozenset(("http://a.example",)))
    ) as talk:
        assert talk.exchange.upgraded


def test_what_nobody_may_have_is_refused_before_anybody_is_asked() -> None:
    """The supervisor has found nobody for it."""
    with Arrived(luggage(), refused=True) as talk:
        assert talk.end() == 1012
        assert talk.service.exchanges == []
        assert talk.service.outcomes == [Outcome(101, 1004, True)]


def test_without_the_library_it_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not there any more."""
    monkeypatch.setitem(sys.modules, "runner.front.handshake", None)
    with Arrived(luggage()) as talk:
        assert talk.end() == 1012


def test_a_client_that_has_left_meanwhile_is_gone() -> None:
    """Its host is told, whatever it was about to do."""
    with Arrived(luggage(), answer=leave) as talk:
        websocket = came(talk.service.exchanges[0])
        talk.peer.close()
        talk.until(lambda: websocket.gone)
        with pytest.raises(ClientGone):
            websocket.accept(None, [], moves=True)
        websocket.fail()
        assert talk.service.outcomes == [Outcome(101, 1000, False)]


def test_one_with_compression_has_none_after_it_can_move() -> None:
    """What was said before would have to be remembered by the next process."""
    with Talk(moves=True) as talk:
        assert "permessage-deflate" not in talk.open(Sec_WebSocket_Extensions="permessage-deflate")
        talk.send(frame(TEXT, b"x"))
        assert talk.hear() == [Heard(TEXT, b"x")]
