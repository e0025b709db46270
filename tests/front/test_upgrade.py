"""A request that asks for a WebSocket, and what becomes of it."""

import subprocess
import sys

import pytest

from runner.errors import ClientGone, LocalProtocolError
from runner.front.upgrade import UpgradeExchange, asked
from runner.origin import Origins
from runner.request import Answer, Closed, Exchange, Request
from tests.front.rig import Outcome, ok
from tests.front.sockets import Talk
from tests.support.frames import BINARY, TEXT, Heard, close, frame, handshake


@pytest.mark.parametrize(("upgrade", "wanted"), [
    ("websocket", True), ("WebSocket", True), ("h2c, websocket", True),
    ("h2c", False), ("websockets", False), ("", False),
])  # fmt: skip
def test_who_asks_for_a_websocket(upgrade: str, wanted: bool) -> None:
    """Among others, too; other protocols are nobody's here."""
    assert asked(Request({"HTTP_UPGRADE": upgrade}, "http", 0.0)) is wanted


def test_who_asks_for_nothing() -> None:
    """Has no such header."""
    assert not asked(Request({}, "http", 0.0))


def test_a_host_that_knows_none_answers_as_ever() -> None:
    """A WSGI application sees an ordinary request, and another one follows on the connection."""
    with Talk(answer=ok) as talk:
        assert talk.open().startswith("HTTP/1.1 200 OK")
        assert talk.open().startswith("HTTP/1.1 200 OK")
        assert talk.service.outcomes == [Outcome(200, 2, True)] * 2


def test_an_accepted_one_takes_the_connection() -> None:
    """With what its client has sent ahead; one line for it, when it is over, with the bytes that were sent."""
    with Talk() as talk:
        assert talk.open(frame(TEXT, b"ahead")).startswith("HTTP/1.1 101 ")
        assert talk.hear() == [Heard(TEXT, b"ahead")]
        assert (talk.exchange.upgraded, talk.exchange.committed, talk.exchange.gone) == (True, True, False)
        assert (talk.service.sockets, talk.service.outcomes) == ([talk.exchange], [])
        talk.send(close(1000))
        assert talk.end() == 1000
        assert talk.service.outcomes == [Outcome(101, 7 + 4, True)]
        assert talk.exchange.request.over


def test_much_that_is_sent_ahead_is_not_lost() -> None:
    """More than the front keeps before it stops to read."""
    ahead = b"".join(frame(BINARY, b"%5d" % number) for number in range(5000))
    with Talk(answer=lambda exchange: None) as talk:
        left = talk.stuff(handshake() + ahead)
        [exchange] = talk.service.exchanges
        talk._welcome(exchange)
        talk.speaks = False
        talk.send(left)
        talk.until(lambda: len(talk.taken) == 5000)


@pytest.mark.parametrize(("headers", "status"), [
    ({"Sec_WebSocket_Version": "12"}, 426), ({"Sec_WebSocket_Key": "x"}, 400), ({"Origin": "http://evil.example"}, 403),
])  # fmt: skip
def test_a_refusal_is_an_answer_and_a_line_in_the_log(headers: dict[str, str], status: int) -> None:
    """The connection goes on: the next one may be good."""
    with Talk() as talk:
        assert talk.open(b"", **headers).startswith(f"HTTP/1.1 {status} ")
        assert f"refused with {status}".encode() in talk.service.lines()[0]
        talk._rest = b""
        assert talk.open().startswith("HTTP/1.1 101 ")


def test_strangers_are_told_of_with_the_remedy_or_listed() -> None:
    """`--allow-origin` is in the line."""
    with Talk() as talk:
        talk.open(Origin="http://evil.example")
        assert b"--allow-origin" in talk.service.lines()[0]
    with Talk(origins=Origins(frozenset(("http://evil.example",)))) as talk:
        assert talk.open(Origin="http://evil.example").startswith("HTTP/1.1 101 ")


def test_without_the_library_it_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the log; 501 for the client."""
    monkeypatch.setitem(sys.modules, "runner.front.handshake", None)
    with Talk() as talk:
        assert talk.open().startswith("HTTP/1.1 501 ")
        assert b"pip install 'runner[realtime]'" in talk.service.lines()[0]


def test_nothing_of_the_library_is_needed_before_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that does not ask gets along without."""
    monkeypatch.setitem(sys.modules, "runner.front.handshake", None)
    with Talk(answer=ok) as talk:
        assert talk.open().startswith("HTTP/1.1 200 OK")


def test_the_library_is_loaded_for_the_first_who_asks() -> None:
    """A worker that nobody asks for a WebSocket does without."""
    code = "import runner.worker.loop, sys; print('websockets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_what_ends_is_told_to_come_back() -> None:
    """A cut is a close frame with 1012, and the host is told; what came before can still be taken."""
    with Talk(echo=False) as talk:
        talk.open()
        talk.send(frame(TEXT, b"last words"))
        talk.exchange.cut()
        assert talk.exchange.gone
        assert talk.exchange.take() == "last words"
        assert talk.exchange.take() == Closed(1012, "service restart")
        talk.send(close(1012))
        assert talk.end() == 1012


@pytest.mark.parametrize(("end", "code"), [("finish", 1000), ("fail", 1011)])
def test_the_end_of_the_call_is_the_end_of_the_socket(end: str, code: int) -> None:
    """Said once; whatever follows changes nothing."""
    with Talk(echo=False) as talk:
        talk.open()
        getattr(talk.exchange, end)()
        talk.exchange.fail()
        talk.exchange.cut()
        talk.send(close(code))
        assert talk.end() == code
        assert len(talk.service.outcomes) == 1
        with pytest.raises(ClientGone):
            talk.exchange.say("more")


def welcome(talk: Talk, exchange: Exchange) -> UpgradeExchange:
    """The request as a WebSocket, not yet accepted."""
    websocket = exchange.websocket()
    assert isinstance(websocket, UpgradeExchange)
    assert not isinstance(websocket, Answer)
    return websocket


@pytest.mark.parametrize("shut", [True, False])
def test_a_client_that_leaves_first_is_not_accepted(shut: bool) -> None:
    """Nobody is there; what was asked for ends as 1006. Who shuts only his side may still be reading a refusal."""
    with Talk(answer=lambda exchange: None) as talk:
        talk.send(handshake())
        websocket = welcome(talk, talk.service.exchanges[0])
        assert websocket.take() is None
        if shut:
            talk.peer.shutdown(1)
            talk.until(lambda: websocket.shut)
        else:
            talk.connection.abort()
        with pytest.raises(ClientGone):
            websocket.accept(None, [])
        assert websocket.take() == Closed(1006, "")
        websocket.fail()
        assert [outcome.whole for outcome in talk.service.outcomes] == [False]


@pytest.mark.parametrize("headers", [[("a b", "1")], [("a", "1\r\nb: 2")]])
def test_headers_that_cannot_be_are_refused_and_it_may_be_answered_still(headers: list[tuple[str, str]]) -> None:
    """Nothing has left."""
    with Talk(answer=lambda exchange: None) as talk:
        talk.send(handshake())
        websocket = welcome(talk, talk.service.exchanges[0])
        with pytest.raises(LocalProtocolError):
            websocket.accept(None, headers)
        assert not websocket.committed
        websocket.answer(Answer(500, [], b""))
        assert talk.receive().startswith(b"HTTP/1.1 500 ")


def test_an_answer_of_the_hosts_own_can_be_cut() -> None:
    """Before it is accepted it is an exchange like any other."""
    with Talk(answer=lambda exchange: None) as talk:
        talk.send(handshake())
        websocket = welcome(talk, talk.service.exchanges[0])
        websocket.start(404, "Not Found", [])
        websocket.send(b"part")
        websocket.cut()
        assert websocket.gone
        websocket.fail()
        assert not talk.rest().endswith(b"0\r\n\r\n")


def test_each_answer_says_which_generation_gave_it() -> None:
    """The one that accepts, too."""
    with Talk() as talk:
        talk.service.marks = [("X-Runner-Generation", "7")]
        assert "\r\nX-Runner-Generation: 7" in talk.open()


@pytest.mark.parametrize(("code", "reason"), [(1005, ""), (1006, ""), (999, ""), (5000, ""), (1000, "x" * 124)])
def test_what_no_close_frame_can_carry_is_refused(code: int, reason: str) -> None:
    """And it is open still."""
    with Talk(echo=False) as talk:
        talk.open()
        with pytest.raises(LocalProtocolError, match="close frame"):
            talk.exchange.hang_up(code, reason)
        assert talk.exchange.say("still here")


def test_half_a_character_is_no_text() -> None:
    """A lone surrogate has no UTF-8."""
    with Talk(echo=False) as talk:
        talk.open()
        with pytest.raises(LocalProtocolError, match="UTF-8"):
            talk.exchange.say("\ud800")
