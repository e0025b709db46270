"""One HTTP connection: what the application gets, what the client gets, and who closes when."""

import re
from typing import cast

import pytest

from runner.front.limits import Limits
from runner.front.variables import Rules
from runner.request import Answer
from tests.front.http_wire import GET, OLD, POST, Lines, Process, Wire, echo, wait
from tests.front.test_http_framing import BAD as BAD_CHUNKS
from tests.front.test_http_framing import CHUNKED
from tests.front.test_http_head import BAD as BAD_HEADS


def test_a_request_reaches_the_application_with_its_variables() -> None:
    """Peer, server, prefix and scheme are filled in."""
    process = Process()
    Wire(process, rules=Rules(root_path="/app")).deliver(
        b"GET /app/a%20b?q HTTP/1.1\r\nHost: shop:81\r\n\r\n"
    )
    variables = process.exchanges[0].request.variables
    assert {
        "SCRIPT_NAME": "/app",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "q",
        "REQUEST_URI": "/app/a%20b?q",
        "SERVER_NAME": "shop",
        "SERVER_PORT": "81",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
    }.items() <= variables.items()
    assert process.exchanges[0].request.scheme == "http"


@pytest.mark.parametrize(
    "raw, name, port",
    [(OLD, "127.0.0.1", "8000"), (GET, "a", "80"), (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", "127.0.0.1", "8000")],
)
def test_the_server_is_what_the_client_called_it(raw: bytes, name: str, port: str) -> None:
    """The Host header, its scheme's port if it names none, the listener if there is no Host."""
    process = Process()
    Wire(process).deliver(raw)
    variables = process.exchanges[0].request.variables
    assert (variables["SERVER_NAME"], variables["SERVER_PORT"]) == (name, port)


def test_a_trusted_proxy_says_the_scheme() -> None:
    """And with it the port that a Host without one means."""
    process = Process()
    Wire(process).deliver(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n")
    request = process.exchanges[0].request
    assert (request.scheme, request.variables["SERVER_PORT"]) == ("https", "443")


def test_a_path_outside_the_prefix_is_not_found() -> None:
    """The application is not asked."""
    process = Process()
    wire = Wire(process, rules=Rules(root_path="/app")).deliver(b"HEAD /apple HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (wire.statuses, process.events, wire.body) == ([404], ["404"], b"")


def test_the_body_is_whole_before_the_application_is_called() -> None:
    """Counted and chunked; a chunked one has a length by then."""
    process = Process()
    wire = Wire(process).deliver(POST, b"hel")
    assert process.events == []
    wire.deliver(b"lo", CHUNKED + b"3\r\nabc\r\n", b"0\r\n\r\n")
    assert process.events == ["POST /x b'hello'", "200", "POST / b'abc'", "200"]
    variables = process.exchanges[1].request.variables
    assert variables["CONTENT_LENGTH"] == "3"
    assert "HTTP_TRANSFER_ENCODING" not in variables


def test_an_upgrade_is_a_request_like_any_other() -> None:
    """B34: the application sees that h2c was asked for; what follows is read as HTTP/1.1."""
    process = Process()
    raw = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    wire = Wire(process).deliver(raw + GET)
    assert wire.statuses == [200, 200]
    assert [exchange.request.upgrade for exchange in process.exchanges] == [True, False]


def test_options_asterisk_is_answered_without_the_application() -> None:
    """It asks about the server."""
    process = Process()
    wire = Wire(process).deliver(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    assert (wire.statuses, process.events) == ([200, 200], ["200", "GET /x b''", "200"])


def test_empty_lines_before_a_request_are_skipped() -> None:
    """RFC 9112 section 2.2."""
    assert Wire(Process()).deliver(b"\r", b"\n\r\n", GET + b"\r\n" + GET).statuses == [200, 200]


def test_an_old_client_may_keep_the_connection() -> None:
    """HTTP/1.0 with keep-alive, answered with a length."""
    wire = Wire(Process()).deliver(OLD.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"))
    assert wire.head.endswith("Connection: keep-alive")
    assert not wire.closed


@pytest.mark.parametrize("raw", [OLD, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")])
def test_a_client_that_wants_the_close_gets_it(raw: bytes) -> None:
    """At once, since it sends no more; what it sends all the same is not read as a request."""
    process = Process()
    wire = Wire(process).deliver(raw + GET)
    assert ("Connection: close" in wire.head, wire.closed, len(process.exchanges)) == (True, True, 1)
    assert wire.linger is True
    assert Wire(Process()).deliver(raw).linger is False


def test_a_closing_process_says_so_and_closes() -> None:
    """Lingering, for the client may be sending its next request."""
    process = Process()
    process.draining = process.closing = True
    wire = Wire(process).deliver(GET)
    assert ("Connection: close" in wire.head, wire.closed, wire.linger) == (True, True, True)


def test_a_request_that_has_begun_to_arrive_is_answered_before_the_close() -> None:
    """It was sent to us, and nobody comes after us."""
    process = Process()
    busy = Wire(process).deliver(GET, GET[:10])
    process.draining = process.closing = True
    busy.deliver(GET[10:])
    assert (busy.statuses, busy.closed) == ([200, 200], True)


def test_answers_leave_in_the_order_of_the_requests() -> None:
    """The second waits for the first, however fast it would be."""
    process = Process(wait)
    wire = Wire(process).deliver(GET.replace(b"/x", b"/1") + GET.replace(b"/x", b"/2"))
    assert process.events == ["GET /1 b''"]
    echo(process.exchanges[0])
    wire.turn()
    echo(process.exchanges[1])
    assert process.events == ["GET /1 b''", "200", "GET /2 b''", "200"]
    assert re.findall(rb"\r\n\r\n(/\d)", wire.out) == [b"/1", b"/2"]


def test_a_thousand_requests_at_once_do_not_grow_the_stack() -> None:
    """Each is taken in its own turn of the loop."""
    assert len(Wire(Process()).deliver(GET * 3000).statuses) == 3000


def test_a_client_that_sends_ahead_is_held_back() -> None:
    """Reading pauses above a bound and goes on with the next request."""
    process = Process(wait)
    wire = Wire(process).deliver(GET)
    while not wire.paused:
        wire.deliver(GET * 100)
        assert len(wire.front._buffer) < 40000
    echo(process.exchanges[0])
    assert not wire.paused


@pytest.mark.parametrize("framed", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_who_waits_for_it_is_told_to_go_on(framed: bytes) -> None:
    """100 Continue, when the body is wanted and none of it is there yet."""
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + framed + b"\r\n"
    assert Wire(Process()).deliver(raw).out == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert Wire(Process()).deliver(raw + b"5").out == b""


def test_nobody_waits_for_a_body_that_is_not_announced() -> None:
    """No interim answer then."""
    assert Wire(Process()).deliver(GET[:-2] + b"Expect: 100-continue\r\n\r\n").statuses == [200]


def test_a_refused_body_is_not_asked_for() -> None:
    """B32: the process's own answer instead, and a close, since the body may or may not follow."""
    process = Process()
    process.refusal = Answer(503, [("Retry-After", "1")], b"later")
    wire = Wire(process).deliver(POST[:-2] + b"Expect: 100-continue\r\n\r\n")
    assert (wire.statuses, wire.closed, wire.linger, process.events) == ([503], True, True, ["503"])


def test_a_refused_request_without_a_body_keeps_the_connection() -> None:
    """Nothing of it is unread."""
    process = Process()
    process.refusal = Answer(307, [("Location", "/x")], b"")
    wire = Wire(process).deliver(GET + GET)
    assert (wire.statuses, wire.closed) == ([307, 307], False)


@pytest.mark.parametrize(
    "raw",
    [
        POST[:-2] + b"Expect: 100-continue\r\n\r\n",
        POST + b"he",
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"3\r\nabc\r\n3\r\ndef\r\n",
    ],
)
def test_a_body_too_large_is_refused_early(raw: bytes) -> None:
    """413 as soon as it is known, then a lingering close that lets the answer arrive."""
    process = Process()
    wire = Wire(process, Limits(max_body=4)).deliver(raw)
    assert (wire.statuses, wire.closed, wire.linger) == ([413], True, True)
    assert process.events == ["413"]


@pytest.mark.parametrize("name", BAD_HEADS)
def test_nothing_behind_a_bad_head_is_read_as_a_request(name: str) -> None:
    """B20 to B29 in mid-stream: what came before is answered, then the refusal, then the close."""
    status, raw = BAD_HEADS[name]
    process = Process()
    wire = Wire(process).deliver(GET + raw + GET, GET)
    assert wire.statuses == [200, status]
    assert (wire.closed, wire.linger, len(process.exchanges)) == (True, True, 1)
    assert "Connection: close" in wire.out.decode("latin-1").split("HTTP/1.1 ")[2]


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_a_body_with_wrong_framing_never_reaches_the_application(name: str) -> None:
    """B23: 400, close."""
    process = Process()
    wire = Wire(process).deliver(CHUNKED + BAD_CHUNKS[name], GET)
    assert (wire.statuses, wire.closed, process.events) == ([400], True, ["400"])


@pytest.mark.parametrize("method", [b"BREW", b"get", b"Get"])
def test_a_method_nobody_knows_is_not_implemented(method: bytes) -> None:
    """Methods are case-sensitive."""
    assert Wire(Process()).deliver(GET.replace(b"GET", method)).statuses == [501]


def test_a_path_with_a_nul_byte_is_refused() -> None:
    """B31: %00 would end a file name in C."""
    assert Wire(Process()).deliver(GET.replace(b"/x", b"/%00")).statuses == [400]


def test_tls_is_named_in_the_log_once() -> None:
    """However many browsers try."""
    process = Process()
    for _ in range(3):
        Wire(process).deliver(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
    lines = cast(Lines, process.log).lines
    assert len(lines) == 1
    assert "TLS arrived where plain HTTP is spoken" in lines[0]
