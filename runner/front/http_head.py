"""The head of an HTTP/1.1 request, read strictly: bytes -> CGI variables, or the status that refuses it.

Two servers that read the same bytes differently are how one client's request gets inside another's, so
nothing is repaired here: what the grammar does not allow is refused, and so is what it allows but two
readers may take differently (a length twice, a length and a coding, two hosts). The HTTP parser reads the
same bytes afterwards (http_framing.py); this reading makes the strictness ours, whatever that one forgives.

Laws: pure; no socket, no clock; a header name with "_" is dropped: X_Real_IP would be X-Real-IP's variable; what is
said of a refused one goes to the log, so no value of a header is in it, nor a query.
Start at find_end, then parse_head. RFC 9112 sections 2 to 7; RFC 9110 sections 5, 7.2 and 10.1.1.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from runner.errors import RemoteProtocolError
from runner.front.variables import join

MAX_LINE = 8192
"""Bytes of the request line; RFC 9112 section 3 asks for at least 8000."""
MAX_HEAD = 65536
"""Bytes of the whole head."""
MAX_HEADERS = 200

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_LINE = re.compile(rf"({_TOKEN}) ([\x21\x22\x24-\x7e]++) HTTP/1\.([01])\r\n")
_FIELD = rf"{_TOKEN}:[\t\x20-\x7e\x80-\xff]*+\r\n"
_FIELDS = re.compile(rf"(?:{_FIELD})*+\r\n")
_ONE_FIELD = re.compile(_FIELD)
_OTHER_VERSION = re.compile(r"\S+ \S+ (HTTP/(?!1\.[01]\b)[0-9.]{1,10})\r?\n?")
_ABSOLUTE = re.compile(r"https?://([^/?]*+)(.*)", re.IGNORECASE)
_HOST = re.compile(r"([0-9A-Za-z._~%\-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{0,5}))?")
_SHOWN = re.compile(r"[A-Z]{1,20} /[^?\s]*")
_DIGITS = re.compile(r"[0-9]{1,18}")
_PLAIN_NAME = re.compile(r"[0-9A-Za-z\-]+")
_FIRST = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z\r]")
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")

_TLS = b"\x16\x03"
_ONCE = frozenset(("HTTP_HOST", "HTTP_TRANSFER_ENCODING", "CONTENT_LENGTH", "CONTENT_TYPE"))


class Head(NamedTuple):
    """What a head says.

    variables  e.g. {"REQUEST_METHOD": "GET", "PATH_INFO": "/x", "HTTP_HOST": "a:80", "SERVER_NAME": "a", …};
               PATH_INFO is "*" for `OPTIONS *`; no SERVER_NAME and SERVER_PORT if the client named no host
    length     bytes of the body; 0 for no body, None for a chunked one
    keep       the client wants to send another request on this connection
    expects    the client waits for "100 Continue" before it sends the body
    """

    variables: dict[str, str]
    length: int | None
    keep: bool
    expects: bool


def find_end(buffer: bytearray, seen: int) -> int:
    """The length of the head that *buffer* begins with, 0 while it is incomplete.

    *seen* bytes were looked at before. Raises RemoteProtocolError (400, 414, 431, 505) as soon as no further
    byte can make a good head of it: who speaks something else is told at once, not after a timeout.
    """
    end = buffer.find(b"\r\n\r\n", max(0, seen - 3))
    if end >= 0:
        return end + 4
    if buffer and not _FIRST.match(buffer):
        raise _explain_line(buffer[:80].decode("latin-1"))
    line_end = buffer.find(b"\n", 0, MAX_LINE + 2)
    if line_end < 0 and len(buffer) >= MAX_LINE + 2:
        raise _line_too_long()
    if line_end >= seen and not _LINE.fullmatch(line := buffer[: line_end + 1].decode("latin-1")):
        raise _explain_line(line)
    if len(buffer) > MAX_HEAD:
        raise _head_too_large()
    if _BARE_LINE_FEED.search(buffer, seen):
        raise RemoteProtocolError("a line of the request head ends without a carriage return")
    return 0


def parse_head(raw: bytes) -> Head:
    """Read the head *raw*, its empty line included. Raises RemoteProtocolError, 400 to 505."""
    text = raw.decode("latin-1")
    line = _LINE.match(text)
    if line is None or line.end() > MAX_LINE + 2 or not _FIELDS.fullmatch(text, line.end()):
        raise _explain(text)
    fields = text.split("\r\n")[1:-2]
    if len(raw) > MAX_HEAD or len(fields) > MAX_HEADERS:
        raise _head_too_large()
    method, target, minor = line.groups()
    variables = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": "",
        "QUERY_STRING": "",
        "REQUEST_URI": target,
        "SERVER_PROTOCOL": "HTTP/1." + minor,
    }
    for field in fields:
        name, _, value = field.partition(":")
        # The memo keeps short names only: it is clients who choose them.
        variable = variable_name(name) if len(name) <= 64 else variable_name.__wrapped__(name)
        if variable:
            value = value.strip("\t ")
            if variable in variables:
                value = _twice(variable, variables[variable], value)
            variables[variable] = value
    _split_target(method, target, variables)
    _check_host(variables, minor)
    return Head(variables, _length(variables, minor), _keep(variables, minor), _expects(variables, minor))


# Memos of pure functions, bounded.
@lru_cache(maxsize=512)
def variable_name(name: str) -> str:
    """The CGI variable of the header *name*; "" for one that is dropped.

    "Proxy" is dropped because HTTP_PROXY is something else to every program that fetches a URL.
    """
    if not _PLAIN_NAME.fullmatch(name):
        return ""
    upper = name.upper().replace("-", "_")
    if upper in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        return upper
    return "" if upper == "PROXY" else "HTTP_" + upper


@lru_cache(maxsize=256)
def split_host(host: str) -> tuple[str, str]:
    """Its name and port: ("a", "80") of "a:80", ("[::1]", "") of "[::1]"; raises RemoteProtocolError."""
    match = _HOST.fullmatch(host)
    if match is None or int(match[2] or 0) > 65535:
        raise RemoteProtocolError("the host is not of the form name or name:port")
    return match[1], match[2] or ""


def _twice(variable: str, before: str, value: str) -> str:
    if variable in _ONCE:
        raise RemoteProtocolError(f"{variable} was sent twice; which one counts would be a guess")
    return join(variable, before, value)


def _split_target(method: str, target: str, variables: dict[str, str]) -> None:
    """RFC 9112 section 3.2: four forms; the authority of an absolute one replaces Host (section 3.2.2)."""
    rest = target
    if method == "CONNECT":
        raise RemoteProtocolError("CONNECT is for proxies, and this is none", 501)
    if target == "*" and method == "OPTIONS":
        variables["PATH_INFO"] = "*"
        return
    if target[0] != "/":
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise RemoteProtocolError("the target is neither a path nor an http:// URL")
        split_host(absolute[1])
        if "HTTP_HOST" in variables or variables["SERVER_PROTOCOL"] == "HTTP/1.0":
            # A missing Host stays missing, and wrong: the target does not excuse it.
            variables["HTTP_HOST"] = absolute[1]
        rest = absolute[2] if absolute[2].startswith("/") else "/" + absolute[2]
    path, _, variables["QUERY_STRING"] = rest.partition("?")
    variables["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path


def _check_host(variables: dict[str, str], minor: str) -> None:
    host = variables.get("HTTP_HOST")
    if host:
        # Without a port the scheme decides, which is not known here.
        variables["SERVER_NAME"], variables["SERVER_PORT"] = split_host(host)
    elif host is None and minor == "1":
        raise RemoteProtocolError("an HTTP/1.1 request must have a Host header")


def _length(variables: dict[str, str], minor: str) -> int | None:
    """RFC 9112 section 6, without its exceptions."""
    coding = variables.get("HTTP_TRANSFER_ENCODING")
    length = variables.get("CONTENT_LENGTH")
    if coding is None:
        if length is None:
            return 0
        if not _DIGITS.fullmatch(length):
            raise RemoteProtocolError("Content-Length is not a number")
        return int(length)
    if length is not None:
        raise RemoteProtocolError("Content-Length and Transfer-Encoding exclude each other")
    if minor == "0":
        raise RemoteProtocolError("HTTP/1.0 has no Transfer-Encoding")
    if coding.lower() != "chunked":
        raise RemoteProtocolError("this Transfer-Encoding is not understood; only 'chunked' is")
    return None


def _keep(variables: dict[str, str], minor: str) -> bool:
    connection = variables.get("HTTP_CONNECTION")
    if connection is None:
        return minor == "1"
    options = {option.strip("\t ") for option in connection.lower().split(",")}
    return "close" not in options and (minor == "1" or "keep-alive" in options)


def _expects(variables: dict[str, str], minor: str) -> bool:
    expectation = variables.get("HTTP_EXPECT")
    if expectation is None or minor == "0":
        return False
    if expectation.lower() != "100-continue":
        raise RemoteProtocolError("this expectation is not known here; only '100-continue' is", 417)
    return True


def _explain(text: str) -> RemoteProtocolError:
    """Why the whole head *text* was refused."""
    line, _, rest = text.partition("\n")
    if len(line) > MAX_LINE + 1:
        return _line_too_long()
    if not _LINE.fullmatch(line + "\n"):
        return _explain_line(line)
    if len(text) > MAX_HEAD:
        return _head_too_large()
    bad = next((field for field in rest.split("\n")[:-2] if not _ONE_FIELD.fullmatch(field + "\n")), "")
    if bad[:1] in ("\t", " "):
        return RemoteProtocolError("folded header lines are obsolete: send each header in one line")
    name, colon, _ = bad.partition(":")
    which = f"header {name[:80]}" if colon and _PLAIN_NAME.fullmatch(name) else "a header line"
    return RemoteProtocolError(f"{which} is not of the form 'Name: value', or has a character that HTTP does not allow")


def _explain_line(line: str) -> RemoteProtocolError:
    if line.encode("latin-1").startswith(_TLS):
        return RemoteProtocolError(
            "TLS arrived where plain HTTP is spoken: use http://, or a web server with a certificate in front"
        )
    if version := _OTHER_VERSION.fullmatch(line):
        return RemoteProtocolError(f"{version[1]} is not spoken here, only HTTP/1.1", 505)
    shown = _SHOWN.match(line)
    which = f"the request line {shown[0][:80]!r}..." if shown else "the request line"
    return RemoteProtocolError(f"{which} is not of the form 'GET /path HTTP/1.1'")


def _line_too_long() -> RemoteProtocolError:
    return RemoteProtocolError(f"the request line is longer than {MAX_LINE} bytes: shorten the URL", 414)


def _head_too_large() -> RemoteProtocolError:
    return RemoteProtocolError(
        f"the request head has more than {MAX_HEAD} bytes or {MAX_HEADERS} headers: send fewer cookies?", 431
    )
