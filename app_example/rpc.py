"""The book for programs: JSON-RPC 2.0, one request at a time. Batches of them are the gateway's affair, see app.py.

    latest(count)         the last entries, the newest first
    sign(name, message)   adds one; returns true

The specification, https://www.jsonrpc.org/specification, section by section: 4 request object, 5 response object.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import guestbook

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
MESSAGES = {
    PARSE_ERROR: "Parse error", INVALID_REQUEST: "Invalid Request", METHOD_NOT_FOUND: "Method not found",
    INVALID_PARAMS: "Invalid params",
}


class _Refused(Exception):
    """The request cannot be done; *code* of section 5.1."""

    def __init__(self, code: int) -> None:
        super().__init__(MESSAGES[code])
        self.code = code


def answer(body: bytes) -> dict[str, Any] | None:
    """Return the response object to the request in *body*; None for a notification, which gets none."""
    try:
        request = json.loads(body)
    except ValueError:
        return _error(PARSE_ERROR, None)
    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0" or not isinstance(request.get("method"), str):
        return _error(INVALID_REQUEST, None)
    try:
        result = _call(request["method"], request.get("params", []))
    except _Refused as refused:
        response = _error(refused.code, request.get("id"))
    else:
        response = {"jsonrpc": "2.0", "result": result, "id": request.get("id")}
    return response if "id" in request else None


def latest(count: int = 10) -> list[dict[str, str]]:
    """Return the last *count* entries."""
    if type(count) is not int or not 0 < count <= 1000:
        raise _Refused(INVALID_PARAMS)
    return [entry._asdict() for entry in guestbook.latest(count)]


def sign(name: str, message: str) -> bool:
    """Add an entry; as on the page, neither may be blank."""
    if not isinstance(name, str) or not isinstance(message, str) or not name.strip() or not message.strip():
        raise _Refused(INVALID_PARAMS)
    guestbook.sign(name.strip()[:80], message.strip()[:1000])
    return True


METHODS: Mapping[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "latest": (latest, ("count",)), "sign": (sign, ("name", "message")),
}


def _call(method: str, params: Any) -> Any:
    if method not in METHODS:
        raise _Refused(METHOD_NOT_FOUND)
    function, names = METHODS[method]
    if isinstance(params, list) and len(params) <= len(names):
        params = dict(zip(names, params, strict=False))
    if not isinstance(params, dict) or not set(params) <= set(names) or (function is sign and len(params) < 2):
        raise _Refused(INVALID_PARAMS)
    return function(**params)


def _error(code: int, id: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": {"code": code, "message": MESSAGES[code]}, "id": id}
