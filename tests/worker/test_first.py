"""What may be answered before the first fork. How it is answered is seen in end_to_end/test_first_answer.py."""

import time

import pytest

from runner.request import Request
from runner.worker.first import is_look


@pytest.mark.parametrize(("method", "more", "look"), [
    ("GET", {}, True),
    ("HEAD", {}, True),
    ("GET", {"CONTENT_LENGTH": ""}, True),
    ("GET", {"CONTENT_LENGTH": "0"}, True),
    ("GET", {"CONTENT_LENGTH": "1"}, False),
    ("GET", {"HTTP_UPGRADE": "websocket"}, False),
    ("get", {}, False),
    ("POST", {}, False),
    ("OPTIONS", {}, False),
])  # fmt: skip
def test_a_look(method: str, more: dict[str, str], look: bool) -> None:
    """Nothing else: what changes something shall not be in the past of all workers."""
    variables = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": "/", **more}
    assert is_look(Request(variables, "http", time.monotonic())) is look
