"""The response objects that are our own: valid JSON, with the id as it was written."""

import json
import math
from types import MappingProxyType
from typing import Any

import pytest

from runner.batch.objects import INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR, encode, failure, success


@pytest.mark.parametrize(("code", "message"), [
    (PARSE_ERROR, "Parse error"), (INVALID_REQUEST, "Invalid Request"), (INTERNAL_ERROR, "Internal error"),
])  # fmt: skip
def test_an_error_has_the_message_of_its_code(code: int, message: str) -> None:
    """Section 5.1, and the id null where none is known (section 5)."""
    assert json.loads(failure(code)) == {"jsonrpc": "2.0", "error": {"code": code, "message": message}, "id": None}


def test_an_error_of_ones_own() -> None:
    """With a message, data, and an id whose text is kept."""
    made = failure(-32000, "Busy", [1], b"1.50")
    assert json.loads(made)["error"] == {"code": -32000, "message": "Busy", "data": [1]}
    assert made.endswith(b'"id": 1.50}')


def test_a_result() -> None:
    """As it is, with the id's text."""
    assert success({"a": None}, b'"x"') == b'{"jsonrpc": "2.0", "result": {"a": null}, "id": "x"}'


@pytest.mark.parametrize(("given", "json_of_it"), [
    (b"[1 ]", b"[1 ]"), ({"a": 1}, b'{"a": 1}'), (MappingProxyType({"a": 1}), b'{"a": 1}'), ([1], b"[1]"),
])  # fmt: skip
def test_what_hooks_give_becomes_json(given: Any, json_of_it: bytes) -> None:
    """Bytes are so already."""
    assert encode(given) == json_of_it


@pytest.mark.parametrize("given", [math.nan, {"a": math.inf}, {1, 2}, object()])
def test_what_is_no_json_is_refused(given: Any) -> None:
    """NaN, too, which Python would write."""
    with pytest.raises((ValueError, TypeError)):
        encode(given)
    with pytest.raises((ValueError, TypeError)):
        success(given, b"1")
