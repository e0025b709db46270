"""A WebSocket: what is said and heard, what ends it, and how it moves."""

import asyncio
import random
from typing import Any

import pytest

import runner.channels.web.sockets as sockets
from runner.channels import Endpoint
from runner.channels.current import reader
from runner.channels.web.rights import Scope
from runner.channels.web.talk import INVALID, MOST_CHANNELS, UNSUPPORTED, VIOLATION
from tests.channels.web.local_store import Hub, play
from tests.channels.web.visitors import Visitor

OPEN = Endpoint(may_subscribe=lambda scope, channel: channel != "forbidden", may_publish=lambda scope, channel: True)


def test_listen_and_publish(hub: Hub) -> None:
    """One says it, the other hears it."""

    async def main() -> None:
        one, other = Visitor(OPEN), Visitor(OPEN)
        assert await other.ask({"subscribe": "a", "n": 1}) == {"subscribed": "a", "position": "e1.0.0", "n": 1}
        answer = await one.ask({"publish": "a", "data": {"x": [1]}, "id": "s-1"})
        assert answer == {"published": "s-1", "position": "e1.1.0"}
        assert await other.hear() == {"channel": "a", "position": "e1.1.0", "data": {"x": [1]}}
        assert await one.ask({"ping": 7}) == {"pong": 7}
        await one.leave()
        await other.leave()
        assert not reader()._feeds

    play(main())


def test_it_goes_on_after_a_position(hub: Hub) -> None:
    """Or says that something is missing."""

    async def main() -> None:
        hub.most = 3
        for number in range(5):
            hub.publish("a", str(number))
        client = Visitor(OPEN)
        assert await client.ask({"subscribe": "a", "after": "e1.3.0"}) == {"subscribed": "a", "position": "e1.3.0"}
        assert [(await client.hear())["data"] for _ in range(2)] == [3, 4]
        await client.ask({"subscribe": "a", "after": "e1.1.0"})
        assert await client.hear() == {"resync": "a", "reason": "gap", "position": "e1.5.0"}
        await client.leave()

    play(main())


def test_unsubscribed_it_is_quiet(hub: Hub) -> None:
    """Other channels go on."""

    async def main() -> None:
        client = Visitor(OPEN)
        for channel in "ab":
            await client.ask({"subscribe": channel})
        client.say({"unsubscribe": "a"})
        await client.ask({"ping": 1})
        hub.publish("a", "1")
        hub.publish("b", "2")
        assert (await client.hear())["channel"] == "b"
        await client.leave()

    play(main())


def test_what_it_may_not(hub: Hub) -> None:
    """It is told, and may do the rest."""

    async def main() -> None:
        client, stranger = Visitor(OPEN), Visitor(Endpoint())
        refused = await client.ask({"subscribe": "forbidden", "n": 3})
        assert (refused["refused"], refused["channel"], refused["n"]) == ("subscribe", "forbidden", 3)
        assert (await client.ask({"subscribe": "a b"}))["refused"] == "subscribe"
        for number in range(MOST_CHANNELS):
            assert "subscribed" in await client.ask({"subscribe": f"c{number}"})
        assert (await client.ask({"subscribe": "one more"}))["refused"] == "subscribe"
        assert (await client.ask({"subscribe": "one_more"}))["refused"] == "subscribe"
        assert "subscribed" in await client.ask({"subscribe": "c0"})
        assert "subscribed" in await stranger.ask({"subscribe": "public.a"})
        assert (await stranger.ask({"subscribe": "a"}))["refused"] == "subscribe"
        assert (await stranger.ask({"publish": "public.a", "data": 1, "id": "s-1"}))["refused"] == "publish"
        await client.leave()
        await stranger.leave()

    play(main())


@pytest.mark.parametrize(("said", "event", "code"), [
    ("nonsense", {}, INVALID), ({"hello": 1}, {}, VIOLATION),
    ("", {"type": "websocket.receive", "bytes": b"{}"}, UNSUPPORTED),
])  # fmt: skip
def test_who_says_nothing_known_is_hung_up_on(hub: Hub, said: object, event: dict[str, Any], code: int) -> None:
    """With a reason."""

    async def main() -> None:
        client = Visitor(OPEN)
        client.say(said, **event)
        await client.task
        assert client.last is not None
        assert (client.last["type"], client.last["code"]) == ("websocket.close", code)
        assert client.last["reason"]

    play(main())


def test_while_the_store_is_away_pings_are_answered(hub: Hub) -> None:
    """Else clients would take the server for dead, and come back all at once, over and over."""

    async def main() -> None:
        client = Visitor(OPEN)
        hub.away = True
        client.say({"subscribe": "a"})
        refused = await client.ask({"publish": "a", "data": 1, "id": "s-1"})
        assert refused["again"] is True
        assert await client.ask({"ping": 1}) == {"pong": 1}
        hub.away = False
        assert (await client.hear())["subscribed"] == "a"
        await client.leave()

    play(main())


def test_a_slow_client_holds_up_nobody_and_misses_nothing(hub: Hub) -> None:
    """What it has not taken is not kept for it: it comes from the store."""

    async def main() -> None:
        hub.most = 10_000
        slow, quick = Visitor(OPEN, room=2), Visitor(OPEN)
        for client in (slow, quick):
            await client.ask({"subscribe": "a"})
        for number in range(2000):
            hub.publish("a", str(number))
            assert (await quick.hear())["data"] == number
        assert slow.waiting == 2
        assert [(await slow.hear())["data"] for _ in range(2000)] == list(range(2000))
        await slow.leave()
        await quick.leave()

    play(main())


def test_what_a_rule_raises_ends_the_socket(hub: Hub) -> None:
    """As it is, for the log; the client comes back, and finds the repaired code."""

    def rule(scope: Scope, channel: str) -> bool:
        raise ConnectionError("no database")

    async def main() -> None:
        for said in ({"subscribe": "a"}, {"publish": "a", "data": 1, "id": "s-1"}):
            client = Visitor(Endpoint(rule, rule))
            client.say(said)
            with pytest.raises(ConnectionError, match="no database"):
                await client.task

    play(main())


def test_what_was_received_is_published_though_its_client_has_left(hub: Hub) -> None:
    """A page that publishes and is closed."""

    async def main() -> None:
        client = Visitor(OPEN)
        await client.ask({"ping": 1})
        for number in range(20):
            client.say({"publish": "a", "data": number, "id": f"s-{number}"})
        await client.leave()
        assert len(hub.published) == 20

    play(main())


def test_who_leaves_while_something_is_said_to_it(hub: Hub) -> None:
    """Is no error."""

    async def main() -> None:
        client = Visitor(OPEN)
        await client.ask({"subscribe": "a"})
        client.gone = True
        hub.publish("a", "1")
        await client.task
        assert not reader()._feeds

    play(main())


def test_a_server_that_moves_nothing_is_as_good(hub: Hub) -> None:
    """It is not told that we could."""

    async def main() -> None:
        client = Visitor(OPEN, moves=False)
        await client.ask({"ping": 1})
        assert client.accepted == {"type": "websocket.accept"}
        await client.leave()

    play(main())


# ---- from process to process ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_moved_at_any_moment_it_loses_and_doubles_nothing(hub: Hub, seed: int) -> None:
    """Five processes one after another, a client that reads slowly, two channels."""

    async def main() -> None:
        chance = random.Random(seed)
        client = Visitor(OPEN, room=3)
        for channel in "ab":
            await client.ask({"subscribe": channel})
        heard: dict[str, list[int]] = {"a": [], "b": []}
        sent: dict[str, list[int]] = {"a": [], "b": []}

        async def hear() -> None:
            said = await client.hear()
            heard[said["channel"]].append(said["data"])

        for number in range(300):
            channel = chance.choice("ab")
            hub.publish(channel, str(number))
            sent[channel].append(number)
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            if client.waiting and chance.random() < 0.5:
                await hear()
            if number % 60 == 59:
                older, state = client, await client.move()
                while older.waiting:
                    await hear()
                client = Visitor(OPEN, room=3, state=state)
        while heard != sent:
            await hear()
        await client.leave()
        assert client.waiting == 0

    play(main())


def test_who_had_no_answer_yet_gets_it_elsewhere(hub: Hub) -> None:
    """A subscription that waits for the store."""

    async def main() -> None:
        hub.away = True
        client = Visitor(OPEN)
        client.say({"subscribe": "a", "n": 9})
        assert await client.ask({"ping": 1}) == {"pong": 1}
        state = await client.move()
        hub.away = False
        client = Visitor(OPEN, state=state)
        assert await client.hear() == {"subscribed": "a", "position": "e1.0.0", "n": 9}
        await client.leave()

    play(main())


def test_what_is_being_published_is_published_before_the_move(hub: Hub) -> None:
    """And answered."""

    async def main() -> None:
        client = Visitor(OPEN)
        for number in range(20):
            client.say({"publish": "a", "data": number, "id": f"s-{number}"})
        await client.move()
        assert len(hub.published) == client.waiting == 20

    play(main())


def test_what_takes_too_long_is_to_be_repeated_elsewhere(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order: the new process waits for the first of it."""
    monkeypatch.setattr(sockets, "PATIENCE", 0.05)
    gate = asyncio.Event()

    async def rule(scope: Scope, channel: str) -> bool:
        return await gate.wait()

    async def main() -> None:
        slow = Endpoint(may_publish=rule)
        client = Visitor(slow)
        for number in (1, 2):
            client.say({"publish": "a", "data": number, "id": f"s-{number}"})
        state = await client.move()
        assert [(await client.hear())["again"] for _ in range(2)] == [True, True]
        gate.set()
        client = Visitor(slow, state=state)
        assert (await client.ask({"publish": "a", "data": 2, "id": "s-2"}))["again"] is True
        for number in (1, 2):
            assert "published" in await client.ask({"publish": "a", "data": number, "id": f"s-{number}"})
        assert [text for _, text, _ in hub.published] == ["1", "2"]
        await client.leave()

    play(main())


def test_newer_rules_are_asked_again(hub: Hub) -> None:
    """Who may not listen any more is told so."""

    async def main() -> None:
        client = Visitor(OPEN)
        for channel in ("public.a", "secret"):
            await client.ask({"subscribe": channel, "n": 1})
        state = await client.move()
        client = Visitor(Endpoint(), state=state)
        refused = await client.hear()
        assert (refused["refused"], refused["channel"]) == ("subscribe", "secret")
        hub.publish("secret", "1")
        hub.publish("public.a", "2")
        assert (await client.hear())["channel"] == "public.a"
        await client.leave()

    play(main())


@pytest.mark.parametrize("gone", [False, True])
def test_after_the_move_nothing_is_left_open(hub: Hub, gone: bool) -> None:
    """Nor if the client has left meanwhile, and there is nobody to say the state of."""

    async def main() -> None:
        client = Visitor(OPEN)
        await client.ask({"subscribe": "a"})
        client.gone = gone
        client.say("", type=sockets.MOVE)
        await client.task
        assert not reader()._feeds
        assert (client.last is None) is gone

    play(main())
