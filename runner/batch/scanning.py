"""JSON as a gateway reads it (RFC 8259): nothing is lost, nothing is too deep, and one pass is enough.

    number   its own text, as bytes: a 23-digit number and 1e400 stay what they are
    object   a tuple of its members, so that two of the same name are seen (scan); or a dict (whole)
    array    a list; text, true, false and null as usual

Laws: pure; linear in the size of the text, whatever is sent; whatever is no JSON, or nested deeper than DEPTH, is a
ValueError, and no other error comes out. Start at whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from itertools import accumulate
from typing import Any, NoReturn

DEPTH = 256
"""Brackets within brackets. RFC 8259 section 9 allows a limit; this one keeps far away from the end of the stack."""

_NO_STACK = "nested too deep for what is left of the stack"
_PASSES = 8
_BLOCK = 4096
_OPEN, _CLOSE = 1, 255
_LEVELS = bytes.maketrans(b"[{]}", bytes((_OPEN, _OPEN, _CLOSE, _CLOSE)))
_PAIR = bytes((_OPEN, _CLOSE))
_NO_MARKS = bytes(set(range(256)) - set(b'[]{}"'))
_SPACE = re.compile(r"[ \t\n\r]*").match
_AFTER = re.compile(r"[ \t\n\r]*([,\]])[ \t\n\r]*").match


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


# Functions written in C only: one in Python would be called for each number, and cost more than all the rest.
_Decoder = partial(json.JSONDecoder, parse_int=str.encode, parse_float=str.encode, parse_constant=_refuse)
_decode_pairs = _Decoder(object_pairs_hook=tuple).raw_decode
_decode_dict = _Decoder().raw_decode


def read(body: bytes) -> str:
    """The text, which has no more than DEPTH levels. A byte-order mark is refused later: no value begins with it.

    Raises ValueError if it is no UTF-8, or too deep.
    """
    # There are no more levels than brackets. Mostly that is all there is to know.
    if body.count(b"[") + body.count(b"{") > DEPTH and _too_deep(body):
        raise ValueError(f"nested deeper than {DEPTH} levels")
    return body.decode()


def scan(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at *start*, and where it ends. Raises ValueError."""
    try:
        return _decode_pairs(text, start)
    except RecursionError:
        raise ValueError(_NO_STACK) from None


def elements(text: str, start: int) -> Iterator[tuple[Any, int, int]]:
    """Of the array that begins at *start*: each value, and where it begins and ends.

    Raises ValueError as soon as it is no array, or something follows.
    """
    at = skip(text, start + 1)
    last = text[at : at + 1] == "]"
    if last:
        at = skip(text, at + 1)
    while not last:
        try:
            value, end = _decode_pairs(text, at)
        except RecursionError:
            raise ValueError(_NO_STACK) from None
        yield value, at, end
        after = _AFTER(text, end)
        if after is None:
            raise ValueError("neither a comma nor the end of the array")
        at, last = after.end(), after[1] == "]"
    if at != len(text):
        raise ValueError("more than one value")


def skip(text: str, start: int) -> int:
    """Where the white space at *start* ends."""
    return _SPACE(text, start).end()  # type: ignore[union-attr]  # it matches everywhere


def whole(body: bytes) -> Any:
    """The one value that *body* is; an object is a dict. Raises ValueError."""
    text = read(body)
    try:
        value, end = _decode_dict(text, 0 if text[:1] == "{" else skip(text, 0))
    except RecursionError:
        raise ValueError(_NO_STACK) from None
    if end != len(text) and skip(text, end) != len(text):
        raise ValueError("more than one value")
    return value


def members(text: str) -> dict[str, str]:
    """The members of an object, each as it was written. *text* is one object, as `scan` found it."""
    found: dict[str, str] = {}
    at = skip(text, 1)
    while text[at] != "}":
        name, end = scan(text, at)
        start = skip(text, skip(text, end) + 1)
        _, end = scan(text, start)
        found[name] = text[start:end]
        end = skip(text, end)
        at = skip(text, end + 1) if text[end] == "," else end
    return found


def _too_deep(body: bytes) -> bool:
    """Brackets are nested deeper than DEPTH, up to the first error, which the scanner finds; without recursion."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # A string without brackets is two quotation marks now. Two that are neighbours may go, even if they belong to two
    # strings: what is inside of one and what is outside stays so.
    marks = body.translate(None, _NO_MARKS).replace(b'""', b"")
    levels = b"".join(marks.split(b'"')[::2]).translate(_LEVELS)
    # Each pass takes the innermost level away; what people send is gone after three or four of them.
    passes = 0
    while passes < _PASSES and levels:
        levels = levels.replace(_PAIR, b"")
        passes += 1
    depth = passes
    for start in range(0, len(levels), _BLOCK):
        depths = list(accumulate(memoryview(levels[start : start + _BLOCK]).cast("b"), initial=depth))
        if max(depths) > DEPTH:
            return True
        depth = depths[-1]
    return False
