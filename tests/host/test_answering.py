"""The events of an answer, in their order."""

from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import LocalProtocolError
from runner.host.answering import Answering, Begin, Part

START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]}
BODY: dict[str, Any] = {"type": "http.response.body", "body": b"ab"}
MORE: dict[str, Any] = {**BODY, "more_body": True}


def test_an_answer_begins_goes_on_and_ends() -> None:
    """Each event is what an exchange needs to know."""
    answering = Answering()
    assert answering.take(START) == Begin(200, "OK", [("x-a", "1")]) == answering.begun
    assert answering.take(MORE) == Part(b"ab", last=False)
    assert answering.take(BODY) == Part(b"ab", last=True)


ORDERS: list[tuple[list[dict[str, Any]], str]] = [
    ([BODY], "expected was 'http.response.start'"),
    ([START, START], "expected was 'http.response.body'"),
    ([START, MORE, START], "expected was 'http.response.body'"),
    ([START, BODY, BODY], "expected was nothing more: the answer is complete"),
    ([START, BODY, START], "expected was nothing more"),
    ([{"type": "websocket.send"}], "sent 'websocket.send'"),
    ([{}], "sent None"),
]


@pytest.mark.parametrize(("events", "said"), ORDERS)
def test_every_other_order_is_refused_with_what_was_expected(events: list[dict[str, Any]], said: str) -> None:
    """The last of them, and only that."""
    answering = Answering()
    for event in events[:-1]:
        answering.take(event)
    with pytest.raises(LocalProtocolError, match=said):
        answering.take(events[-1])


@pytest.mark.parametrize("change", [
    {"status": None}, {"status": "200"}, {"status": 99}, {"status": 101}, {"status": 600}, {"status": True},
    {"headers": [("x", "y")]}, {"headers": [b"xy"]}, {"headers": 7}, {"headers": [(b"a",)]}, {"headers": None},
    {"headers": [(b"a", None)]},
])  # fmt: skip
def test_a_start_that_cannot_be_sent_is_refused(change: dict[str, Any]) -> None:
    """Whatever is wrong with it, and an answer may still begin in its place."""
    answering = Answering()
    with pytest.raises(LocalProtocolError, match=r"http\.response\.start"):
        answering.take({**START, **change})
    assert isinstance(answering.take(START), Begin)


@pytest.mark.parametrize("body", ["text", None, 7, [b"a"]])
def test_a_body_that_is_not_bytes_is_refused(body: object) -> None:
    """Its type is said."""
    answering = Answering()
    answering.take(START)
    with pytest.raises(LocalProtocolError, match=type(body).__name__):
        answering.take({**BODY, "body": body})


def test_what_the_specification_lets_out_may_be_left_out() -> None:
    """Headers, the body, and more_body."""
    answering = Answering()
    assert answering.take({"type": START["type"], "status": 204}) == Begin(204, "No Content", [])
    assert answering.take({"type": BODY["type"]}) == Part(b"", last=True)


@pytest.mark.parametrize(("status", "reason"), [(HTTPStatus.CREATED, "Created"), (299, "Unknown"), (404, "Not Found")])
def test_a_status_has_its_reason(status: int, reason: str) -> None:
    """That of the registry, if it is there."""
    assert Answering().take({**START, "status": status}) == Begin(int(status), reason, [("x-a", "1")])


@given(st.lists(st.sampled_from([START, BODY, MORE, {"type": "x"}]), max_size=8))
def test_whatever_is_sent_there_is_one_begin_and_one_end(events: list[dict[str, Any]]) -> None:
    """In this order, with nothing before the one and nothing behind the other."""
    answering, taken = Answering(), []
    for event in events:
        try:
            taken.append(answering.take(event))
        except LocalProtocolError:
            continue
    kinds = "".join("B" if isinstance(step, Begin) else "L" if step.last else "p" for step in taken)
    assert kinds in {"B" * (begun := kinds.count("B")) + "p" * kinds.count("p") + "L" * (ended := kinds.count("L"))}
    assert begun <= 1
    assert ended <= 1
