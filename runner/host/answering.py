"""The events that an ASGI application sends, in their order:

    START  ──http.response.start──▶  BODY  ──http.response.body, more_body──▶  BODY
                                     BODY  ──http.response.body──────────────▶  DONE

Law: pure; every other event, in every stage, is a LocalProtocolError that says what was expected. Start at
Answering.take. ASGI 3.0, "HTTP & WebSocket ASGI Message Format" 2.3, "Response Start" and "Response Body".
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple

from runner.errors import LocalProtocolError

START, BODY = "http.response.start", "http.response.body"


class Begin(NamedTuple):
    """How the answer begins; as Exchange.start wants it."""

    status: int
    reason: str
    headers: list[tuple[str, str]]


class Part(NamedTuple):
    """A part of the body; *last*: the answer is complete with it."""

    data: bytes
    last: bool


class Stage(Enum):
    """What is expected next; its value is how an error message says it."""

    START = f"{START!r}"
    BODY = f"{BODY!r}"
    DONE = "nothing more: the answer is complete"


_START, _BODY = Stage.START, Stage.BODY
"""To look a member up in its class costs more than all that follows from it."""


class Answering:
    """One answer, as far as it has come. *begun*: how it began, None before."""

    __slots__ = ("_stage", "begun")

    def __init__(self) -> None:
        self._stage = _START
        self.begun: Begin | None = None

    def take(self, event: dict[str, Any]) -> Begin | Part:
        """What *event* says. Raises LocalProtocolError."""
        kind, stage = event.get("type"), self._stage
        if kind == BODY and stage is _BODY:
            data = event.get("body", b"")
            if type(data) is not bytes:
                data = _bytes(data)
            if event.get("more_body", False):
                return Part(data, last=False)
            self._stage = Stage.DONE
            return Part(data, last=True)
        if kind == START and stage is _START:
            self.begun = _begin(event)
            self._stage = _BODY
            return self.begun
        raise LocalProtocolError(f"the application sent {kind!r}; expected was {stage.value}")


def _bytes(data: object) -> bytes:
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise LocalProtocolError(f"the body in {BODY!r} is {type(data).__name__}, not bytes")


def _begin(event: dict[str, Any]) -> Begin:
    status = event.get("status")
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise LocalProtocolError(f"the status in {START!r} is {status!r}: give a number from 200 to 599")
    return Begin(int(status), _reason(int(status)), pairs(event.get("headers", ()), START))


def pairs(headers: Iterable[tuple[bytes, bytes]], kind: str) -> list[tuple[str, str]]:
    """The *headers* of an event of that *kind* as text. Raises LocalProtocolError."""
    try:
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    except (TypeError, ValueError, AttributeError) as error:
        raise LocalProtocolError(f"headers in {kind!r} must be pairs of bytes: {error}") from error


# A memo of a pure function; an application has few of them.
@lru_cache(maxsize=64)
def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
