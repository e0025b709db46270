"""The response objects that the gateway writes itself (JSON-RPC 2.0 sections 5 and 5.1).

Laws: pure; what is written here is valid JSON, or a ValueError or TypeError. *id_json* is an id as JSON. Start at
failure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

PARSE_ERROR, INVALID_REQUEST, INTERNAL_ERROR = -32700, -32600, -32603
MESSAGES = {
    PARSE_ERROR: "Parse error", INVALID_REQUEST: "Invalid Request", INTERNAL_ERROR: "Internal error",
}  # fmt: skip


def encode(value: object) -> bytes:
    """*value* as JSON: bytes are JSON already, a mapping is an object. Raises ValueError, TypeError."""
    if isinstance(value, bytes):
        return value
    return json.dumps(dict(value) if isinstance(value, Mapping) else value, allow_nan=False).encode()


def failure(code: int, message: str = "", data: Any = None, id_json: bytes = b"null") -> bytes:
    """An error object; no *message*: the one that belongs to the *code*; no *data*: none."""
    error = {"code": code, "message": message or MESSAGES[code]}
    if data is not None:
        error["data"] = data
    return b'{"jsonrpc": "2.0", "error": %b, "id": %b}' % (encode(error), id_json)


def success(result: Any, id_json: bytes) -> bytes:
    """A result."""
    return b'{"jsonrpc": "2.0", "result": %b, "id": %b}' % (json.dumps(result, allow_nan=False).encode(), id_json)
