"""Which WebSockets are asked when, and which of them leave."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from runner.process.messages import Arrived, Heirs
from runner.process.scoreboard import Counter, Row
from runner.request import Movable
from runner.worker.hand_over import HandOver
from runner.worker.moving import BATCH, LOOK, WINDOW, Moving
from runner.worker.underway import Underway


class Visit:
    """A WebSocket whose application answers when the test says so; *able*: it is at rest."""

    def __init__(self, hall: "Hall", number: int) -> None:
        self._hall = hall
        self.number = number
        self.able = True
        self.asked = self.gone = False
        self.connection = SimpleNamespace(buffered=0)
        self.told: list[str] = []

    def invite(self, *, wanted: bool) -> None:
        """See Movable."""
        if not wanted:
            self.told.append("no longer")
        elif self.able and not self.asked:
            self.asked = True
            self._hall.asked.append(self.number)
            if self._hall.prompt:
                self._hall.moving.note_answered(cast(Movable, self))

    def depart(self) -> bytes:
        """See Movable."""
        return b"%d" % self.number

    def cut(self) -> None:
        """See Movable."""
        self.told.append("come back")

    def fail(self) -> None:
        """See Movable."""
        self._hall.willing.discard(self)
        self.told.append("over")


class Hall:
    """*count* of them; *prompt*: they answer as soon as they are asked.

    asked, away  their numbers, in order
    """

    def __init__(self, count: int, *, prompt: bool = True) -> None:
        self.loop = asyncio.get_running_loop()
        self.prompt = prompt
        self.asked: list[int] = []
        self.away: list[int] = []
        self.counted: list[Counter] = []
        self.lefts: list[int] = []
        self.visits = [Visit(self, number) for number in range(count)]
        self.willing = set(self.visits)
        hand_over = SimpleNamespace(move=lambda connection, luggage, since: self.away.append(int(luggage)))
        row = SimpleNamespace(count=self.counted.append)
        self.moving = Moving(
            self.loop, cast(Underway, self), cast(HandOver, hand_over), cast(Row, row), lambda: self.lefts.append(1)
        )

    def end(self, visit: Visit) -> None:
        """See Underway."""
        self.willing.discard(visit)

    async def until(self, claim: Callable[[], object]) -> None:
        """Let the loop turn until it holds."""
        async with asyncio.timeout(5):
            while not claim():
                await asyncio.sleep(0.001)

    async def settle(self) -> None:
        """Let it do all that needs no time."""
        for _ in range(20):
            await asyncio.sleep(0)


def play(scene: Callable[[], Any]) -> None:
    """Run it."""
    asyncio.run(scene())


def test_nobody_is_asked_before_there_is_somebody_who_could_have_him() -> None:
    """The worker may retire long before that."""

    async def scene() -> None:
        hall = Hall(3)
        await hall.settle()
        assert hall.asked == []
        hall.moving.hear(Heirs(True))
        await hall.settle()
        assert sorted(hall.away) == [0, 1, 2]
        assert (hall.counted, len(hall.lefts), hall.willing) == ([Counter.MOVED] * 3, 3, set())

    play(scene)


def test_some_are_asked_in_each_turn_of_the_loop() -> None:
    """Others have theirs between them."""

    async def scene() -> None:
        hall = Hall(BATCH * 3, prompt=False)
        hall.moving.hear(Heirs(True))
        counts = []
        for _ in range(4):
            await asyncio.sleep(0)
            counts.append(len(hall.asked))
        assert counts == [BATCH, BATCH * 2, BATCH * 3, BATCH * 3]

    play(scene)


def test_what_does_not_fit_waits_here() -> None:
    """And leaves one by one, as others arrive."""

    async def scene() -> None:
        hall = Hall(WINDOW + 20)
        hall.moving.hear(Heirs(True))
        await hall.settle()
        assert len(hall.away) == len(hall.asked) == WINDOW
        hall.moving.hear(Arrived())
        await hall.settle()
        assert len(hall.away) == len(hall.asked) == WINDOW + 1
        for _ in range(40):
            hall.moving.hear(Arrived())
            await hall.settle()
        assert sorted(hall.away) == list(range(WINDOW + 20))

    play(scene)


def test_who_answers_while_there_is_no_room_waits_for_his_turn() -> None:
    """All were asked before the first one answered: in the order of their answers."""

    async def scene() -> None:
        hall = Hall(WINDOW + 2, prompt=False)
        hall.moving.hear(Heirs(True))
        await hall.settle()
        for visit in hall.visits:
            hall.moving.note_answered(cast(Movable, visit))
        assert hall.away == list(range(WINDOW))
        hall.moving.hear(Arrived())
        hall.moving.hear(Arrived())
        assert hall.away == list(range(WINDOW + 2))

    play(scene)


def test_words_about_nothing_make_no_room() -> None:
    """One that was only given on here has arrived: that was not ours to count."""

    async def scene() -> None:
        hall = Hall(WINDOW + 1)
        hall.moving.hear(Arrived())
        hall.moving.hear(Heirs(True))
        await hall.settle()
        assert len(hall.away) == WINDOW

    play(scene)


def test_who_cannot_be_asked_now_is_asked_when_he_can() -> None:
    """He goes on here meanwhile."""

    async def scene() -> None:
        hall = Hall(2)
        hall.visits[0].able = False
        hall.moving.hear(Heirs(True))
        await hall.settle()
        assert hall.away == [1]
        hall.visits[0].able = True
        await hall.until(lambda: hall.away == [1, 0])

    play(scene)


def test_who_has_something_left_to_send_leaves_when_it_is_sent() -> None:
    """What he said after he was asked; nobody waits for him."""

    async def scene() -> None:
        hall = Hall(2)
        hall.visits[0].connection.buffered = 9
        hall.moving.hear(Heirs(True))
        await hall.settle()
        assert hall.away == [1]
        hall.visits[0].connection.buffered = 0
        await hall.until(lambda: hall.away == [1, 0])

    play(scene)


def test_who_has_left_is_not_given_away() -> None:
    """His client hung up while he waited for his turn: it is over, and said to be."""

    async def scene() -> None:
        hall = Hall(1)
        hall.visits[0].gone = True
        hall.moving.hear(Heirs(True))
        await hall.settle()
        assert (hall.away, hall.visits[0].told) == ([], ["over"])

    play(scene)


def test_when_nobody_could_have_them_any_more_no_more_are_asked() -> None:
    """Newer code is broken, say; when that is over they are asked again."""

    async def scene() -> None:
        hall = Hall(1, prompt=False)
        hall.visits[0].able = False
        hall.moving.hear(Heirs(True))
        await hall.settle()
        hall.moving.hear(Heirs(False))
        hall.visits[0].able = True
        await asyncio.sleep(LOOK * 1.2)
        assert (hall.asked, hall.visits[0].told) == ([], ["no longer"])
        hall.moving.hear(Heirs(True))
        await hall.settle()
        assert hall.asked == [0]

    play(scene)


def test_at_a_stop_who_waits_is_told_to_come_back() -> None:
    """So is who answers later; nobody is asked any more."""

    async def scene() -> None:
        hall = Hall(3, prompt=False)
        hall.visits[2].able = False
        hall.visits[0].connection.buffered = 9
        hall.moving.hear(Heirs(True))
        await hall.settle()
        hall.moving.note_answered(cast(Movable, hall.visits[0]))
        hall.moving.close()
        hall.moving.note_answered(cast(Movable, hall.visits[1]))
        hall.visits[2].able = True
        hall.moving.hear(Heirs(True))
        await hall.settle()
        assert [visit.told[-2:] for visit in hall.visits[:2]] == [["come back", "over"]] * 2
        assert (hall.away, sorted(hall.asked)) == ([], [0, 1])

    play(scene)


def test_one_that_is_accepted_while_all_others_move_follows_them() -> None:
    """It came just before the worker was told to leave."""

    async def scene() -> None:
        hall = Hall(1)
        late, hall.willing = hall.visits[0], set()
        hall.moving.hear(Heirs(True))
        await hall.settle()
        hall.willing = {late}
        hall.moving.note_upgraded()
        await hall.until(lambda: hall.away == [0])

    play(scene)


def test_with_nobody_to_ask_nothing_ticks() -> None:
    """A worker whose sockets cannot move may leave for days."""

    async def scene() -> None:
        hall = Hall(0)
        hall.moving.hear(Heirs(True))
        assert (hall.moving._batch, hall.moving._timer) == (None, None)

    play(scene)
