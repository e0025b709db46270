"""The examples of the JSON-RPC 2.0 specification, section 7, as they stand there, through a whole batch run."""

import json
from typing import Any

import pytest

from runner.batch import Answered, Outcome, SubRequest
from tests.batch.endpoint import Endpoint, ask
from tests.support.specification import EXAMPLES


def subtract(minuend: int, subtrahend: int) -> int:
    """The method of the examples."""
    return minuend - subtrahend


def methods(sub: SubRequest) -> Outcome:
    """The server of the examples, which answers single requests."""
    known: dict[str, Any] = {
        "subtract": subtract, "sum": lambda *numbers: sum(numbers), "get_data": lambda: ["hello", 5],
        "update": lambda *numbers: None, "notify_hello": lambda number: None, "notify_sum": lambda *numbers: None,
    }  # fmt: skip
    request = json.loads(sub.body)
    answer = {"jsonrpc": "2.0", "id": request.get("id")}
    if request["method"] in known:
        params = request.get("params", [])
        method = known[request["method"]]
        answer["result"] = method(**params) if isinstance(params, dict) else method(*params)
    else:
        answer["error"] = {"code": -32601, "message": "Method not found"}
    return Answered(200, json.dumps(answer).encode()) if "id" in request else Answered(204, b"")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_the_specification(name: str) -> None:
    """To the letter, up to the order of members."""
    sent, received = EXAMPLES[name]
    answer = ask(sent.encode(), Endpoint(methods))
    if received:
        assert (answer.status, json.loads(answer.body)) == (200, json.loads(received))
    else:
        assert (answer.status, answer.body) == (204, b"")


def test_what_is_no_request_never_reaches_the_endpoint() -> None:
    """And every request does, once."""
    endpoint = Endpoint(methods)
    ask(EXAMPLES["a batch"][0].encode(), endpoint)
    assert [sub.item.method for sub in endpoint.asked] == ["sum", "notify_hello", "subtract", "foo.get", "get_data"]
