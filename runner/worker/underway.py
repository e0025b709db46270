"""The requests under way, and which of them are streams: answers that have begun to leave and go on.

    call      the application has not begun its answer, or the client is gone and the call has not ended
    stream    a part of the answer has left, and the client is there
    tail      the answer is over, and its last bytes are still on their way to a slow reader
    arriving  the rest of a request's body is awaited

A worker that retires is given a time for all of these together; once nothing but streams and tails is left it says so,
for they may take as long as they like.

WebSockets whose applications can put their state in words (willing) need not go on here: moving.py.

Laws: on the loop's thread only; nothing is said twice. What is cut looks cut at once: the host may come to its end
later than the process. Start at Underway.tell.
"""

from __future__ import annotations

import time

from runner.front.connection import Connection
from runner.log import Log
from runner.process.channel import Channel
from runner.process.messages import Streaming
from runner.request import Movable, Served
from runner.worker.gate import Gate
from runner.worker.standing import Standing

MANY = 200
"""Requests under way: more are not looked at whenever one ends, which a thousand sockets that move do in a second."""
PAUSE = 0.2
"""Seconds at least between two looks at so many; whoever asks must do so again."""


class Underway:
    """*connections*: all that are open in this process, for it is they whom a retiring worker waits for. What is under
    way is counted for the *gate*, and in the *standing*.

    willing  the WebSockets that could go on elsewhere
    """

    def __init__(
        self, connections: set[Connection], channel: Channel, log: Log, standing: Standing, gate: Gate
    ) -> None:
        self._connections = connections
        self._channel = channel
        self._log = log
        self._standing = standing
        self._gate = gate
        self.willing: set[Movable] = set()
        self._exchanges: set[Served] = set()
        self._told = 0
        self._looked = 0.0

    def begin(self, exchange: Served) -> None:
        """The application is about to be called for it."""
        self._exchanges.add(exchange)
        self._gate.inflight += 1
        self._standing.tally(1)

    def upgraded(self, exchange: Movable) -> None:
        """It has become a WebSocket."""
        self._standing.tally(0, sockets=1)
        if exchange.willing:
            self.willing.add(exchange)

    def end(self, exchange: Served) -> None:
        """Its answer is over, whole or not, or it has moved."""
        self._exchanges.discard(exchange)
        self.willing.discard(exchange)
        self._gate.inflight -= 1
        self._standing.tally(-1, sockets=-exchange.upgraded)

    def streams(self) -> list[Served]:
        """Those whose answer has begun and goes on."""
        return [exchange for exchange in self._exchanges if exchange.committed and not exchange.gone]

    def sockets(self) -> list[Served]:
        """The WebSockets among them."""
        return [exchange for exchange in self.streams() if exchange.upgraded]

    def only_streams(self) -> int:
        """How many streams and tails there are, if nothing else is under way; else 0."""
        streams = self.streams()
        tails = {connection for connection in self._connections if connection.closed}
        rest = self._connections - tails - {exchange.connection for exchange in streams}
        return 0 if rest or len(streams) < len(self._exchanges) else len(streams) + len(tails)

    def tell(self) -> None:
        """The worker retires: tell the supervisor of `only_streams`, if that is new. To be called now and then, too."""
        now = time.monotonic()
        if len(self._exchanges) > MANY and now < self._looked + PAUSE:
            return
        self._looked = now
        if (count := self.only_streams()) != self._told:
            self._told = count
            self._channel.send(Streaming(count))

    def cut(self, reason: str) -> None:
        """Nobody waits any longer: end the streams so that each client sees that something is missing.

        To WebSockets somebody else says farewell.
        """
        streams = self.streams()
        for exchange in streams:
            if not exchange.upgraded:
                exchange.cut()
        if streams:
            self._log.warning(f"answers that had begun and were cut: {len(streams)}; {reason}")
