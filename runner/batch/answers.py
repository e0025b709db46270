"""What became of an item -> the response object that its client gets, or none.

    a proper response to this very item   passed on, each byte as it came
    anything else                         -32603 "Internal error", with *data* that names status and reason
    a notification                        nothing, whatever became of it (section 4.1)

Proper is, by section 5: one JSON object of version "2.0" with the item's id and either result or error. A result comes
with 2xx; an error with any HTTP status, and maybe with the id null, from an endpoint that could not make it out.

Law: pure; whatever an endpoint sends, the whole stays valid JSON, and no item suffers from another. Start at respond.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from runner.batch.objects import INTERNAL_ERROR, failure
from runner.batch.scanning import whole
from runner.batch.splitting import Item
from runner.request import Answer

JSON = ("Content-Type", "application/json")


class Reason(StrEnum):
    """Why an item has no response of its own; said to the client in *data*."""

    DIED = "the process that answered it ended"
    TIMEOUT = "timeout"
    BATCH_TIMEOUT = "timeout of the batch"
    CANCELLED = "cancelled"
    TOO_LARGE = "the response is too large"
    STATUS = "the status is not 2xx"
    EMPTY = "the response is empty"
    NOT_JSON = "the response is not JSON"
    NOT_A_RESPONSE = "the response is not a JSON-RPC 2.0 response"
    OTHER_ID = "the response has another id"
    HOOK = "a hook failed"
    FAILED = "the request could not be made"


class Answered(NamedTuple):
    """The endpoint has answered: the HTTP status and the whole body."""

    status: int
    body: bytes


class Failed(NamedTuple):
    """It has not, or not in a way that is of use; *status* if there was one."""

    reason: Reason
    status: int | None = None


Outcome = Answered | Failed


def respond(item: Item, outcome: Outcome, room: int) -> bytes | None:
    """The response object to *item*; None for a notification. *room*: bytes that it may have."""
    if item.notification:
        return None
    failed = judge(item, outcome, room)
    if failed is None:
        assert isinstance(outcome, Answered)
        return outcome.body
    data = {"status": failed.status, "reason": failed.reason}
    return failure(INTERNAL_ERROR, data=data, id_json=item.id_json)


def judge(item: Item, outcome: Outcome, room: int) -> Failed | None:
    """What is wrong with *outcome*, as an answer to *item*; None: it is a proper one."""
    if isinstance(outcome, Failed):
        return outcome
    status, body = outcome
    if len(body) > room:
        return Failed(Reason.TOO_LARGE, status)
    succeeded = 200 <= status <= 299
    if not body:
        return Failed(Reason.EMPTY if succeeded else Reason.STATUS, status)
    reason = _improper(item, body, succeeded)
    return None if reason is None else Failed(reason, status)


def join(responses: Sequence[bytes], *, is_batch: bool) -> Answer:
    """The answer of the gateway; 204 without a body if there is nothing to say (section 6)."""
    if not responses:
        return Answer(204, [], b"")
    return Answer(200, [JSON], b"[%b]" % b",".join(responses) if is_batch else responses[0])


def _improper(item: Item, body: bytes, succeeded: bool) -> Reason | None:
    try:
        found = whole(body)
    except ValueError:
        return Reason.NOT_JSON if succeeded else Reason.STATUS
    if type(found) is not dict or found.get("jsonrpc") != "2.0" or "id" not in found:
        return Reason.NOT_A_RESPONSE if succeeded else Reason.STATUS
    failed = type(found.get("error")) is dict
    if not failed and not succeeded:
        return Reason.STATUS
    if failed == ("result" in found) or (not failed and "error" in found):
        return Reason.NOT_A_RESPONSE
    id = found["id"]
    if id == item.id or (failed and id is None) or _same_number(id, item.id):
        return None
    return Reason.OTHER_ID


def _same_number(one: Any, other: Any) -> bool:
    """1 and 1.0: not every endpoint writes a number as it was sent."""
    return type(one) is bytes and type(other) is bytes and float(one) == float(other)
