"""What clients send to an endpoint, and what they get."""

from __future__ import annotations

import json
from typing import Any


def call(id: Any = None, method: str = "echo", *params: Any) -> bytes:
    """A request object; no *id*: a notification."""
    made = {"jsonrpc": "2.0", "method": method, "params": list(params)}
    return json.dumps(made if id is None else {**made, "id": id}).encode()


def array(*items: bytes) -> bytes:
    """A batch."""
    return b"[%b]" % b",".join(items)


def internal(id: Any, reason: str, status: int | None = None) -> dict[str, Any]:
    """The error object of an item that failed."""
    data = {"status": status, "reason": reason}
    return {"jsonrpc": "2.0", "error": {"code": -32603, "message": "Internal error", "data": data}, "id": id}
