"""Server-sent events: what they look like, and how one goes on."""

from typing import Any

import pytest

import runner.channels.web.streams as streams
from runner.channels import BadChannel, BadMessage, Endpoint
from runner.channels.current import reader
from runner.channels.message import OLDEST, Position
from runner.channels.web.streams import parse_query
from runner.channels.web.talk import MOST_CHANNELS
from tests.channels.web.local_store import Hub, play
from tests.channels.web.visitors import Follower, ask

OPEN = Endpoint(may_subscribe=lambda scope, channel: channel != "forbidden")


@pytest.mark.parametrize(("query", "last_id", "wishes"), [
    ("channel=a", None, {"a": None}),
    ("channel=a&channel=b&channel=a", None, {"a": None, "b": None}),
    ("channel=a&channel=b&after=e1.7.3,", None, {"a": Position("e1", 7, 3), "b": None}),
    ("channel=a&after=oldest", None, {"a": OLDEST}),
    ("channel=a&channel=b&after=,", None, {"a": None, "b": None}),
    ("channel=a&channel=b&after=e1.1.0,e1.1.0", "e1.2.0,e1.3.0", {"a": Position("e1", 2), "b": Position("e1", 3)}),
    ("channel=%C3%A9&other=1", "", {"é": None}),
])  # fmt: skip
def test_which_channels_and_from_where(query: str, last_id: str | None, wishes: dict[str, Any]) -> None:
    """What a browser remembers counts more than what its URL says, which is older."""
    assert parse_query(query, last_id) == wishes


@pytest.mark.parametrize(("query", "last_id", "error"), [
    ("", None, BadMessage), ("after=oldest", None, BadMessage), ("channel=", None, BadChannel),
    ("channel=a+b", None, BadChannel), ("channel=a&after=here", None, BadMessage),
    ("channel=a&channel=b&after=oldest", None, BadMessage), ("channel=a", "e1.1.0,e1.1.0", BadMessage),
    ("&".join(f"channel={number}" for number in range(MOST_CHANNELS + 1)), None, BadMessage),
])  # fmt: skip
def test_what_cannot_be_read_is_no_position(query: str, last_id: str | None, error: type[Exception]) -> None:
    """Least of all "from now on"."""
    with pytest.raises(error):
        parse_query(query, last_id)


def test_events_and_their_ids(hub: Hub) -> None:
    """The id says where all channels are; who gives it back goes on from there."""

    async def main() -> None:
        client = Follower(OPEN, "channel=a&channel=b")
        assert await client.hear() == "200"
        assert (await client.hear()).startswith("retry: ")
        assert await client.data() == ("e1.0.0,", {"subscribed": "a", "position": "e1.0.0"})
        assert await client.data() == ("e1.0.0,e1.0.0", {"subscribed": "b", "position": "e1.0.0"})
        hub.publish("b", '{"x":1}')
        wire = 'data: {"channel":"b","position":"e1.1.0","data":{"x":1}}\n\n'
        assert await client.hear() == "id: e1.0.0,e1.1.0\n" + wire
        await client.leave()
        hub.publish("a", "1")
        hub.publish("b", "2")
        client = Follower(OPEN, "channel=a&channel=b", "e1.0.0,e1.1.0")
        heard = [(await client.data())[1] for _ in range(4)]
        assert [(said["channel"], said["data"]) for said in heard if "data" in said] == [("a", 1), ("b", 2)]
        await client.leave()
        assert not reader()._feeds

    play(main())


def test_what_is_missing_is_an_event(hub: Hub) -> None:
    """As over a WebSocket."""

    async def main() -> None:
        hub.most = 1
        for number in range(3):
            hub.publish("a", str(number))
        client = Follower(OPEN, "channel=a&after=e1.1.0")
        await client.data()
        assert await client.data() == ("e1.3.0", {"resync": "a", "reason": "gap", "position": "e1.3.0"})
        await client.leave()

    play(main())


def test_what_it_may_not_hear_is_said_and_the_rest_goes_on(hub: Hub) -> None:
    """In the stream: a status would say that all is refused, for good."""

    async def main() -> None:
        client = Follower(OPEN, "channel=forbidden&channel=a")
        _, refused = await client.data()
        assert (refused["refused"], refused["channel"]) == ("subscribe", "forbidden")
        assert await client.data() == (",e1.0.0", {"subscribed": "a", "position": "e1.0.0"})
        await client.leave()

    play(main())


def test_in_silence_it_beats(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store does not answer, too; and goes on when it does."""
    monkeypatch.setattr(streams, "BEAT", (0.01, 0.02))

    async def main() -> None:
        hub.away = True
        client = Follower(OPEN, "channel=a")
        await client.hear()
        await client.hear()
        for _ in range(3):
            assert await client.hear() == "event: beat\ndata: 0\n\n"
        hub.away = False
        assert (await client.data())[1]["subscribed"] == "a"
        assert await client.hear() == "event: beat\ndata: 0\n\n"
        hub.publish("a", "1")
        assert (await client.data())[1]["data"] == 1
        await client.leave()

    play(main())


@pytest.mark.parametrize(("accept", "status"), [
    ("text/html", 406), ("application/json", 406), ("text/html,*/*;q=0.8", 400), ("text/event-stream", 400),
])  # fmt: skip
def test_who_asks_for_something_else(hub: Hub, accept: str, status: int) -> None:
    """Is told what there is; 400: only the channel is missing."""

    async def main() -> None:
        reply = await ask(OPEN, accept=accept)
        assert reply.status == status
        assert b"channel" in reply.body

    play(main())
