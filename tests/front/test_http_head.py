"""Request heads as text: what is read from a good one, and the status of every bad one."""

import pytest

from runner.errors import RemoteProtocolError
from runner.front.http_head import MAX_HEAD, MAX_HEADERS, MAX_LINE, Head, find_end, parse_head, split_host

HOST = b"Host: a\r\n"


def head(*lines: bytes) -> bytes:
    """The lines, each with its end, and the empty one."""
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def read(raw: bytes) -> Head:
    """Find and read a head that is all there is."""
    assert find_end(bytearray(raw), 0) == len(raw)
    return parse_head(raw)


def status_of(raw: bytes) -> int:
    """The status that refuses *raw*, arrived at once."""
    with pytest.raises(RemoteProtocolError) as caught:
        end = find_end(bytearray(raw), 0)
        parse_head(raw[:end])
    return caught.value.status


def test_a_head_becomes_cgi_variables() -> None:
    """Request line, path, query, host and headers each land in their variable."""
    told = read(
        head(
            b"POST /a%20b/c?x=1&y=%32 HTTP/1.1",
            b"Host: shop.example:8000",
            b"Content-Type: text/plain",
            b"Content-Length: 5",
            b"X-Some-Thing: \t one two \t",
        )
    )
    assert told.variables == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/c",
        "QUERY_STRING": "x=1&y=%32",
        "REQUEST_URI": "/a%20b/c?x=1&y=%32",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "8000",
        "HTTP_HOST": "shop.example:8000",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "5",
        "HTTP_X_SOME_THING": "one two",
    }
    assert told[1:] == (5, True, False)


@pytest.mark.parametrize(
    "target, path, query",
    [
        (b"/", "/", ""),
        (b"/%e2%82%ac", "/\xe2\x82\xac", ""),
        (b"/%ff", "/\xff", ""),
        (b"/a%2Fb", "/a/b", ""),
        (b"/%0d%0aX:%1b[31m", "/\r\nX:\x1b[31m", ""),
        (b"/%zz%4", "/%zz%4", ""),
        (b"//evil/x", "//evil/x", ""),
        (b"/a//../b", "/a//../b", ""),
        (b"/x?a?b=%20", "/x", "a?b=%20"),
        (b"/?", "/", ""),
        (b'/{"a"|b}', '/{"a"|b}', ""),
    ],
)
def test_a_path_is_decoded_to_its_bytes_and_nothing_else(target: bytes, path: str, query: str) -> None:
    """Escapes become bytes (as latin-1), the query stays as sent, nothing is normalised."""
    variables = read(head(b"GET " + target + b" HTTP/1.1", b"Host: a")).variables
    assert (variables["PATH_INFO"], variables["QUERY_STRING"]) == (path, query)
    assert variables["REQUEST_URI"] == target.decode()


@pytest.mark.parametrize(
    "target, host, path",
    [
        (b"http://real.example/x", "real.example", "/x"),
        (b"HTTP://real.example:81?q", "real.example:81", "/"),
        (b"https://[::1]:81/x", "[::1]:81", "/x"),
    ],
)
def test_the_authority_of_an_absolute_target_wins(target: bytes, host: str, path: str) -> None:
    """RFC 9112 section 3.2.2: Host is replaced by what the target says."""
    variables = read(head(b"GET " + target + b" HTTP/1.1", b"Host: other")).variables
    assert (variables["HTTP_HOST"], variables["PATH_INFO"]) == (host, path)
    assert variables["SERVER_NAME"] == split_host(host)[0]


def test_names_with_an_underscore_never_reach_a_variable() -> None:
    """X_Real_IP cannot stand in for X-Real-IP, nor Content_Length for Content-Length."""
    told = read(
        head(b"GET / HTTP/1.1", b"Host: a", b"X_Real_IP: evil", b"X-Real-IP: good", b"Content_Length: 5")
    )
    assert told.variables["HTTP_X_REAL_IP"] == "good"
    assert told.length == 0


def test_the_proxy_header_is_dropped() -> None:
    """HTTP_PROXY would tell programs of the application where to fetch URLs."""
    assert "HTTP_PROXY" not in read(head(b"GET / HTTP/1.1", b"Host: a", b"Proxy: http://evil")).variables


def test_headers_sent_twice_are_joined() -> None:
    """Cookies with a semicolon, others with a comma."""
    told = read(head(b"GET / HTTP/1.1", b"Host: a", b"X-A: 1", b"Cookie: a=1", b"x-a: 2", b"Cookie: b=2"))
    assert (told.variables["HTTP_X_A"], told.variables["HTTP_COOKIE"]) == ("1, 2", "a=1; b=2")


@pytest.mark.parametrize(
    "version, connection, keep",
    [
        (b"1.1", None, True),
        (b"1.1", b"close", False),
        (b"1.1", b"Foo, CLOSE", False),
        (b"1.1", b"keep-alive", True),
        (b"1.1", b"closed", True),
        (b"1.0", None, False),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_who_wants_to_keep_the_connection(version: bytes, connection: bytes | None, keep: bool) -> None:
    """RFC 9112 section 9.3: the default of the version, unless the Connection header says otherwise."""
    lines = [b"GET / HTTP/" + version, b"Host: a"] + ([b"Connection: " + connection] if connection else [])
    assert read(head(*lines)).keep is keep


def test_an_old_client_needs_no_host() -> None:
    """HTTP/1.0 without Host names no server, so no SERVER_NAME is made up here."""
    assert "SERVER_NAME" not in read(head(b"GET / HTTP/1.0")).variables


def test_an_expectation_is_noted_for_http_1_1_only() -> None:
    """RFC 9110 section 10.1.1: an HTTP/1.0 client cannot wait for an interim answer."""
    lines = b"Host: a", b"Expect: 100-Continue", b"Content-Length: 3"
    assert read(head(b"PUT / HTTP/1.1", *lines)).expects
    assert not read(head(b"PUT / HTTP/1.0", *lines)).expects


def good(*lines: bytes, method: bytes = b"POST", version: bytes = b"1.1") -> bytes:
    """A head with a Host and these lines as well."""
    return head(method + b" / HTTP/" + version, b"Host: a", *lines)


BAD = {
    "B20 length and coding": (400, good(b"Content-Length: 3", b"Transfer-Encoding: chunked")),
    "B20 coding and length": (400, good(b"Transfer-Encoding: chunked", b"Content-Length: 3")),
    "B20 coding twice": (400, good(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")),
    "B20 another coding": (400, good(b"Transfer-Encoding: xchunked")),
    "B20 a list of codings": (400, good(b"Transfer-Encoding: chunked, identity")),
    "B20 a coding before": (400, good(b"Transfer-Encoding: gzip, chunked")),
    "B20 identity": (400, good(b"Transfer-Encoding: identity")),
    "B20 vertical tab": (400, good(b"Transfer-Encoding: \x0bchunked")),
    "B20 next line": (400, good(b"Transfer-Encoding: chunked\x85")),
    "B20 quoted": (400, good(b'Transfer-Encoding: "chunked"')),
    "B20 empty coding": (400, good(b"Transfer-Encoding:")),
    "B20 coding in HTTP/1.0": (400, good(b"Transfer-Encoding: chunked", version=b"1.0")),
    "B21 length twice": (400, good(b"Content-Length: 3", b"Content-Length: 4")),
    "B21 the same length twice": (400, good(b"Content-Length: 3", b"Content-Length: 3")),
    "B21 list": (400, good(b"Content-Length: 3, 3")),
    "B21 plus": (400, good(b"Content-Length: +3")),
    "B21 minus": (400, good(b"Content-Length: -3")),
    "B21 underscore": (400, good(b"Content-Length: 5_0")),
    "B21 space inside": (400, good(b"Content-Length: 5 0")),
    "B21 hexadecimal": (400, good(b"Content-Length: 0x5")),
    "B21 superscript": (400, good(b"Content-Length: \xb2")),
    "B21 empty": (400, good(b"Content-Length: ")),
    "B21 too many digits": (400, good(b"Content-Length: " + b"9" * 30)),
    "B22 bare line feeds": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "B22 one bare line feed": (400, b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
    "B22 bare carriage return": (400, good(b"X: a\rb")),
    "B22 carriage return twice": (400, good(b"X: a\r")),
    "B22 folded": (400, good(b"X: a", b" b")),
    "B22 folded first": (400, head(b"GET / HTTP/1.1", b" X: a", b"Host: a")),
    "B22 NUL in a value": (400, good(b"X: a\0b")),
    "B22 NUL in a name": (400, good(b"X\0: a")),
    "B22 escape in a value": (400, good(b"X: \x1b[31m")),
    "B22 delete in a value": (400, good(b"X: \x7f")),
    "B22 space before the colon": (400, good(b"X : a")),
    "B22 tab before the colon": (400, good(b"Content-Length\t: 3")),
    "B22 no name": (400, good(b": a")),
    "B22 no colon": (400, good(b"X")),
    "B22 name not ASCII": (400, good(b"X\xe9: a")),
    "B22 name in quotes": (400, good(b'"X": a')),
    "B24 no host": (400, head(b"GET / HTTP/1.1")),
    "B24 two hosts": (400, head(b"GET / HTTP/1.1", b"Host: a", b"Host: b")),
    "B24 the same host twice": (400, head(b"GET / HTTP/1.1", b"Host: a", b"Host: a")),
    "B24 path in host": (400, head(b"GET / HTTP/1.1", b"Host: a/b")),
    "B24 user in host": (400, head(b"GET / HTTP/1.1", b"Host: u@a")),
    "B24 list in host": (400, head(b"GET / HTTP/1.1", b"Host: a, b")),
    "B24 space in host": (400, head(b"GET / HTTP/1.1", b"Host: a b")),
    "B24 port of host": (400, head(b"GET / HTTP/1.1", b"Host: a:80x")),
    "B24 port too large": (400, head(b"GET / HTTP/1.1", b"Host: a:65536")),
    "B24 bracket in host": (400, head(b"GET / HTTP/1.1", b"Host: [::1")),
    "B24 absolute without host": (400, head(b"GET http://a/ HTTP/1.1")),
    "B24 user in target": (400, head(b"GET http://u@a/ HTTP/1.1", b"Host: a")),
    "B24 no host in target": (400, head(b"GET http:///x HTTP/1.1", b"Host: a")),
    "B25 asterisk": (400, head(b"GET * HTTP/1.1", b"Host: a")),
    "B25 authority": (400, head(b"GET a:80 HTTP/1.1", b"Host: a")),
    "B25 relative": (400, head(b"GET a/b HTTP/1.1", b"Host: a")),
    "B25 another scheme": (400, head(b"GET ftp://a/b HTTP/1.1", b"Host: a")),
    "B25 connect": (501, head(b"CONNECT a:80 HTTP/1.1", b"Host: a")),
    "B25 fragment": (400, head(b"GET /a#b HTTP/1.1", b"Host: a")),
    "B25 NUL in target": (400, head(b"GET /\0 HTTP/1.1", b"Host: a")),
    "B25 byte above 127 in target": (400, head(b"GET /\xff HTTP/1.1", b"Host: a")),
    "B25 space in target": (400, head(b"GET /a b HTTP/1.1", b"Host: a")),
    "B25 two spaces": (400, head(b"GET  / HTTP/1.1", b"Host: a")),
    "B25 tab for space": (400, head(b"GET\t/ HTTP/1.1", b"Host: a")),
    "B25 space at the end": (400, head(b"GET / HTTP/1.1 ", b"Host: a")),
    "B25 space at the beginning": (400, head(b" GET / HTTP/1.1", b"Host: a")),
    "B25 method with a bracket": (400, head(b"G[T / HTTP/1.1", b"Host: a")),
    "B25 type twice": (400, good(b"Content-Type: a/b", b"Content-Type: a/c")),
    "B26 head too large": (431, good(*[b"X-%d: %s" % (n, b"v" * 1000) for n in range(100)])),
    "B26 one header too large": (431, good(b"X: " + b"v" * MAX_HEAD)),
    "B26 too many headers": (431, good(*[b"X: v"] * MAX_HEADERS)),
    "B26 line too long": (414, head(b"GET /" + b"x" * MAX_HEAD + b" HTTP/1.1", b"Host: a")),
    "B26 line a little too long": (414, head(b"GET /" + b"x" * (MAX_LINE - 13) + b" HTTP/1.1", b"Host: a")),
    "B26 line without end": (414, b"GET /" + b"x" * MAX_LINE),
    "B26 head without end": (431, b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD),
    "B29 HTTP/0.9": (400, b"GET /\r\n"),
    "B29 HTTP/0.9 with an empty line": (400, b"GET /\r\n\r\n"),
    "B29 HTTP/2 preface": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "B29 HTTP/1.9": (505, head(b"GET / HTTP/1.9", b"Host: a")),
    "B29 HTTP/3": (505, head(b"GET / HTTP/3", b"Host: a")),
    "B29 HTTP/11": (505, head(b"GET / HTTP/11", b"Host: a")),
    "B29 lower case": (400, head(b"GET / http/1.1", b"Host: a")),
    "B29 another protocol": (400, head(b"GET / RTSP/1.0", b"Host: a")),
    "B29 TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "B29 SSH": (400, b"SSH-2.0-OpenSSH_9.2\r\n"),
    "B29 NUL bytes": (400, b"\0" * 16),
    "B32 unknown expectation": (417, good(b"Expect: 200-ok", b"Content-Length: 3")),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_head_is_refused(name: str) -> None:
    """With its status, and not by a guess at what was meant."""
    status, raw = BAD[name]
    assert status_of(raw) == status


@pytest.mark.parametrize("name", BAD)
def test_a_bad_head_is_refused_byte_by_byte_too(name: str) -> None:
    """However it is cut, it is refused; which of its faults is met first may differ."""
    raw = BAD[name][1]
    buffer = bytearray()
    with pytest.raises(RemoteProtocolError):
        for byte in raw:
            seen = len(buffer)
            buffer.append(byte)
            end = find_end(buffer, seen)
            if end:
                parse_head(bytes(buffer[:end]))


@pytest.mark.parametrize(
    "first, status", [(b"GET / HTTP/2.0\r\n", 505), (b"GET / HTTP/1.1\nH", 400), (b"\x16", 400)]
)
def test_what_cannot_become_good_is_refused_at_once(first: bytes, status: int) -> None:
    """No need to wait for the end of a head whose beginning is wrong."""
    assert status_of(first) == status


def test_a_line_and_a_head_of_the_allowed_size_pass() -> None:
    """The limits themselves are allowed."""
    line = b"GET /" + b"x" * (MAX_LINE - 14) + b" HTTP/1.1"
    assert len(line) == MAX_LINE
    raw = head(line, b"Host: a")
    raw = raw[:-2] + b"X: " + b"v" * (MAX_HEAD - len(raw) - 5) + b"\r\n\r\n"
    assert len(raw) == MAX_HEAD
    assert read(raw).keep


@pytest.mark.parametrize("raw", [
    good(b"Authorization: Bearer s3cr3t\x01"),
    good(b"Cookie: a=b; c=s3cr3t\x01"),
    good(b"s3cr3t"),
    good(b"s3cr3t; d=http://x"),
    good(b"X: a", b" s3cr3t: x"),
    good(b"Content-Length: s3cr3t"),
    good(b"Transfer-Encoding: s3cr3t"),
    good(b"Expect: s3cr3t"),
    head(b"GET / HTTP/1.1", b"Host: user:s3cr3t@a"),
    head(b"GET http://user:s3cr3t@a/ HTTP/1.1", b"Host: a"),
    head(b"GET ftp://a/?b=s3cr3t HTTP/1.1", b"Host: a"),
    head(b"GET /?token=s3cr3t HTTP/1.1 ", b"Host: a"),
    head(b"GET /?token=s3cr\xe9t&s3cr3t HTTP/1.1", b"Host: a"),
    head(b"GET http://user:s3cr3t@a/ HTTP/1.1 ", b"Host: a"),
    head(b"password=s3cr3t", b"Host: a"),
])  # fmt: skip
def test_what_may_be_a_secret_is_not_repeated(raw: bytes) -> None:
    """The reason goes to the log: no value of a header is in it, no query, nothing of what is no request at all."""
    with pytest.raises(RemoteProtocolError) as caught:
        parse_head(raw)
    assert "s3cr3t" not in str(caught.value)
    with pytest.raises(RemoteProtocolError) as caught:
        parse_head(raw[: find_end(bytearray(raw), 0)])
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(("raw", "said"), [
    (good(b"Authorization: Bearer s3cr3t\x01"), "Authorization"),
    (head(b"GET /reset?token=s3cr3t HTTP/1.1 ", b"Host: a"), "'GET /reset'"),
])  # fmt: skip
def test_the_place_of_the_fault_is_named(raw: bytes, said: str) -> None:
    """The name of the header, the path of the request."""
    with pytest.raises(RemoteProtocolError, match=said):
        parse_head(raw)


def test_tls_is_named_in_the_message() -> None:
    """Who types https:// by mistake finds the reason in the log."""
    with pytest.raises(RemoteProtocolError, match=r"TLS arrived where plain HTTP is spoken"):
        find_end(bytearray(b"\x16\x03\x01\x02\x00"), 0)
