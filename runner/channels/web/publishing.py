"""What a client publishes: may it, does the store have it, and what it is told.

    Outbox    that of one WebSocket: in order, one after another, a few at a time

Order is kept over failures: when the store does not answer, that message and all that come after it are refused with
"again", until the client repeats the first of them. What was published nevertheless is known by its id, and not
published again.

Laws: nothing is said to be published before the store has it. Start at Outbox.put, and publish.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from runner.channels.reader import Reader
from runner.channels.web.rights import Rights, Scope
from runner.channels.web.talk import Publish, Refused, published
from runner.errors import ChannelError, ChannelsUnavailable

WAITING = 32
"""Messages of one WebSocket that wait for the store; then it is not read from."""

Say = Callable[[str], Awaitable[None]]


async def publish(reader: Reader, rights: Rights, scope: Scope, order: Publish) -> str | Refused:
    """The answer. Raises what the application's rule raises."""
    if not await rights.may_publish(scope, order.channel):
        return Refused("publish", order.id, f"you may not publish in {order.channel}")
    try:
        return published(order.id, await reader.publish(order.channel, order.text, order.store_id))
    except ChannelsUnavailable:
        return Refused("publish", order.id, "the channels do not answer", again=True)
    except ChannelError as error:
        return Refused("publish", order.id, str(error))


class Outbox:
    """*say* tells the client; *held*: see there.

    held  the id of the first message that must be repeated; until it comes, all others must be, too
    """

    def __init__(self, reader: Reader, rights: Rights, scope: Scope, say: Say) -> None:
        self._reader, self._rights, self._scope, self._say = reader, rights, scope, say
        self._orders: deque[Publish] = deque()
        self._room = asyncio.Event()
        self._running = False
        self.held: str | None = None

    async def put(self, order: Publish) -> bool:
        """It is to be published; waits for room. True: call `run`, which nobody does yet."""
        while len(self._orders) >= WAITING:
            self._room.clear()
            await self._room.wait()
        self._orders.append(order)
        first, self._running = not self._running, True
        return first

    async def run(self) -> None:
        """Until nothing is waiting."""
        try:
            while self._orders:
                answer = await self._publish(self._orders[0])
                self._orders.popleft()
                self._room.set()
                await self._say(str(answer))
        finally:
            self._running = False

    async def refuse(self) -> None:
        """What has no answer yet must be repeated, elsewhere; `run` was cancelled."""
        while self._orders:
            order = self._orders.popleft()
            self.held = self.held or order.id
            await self._say(str(_again(order)))

    async def _publish(self, order: Publish) -> str | Refused:
        if self.held not in (None, order.id):
            return _again(order)
        self.held = None
        answer = await publish(self._reader, self._rights, self._scope, order)
        if isinstance(answer, Refused) and answer.again:
            self.held = order.id
        return answer


def _again(order: Publish) -> Refused:
    return Refused("publish", order.id, "it must be repeated, after those that came before it", again=True)
