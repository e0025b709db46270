"""Where a message ends: the next one's bytes stay in the buffer, whatever the framing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import RemoteProtocolError
from runner.front.http_framing import SLACK, Framing
from tests.front.http_streams import cut

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\n\r\n\r\n\r\n"


def take(raw: bytes, *pieces: bytes) -> tuple[bytes, bytes, bool]:
    """Body, what is left, and whether the chunked message is complete, after these pieces."""
    framing = Framing(raw, None)
    buffer = bytearray()
    body = b""
    for piece in pieces:
        buffer += piece
        if not framing.complete:
            body += framing.take(buffer)
    return body, bytes(buffer), framing.complete


@pytest.mark.parametrize(
    "framed, body",
    [
        (b"0\r\n\r\n", b""),
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"A;name=value\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b'3;a="b;\\"c"\r\nabc\r\n0;b\r\n\r\n', b"abc"),
        (b"003\r\nabc\r\n000\r\n\r\n", b"abc"),
        (b"3\r\nabc\r\n0\r\nX-Trailer: y\r\nZ: z\r\n\r\n", b"abc"),
        (b"8\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n\r\n\r\n"),
        (b"5\r\n0\r\n\r\n\r\n1\r\n\r\r\n0\r\n\r\n", b"0\r\n\r\n\r"),
    ],
)
@pytest.mark.parametrize("bytewise", [False, True])
def test_a_chunked_body_ends_where_it_ends(framed: bytes, body: bytes, bytewise: bool) -> None:
    """The bytes behind it are left alone, in one piece and byte by byte."""
    stream = framed + NEXT
    pieces = [stream[n : n + 1] for n in range(len(stream))] if bytewise else [stream]
    assert take(CHUNKED, *pieces) == (body, NEXT, True)


BAD = {
    "hexadecimal prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "plus": b"+3\r\nabc\r\n0\r\n\r\n",
    "minus": b"-1\r\nabc\r\n0\r\n\r\n",
    "underscore": b"6_0\r\nabc\r\n0\r\n\r\n",
    "space before": b" 3\r\nabc\r\n0\r\n\r\n",
    "space behind": b"3 \r\nabc\r\n0\r\n\r\n",
    "too large": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "no line end behind the data": b"3\r\nabc0\r\n\r\n",
    "other bytes behind the data": b"3\r\nabcXX0\r\n\r\n",
    "bare line feeds": b"3\nabc\n0\n\n",
    "bare carriage returns": b"3\rabc\r0\r\r",
    "line feed in an extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "control character in an extension": b"3;a=\x01\r\nabc\r\n0\r\n\r\n",
    "endless extension": b"3;" + b"a" * (1 << 20),
    "endless zeros": b"0" * (SLACK + 300),
    "endless trailers": b"0\r\n" + b"X: y\r\n" * 5000,
    "length as a trailer": b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
    "coding as a trailer": b"3\r\nabc\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n",
    "trailer without a name": b"3\r\nabc\r\n0\r\n: y\r\n\r\n",
    "space in the name of a trailer": b"3\r\nabc\r\n0\r\nX : y\r\n\r\n",
    "folded trailer": b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_chunks_are_refused(name: str) -> None:
    """B23: with 400, never read with good will."""
    with pytest.raises(RemoteProtocolError) as caught:
        take(CHUNKED, BAD[name])
    assert caught.value.status == 400


def test_a_cut_chunked_body_is_not_complete() -> None:
    """Neither without the last chunk nor without the empty line behind it."""
    assert take(CHUNKED, b"3\r\nabc\r\n") == (b"abc", b"\r\n", False)
    assert not take(CHUNKED, b"3\r\nabc\r\n0\r\n")[2]


def test_a_counted_body_takes_no_byte_more() -> None:
    """Content-Length is where it ends."""
    framing = Framing(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 5)
    buffer = bytearray(b"hel")
    assert (framing.take(buffer), framing.complete) == (b"hel", False)
    buffer += b"lo" + NEXT
    assert (framing.take(buffer), framing.complete, bytes(buffer)) == (b"lo", True, NEXT)


@pytest.mark.parametrize(
    "framed",
    [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
)
def test_a_request_to_change_the_protocol_is_framed_like_any_other(framed: bytes) -> None:
    """The parser stops at such requests; their bodies are read all the same."""
    raw, _, body = (b"POST / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: upgrade\r\n" + framed).partition(
        b"\r\n\r\n"
    )
    framing = Framing(raw + b"\r\n\r\n", 3 if b"Length" in raw else None)
    buffer = bytearray(body + NEXT)
    assert (framing.take(buffer), framing.complete, bytes(buffer)) == (b"abc", True, NEXT)


def test_a_method_that_nobody_knows_is_not_implemented() -> None:
    """RFC 9110 section 9.1."""
    with pytest.raises(RemoteProtocolError) as caught:
        Framing(b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 0)
    assert caught.value.status == 501


def test_two_readings_of_one_head_are_refused() -> None:
    """If the parser sees a body where the strict reading saw none, neither is believed."""
    with pytest.raises(RemoteProtocolError, match="in two ways"):
        Framing(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 0)


@given(st.lists(st.text("\r\n0a;", min_size=1, max_size=12), max_size=6), st.data())
def test_any_cut_gives_the_same_body(chunks: list[str], data: st.DataObject) -> None:
    """Bodies made of what framing is made of, cut anywhere."""
    body = "".join(chunks).encode()
    stream = (
        b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk.encode()) for chunk in chunks) + b"0\r\n\r\n" + NEXT
    )
    assert take(CHUNKED, *cut(data, stream)) == (body, NEXT, True)
