"""The hub, a real one: whatever a client does costs the others nothing, and it ends with its supervisor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runner.channels.memory.client import FULL
from runner.channels.memory.door import connect
from runner.channels.memory.sync_store import MemorySyncStore
from runner.channels.memory.wire import (
    Follow,
    Heard,
    Lines,
    Lost,
    Publish,
    Published,
    Read,
    Told,
    parse_told,
    serialize,
)
from runner.channels.message import MAX_TEXT, OLDEST, Position, Reason
from tests.support.hub import Hub, hub
from tests.support.process import PATIENCE


@pytest.fixture
def house() -> Iterator[Hub]:
    """A hub that keeps a hundred messages."""
    with hub("memory:?history=100") as found:
        yield found


class Raw:
    """A client that says what the test wants."""

    def __init__(self, house: Hub) -> None:
        self.sock = connect(house.door)
        self.sock.settimeout(PATIENCE)
        self._lines, self._told = Lines(), list[bytes]()

    def hear(self) -> Told:
        """The next thing that the hub says."""
        while not self._told:
            data = self.sock.recv(1 << 20)
            assert data, "the hub has hung up"
            self._told = self._lines.feed(data)
        return parse_told(self._told.pop(0))

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


def test_what_one_publishes_others_hear(house: Hub) -> None:
    """In order, from the position on that they follow."""
    with Raw(house) as one, Raw(house) as other:
        one.sock.send(serialize(Publish(1, "c", "a", "1")))
        first = one.hear()
        assert isinstance(first, Published) and first[::2] == (1, 1)
        other.sock.send(serialize(Follow("c", str(Position(first.epoch, 0)))))
        one.sock.send(serialize(Publish(2, "c", "b", "2")) + serialize(Publish(3, "d", "x", "3")))
        assert other.hear() == Heard("c", first.epoch, 1, "a")
        assert other.hear() == Heard("c", first.epoch, 2, "b")


def test_many_questions_in_one_piece_are_answered_in_order(house: Hub) -> None:
    """And cut anywhere."""
    data = b"".join(serialize(Publish(number, "c", "é", str(number))) for number in range(300))
    with Raw(house) as one:
        for start in range(0, len(data), 777):
            one.sock.sendall(data[start : start + 777])
        answers = [one.hear() for _ in range(300)]
    assert [answer[0::2] for answer in answers] == [(number, number + 1) for number in range(300)]


@pytest.mark.parametrize("garbage", [
    b"hello\n", b'["p",1,"c"]\n', b"\xff\n", b'["r",1,"c","?",1]\n', b"GET / HTTP/1.1\r\n\r\n",
])  # fmt: skip
def test_garbage_ends_one_connection(house: Hub, garbage: bytes) -> None:
    """Not the hub, nor what others have."""
    with Raw(house) as bad, Raw(house) as good:
        bad.sock.send(garbage)
        assert bad.sock.recv(1) == b""
        good.sock.send(serialize(Read(1, "c", "", 0)))
        good.hear()
    assert "its connection is closed" in house.said()


def test_half_a_line_is_nothing(house: Hub) -> None:
    """Whoever ends in the middle of one has not published it."""
    store = MemorySyncStore(house.door)
    with Raw(house) as half:
        half.sock.send(serialize(Publish(1, "c", "x", "1"))[:-1])
        house.until(clients=1)
    store.publish("c", "y", "2")
    assert [message.text for message in store.read("c", OLDEST, 9).messages] == ["y"]
    store.close()


def test_who_does_not_read_stalls_nobody(house: Hub) -> None:
    """The others hear and publish; what is kept for him is bounded; when he reads he gets all, or is told."""
    store = MemorySyncStore(house.door)
    start = store.read("c", None, 0).position
    with Raw(house) as lazy:
        lazy.sock.send(serialize(Follow("c", str(start))))
        text = "x" * 50_000
        for number in range(90):
            store.publish("c", text, str(number))
        heard = [lazy.hear() for _ in range(90)]
        assert [told.offset for told in heard if isinstance(told, Heard)] == list(range(1, 91))
        # Now more than the history has: what was before him comes, and then that something is missing.
        for number in range(300):
            store.publish("c", text, f"more {number}")
        told = lazy.hear()
        while isinstance(told, Heard):
            told = lazy.hear()
        assert told == Lost("c")
    store.close()


def test_who_asks_and_does_not_read_is_not_read(house: Hub) -> None:
    """Answers do not pile up; others are answered; when he reads he gets each of them."""
    store = MemorySyncStore(house.door)
    for number in range(50):
        store.publish("c", "x" * 100_000, str(number))
    question = serialize(Read(1, "c", "oldest", 99))
    with Raw(house) as greedy:
        sent = 0
        greedy.sock.setblocking(False)
        try:
            while sent < 10**7:
                sent += greedy.sock.send(question * 1000)
        except BlockingIOError:
            pass
        assert sent < 10**7
        store.publish("c", "still there", "id")
        with open(f"/proc/{house.popen.pid}/statm", encoding="ascii") as file:
            assert int(file.read().split()[1]) * 4096 < 80_000_000 + 4 * FULL
        greedy.sock.settimeout(PATIENCE)
        for _ in range(30):
            assert greedy.hear()[0] == 1
    store.close()


def test_the_largest_message_arrives(house: Hub) -> None:
    """A mebi of characters of any kind; pages are cut so that they fit."""
    store = MemorySyncStore(house.door)
    texts = [character * MAX_TEXT for character in ("x", '"', "\N{GRINNING FACE}")]
    for text in texts:
        store.publish("c", text, text[:1])
    where, found = OLDEST, list[str]()
    while len(found) < 3:
        page = store.read("c", where, 100)
        assert page.more == (len(found) + len(page.messages) < 3)
        where, found = page.position, found + [message.text for message in page.messages]
    assert found == texts
    store.close()


def test_a_thousand_channels_are_followed(house: Hub) -> None:
    """By one client, each from its own position."""
    store = MemorySyncStore(house.door)
    with Raw(house) as one:
        for number in range(1000):
            where = store.read(f"c{number}", None, 0).position
            one.sock.sendall(serialize(Follow(f"c{number}", str(where))))
        for number in range(1000):
            store.publish(f"c{number}", str(number), "id")
        heard = {told.channel: told.text for told in (one.hear() for _ in range(1000)) if isinstance(told, Heard)}
        assert heard == {f"c{number}": str(number) for number in range(1000)}
    house.until(channels=1000, messages=1000, clients=1)
    store.close()


def test_a_position_of_another_life_is_lost(house: Hub) -> None:
    """Who follows from there is told at once."""
    with Raw(house) as one:
        one.sock.send(serialize(Follow("c", "elsewhere.7.0")))
        assert one.hear() == Lost("c")
    store = MemorySyncStore(house.door)
    assert store.read("c", Position("elsewhere", 7), 9).resync is Reason.EPOCH
    store.close()


def test_it_tells_how_it_is(house: Hub) -> None:
    """In its file, soon after something has changed."""
    store = MemorySyncStore(house.door)
    store.publish("c", "x", "1")
    house.until(pid=house.popen.pid, clients=1, channels=1, messages=1)
    store.close()
    house.until(clients=0)


def test_it_ends_with_its_supervisor(house: Hub) -> None:
    """Whose lifeline is cut by its end, whatever that was."""
    with Raw(house) as one:
        one.sock.send(serialize(Read(1, "c", "", 0)))
        one.hear()
        house.lifeline.cut()
        assert one.sock.recv(1) == b""
    assert house.popen.wait(PATIENCE) == 0


def test_it_is_small() -> None:
    """It loads no asyncio: what it has in memory is an interpreter, and a little."""
    with hub() as house:
        store = MemorySyncStore(house.door)
        store.publish("c", "x", "1")
        with open(f"/proc/{house.popen.pid}/maps", encoding="ascii") as file:
            maps = file.read()
        store.close()
    assert "_ssl" not in maps and "_asyncio" not in maps
