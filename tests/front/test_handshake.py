"""What is said to a request for a WebSocket."""

import pytest

from runner.errors import LocalProtocolError
from runner.front.handshake import Handshake, shake
from runner.front.http_head import parse_head
from runner.origin import OWN_PAGES, Origins
from runner.request import Answer
from runner.wire.headers import serialize_headers
from tests.support.frames import ACCEPT, handshake


def shaken(raw: bytes, origins: Origins = OWN_PAGES) -> Handshake | Answer:
    """As the front reads it."""
    return shake(parse_head(raw).variables, origins)


NOTHING_MORE = serialize_headers([])

BAD: dict[str, tuple[bytes, int, tuple[str, str] | None]] = {
    "POST": (handshake().replace(b"GET", b"POST"), 405, ("Allow", "GET")),
    "HTTP/1.0": (handshake().replace(b"HTTP/1.1", b"HTTP/1.0"), 426, ("Sec-WebSocket-Version", "13")),
    "no version": (handshake(Sec_WebSocket_Version=None), 426, ("Sec-WebSocket-Version", "13")),
    "an old version": (handshake(Sec_WebSocket_Version="8"), 426, ("Sec-WebSocket-Version", "13")),
    "two versions": (
        handshake().replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Version: 13\r\n\r\n"), 426, ("Sec-WebSocket-Version", "13")
    ),
    "no Connection: Upgrade": (handshake(Connection="keep-alive"), 426, ("Upgrade", "websocket")),
    "no Connection": (handshake(Connection=None), 426, ("Upgrade", "websocket")),
    "two protocols": (handshake(Upgrade="websocket, h2c"), 426, ("Upgrade", "websocket")),
    "no key": (handshake(Sec_WebSocket_Key=None), 400, None),
    "an empty key": (handshake(Sec_WebSocket_Key=""), 400, None),
    "a short key": (handshake(Sec_WebSocket_Key="c2hvcnQ="), 400, None),
    "a key that is none": (handshake(Sec_WebSocket_Key="?" * 24), 400, None),
    "a key of other letters": (handshake(Sec_WebSocket_Key="\xe4" * 24), 400, None),
    "two keys": (handshake().replace(b"Sec-WebSocket-V", b"Sec-WebSocket-Key: x\r\nSec-WebSocket-V"), 400, None),
    "unreadable extensions": (handshake(Sec_WebSocket_Extensions="permessage-deflate; ="), 400, None),
    "extensions in other letters": (handshake(Sec_WebSocket_Extensions="\xe4"), 400, None),
    "unreadable Connection": (handshake(Connection="upgrade; ="), 400, None),
    "a stranger": (handshake(Origin="http://evil.example"), 403, None),
    "two origins": (
        handshake(Origin="http://localhost").replace(b"\r\n\r\n", b"\r\nOrigin: http://b\r\n\r\n"), 403, None
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_refused_with_what_would_be_right(name: str) -> None:
    """In its status, its headers, and a line of text."""
    raw, status, header = BAD[name]
    answer = shaken(raw)
    assert isinstance(answer, Answer)
    assert answer.status == status
    assert header is None or header in answer.headers
    assert len(answer.body.splitlines()) == 1


@pytest.mark.parametrize("raw", [
    handshake(), handshake(Origin="http://localhost"), handshake(Upgrade="WebSocket"),
    handshake(Connection="keep-alive, Upgrade"), handshake(Sec_WebSocket_Extensions="x-unknown; a=1"),
    handshake(Sec_WebSocket_Extensions="permessage-deflate; server_max_window_bits=99"),
])  # fmt: skip
def test_a_good_request_is_answered_with_its_key(raw: bytes) -> None:
    """What it offers and we do not know is passed over."""
    outcome = shaken(raw)
    assert isinstance(outcome, Handshake)
    head = outcome.complete(None, NOTHING_MORE).decode()
    assert head.startswith("HTTP/1.1 101 ")
    assert f"\r\nSec-WebSocket-Accept: {ACCEPT}\r\n" in head
    assert head.endswith("\r\n\r\n")
    assert "Extensions" not in head


def test_compression_has_small_windows() -> None:
    """Whatever the client would do."""
    outcome = shaken(handshake(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"))
    assert isinstance(outcome, Handshake)
    head = outcome.complete(None, NOTHING_MORE).decode()
    assert "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12\r\n" in head


def test_the_application_chooses_among_the_subprotocols_offered() -> None:
    """And adds headers; nothing else, and not by another way."""
    outcome = shaken(handshake(Sec_WebSocket_Protocol="chat , superchat,"))
    assert isinstance(outcome, Handshake)
    assert outcome.subprotocols == ["chat", "superchat"]
    with pytest.raises(LocalProtocolError, match="did not offer the subprotocol 'other'"):
        outcome.complete("other", NOTHING_MORE)
    with pytest.raises(LocalProtocolError, match="Sec-WebSocket-"):
        outcome.complete(None, serialize_headers([("x", "1"), ("sec-websocket-protocol", "chat")]))
    head = outcome.complete("superchat", serialize_headers([("X-A", "1"), ("Connection", "close")])).decode()
    assert "\r\nSec-WebSocket-Protocol: superchat\r\n" in head
    assert head.endswith("\r\nX-A: 1\r\n\r\n")
    assert "close" not in head
