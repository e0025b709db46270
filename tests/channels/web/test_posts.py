"""What is published by POST."""

import json

import pytest

import runner.channels.web.posts as posts
from runner.channels import Endpoint
from tests.channels.web.local_store import Hub, play
from tests.channels.web.visitors import Reply, ask

OPEN = Endpoint(may_publish=lambda scope, channel: channel != "forbidden")
KIND = "application/json"


def body(channel: object = "a", data: object = 1, id: str = "s-1") -> bytes:
    """As the client says it."""
    return json.dumps({"publish": channel, "data": data, "id": id}).encode()


async def post(data: bytes, kind: str = KIND, **headers: str) -> Reply:
    """To the open endpoint."""
    return await ask(OPEN, "POST", body=data, content_type=kind, **headers)


def test_published(hub: Hub) -> None:
    """Once, however often it is said."""

    async def main() -> None:
        for _ in range(2):
            reply = await post(body())
            assert (reply.status, json.loads(reply.body)) == (200, {"published": "s-1", "position": "e1.1.0"})
            assert reply.headers["cache-control"] == "no-store"
        assert hub.published == [("a", "1", "web:s-1")]

    play(main())


@pytest.mark.parametrize(("data", "status"), [
    (body("forbidden"), 403), (body("a b"), 400), (b"", 400), (b"{", 400), (b"[]", 400), (b'{"ping": 1}', 400),
    (b'{"subscribe": "a"}', 400), (body(data="a" * (1 << 20)), 400),
    (b" " * (posts.MOST_BYTES + 1), 413), (b"[" * (posts.MOST_BYTES - 1), 413),
])  # fmt: skip
def test_not_published(hub: Hub, data: bytes, status: int) -> None:
    """The answer is JSON that says why."""

    async def main() -> None:
        reply = await post(data)
        assert reply.status == status
        assert {"reason", "error"} & json.loads(reply.body).keys()
        assert not hub.published

    play(main())


def test_a_store_that_is_away(hub: Hub) -> None:
    """Come again."""

    async def main() -> None:
        hub.away = True
        reply = await post(body())
        assert (reply.status, reply.headers["retry-after"], json.loads(reply.body)["again"]) == (503, "1", True)

    play(main())


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "text/plain;application/json"])
def test_what_forms_can_send_is_not_taken(hub: Hub, kind: str) -> None:
    """A page of another site can have a visitor's browser send these without asking us."""

    async def main() -> None:
        assert (await post(body(), kind)).status == 415
        assert (await post(body(), f"{KIND}; charset=utf-8")).status == 200

    play(main())


def test_other_sites_pages_are_refused(hub: Hub) -> None:
    """Also if their browser sends what it should have asked for."""

    async def main() -> None:
        assert (await post(body(), origin="https://evil.example", host="shop.example")).status == 403
        assert (await post(body(), origin="https://shop.example", host="shop.example")).status == 200
        preflight = await ask(OPEN, "OPTIONS", origin="https://evil.example")
        assert preflight.status == 405
        assert not [name for name in preflight.headers if name.startswith("access-control")]

    play(main())
