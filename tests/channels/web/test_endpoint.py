"""What is where, below the path of the endpoint."""

import asyncio
import gzip
from typing import Any

import pytest

from runner.channels import Endpoint
from runner.channels.web.endpoint import CLIENT
from tests.channels.web.visitors import ask

ENDPOINT = Endpoint()


@pytest.mark.parametrize(("method", "path", "status", "allow"), [
    ("GET", "/live/other", 404, None), ("GET", "/live/client.js/x", 404, None), ("POST", "/live/other", 404, None),
    ("PUT", "/live", 405, "GET, POST"), ("HEAD", "/live", 405, "GET, POST"), ("OPTIONS", "/live/", 405, "GET, POST"),
    ("POST", "/live/client.js", 405, "GET, HEAD"), ("GET", "/live/", 400, None), ("GET", "/live", 400, None),
    ("GET", "/live/client.js", 200, None), ("HEAD", "/live/client.js", 200, None),
])  # fmt: skip
def test_what_is_where(method: str, path: str, status: int, allow: str | None) -> None:
    """And what is not."""
    reply = asyncio.run(ask(ENDPOINT, method, path))
    assert (reply.status, reply.headers.get("allow")) == (status, allow)
    assert reply.headers["content-length"] == str(len(reply.body))
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_the_client_is_asked_for_each_time_and_sent_once() -> None:
    """A browser keeps it, and asks whether it is still the same."""
    reply = asyncio.run(ask(ENDPOINT, path="/live/client.js"))
    assert reply.body == CLIENT.read_bytes()
    assert reply.headers["content-type"] == "text/javascript; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache"
    for known in (reply.headers["etag"], f'"other", W/{reply.headers["etag"]}', "*"):
        again = asyncio.run(ask(ENDPOINT, path="/live/client.js", if_none_match=known))
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", reply.headers["etag"])
    assert asyncio.run(ask(ENDPOINT, path="/live/client.js", if_none_match='"other"')).status == 200


def test_the_client_is_small() -> None:
    """Comments and all."""
    assert len(gzip.compress(CLIENT.read_bytes(), 9)) < 6 * 1024


def test_its_lifespan() -> None:
    """It has nothing to do, and says so."""
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {}

    async def send(event: dict[str, Any]) -> None:
        said.append(event["type"])

    asyncio.run(ENDPOINT({"type": "lifespan"}, receive, send))
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
