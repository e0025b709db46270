"""Many pages in one process, without a browser: `python -m tests.support.live_crowd URL CLIENTS CHANNELS MESSAGES`.

Each client listens to one channel over a WebSocket; one of each channel publishes in it, too, MESSAGES in all. Like
client.js they come back where they were, and say again what nobody has said to have. It prints `ready`, then
`published N` now and then, and at last, as JSON, what was lost, doubled or out of order without a word of warning.

Law: what is found wrong is counted, never mended. Start at main.
"""

import asyncio
import json
import random
import sys
import uuid
from collections import Counter, deque

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

WINDOW = 20
"""Messages of a publisher that nobody has said to have."""
TOLD_EVERY = 20
LONGEST = 600.0
"""Seconds for all of it."""


class Tally(Counter[str]):
    """What was found, by name: clients, heard, lost, twice, resyncs, connects."""


class Client:
    """*channel* is what it listens to; *messages* it publishes there."""

    def __init__(self, url: str, channel: str, messages: int, tally: Tally) -> None:
        self._url, self.channel, self._tally = url, channel, tally
        self._position: str | None = None
        self._session = uuid.uuid4().hex
        self._outbox = deque(f"{self._session}-{number}" for number in range(messages))
        self._sent: deque[str] = deque()
        self._go = asyncio.Event()
        self.listening = asyncio.Event()
        self.last = -1
        self.published = 0

    def publish(self) -> None:
        """Begin to."""
        self._go.set()

    async def live(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                async with connect(self._url, compression=None, ping_interval=None, open_timeout=60) as socket:
                    self._tally["connects"] += 1
                    await self._visit(socket)
            except (OSError, WebSocketException, TimeoutError):
                pass
            await asyncio.sleep(random.uniform(0.05, 0.5))

    async def _visit(self, socket: ClientConnection) -> None:
        await socket.send(json.dumps({"subscribe": self.channel, "after": self._position}))
        self._outbox.extendleft(reversed(self._sent))
        self._sent.clear()
        publishing = asyncio.create_task(self._publish(socket))
        try:
            async for text in socket:
                self._hear(json.loads(text))
                if self._outbox and len(self._sent) < WINDOW and publishing.done():
                    publishing = asyncio.create_task(self._publish(socket))
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)

    async def _publish(self, socket: ClientConnection) -> None:
        await self._go.wait()
        while self._outbox and len(self._sent) < WINDOW:
            self._sent.append(self._outbox.popleft())
            name = self._sent[-1]
            number = int(name.rpartition("-")[2])
            await socket.send(json.dumps({"publish": self.channel, "id": name, "data": number}))

    def _hear(self, said: dict[str, object]) -> None:
        if "published" in said:
            if self._sent and self._sent[0] == said["published"]:
                self._sent.popleft()
                self.published += 1
        elif said.get("refused") == "publish":
            self._outbox.extendleft(reversed(self._sent))
            self._sent.clear()
        elif "resync" in said:
            self._tally["resyncs"] += 1
            self._position, self.last = str(said["position"]), -2
        elif "subscribed" in said:
            self._position = self._position or str(said["position"])
            self.listening.set()
        else:
            self._position = str(said["position"])
            self._count(int(str(said["data"])))

    def _count(self, number: int) -> None:
        self._tally["heard"] += 1
        if self.last != -2 and number > self.last + 1:
            self._tally["lost"] += number - self.last - 1
        elif self.last != -2 and number <= self.last:
            self._tally["twice"] += 1
        self.last = number


async def main(url: str, clients: int, channels: int, messages: int) -> None:
    """All of it."""
    tally, each = Tally(clients=clients), messages // channels
    crowd = [
        Client(url, f"public.{number % channels}", each if number < channels else 0, tally) for number in range(clients)
    ]
    lives = [asyncio.create_task(client.live()) for client in crowd]
    for client in crowd:
        await client.listening.wait()
    print("ready", flush=True)
    for client in crowd:
        client.publish()
    told = 0
    async with asyncio.timeout(LONGEST):
        while any(client.last != each - 1 for client in crowd):
            await asyncio.sleep(0.02)
            if (count := sum(client.published for client in crowd)) >= told + TOLD_EVERY:
                told = count
                print(f"published {count}", flush=True)
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)
    print(f"found {json.dumps(tally)}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
