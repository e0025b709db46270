"""An endpoint in memory, and a batch sent to it: what a worker does, without a worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from runner.batch import Answered, Done, JSONRPCBatch, Outcome, SubRequest
from runner.batch.running import run
from runner.request import Answer, Request

PATIENCE = 30.0
"""Seconds for something that takes none, if all is well."""

Serve = Callable[[SubRequest], Outcome | Awaitable[Outcome]]


def request(**variables: str) -> Request:
    """The request that brings a batch."""
    return Request({"REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/batch", **variables}, "http", 0.0)


def call(id: Any = None, method: str = "echo", *params: Any) -> bytes:
    """A request object; no *id*: a notification."""
    made = {"jsonrpc": "2.0", "method": method, "params": list(params)}
    return json.dumps(made if id is None else {**made, "id": id}).encode()


def array(*items: bytes) -> bytes:
    """A batch."""
    return b"[%b]" % b",".join(items)


def echo(sub: SubRequest) -> Outcome:
    """Answers with the params; a notification with 204."""
    if sub.item.notification:
        return Answered(204, b"")
    return Answered(200, sub.item.result(sub.item.params))


class Endpoint:
    """A Dispatcher: *serve* answers. `asked`: what it got, in order; `done`: what was reported."""

    def __init__(self, serve: Serve = echo, width: int = 8) -> None:
        self.width = width
        self.asked: list[SubRequest] = []
        self.reports: list[Done] = []
        self._serve = serve

    def dispatch(self, sub: SubRequest, /) -> Outcome | Awaitable[Outcome]:
        """See Dispatcher."""
        self.asked.append(sub)
        return self._serve(sub)

    def report(self, done: Done, /) -> None:
        """See Dispatcher."""
        self.reports.append(done)

    @property
    def done(self) -> Done:
        """The only report."""
        (done,) = self.reports
        return done

    @property
    def faults(self) -> list[str]:
        """What hooks have raised."""
        return [str(fault) for fault in self.done.faults]


def ask(body: bytes, endpoint: Endpoint | None = None, path: Any = "/rpc", **options: Any) -> Answer:
    """Run a batch, to its end."""
    batch = JSONRPCBatch(path, **options)
    return asyncio.run(run(batch, body, request(), endpoint or Endpoint()))


def decoded(answer: Answer) -> Any:
    """What its body says, which no other status than 200 has."""
    assert answer.status == 200
    assert answer.headers == [("Content-Type", "application/json")]
    return json.loads(answer.body)


def internal(id: Any, reason: str, status: int | None = None) -> dict[str, Any]:
    """The error object of an item that failed."""
    data = {"status": status, "reason": reason}
    return {"jsonrpc": "2.0", "error": {"code": -32603, "message": "Internal error", "data": data}, "id": id}


def result(id: Any, value: Any) -> dict[str, Any]:
    """The response of one that did not."""
    return {"jsonrpc": "2.0", "result": value, "id": id}


def codes(answer: Answer) -> list[int | None]:
    """The error codes of a batch's answer, None for a result."""
    return [each.get("error", {}).get("code") for each in decoded(answer)]


async def until(true: Callable[[], object]) -> None:
    """Wait, on the loop, until it is."""
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0)
