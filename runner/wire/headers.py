"""Response headers as text, checked while they are written down.

Laws: pure; whatever the application hands over, what comes out is a well-formed block or a LocalProtocolError. A header
with a line break in it would let its value write headers of its own ("response splitting"), so no name and no value
goes unlooked at. Names and statuses are few and come over and over: what was found about one is remembered.
Start at serialize_headers. RFC 9110 sections 5.1, 5.5 and 7.6.1; PEP 3333 "The start_response() Callable".
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from runner.errors import LocalProtocolError

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_STATUS = re.compile(r"[2-5][0-9][0-9] [\t\x20-\x7e\x80-\xff]*")

HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)
"""They describe one connection, and that connection is the front's, never the application's: dropped."""
_DROPPED = HOP_BY_HOP | {"status"}
"""Status is how CGI says the first line (RFC 3875 section 6.3.3); PEP 3333 keeps applications from it."""
_SPECIAL = _DROPPED | {"content-length", "content-type", "date", "x-accel-buffering"}

NO_BUFFERING = ("X-Accel-Buffering", "no")
"""Keeps nginx from collecting the events of an event stream (HTML, section 9.2), each of use only when it arrives."""


def unbuffered(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What keeps nginx from collecting the parts of an answer that announces no length, unless it says otherwise."""
    names = {name.lower() for name, _ in headers}
    return [] if {"content-length", "x-accel-buffering"} & names else [NO_BUFFERING]


class Block(NamedTuple):
    """A header block: its text without the final empty line, and what the sender of the body has to know."""

    text: str
    content_length: int | None
    has_date: bool


def parse_status(status: str) -> tuple[int, str]:
    """Split "200 OK" into its number and its reason. 1xx is no final answer, so it is refused too."""
    if type(status) is not str:
        raise LocalProtocolError(f"the status must be str, not {type(status).__name__}: write '200 OK'")
    return _parse_status(status)


@lru_cache(maxsize=64)
def _parse_status(status: str) -> tuple[int, str]:
    if not _STATUS.fullmatch(status):
        raise LocalProtocolError(f"the status {status[:60]!r} is not of the form '200 OK' (200 to 599)")
    return int(status[:3]), status[4:]


def serialize_headers(headers: list[tuple[str, str]]) -> Block:
    """Write *headers* down, checked. Hop-by-hop headers, Status and a repeated Content-Length are left out.

    Raises LocalProtocolError for names or values that are not str, not latin-1, or not allowed on the wire.
    """
    lines = []
    length: int | None = None
    has_date = is_stream = is_told = False
    for name, value in headers:
        if type(name) is not str or type(value) is not str:
            raise LocalProtocolError(f"header {name!r}: {value!r} must be two str (PEP 3333: native strings)")
        special = _judge(name)
        if special == "content-length":
            before, length = length, _content_length(value, length)
            if before is not None:
                continue
        elif special == "date":
            has_date = True
        elif special == "content-type":
            is_stream = value.lower().startswith("text/event-stream")
        elif special == "x-accel-buffering":
            is_told = True
        elif special:
            continue
        # Nearly every value is plain ASCII, and to see that is quicker than any regular expression.
        if not (value.isascii() and value.isprintable()) and not _VALUE.fullmatch(value):
            raise LocalProtocolError(_refusal(f"{name}: {value}"))
        lines.append(f"{name}: {value}\r\n")
    if is_stream and not is_told:
        lines.append(f"{NO_BUFFERING[0]}: {NO_BUFFERING[1]}\r\n")
    return Block("".join(lines), length, has_date)


# Names are written in the application's code; the bound is for one that lets its clients choose them.
@lru_cache(maxsize=256)
def _judge(name: str) -> str:
    """Which of the headers that are not just written down this is, in lower case, or "". Raises LocalProtocolError."""
    if ":" in name:
        # "Connection: close, x" would make a line of the right form, and not the header that is looked for below.
        raise LocalProtocolError(f"header name {name[:80]!r} has a colon: give name and value apart")
    if not _NAME.fullmatch(name):
        raise LocalProtocolError(_refusal(name))
    key = name.lower()
    return key if key in _SPECIAL else ""


def _content_length(value: str, before: int | None) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise LocalProtocolError(f"Content-Length {value[:60]!r} is not a number: give digits only")
    if before is not None and before != int(value):
        raise LocalProtocolError(f"Content-Length given twice, {before} and {value}: give it once")
    return int(value)


def _refusal(line: str) -> str:
    return f"header {line[:80]!r} has a character that HTTP does not allow (line break, NUL, not latin-1)"
