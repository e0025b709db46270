"""Response headers as text: a well-formed block or an error, whatever the application hands over."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import LocalProtocolError
from runner.wire.headers import HOP_BY_HOP, parse_status, serialize_headers, unbuffered


def test_headers_are_written_in_order_and_repeated_ones_kept_apart() -> None:
    """Two cookies are two headers; the case of names is the application's."""
    block = serialize_headers([("Set-Cookie", "a=1"), ("x-y", ""), ("Set-Cookie", "b=2"), ("X", "tab\tand \xe9")])
    assert block == ("Set-Cookie: a=1\r\nx-y: \r\nSet-Cookie: b=2\r\nX: tab\tand \xe9\r\n", None, False)


def test_the_sender_is_told_of_a_length_and_of_a_date() -> None:
    """Whatever the case of their names."""
    assert serialize_headers([("content-LENGTH", "7"), ("DATE", "x")])[1:] == (7, True)


SPLITTING = ["\r\n", "\n", "\r", "\0", "\x0b", "\x0c", "\x7f", "\x1b", "\r\n\r\n<h1>", "a\r\nSet-Cookie: x=1", "\u0100"]


@pytest.mark.parametrize("bad", SPLITTING)
@pytest.mark.parametrize("place", ["value", "value's end", "name", "second"])
def test_no_value_writes_headers_of_its_own(bad: str, place: str) -> None:
    """Response splitting, in every place."""
    headers = {
        "value": [("X", f"a{bad}b")],
        "value's end": [("X", f"a{bad}"), ("Y", "b")],
        "name": [(f"X{bad}", "a")],
        "second": [("X", "a"), ("Location", f"/{bad}")],
    }[place]
    with pytest.raises(LocalProtocolError):
        serialize_headers(headers)


@pytest.mark.parametrize(
    "name", ["", " ", "A B", "A:", "A: b", "Connection: close, x", "(A)", "\xe9", "A\t", "A,B", '"A"']
)
def test_a_name_is_a_token(name: str) -> None:
    """RFC 9110 section 5.1: "Connection: close, x" would be another header than the one that was looked for."""
    with pytest.raises(LocalProtocolError):
        serialize_headers([(name, "v")])


@pytest.mark.parametrize("header", [("A", b"b"), (b"A", "b"), ("A", None), ("A", 1), (None, "b"), ([], "b")])
def test_names_and_values_are_native_strings(header: Any) -> None:
    """PEP 3333; the message shows the header."""
    with pytest.raises(LocalProtocolError, match="native strings"):
        serialize_headers([header])


@pytest.mark.parametrize("name", [*sorted(HOP_BY_HOP), "Transfer-Encoding", "CONNECTION", "Status"])
def test_what_describes_the_connection_is_left_out(name: str) -> None:
    """It belongs to the front; Status is how CGI writes the first line."""
    assert serialize_headers([(name, "x"), ("A", "b")]).text == "A: b\r\n"


@pytest.mark.parametrize("value", ["", "+5", " 5", "5 ", "5,5", "0x5", "-1", "\u0663", "\xb2", "9" * 19])
def test_a_length_is_digits(value: str) -> None:
    """The body is counted against it."""
    with pytest.raises(LocalProtocolError, match="Content-Length"):
        serialize_headers([("Content-Length", value)])


def test_the_same_length_twice_is_written_once_and_two_lengths_not_at_all() -> None:
    """nginx refuses an answer with a repeated one."""
    twice = [("Content-Length", "5"), ("content-length", "5")]
    assert serialize_headers(twice) == ("Content-Length: 5\r\n", 5, False)
    with pytest.raises(LocalProtocolError, match="twice"):
        serialize_headers([*twice, ("Content-Length", "6")])


@pytest.mark.parametrize(
    ("status", "parsed"), [("200 OK", (200, "OK")), ("599 ", (599, "")), ("404 Not \xe9", (404, "Not \xe9"))]
)
def test_a_status_is_a_number_and_a_reason(status: str, parsed: tuple[int, str]) -> None:
    """The reason may be empty, the space before it may not be missing."""
    assert parse_status(status) == parsed


@pytest.mark.parametrize(
    "status",
    ["abc", "", "200", "200OK", "99 x", "100 Continue", "101 Up", "600 x", "1000 x", "200 a\r\nX: y", "200 \0",
     "\u0662\u0660\u0660 OK", " 200 OK", "200\tOK", b"200 OK", 200, None, ["200 OK"]],
)  # fmt: skip
def test_what_is_no_final_status_is_refused(status: Any) -> None:
    """1xx is no answer, and a line break would write headers."""
    with pytest.raises(LocalProtocolError, match="status"):
        parse_status(status)


class Fancy(str):
    """Equal to a str, and of the same hash, and none."""


def test_what_is_remembered_is_no_way_in() -> None:
    """A status and a name that were good as str are refused as anything that only compares equal."""
    parse_status("200 OK")
    serialize_headers([("X-Fancy", "a")])
    with pytest.raises(LocalProtocolError, match="Fancy"):
        parse_status(Fancy("200 OK"))
    with pytest.raises(LocalProtocolError, match="native strings"):
        serialize_headers([(Fancy("X-Fancy"), "a")])


_ANY = st.text(st.characters(max_codepoint=300), max_size=8)
_LINE = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*")


@given(st.lists(st.tuples(st.one_of(st.sampled_from(["A", "X-Y", "Content-Length"]), _ANY), _ANY), max_size=5))
def test_a_block_has_one_line_for_each_header_or_is_refused(headers: list[tuple[str, str]]) -> None:
    """Random names and values; nothing else than these two outcomes."""
    try:
        text = serialize_headers(headers).text
    except LocalProtocolError:
        return
    lines = text.split("\r\n")
    assert lines.pop() == ""
    assert len(lines) <= len(headers)
    assert all(_LINE.fullmatch(line) for line in lines)
    assert "\n" not in text.replace("\r\n", "")


@pytest.mark.parametrize(("headers", "told"), [
    ([("Content-Type", "text/event-stream")], 1), ([("content-type", "Text/Event-Stream; charset=utf-8")], 1),
    ([("X-Accel-Buffering", "yes"), ("Content-Type", "text/event-stream")], 0), ([("Content-Type", "text/html")], 0),
])  # fmt: skip
def test_an_event_stream_is_not_to_be_collected(headers: list[tuple[str, str]], told: int) -> None:
    """Each event is of use only when it arrives; but what the application says counts."""
    assert serialize_headers(headers).text.count("X-Accel-Buffering: no\r\n") == told


@pytest.mark.parametrize(("headers", "more"), [
    ([], 1), ([("Content-Type", "text/plain")], 1), ([("content-length", "5")], 0), ([("X-Accel-Buffering", "yes")], 0),
])  # fmt: skip
def test_parts_are_not_to_be_collected(headers: list[tuple[str, str]], more: int) -> None:
    """Where no length is announced somebody waits for each of them."""
    assert len(unbuffered(headers)) == more
