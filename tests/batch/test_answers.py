"""What became of an item -> its response object, and the answer of the gateway."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.batch.answers import Answered, Failed, Outcome, Reason, join, judge, respond
from runner.batch.splitting import single
from tests.batch.endpoint import call, internal
from tests.batch.test_scanning import VALUES

ROOM = 100_000
ERROR = {"code": -32000, "message": "no"}


def response(**members: Any) -> bytes:
    """A response object with other members than usual; ... takes one away."""
    made = {"jsonrpc": "2.0", "result": 1, "id": 1, **members}
    return json.dumps({name: value for name, value in made.items() if value is not ...}).encode()


def judged(outcome: Outcome, id: str = "1") -> Failed | None:
    """As an answer to a request with this id."""
    return judge(single(f'{{"jsonrpc": "2.0", "method": "a", "id": {id}}}'.encode()), outcome, ROOM)


@given(VALUES, st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_proper_response_is_passed_on_as_it_came(value: Any, id: Any) -> None:
    """Each byte, the space around it, too."""
    item = single(json.dumps({"jsonrpc": "2.0", "method": "a", "id": id}).encode())
    for member in ({"result": value}, {"error": {**ERROR, "data": value}}):
        text = json.dumps({"id": id, **member, "jsonrpc": "2.0"}, indent=1, ensure_ascii=False)
        body = f"\n {text}\r\n".encode()
        assert respond(item, Answered(200, body), len(body)) == body


@pytest.mark.parametrize(("id", "answered"), [
    ("1", "1"), ("1", "1.0"), ("1.50", "1.5"), ("1e400", "1e400"), ("12345678901234567890123", "1.2345678901234568e22"),
    ('"a"', '"\\u0061"'), ("null", "null"), ('"\\ud800"', '"\\ud800"'),
])  # fmt: skip
def test_an_id_may_be_written_in_another_way(id: str, answered: str) -> None:
    """If it has the same value."""
    assert judged(Answered(200, b'{"jsonrpc": "2.0", "result": 0, "id": %b}' % answered.encode()), id) is None


@pytest.mark.parametrize(("id", "answered"), [
    ("1", '"1"'), ('"1"', "1"), ("1", "2"), ("1", "null"), ("null", "0"), ('""', "null"), ("1", "true"), ("1", "[1]"),
    ("0", "false"), ("null", "false"),
])  # fmt: skip
def test_an_answer_to_somebody_else(id: str, answered: str) -> None:
    """Text is no number."""
    body = b'{"jsonrpc": "2.0", "result": 0, "id": %b}' % answered.encode()
    assert judged(Answered(200, body), id) == Failed(Reason.OTHER_ID, 200)


def test_an_endpoint_that_cannot_make_out_the_id() -> None:
    """Says null, with an error (section 5)."""
    assert judged(Answered(200, response(result=..., error=ERROR, id=None))) is None


@pytest.mark.parametrize("status", [200, 201, 299])
def test_a_result_comes_with_2xx(status: int) -> None:
    """Whichever."""
    assert judged(Answered(status, response())) is None


@pytest.mark.parametrize("status", [301, 400, 404, 500, 503])
def test_other_statuses(status: int) -> None:
    """A proper error is one with any status; nothing else is of use."""
    assert judged(Answered(status, response(result=..., error=ERROR))) is None
    for body in (response(), b"", b"<html>", b'{"detail": "Not Found"}', response(error=ERROR, jsonrpc=...)):
        assert judged(Answered(status, body)) == Failed(Reason.STATUS, status)


@pytest.mark.parametrize(("body", "reason"), [
    (b"", Reason.EMPTY), (b" ", Reason.NOT_JSON), (b"<html>", Reason.NOT_JSON), (b"{", Reason.NOT_JSON),
    (response() + b"]", Reason.NOT_JSON), (response() + response(), Reason.NOT_JSON), (b"\xff", Reason.NOT_JSON),
    (b"\xef\xbb\xbf" + response(), Reason.NOT_JSON), (response(result=float("nan")), Reason.NOT_JSON),
    (b"[" * 100_000, Reason.NOT_JSON), (b"[" * 300 + b"]" * 300, Reason.NOT_JSON),
    (b"1", Reason.NOT_A_RESPONSE), (b"null", Reason.NOT_A_RESPONSE), (b"[%b]" % response(), Reason.NOT_A_RESPONSE),
    (b"{}", Reason.NOT_A_RESPONSE), (response(jsonrpc=...), Reason.NOT_A_RESPONSE),
    (response(jsonrpc="1.0"), Reason.NOT_A_RESPONSE), (response(result=...), Reason.NOT_A_RESPONSE),
    (response(id=...), Reason.NOT_A_RESPONSE), (response(error=ERROR), Reason.NOT_A_RESPONSE),
    (response(error=None), Reason.NOT_A_RESPONSE), (response(result=..., error="no"), Reason.NOT_A_RESPONSE),
])  # fmt: skip
def test_what_is_no_response(body: bytes, reason: Reason) -> None:
    """One JSON object with version, id, and one of result and error (section 5)."""
    assert judged(Answered(200, body)) == Failed(reason, 200)


def test_204_is_no_answer_to_a_request() -> None:
    """Only a notification has none."""
    assert judged(Answered(204, b"")) == Failed(Reason.EMPTY, 204)


def test_an_answer_that_is_too_large() -> None:
    """By one byte."""
    item, body = single(call(1)), response()
    assert respond(item, Answered(200, body), len(body)) == body
    assert judge(item, Answered(200, body), len(body) - 1) == Failed(Reason.TOO_LARGE, 200)


def test_a_large_answer_is_judged_in_one_pass() -> None:
    """And many brackets are not deep."""
    body = response(result=[[]] * 500_000)
    assert respond(single(call(1)), Answered(200, body), len(body)) == body


@pytest.mark.parametrize("reason", Reason)
def test_a_failure_names_status_and_reason(reason: Reason) -> None:
    """With the item's id."""
    made = respond(single(call("x")), Failed(reason, 502), ROOM)
    assert made is not None and json.loads(made) == internal("x", reason, 502)


@pytest.mark.parametrize("outcome", [
    Answered(200, response()), Answered(204, b""), Answered(500, b"<html>"), Failed(Reason.DIED),
])  # fmt: skip
def test_a_notification_is_never_answered(outcome: Outcome) -> None:
    """Section 4.1."""
    assert respond(single(call()), outcome, ROOM) is None


def test_responses_are_joined() -> None:
    """An array for a batch, the response alone for a single request, and nothing for nothing."""
    headers = [("Content-Type", "application/json")]
    assert join([b"{1}", b"{2}"], is_batch=True) == (200, headers, b"[{1},{2}]")
    assert join([b"{1}"], is_batch=True) == (200, headers, b"[{1}]")
    assert join([b"{1}"], is_batch=False) == (200, headers, b"{1}")
    assert join([], is_batch=True) == join([], is_batch=False) == (204, [], b"")
