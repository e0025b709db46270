"""The events that an application sends over a WebSocket, in their order:

    ASKED  ──websocket.accept───────────────▶  OPEN    ──websocket.send──▶   OPEN
                                               OPEN    ──websocket.close──▶  DONE
                                               OPEN    ──runner.websocket.move──▶  DONE   (if it was asked to)
    ASKED  ──websocket.close────────────────▶  DONE    (the answer is 403)
    ASKED  ──websocket.http.response.start──▶  DENIED  ──websocket.http.response.body──▶  … as answering.py has it

Law: pure; every other event, in every stage, is a LocalProtocolError that says what was expected. Start at
Talking.take. ASGI 3.0, "HTTP & WebSocket ASGI Message Format" 2.5, "WebSocket" and "Websocket Denial Response".
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

from runner.errors import LocalProtocolError
from runner.host.answering import Answering, Begin, Part, pairs
from runner.request import Closed, Message

ACCEPT, SEND, CLOSE = "websocket.accept", "websocket.send", "websocket.close"
MOVE = "runner.websocket.move"
"""The extension of asgi_websocket.py, and its events."""
MAX_STATE = 262_144
"""Bytes of a state, as UTF-8."""
_DENIAL, _PREFIX = "websocket.http.response.", "websocket."


class Accept(NamedTuple):
    """As WebSocket.accept wants it."""

    subprotocol: str | None
    headers: list[tuple[str, str]]
    moves: bool = False


class Move(NamedTuple):
    """As WebSocket.move wants it."""

    state: str


class Stage(Enum):
    """What is expected next; its value is how an error message says it."""

    ASKED = f"{ACCEPT!r}, {CLOSE!r} or {_DENIAL + 'start'!r}"
    OPEN = f"{SEND!r} or {CLOSE!r}"
    DENIED = f"{_DENIAL + 'body'!r}"
    DONE = "nothing more: it is closed"


class Talking:
    """One WebSocket, as far as the application has brought it; *asked*: it may say its state."""

    __slots__ = ("_denial", "asked", "stage")

    def __init__(self) -> None:
        self.stage = Stage.ASKED
        self.asked = False
        self._denial: Answering | None = None

    def take(self, event: dict[str, Any]) -> Accept | Message | Closed | Move | Begin | Part:
        """What *event* says. Raises LocalProtocolError."""
        kind, stage = event.get("type"), self.stage
        if kind == SEND and stage is Stage.OPEN:
            return _message(event)
        if kind == ACCEPT and stage is Stage.ASKED:
            accept = _accept(event)
            self.stage = Stage.OPEN
            return accept
        if kind == CLOSE and stage in (Stage.ASKED, Stage.OPEN):
            closed = _closed(event)
            self.stage = Stage.DONE
            return closed
        if kind == MOVE and stage is Stage.OPEN and self.asked:
            move = _move(event)
            self.stage = Stage.DONE
            return move
        if isinstance(kind, str) and kind.startswith(_DENIAL) and stage in (Stage.ASKED, Stage.DENIED):
            return self._deny(event, kind)
        raise LocalProtocolError(f"the application sent {kind!r}; expected was {stage.value}")

    def _deny(self, event: dict[str, Any], kind: str) -> Begin | Part:
        denial = self._denial = self._denial or Answering()
        step = denial.take({**event, "type": kind.removeprefix(_PREFIX)})
        self.stage = Stage.DONE if isinstance(step, Part) and step.last else Stage.DENIED
        return step


def _accept(event: dict[str, Any]) -> Accept:
    subprotocol = event.get("subprotocol")
    if not isinstance(subprotocol, str | None):
        raise LocalProtocolError(f"the subprotocol in {ACCEPT!r} is {subprotocol!r}: give a str, or None")
    moves = event.get(MOVE, False)
    if not isinstance(moves, bool):
        raise LocalProtocolError(f"{MOVE!r} in {ACCEPT!r} is {moves!r}: give a bool, or leave it out")
    return Accept(subprotocol, pairs(event.get("headers", ()), ACCEPT), moves)


def _move(event: dict[str, Any]) -> Move:
    state = event.get("state")
    if not isinstance(state, str):
        raise LocalProtocolError(f"the state in {MOVE!r} is of {type(state).__name__}: give a str")
    try:
        size = len(state.encode())
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"the state in {MOVE!r} must be UTF-8: {error.reason}") from error
    if size > MAX_STATE:
        raise LocalProtocolError(f"the state in {MOVE!r} has {size} bytes: at most {MAX_STATE} can be taken along; "
                                 "say where the rest is kept")
    return Move(state)


def _message(event: dict[str, Any]) -> Message:
    """Of the two keys one may be missing, or None."""
    text, data = event.get("text"), event.get("bytes")
    if isinstance(text, str) and data is None:
        return text
    if isinstance(data, bytes | bytearray | memoryview) and text is None:
        return bytes(data)
    raise LocalProtocolError(f"{SEND!r} has text of {type(text).__name__} and bytes of {type(data).__name__}: "
                             "give a str as the one, or bytes as the other")


def _closed(event: dict[str, Any]) -> Closed:
    code, reason = event.get("code", 1000), event.get("reason") or ""
    if not isinstance(code, int) or not isinstance(reason, str):
        raise LocalProtocolError(f"code and reason in {CLOSE!r} are {code!r} and {reason!r}: give an int and a str")
    return Closed(int(code), reason)
