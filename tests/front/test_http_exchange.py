"""The answer as one HTTP/1.1 message: its length, its date, and where its body ends."""

import re
import time

import pytest

from runner.request import Exchange
from tests.front.http_wire import DATE, GET, OLD, Process, Wire, answering


def test_a_whole_answer_gets_a_length_and_a_date() -> None:
    """One write, no Server header."""

    def application(exchange: Exchange) -> None:
        exchange.start(200, "OK", [("Content-Type", "text/plain")])
        exchange.finish(b"hello")

    wire = Wire(Process(application)).deliver(GET)
    form = r"HTTP/1\.1 200 OK\r\nContent-Type: text/plain\r\nDate: (.+ GMT)\r\nContent-Length: 5"
    date = re.fullmatch(form, wire.head)
    assert date and time.strptime(date[1], "%a, %d %b %Y %H:%M:%S GMT")
    assert wire.body == b"hello"


@pytest.mark.parametrize(
    "raw, line, body",
    [
        (GET, "\r\nTransfer-Encoding: chunked", b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"),
        (OLD, "\r\nConnection: close", b"abcdefg"),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "\r\nConnection: close", b"abcdefg"),
    ],
)
def test_an_answer_of_unknown_length_is_chunked_or_ended_by_the_close(
    raw: bytes, line: str, body: bytes
) -> None:
    """Chunked for HTTP/1.1, closed for HTTP/1.0."""
    wire = Wire(answering(b"abc", b"", b"defg")).deliver(raw)
    assert wire.head.endswith(DATE[1] + line)
    assert wire.body == body
    assert wire.closed is (line == "\r\nConnection: close")


def test_a_length_of_the_applications_own_is_kept() -> None:
    """No second one beside it, and no chunks."""
    wire = Wire(answering(b"abc", b"de", headers=[("content-length", "5")])).deliver(GET)
    assert wire.head.lower().count("content-length") == 1
    assert (wire.body, "chunked" in wire.head) == (b"abcde", False)


@pytest.mark.parametrize("status, method", [(200, b"HEAD"), (204, b"GET"), (304, b"GET")])
@pytest.mark.parametrize("headers", [[], [("Content-Length", "3")]])
def test_some_answers_have_no_body(status: int, method: bytes, headers: list[tuple[str, str]]) -> None:
    """HEAD, 204 and 304: no byte of it, no chunk, and the connection goes on; 204 has no length either."""
    wire = Wire(answering(b"abc", headers=headers, status=status)).deliver(GET.replace(b"GET", method) * 2)
    assert wire.statuses == [status, status]
    assert wire.body.startswith(b"HTTP/1.1")
    assert ("Content-Length" in wire.head) is (status != 204 and bool(headers))
    assert "chunked" not in wire.head
