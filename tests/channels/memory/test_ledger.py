"""What the hub keeps: one position for each name, an epoch for each life of a channel, and bounds for all of it."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from runner.channels.history import weigh
from runner.channels.memory.ledger import IDLE, NAMES_AGE, Ledger
from runner.channels.message import OLDEST, Message, Position, Reason


def ledger(followed: set[str] | None = None, **bounds: int) -> Ledger:
    """Its epochs are e1, e2, …; ten messages, for a hundred seconds."""
    numbers = count(1)
    return Ledger(10, 100.0, lambda: f"e{next(numbers)}", followed or set(), **bounds)


def texts(kept: Ledger, channel: str, now: float) -> list[str]:
    """What is there of a channel."""
    return [message.text for message in kept.read(channel, OLDEST, 99, now).messages]


def test_what_is_published_can_be_read() -> None:
    """At consecutive positions, in order."""
    kept = ledger()
    found = [kept.publish("c", text, text, 1.0) for text in "abc"]
    assert found == [(Position("e1", n), Message("c", text, Position("e1", n))) for n, text in enumerate("abc", 1)]
    assert texts(kept, "c", 1.0) == ["a", "b", "c"]
    assert kept.read("c", None, 0, 1.0).position == Position("e1", 3)
    assert (len(kept), kept.messages) == (1, 3)


def test_a_name_is_published_once() -> None:
    """The second time it has the first position; in another channel it is another name."""
    kept = ledger()
    first = kept.publish("c", "a", "id", 1.0)[0]
    assert kept.publish("c", "b", "id", 2.0) == (first, None)
    assert kept.publish("d", "b", "id", 2.0)[1] is not None
    assert texts(kept, "c", 2.0) == ["a"]


def test_a_name_is_forgotten_with_time() -> None:
    """After five minutes, though the message is gone before; another one may have it then."""
    kept = ledger()
    kept.publish("c", "a", "id", 0.0)
    assert kept.publish("c", "a", "id", NAMES_AGE - 1.0)[1] is None
    assert texts(kept, "c", NAMES_AGE - 1.0) == []
    assert kept.publish("c", "b", "id", NAMES_AGE)[1] is not None


def test_names_are_bounded() -> None:
    """The oldest of all goes first."""
    kept = ledger(names=3)
    for name in "abcd":
        kept.publish(name, name, "id", 1.0)
    assert kept.publish("b", "b", "id", 1.0)[1] is None
    assert kept.publish("a", "a", "id", 1.0)[1] is not None


def test_a_forgotten_channel_begins_anew() -> None:
    """With another epoch: a position of the first life is none of the second."""
    kept = ledger()
    before = kept.publish("c", "a", "id", 0.0)[0]
    kept.tidy(IDLE + 1.0)
    assert len(kept) == kept.messages == kept.weighs == 0
    assert kept.read("c", before, 9, IDLE + 1.0).resync is Reason.EPOCH


def test_who_asks_keeps_a_channel_alive() -> None:
    """And who follows."""
    kept = ledger(followed={"d"})
    places = [kept.publish(name, "a", "id", 0.0)[0] for name in "cd"]
    kept.read("c", None, 0, IDLE)
    kept.tidy(IDLE + 1.0)
    assert [kept.read(name, None, 0, IDLE + 1.0).position for name in "cd"] == places


def test_channels_are_bounded() -> None:
    """The one that nobody has cared about for longest goes; one that is followed stays."""
    kept = ledger(followed={"a"}, channels=3)
    places = {name: kept.publish(name, "1", "id", 1.0)[0] for name in "abc"}
    kept.read("b", None, 0, 2.0)
    kept.publish("d", "1", "id", 3.0)
    assert len(kept) == 3
    assert [kept.read(name, None, 0, 4.0).position for name in "ab"] == [places["a"], places["b"]]


def test_a_name_of_an_earlier_life_is_none() -> None:
    """A channel that was one too many and comes back has published nothing yet."""
    kept = ledger(channels=1)
    kept.publish("a", "1", "id", 1.0)
    kept.publish("b", "1", "id", 1.0)
    position, message = kept.publish("a", "1", "id", 1.0)
    assert message is not None and position.epoch == "e3"


def test_the_largest_channel_forgets_its_older_half() -> None:
    """When all together need too much memory; who was there is told of a gap."""
    kept = ledger(weight_of_all=10_000)
    small = kept.publish("small", "1", "id", 0.0)[0]
    places = [kept.publish("large", "x" * 900, str(number), 0.0)[0] for number in range(6)]
    assert kept.weighs <= 10_000 and kept.shed > 0
    assert kept.read("small", small, 9, 0.0).resync is None
    assert kept.read("large", places[0], 9, 0.0).resync is Reason.GAP
    assert kept.read("large", places[4], 9, 0.0).messages[0].position == places[5]


ACTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["1", "2", "3", "x" * 500, "é" * 300]), st.floats(0, 60)),
    max_size=60,
)  # fmt: skip


@given(ACTS)
def test_it_counts_what_it_keeps(acts: list[tuple[str, str, float]]) -> None:
    """Whatever is published, and forgotten for whichever reason; names are those of a simple model."""
    kept, now = ledger(weight_of_all=12_000), 0.0
    published: dict[tuple[str, str], tuple[Position, float]] = {}
    for channel, text, wait in acts:
        now += wait
        position, message = kept.publish(channel, text, text, now)
        known = published.get((channel, text))
        if known is not None and known[1] > now - NAMES_AGE:
            assert (position, message) == (known[0], None)
        else:
            published[channel, text] = (position, now)
            assert message is not None
    kept.tidy(now)
    pages = {channel: kept.read(channel, OLDEST, 99, now) for channel in "abc"}
    messages = [message for page in pages.values() for message in page.messages]
    assert kept.messages == len(messages)
    assert kept.weighs == sum(map(weigh, messages)) + 3 * 2000
