"""A gateway as an application of tasks: a batch is posted, its answer comes, and who leaves takes it along."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from runner.batch import JSONRPCBatch
from runner.host.batch import application_of
from runner.request import Answer, Request, current
from runner.wire import records
from runner.wire.requester import Requester
from tests.front.rig import params, record
from tests.host.asgi_calls import Behind, ask

JSON = ("Content-Type", "application/json")


def post(data: bytes, content_type: str = "application/json") -> bytes:
    """A batch, on a connection that is not kept."""
    requester = Requester()
    head = params(REQUEST_METHOD="POST", CONTENT_LENGTH=str(len(data)), CONTENT_TYPE=content_type)
    return requester.request(1, head, keep=False) + requester.stdin(1, data) + requester.stdin(1, b"")


class Gateway:
    """Stands for a JSONRPCBatch; *run* answers."""

    def __init__(self, run: Callable[[bytes, Request], Awaitable[Answer]]) -> None:
        self.run = run

    @property
    def application(self) -> Any:
        """It, as an application."""
        return application_of(cast(JSONRPCBatch, self))


async def echo(body: bytes, request: Request) -> Answer:
    """What was sent, in capitals."""
    assert request is current()
    return Answer(200, [JSON], body.upper())


def test_a_batch_is_answered() -> None:
    """With its length, within the request that has brought it."""
    answered = ask(Gateway(echo).application, post(b"[abc]"))
    assert (answered.status, answered.body) == (200, b"[ABC]")
    assert "content-length: 5\r\n" in answered.block.lower() + "\r\n"
    assert "content-type: application/json" in answered.block.lower()


def test_a_body_of_many_parts_is_one() -> None:
    """An event has 64 KiB of it."""
    body = b"[" + b"abc" * 100_000 + b"]"
    assert ask(Gateway(echo).application, post(body)).body == body.upper()


def test_nothing_to_say_is_204() -> None:
    """Which has no body, so no length (RFC 9110 section 8.6)."""

    async def nothing(body: bytes, request: Request) -> Answer:
        return Answer(204, [], b"")

    answered = ask(Gateway(nothing).application, post(b"[]"))
    assert (answered.status, answered.body) == (204, b"")
    assert "content-length" not in answered.block.lower()


TYPES = {
    "application/json": 200, "Application/JSON; charset=utf-8": 200, "application/json ;x=y": 200,
    "application/json-rpc": 200, "application/vnd.shop+json": 200, "": 415, "text/plain": 415, "text/json": 415,
    "application/x-www-form-urlencoded": 415, "multipart/form-data; boundary=x": 415, "application/jsonp": 415,
    "text/plain; application/json": 415, "application/x; y=+json": 415,
}  # fmt: skip


@pytest.mark.parametrize("content_type", TYPES)
def test_only_what_is_posted_as_json_is_run(content_type: str) -> None:
    """Whatever a browser sends for any page unasked is no JSON to it."""
    ran: list[bytes] = []

    async def run(body: bytes, request: Request) -> Answer:
        ran.append(body)
        return await echo(body, request)

    assert ask(Gateway(run).application, post(b"[]", content_type)).status == TYPES[content_type]
    assert len(ran) == (TYPES[content_type] == 200)


def test_anything_but_post_is_refused() -> None:
    """And nothing runs."""

    async def never(body: bytes, request: Request) -> Answer:
        raise AssertionError("it was run")

    answered = ask(Gateway(never).application)
    assert (answered.status, answered.log) == (405, [])
    assert "Allow: POST" in answered.block.title().replace("Post", "POST")


def test_what_it_raises_is_the_server_s_failure() -> None:
    """An error page, and the log."""

    async def broken(body: bytes, request: Request) -> Answer:
        raise ValueError("it is broken")

    answered = ask(Gateway(broken).application, post(b"[]"))
    assert answered.status == 500
    assert b"ValueError: it is broken" in b"\n".join(answered.log)


@pytest.mark.parametrize("aborts", [True, False])
def test_who_leaves_has_his_batch_cancelled(aborts: bool) -> None:
    """It is awaited: what it does at its end is done before the request is over."""
    told: list[str] = []

    async def long(body: bytes, request: Request) -> Answer:
        told.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            told.append(f"ended in {current().path}")
        raise AssertionError("nobody has set it")

    with Behind(Gateway(long).application) as behind:
        behind.send(post(b"[]"))
        behind.until(lambda: told)
        if aborts:
            behind.send(record(records.ABORT_REQUEST))
        else:
            behind.peer.close()
        behind.ended()
        assert told == ["begun", "ended in /"]
        assert behind.service.lines() == []


def test_a_worker_that_ends_cancels_it() -> None:
    """As any task."""
    told: list[str] = []

    async def long(body: bytes, request: Request) -> Answer:
        told.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            told.append("ended")
        raise AssertionError("nobody has set it")

    with Behind(Gateway(long).application) as behind:
        behind.send(post(b"[]"))
        behind.until(lambda: told)
        behind.host.cancel(background=False)
        behind.ended()
        assert told == ["begun", "ended"]


def test_it_has_nothing_to_start() -> None:
    """Other scopes are none of its affair."""

    async def call(*given: Any) -> Any:
        raise AssertionError("nothing is received and nothing sent")

    asyncio.run(Gateway(echo).application({"type": "lifespan"}, call, call))
