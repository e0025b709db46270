"""WebSockets that move to other workers, where their applications can put their state in words.

    heirs     somebody could have them: those that are willing are asked, some in each turn of the loop
    answered  it waits for its turn, and until its last byte has left; then it is given away (hand_over.py)
    arrived   somebody has it: there is room for another one

Who cannot be asked now (a message is half there, a slow reader has not read all) is asked as soon as he can, and goes
on here meanwhile. There is room for WINDOW on their way: more would only wait elsewhere, where nobody serves them.

Laws: on the loop's thread only; none is asked at a stop, and who has answered then is told to come back. Start at
Moving.hear.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from runner.process.messages import Arrived, Heirs
from runner.process.scoreboard import Counter, Row
from runner.request import Movable
from runner.worker.hand_over import HandOver
from runner.worker.underway import Underway

WINDOW = 32
"""How many of a worker may be on their way."""
BATCH = 16
"""How many are asked in one turn of the loop: each is a task that wakes."""
LOOK = 0.25
"""Seconds between two looks at those that could not be asked, or have not yet taken their last bytes."""


class Moving:
    """Each that has left is counted in the *row*, and *left* is called."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, underway: Underway, hand_over: HandOver, row: Row,
        left: Callable[[], object],
    ) -> None:  # fmt: skip
        self._loop = loop
        self._underway = underway
        self._hand_over = hand_over
        self._row = row
        self._left = left
        self._heirs = self._closed = False
        self._unasked: list[Movable] = []
        self._answered: deque[Movable] = deque()
        self._away = 0
        self._batch: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None

    def hear(self, news: Heirs | Arrived) -> None:
        """What the supervisor says."""
        if isinstance(news, Heirs):
            self._note_heirs(there=news.there)
        else:
            self._away = max(0, self._away - 1)
            self._give()
        self._plan()

    def note_upgraded(self) -> None:
        """There is another one, be it that the application accepts it while its worker retires already."""
        self._plan()

    def note_answered(self, exchange: Movable) -> None:
        """Its application has said its state."""
        if self._closed:
            _turn_away(exchange)
        else:
            self._answered.append(exchange)
            self._give()
            self._plan()

    def close(self) -> None:
        """Nobody comes after us."""
        self._closed = True
        self._note_heirs(there=False)
        while self._answered:
            _turn_away(self._answered.popleft())

    def _note_heirs(self, *, there: bool) -> None:
        self._heirs = there and not self._closed
        self._unasked = list(self._underway.willing) if self._heirs else []
        if not self._heirs:
            for exchange in self._underway.willing:
                exchange.invite(wanted=False)

    @property
    def _room(self) -> int:
        return WINDOW - self._away - len(self._answered)

    def _plan(self) -> None:
        """What is next: another batch in the next turn, and a look at all that are still here."""
        if self._batch is None and self._unasked and self._room > 0:
            self._batch = self._loop.call_soon(self._ask)
        if self._timer is None and (self._answered or (self._heirs and self._underway.willing)):
            self._timer = self._loop.call_later(LOOK, self._look)

    def _ask(self) -> None:
        self._batch = None
        for _ in range(min(BATCH, self._room, len(self._unasked))):
            self._unasked.pop().invite(wanted=True)
        self._plan()

    def _look(self) -> None:
        self._timer = None
        self._give()
        if self._heirs and not self._unasked:
            self._unasked = list(self._underway.willing)
        self._plan()

    def _give(self) -> None:
        """Away with those that have answered and have nothing left to send, as long as there is room."""
        for _ in range(len(self._answered)):
            exchange = self._answered.popleft()
            if exchange.gone:
                exchange.fail()  # its client left meanwhile
            elif exchange.connection.buffered or self._away >= WINDOW:
                self._answered.append(exchange)
            else:
                self._away += 1
                self._hand_over.move(exchange.connection, exchange.depart(), time.monotonic())
                self._underway.end(exchange)
                self._row.count(Counter.MOVED)
                self._left()


def _turn_away(exchange: Movable) -> None:
    exchange.cut()
    exchange.fail()
