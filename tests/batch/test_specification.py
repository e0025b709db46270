"""The examples of the JSON-RPC 2.0 specification, section 7, as they stand there, through a whole batch run."""

import json
from typing import Any

import pytest

from runner.batch import Answered, Outcome, SubRequest
from tests.batch.endpoint import Endpoint, ask

EXAMPLES = {
    "positional": (
        '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
        '{"jsonrpc": "2.0", "result": 19, "id": 1}',
    ),
    "positional, the other way round": (
        '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
        '{"jsonrpc": "2.0", "result": -19, "id": 2}',
    ),
    "named": (
        '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
        '{"jsonrpc": "2.0", "result": 19, "id": 3}',
    ),
    "named, in another order": (
        '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
        '{"jsonrpc": "2.0", "result": 19, "id": 4}',
    ),
    "a notification": ('{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', ""),
    "a notification of a method that is not there": ('{"jsonrpc": "2.0", "method": "foobar"}', ""),
    "a method that is not there": (
        '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}',
        '{"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "1"}',
    ),
    "invalid JSON": (
        '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
        '{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}',
    ),
    "an invalid request": (
        '{"jsonrpc": "2.0", "method": 1, "params": "bar"}',
        '{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}',
    ),
    "a batch of invalid JSON": (
        """[
  {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
  {"jsonrpc": "2.0", "method"
]""",
        '{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}',
    ),
    "an empty array": (
        "[]",
        '{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}',
    ),
    "an invalid batch, but not empty": (
        "[1]",
        """[
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}
]""",
    ),
    "an invalid batch": (
        "[1,2,3]",
        """[
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
  {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}
]""",
    ),
    "a batch": (
        """[
        {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
        {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "get_data", "id": "9"} 
    ]""",  # noqa: W291  # as it stands there
        """[
        {"jsonrpc": "2.0", "result": 7, "id": "1"},
        {"jsonrpc": "2.0", "result": 19, "id": "2"},
        {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
        {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "5"},
        {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}
    ]""",
    ),
    "a batch of notifications": (
        """[
        {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
    ]""",
        "",
    ),
}


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
