"""The connection scope of an ASGI application."""

from typing import Any

import pytest

from runner.host.asgi_scope import http_scope, websocket_scope
from runner.request import Request

VARIABLES = {
    "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": "", "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_NAME": "shop.example", "SERVER_PORT": "8000", "REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "50000",
}  # fmt: skip


def scope(state: dict[str, Any] | None = None, scheme: str = "http", **changes: str) -> dict[str, Any]:
    """That of a request with these variables."""
    return http_scope(Request({**VARIABLES, **changes}, scheme, 0.0), state or {})


@pytest.mark.parametrize(("variables", "key", "value"), [
    ({}, "type", "http"), ({}, "method", "GET"), ({"REQUEST_METHOD": "get"}, "method", "GET"),
    ({}, "client", ("192.0.2.1", 50000)), ({"REMOTE_PORT": ""}, "client", ("192.0.2.1", 0)),
    ({"REMOTE_ADDR": ""}, "client", None), ({}, "server", ("shop.example", 8000)),
    ({"SERVER_PORT": "nonsense"}, "server", ("shop.example", None)),
    ({"QUERY_STRING": "a=%20\xff"}, "query_string", b"a=%20\xff"),
    ({"SERVER_PROTOCOL": "HTTP/1.0"}, "http_version", "1.0"), ({"SERVER_PROTOCOL": "HTTP/2.0"}, "http_version", "2"),
    ({"SERVER_PROTOCOL": "HTTP/1.1"}, "http_version", "1.1"),
    ({"PATH_INFO": "/caf\xc3\xa9"}, "path", "/café"), ({"PATH_INFO": "/\xff"}, "path", "/\ufffd"),
    ({"SCRIPT_NAME": "/live", "PATH_INFO": "/x"}, "path", "/live/x"), ({"SCRIPT_NAME": "/live"}, "root_path", "/live"),
    ({"REQUEST_URI": "/caf%C3%A9/%2F?q=1"}, "raw_path", b"/caf%C3%A9/%2F"),
    ({"PATH_INFO": "/caf\xc3\xa9 x"}, "raw_path", b"/caf%C3%A9%20x"),
    ({"REQUEST_URI": "http://shop.example/x", "PATH_INFO": "/x"}, "raw_path", b"/x"),
])  # fmt: skip
def test_what_cgi_says_is_said_in_the_words_of_asgi(variables: dict[str, Any], key: str, value: object) -> None:
    """Text where the specification has text, bytes where it has bytes."""
    assert scope(**variables)[key] == value


def test_the_scheme_is_what_the_front_has_found() -> None:
    """Not what a variable says."""
    assert scope(scheme="https", HTTPS="off")["scheme"] == "https"


def test_headers_are_pairs_of_bytes_with_small_names() -> None:
    """And those two which CGI gives another name are headers, too; its own variables are none."""
    found = scope(HTTP_X_ONE="a\xe9", CONTENT_TYPE="text/plain", CONTENT_LENGTH="3", HTTP_HOST="shop.example")
    assert sorted(found["headers"]) == [
        (b"content-length", b"3"), (b"content-type", b"text/plain"), (b"host", b"shop.example"), (b"x-one", b"a\xe9"),
    ]  # fmt: skip


def test_each_request_has_the_state_for_itself() -> None:
    """What one writes into it no other one sees; what stands in it is shared (Lifespan Protocol, "Lifespan State")."""
    pool: list[int] = []
    state = {"pool": pool}
    one, other = scope(state), scope(state)
    one["state"]["own"] = 1
    assert "own" not in other["state"]
    assert other["state"]["pool"] is pool


def test_the_version_keeps_frameworks_listening_for_the_client() -> None:
    """From 2.4 on they would learn of its leaving by sending only."""
    assert scope()["asgi"] == {"version": "3.0", "spec_version": "2.3"}


@pytest.mark.parametrize(("scheme", "socket"), [("http", "ws"), ("https", "wss")])
def test_that_of_a_websocket_is_the_same_but_for_what_it_is(scheme: str, socket: str) -> None:
    """It has no method, and schemes of its own; it hears of the end by an error, too, so the newer rules apply."""
    request = Request({**VARIABLES, "SCRIPT_NAME": "/live"}, scheme, 0.0)
    made, plain = websocket_scope(request, {"a": 1}, ["chat"], {"x": {}}), http_scope(request, {"a": 1})
    assert (made["type"], made["scheme"], made["subprotocols"]) == ("websocket", socket, ["chat"])
    assert made["asgi"] == {"version": "3.0", "spec_version": "2.5"}
    assert made["extensions"] == {"websocket.http.response": {}, "x": {}}
    same = plain.keys() - {"type", "scheme", "asgi", "extensions", "method"}
    assert {key: made[key] for key in same} == {key: plain[key] for key in same}
    assert made.keys() == plain.keys() - {"method"} | {"subprotocols"}
