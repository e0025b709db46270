"""Faults that a gateway of this kind is known to have had (lua-resty-jsonrpc-batch 0.0.1), one test each."""

import asyncio
import inspect
import json
from typing import Any

import pytest

from runner import batch
from runner.batch import Answered, Context, Item, JSONRPCBatch, Outcome, Reason, SubRequest
from tests.batch.endpoint import Endpoint, array, ask, call, codes, decoded, echo, internal, result


def test_what_the_documentation_calls_is_there() -> None:
    """It was called by a name that did not exist."""
    for text in (inspect.getdoc(batch) or "", inspect.getdoc(JSONRPCBatch) or ""):
        assert "JSONRPCBatch" in text or "batch.run(body, current())" in text
    assert list(inspect.signature(JSONRPCBatch.run).parameters) == ["self", "body", "request"]


@pytest.mark.parametrize("answer", [Answered(204, b""), Answered(200, b""), Answered(500, b"")])
def test_a_notification_leaves_no_hole_in_the_array(answer: Outcome) -> None:
    """Its empty body made `[a,,b]`, which is no JSON."""
    endpoint = Endpoint(lambda sub: answer if sub.item.notification else echo(sub))
    assert decoded(ask(array(call(1), call(), call(2)), endpoint)) == [result(1, []), result(2, [])]
    assert decoded(ask(array(call(), call(1), call()), endpoint)) == [result(1, [])]
    assert ask(array(call(), call()), endpoint).body == b""


def test_hooks_see_the_response_to_a_single_request() -> None:
    """It was nil there."""
    seen: list[Any] = []
    ask(call(1), after_batch=lambda context: seen.extend(context.responses))
    assert [json.loads(response) for response in seen] == [result(1, [])]


def test_no_json_is_a_parse_error() -> None:
    """It was said to be an invalid request."""
    assert decoded(ask(b"[1"))["error"]["code"] == -32700


def test_an_item_that_is_no_object_reaches_no_function() -> None:
    """It made the path function crash, and so the batch."""

    def path(context: Context, item: Item) -> str:
        return {"a": "/a"}[item.method]

    endpoint = Endpoint()
    assert codes(ask(array(b"1", b"null", b'"a"', b"[]", call(1, "a")), endpoint, path)) == [-32600] * 4 + [None]
    assert endpoint.faults == []


def test_large_numbers_survive() -> None:
    """They were decoded to floating-point numbers, and written again."""
    number = b"12345678901234567890123"
    item = b'{"jsonrpc": "2.0", "method": "a", "params": [%b], "id": %b}' % (number, number)
    endpoint = Endpoint()
    assert ask(array(item), endpoint).body == b'[{"jsonrpc": "2.0", "result": [%b], "id": %b}]' % (number, number)
    assert endpoint.asked[0].body == item


def test_not_all_items_run_at_once() -> None:
    """A thousand of them did."""
    inside = most = 0
    full = asyncio.Event()

    async def serve(sub: SubRequest) -> Outcome:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside == 8:
            full.set()
        await full.wait()  # or the first could end before the eighth begins
        inside -= 1
        return echo(sub)

    assert len(decoded(ask(array(*[call(1)] * 100), Endpoint(serve)))) == 100
    assert most == 8


def test_nobody_waits_for_ever() -> None:
    """By default, too, there is a limit."""
    assert JSONRPCBatch("/rpc").timeout is not None and JSONRPCBatch("/rpc").batch_timeout is not None

    async def hang(sub: SubRequest) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError("nothing comes of it")

    assert decoded(ask(call(1), Endpoint(hang), timeout=0.01)) == internal(1, Reason.TIMEOUT)


def test_the_answer_is_of_bounded_size() -> None:
    """By default, too."""
    large = Answered(200, b'{"jsonrpc": "2.0", "result": "%b", "id": 1}' % (b"x" * 10 * 2**20))
    assert decoded(ask(call(1), Endpoint(lambda sub: large))) == internal(1, Reason.TOO_LARGE, 200)


def test_a_batch_is_told_from_a_single_request() -> None:
    """It was 0 for the latter, which is true in its language."""
    seen: list[bool] = []
    for body in (call(1), array(call(1))):
        ask(body, before_batch=lambda context: seen.append(context.is_batch))
    assert seen == [False, True]


def test_a_failure_is_named_as_the_specification_names_it() -> None:
    """With status and reason."""
    assert decoded(ask(array(call(1)), Endpoint(lambda sub: Answered(502, b"Bad Gateway")))) == [
        internal(1, Reason.STATUS, 502)
    ]
