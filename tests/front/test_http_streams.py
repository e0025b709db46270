"""HTTP streams of every kind, cut anywhere: good ones mean the same, bad ones end in a refusal."""

import re

from hypothesis import given
from hypothesis import strategies as st

from tests.front.http_streams import cut
from tests.front.http_wire import GET, POST, Process, Wire
from tests.front.test_http_framing import CHUNKED

PATHS = st.from_regex(r"/[a-z0-9%/]{0,12}(\?[a-z=&]{0,8})?", fullmatch=True)
HEADERS = st.from_regex(r"X-[A-Za-z]{1,4}:[ \t]{0,2}[!-~\xa1-\xff]{0,9}[ \t]?", fullmatch=True)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One good request."""
    path = draw(PATHS.filter(lambda text: "%00" not in text))
    lines = [f"Host: {draw(st.sampled_from(['a', 'shop.example:8000', '[::1]:80']))}"]
    lines += draw(st.lists(HEADERS, max_size=3))
    chunks = draw(st.lists(st.text("\r\n0a;", min_size=1, max_size=9), max_size=4))
    body = "".join(chunks)
    match draw(st.sampled_from(["GET", "HEAD", "counted", "chunked"])):
        case "counted":
            method, framed = "PUT", body
            lines.append(f"Content-Length: {len(body)}")
        case "chunked":
            method = "POST"
            framed = "".join(f"{len(chunk):x};e=1\r\n{chunk}\r\n" for chunk in chunks) + "0\r\nT: u\r\n\r\n"
            lines.append("Transfer-Encoding: chunked")
        case other:
            method, framed = other, ""
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines])
    return f"{head}\r\n\r\n{framed}".encode("latin-1")


@given(st.lists(requests(), min_size=1, max_size=4), st.data())
def test_any_cut_of_good_requests_gives_the_same(several: list[bytes], data: st.DataObject) -> None:
    """One piece, byte by byte and drawn pieces: the same calls, the same variables, the same bytes back."""
    stream = b"".join(several)
    outcomes = []
    for pieces in ([stream], [stream[n : n + 1] for n in range(len(stream))], cut(data, stream)):
        process = Process()
        wire = Wire(process).deliver(*pieces)
        variables = [exchange.request.variables for exchange in process.exchanges]
        outcomes.append((process.events, variables, wire.out, wire.closed))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert len(outcomes[0][1]) == len(several)
    assert outcomes[0][3] is False


def statuses_of(out: bytes) -> list[int]:
    """Of the answers in *out*, each with a length; a refusal may quote what looks like another one."""
    statuses = []
    while out:
        head, _, rest = out.partition(b"\r\n\r\n")
        start = re.match(rb"HTTP/1\.1 (\d\d\d) (?:.|\r\n)*?\r\nContent-Length: (\d+)", head)
        assert start is not None
        statuses.append(int(start[1]))
        out = rest[int(start[2]) :]
    return statuses


def survive(pieces: list[bytes]) -> None:
    """Nothing comes out of the front but answers, and none behind a refusal."""
    process = Process()
    wire = Wire(process).deliver(*pieces)
    if not wire.closed:
        wire.front.ended()
    wire.turn()
    refused = [index for index, event in enumerate(process.events) if re.fullmatch("4..|5..", event)]
    assert not refused or refused == [len(process.events) - 1]
    assert statuses_of(wire.out) == [status for status, _, _ in process.ends]


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_garbage_is_survived(pieces: list[bytes]) -> None:
    """Any bytes at all."""
    survive(pieces)


PARTS = [
    GET, POST, b"hello", CHUNKED, b"3\r\nabc\r\n0\r\n\r\n", b"GET / HTTP/1.1\r\n", b"Host: a\r\n",
    b"\r\n", b"\n", b"\0", b" ", b"Content-Length: 9\r\n", b"\x16\x03", b"PRI * HTTP/2.0\r\n\r\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(PARTS) | st.binary(max_size=3), max_size=12), st.data())
def test_nearly_good_requests_are_survived(parts: list[bytes], data: st.DataObject) -> None:
    """Good pieces in a wrong order, with something between, cut anywhere: no call behind a refusal."""
    survive(cut(data, b"".join(parts)))
