"""The events of a WebSocket, in their order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import LocalProtocolError
from runner.host.answering import Begin, Part
from runner.host.talking import MAX_STATE, MOVE, Accept, Move, Stage, Talking
from runner.request import Closed

ACCEPT: dict[str, Any] = {"type": "websocket.accept"}
TEXT: dict[str, Any] = {"type": "websocket.send", "text": "a"}
CLOSE: dict[str, Any] = {"type": "websocket.close"}
START: dict[str, Any] = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-a", b"1")]}
BODY: dict[str, Any] = {"type": "websocket.http.response.body", "body": b"no"}
MORE: dict[str, Any] = {**BODY, "more_body": True}


def told(*events: dict[str, Any]) -> Any:
    """What the last of them says."""
    talking = Talking()
    return [talking.take(event) for event in events][-1]


def test_each_event_is_what_an_exchange_needs_to_know() -> None:
    """With the specification's defaults."""
    assert told(ACCEPT) == Accept(None, [])
    assert told({**ACCEPT, "subprotocol": "chat", "headers": [(b"a", b"1")]}) == Accept("chat", [("a", "1")])
    assert told({**ACCEPT, MOVE: True}) == Accept(None, [], moves=True)
    assert told(ACCEPT, TEXT) == "a"
    assert told(ACCEPT, TEXT, {"type": "websocket.send", "bytes": b"b", "text": None}) == b"b"
    assert told(ACCEPT, {"type": "websocket.send", "bytes": bytearray(b"b")}) == b"b"
    assert told(ACCEPT, {"type": "websocket.send", "text": "", "bytes": None}) == ""
    assert told(CLOSE) == Closed(1000, "")
    assert told(ACCEPT, {**CLOSE, "code": 4000, "reason": "enough"}) == Closed(4000, "enough")
    assert told(ACCEPT, {**CLOSE, "reason": None}) == Closed(1000, "")
    assert told(START) == Begin(401, "Unauthorized", [("x-a", "1")])
    assert told(START, MORE) == Part(b"no", last=False)
    assert told(START, MORE, BODY) == Part(b"no", last=True)


ORDERS: list[tuple[list[dict[str, Any]], str]] = [
    ([TEXT], "expected was 'websocket.accept', 'websocket.close' or 'websocket.http.response.start'"),
    ([ACCEPT, ACCEPT], "expected was 'websocket.send' or 'websocket.close'"),
    ([ACCEPT, START], "expected was 'websocket.send' or 'websocket.close'"),
    ([ACCEPT, {"type": MOVE, "state": "x"}], "expected was 'websocket.send' or 'websocket.close'"),
    ([ACCEPT, CLOSE, TEXT], "expected was nothing more: it is closed"),
    ([ACCEPT, CLOSE, CLOSE], "nothing more"),
    ([CLOSE, ACCEPT], "nothing more"),
    ([START, ACCEPT], r"expected was 'websocket\.http\.response\.body'"),
    ([START, CLOSE], r"expected was 'websocket\.http\.response\.body'"),
    ([BODY], "expected was 'http.response.start'"),
    ([START, BODY, BODY], "nothing more"),
    ([{"type": "http.response.start", "status": 200}], "sent 'http.response.start'"),
    ([{}], "sent None"),
    ([{"type": 7}], "sent 7"),
]


@pytest.mark.parametrize(("events", "said"), ORDERS)
def test_every_other_order_is_refused_with_what_was_expected(events: list[dict[str, Any]], said: str) -> None:
    """The last of them, and only that."""
    talking = Talking()
    for event in events[:-1]:
        talking.take(event)
    with pytest.raises(LocalProtocolError, match=said):
        talking.take(events[-1])


@pytest.mark.parametrize("event", [
    {**ACCEPT, "subprotocol": b"chat"}, {**ACCEPT, "headers": [("a", "b")]}, {**ACCEPT, "headers": 7},
    {**CLOSE, "code": "1000"}, {**CLOSE, "reason": b"x"}, {**START, "status": 101},
    {**ACCEPT, MOVE: 1}, {**ACCEPT, MOVE: None},
])  # fmt: skip
def test_an_event_that_cannot_be_is_refused(event: dict[str, Any]) -> None:
    """And another one may come in its place."""
    talking = Talking()
    with pytest.raises(LocalProtocolError):
        talking.take(event)
    assert talking.take(ACCEPT) == Accept(None, [])


@pytest.mark.parametrize("event", [
    {}, {"text": None}, {"text": b"x"}, {"bytes": "x"}, {"text": "x", "bytes": b"x"}, {"text": 7}, {"bytes": [1]},
])  # fmt: skip
def test_a_message_is_text_or_bytes(event: dict[str, Any]) -> None:
    """One of them, and of its type."""
    with pytest.raises(LocalProtocolError, match="as the one, or bytes as the other"):
        told(ACCEPT, {"type": "websocket.send", **event})


@given(st.lists(st.sampled_from([ACCEPT, TEXT, CLOSE, START, BODY, MORE]), max_size=8))
def test_whatever_comes_it_is_accepted_or_denied_once(events: list[dict[str, Any]]) -> None:
    """And what is done stays done."""
    talking, taken = Talking(), []
    for event in events:
        done = talking.stage is Stage.DONE
        try:
            talking.take(event)
        except LocalProtocolError:
            continue
        assert not done
        taken.append(event["type"])
    assert taken.count("websocket.accept") + taken.count("websocket.http.response.start") <= 1
    assert taken.count("websocket.close") <= 1


def asked() -> Talking:
    """An open one whose application was asked for its state."""
    talking = Talking()
    talking.take(ACCEPT)
    talking.asked = True
    return talking


@pytest.mark.parametrize("state", ["", "x" * MAX_STATE, "ж" * (MAX_STATE // 2)])
def test_who_is_asked_may_say_his_state(state: str) -> None:
    """Nothing may be said after that."""
    talking = asked()
    talking.take(TEXT)
    assert talking.take({"type": MOVE, "state": state}) == Move(state)
    with pytest.raises(LocalProtocolError, match="nothing more"):
        talking.take(TEXT)


@pytest.mark.parametrize(("event", "said"), [
    ({}, "NoneType: give a str"), ({"state": b"x"}, "bytes: give a str"), ({"state": {"a": 1}}, "dict: give a str"),
    ({"state": "\ud800"}, "must be UTF-8"), ({"state": "x" * (MAX_STATE + 1)}, "262145 bytes: at most 262144"),
    ({"state": "ж" * (MAX_STATE // 2 + 1)}, "262146 bytes: at most 262144"),
])  # fmt: skip
def test_a_state_that_cannot_be_is_refused(event: dict[str, Any], said: str) -> None:
    """With what would be right; it is open still, and may say another one."""
    talking = asked()
    with pytest.raises(LocalProtocolError, match=said):
        talking.take({"type": MOVE, **event})
    talking.take(TEXT)
    assert talking.take({"type": MOVE, "state": "less"}) == Move("less")
