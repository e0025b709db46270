"""What clients publish: in order, once, and said to be published when it is."""

import asyncio
import json
from typing import Any

import pytest

from runner.channels.current import reader
from runner.channels.web.publishing import WAITING, Outbox, publish
from runner.channels.web.rights import Rights, Scope
from runner.channels.web.talk import Publish, Refused
from tests.channels.web.local_store import Hub, play, until

ALL = Rights(publish=lambda scope, channel: channel != "forbidden")


def order(number: int) -> Publish:
    """The n-th message of a client."""
    return Publish("a", str(number), f"s-{number}")


class Desk:
    """An outbox, and what its client has heard."""

    def __init__(self, rights: Rights = ALL) -> None:
        self.heard: list[dict[str, Any]] = []
        self.outbox = Outbox(reader(), rights, {}, self._say)

    async def put(self, *numbers: int) -> None:
        """Until all are answered."""
        for number in numbers:
            if await self.outbox.put(order(number)):
                self.running = asyncio.create_task(self.outbox.run())
        await self.running

    @property
    def answers(self) -> list[tuple[str, bool]]:
        """Of each: the name, and whether it is published. Those that must not be repeated are left out of neither."""
        return [(each.get("published") or each["id"], "published" in each) for each in self.heard]

    async def _say(self, text: str) -> None:
        self.heard.append(json.loads(text))


def test_the_answer_comes_when_the_store_has_it(hub: Hub) -> None:
    """With the position; the second time the same one."""

    async def main() -> None:
        for _ in range(2):
            assert await publish(reader(), ALL, {}, order(1)) == '{"published": "s-1", "position": "e1.1.0"}'
        assert hub.published == [("a", "1", "web:s-1")]

    play(main())


def test_who_may_not_does_not(hub: Hub) -> None:
    """And is not asked to repeat it."""

    async def main() -> None:
        answer = await publish(reader(), ALL, {}, Publish("forbidden", "1", "s-1"))
        assert isinstance(answer, Refused)
        assert (answer.of, answer.again) == ("s-1", False)
        assert not hub.published

    play(main())


def test_in_the_order_in_which_they_came(hub: Hub) -> None:
    """However many at once."""

    async def main() -> None:
        desk = Desk()
        await desk.put(*range(100))
        assert [text for _, text, _ in hub.published] == [str(number) for number in range(100)]
        assert desk.answers == [(f"s-{number}", True) for number in range(100)]

    play(main())


def test_what_waits_is_bounded(hub: Hub) -> None:
    """Who says more waits until there is room."""

    async def main() -> None:
        gate = asyncio.Event()

        async def rule(scope: Scope, channel: str) -> bool:
            return await gate.wait()

        desk = Desk(Rights(publish=rule))
        putting = asyncio.create_task(desk.put(*range(WAITING + 1)))
        await until(lambda: len(desk.outbox._orders) == WAITING)
        await asyncio.sleep(0.01)
        assert not putting.done()
        gate.set()
        await putting
        assert len(hub.published) == WAITING + 1

    play(main())


def test_after_one_that_failed_all_others_must_be_repeated(hub: Hub) -> None:
    """Or they would come before it."""

    async def main() -> None:
        desk = Desk()
        hub.away = True
        await desk.put(1)
        hub.away = False
        await desk.put(2, 3)
        assert not hub.published
        assert all(each["again"] for each in desk.heard)
        assert desk.outbox.held == "s-1"
        await desk.put(1, 2, 3)
        assert [text for _, text, _ in hub.published] == ["1", "2", "3"]
        assert desk.answers[3:] == [("s-1", True), ("s-2", True), ("s-3", True)]

    play(main())


def test_what_has_no_answer_when_it_ends_is_refused(hub: Hub) -> None:
    """The first of it must come first elsewhere; one whose publishing was under way among it."""

    async def main() -> None:
        gate = asyncio.Event()

        async def rule(scope: Scope, channel: str) -> bool:
            return await gate.wait()

        desk = Desk(Rights(publish=rule))
        putting = asyncio.create_task(desk.put(1, 2))
        await until(lambda: len(desk.outbox._orders) == 2)
        putting.cancel()
        await asyncio.sleep(0.01)
        await desk.outbox.refuse()
        assert [(each["id"], each["again"]) for each in desk.heard] == [("s-1", True), ("s-2", True)]
        assert desk.outbox.held == "s-1"
        assert not hub.published

    play(main())


def test_what_a_rule_raises_is_raised(hub: Hub) -> None:
    """It is the application's error, and no refusal."""

    def rule(scope: Scope, channel: str) -> bool:
        raise LookupError("no session")

    async def main() -> None:
        with pytest.raises(LookupError):
            await Desk(Rights(publish=rule)).put(1)

    play(main())
