"""What a Redis does at a stroke: it is compared with runner/channels/history.py, under a clock that obeys the test."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from runner.channels.history import History
from runner.channels.message import OLDEST, Message, Page, Position, Reason
from runner.channels.redis import names, scripts
from runner.channels.redis.scripts import HEAVY, Call, Limits
from tests.channels.reading import CASES, MOST, Case, check
from tests.support.redis import RedisServer

AGE = 100.0
BEGIN = 1_800_000_000


class Channel:
    """One channel of *client*, whose scripts read the time from two keys."""

    def __init__(self, client: Redis, most: int = MOST, name: str = "news") -> None:
        self.client, self.name = client, name
        self.limits = Limits(most, AGE)
        self.now = float(BEGIN)
        self._ids = itertools.count()

    def publish(self, text: str, id: str | None = None) -> Position:
        """At the time `now`."""
        call = scripts.publish(self.limits, self.name, text, id or f"id {next(self._ids)}", 0)
        return scripts.position_of(self._run(call))

    def read(self, after: Position | None, limit: int = 100) -> Page:
        """At the time `now`."""
        return scripts.page_of(self.name, after, self._run(scripts.read(self.limits, self.name, after, limit)))

    def _run(self, call: Call) -> Any:
        self.client.mset({"seconds": int(self.now), "micros": int(self.now % 1 * 1e6)})
        clock = "{redis.call('GET', 'seconds'), redis.call('GET', 'micros')}"
        source = call.script.source.replace("redis.call('TIME')", clock)
        assert source != call.script.source
        return self.client.eval(source, len(call.keys), *call.keys, *call.arguments)


@pytest.fixture
def channel(server: RedisServer) -> Any:
    """An empty one."""
    with Redis(port=server.port, protocol=2) as client:
        yield Channel(client)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_page_is_what_the_table_says(channel: Channel, case: Case) -> None:
    """The same table that the history in a process is held to."""
    positions = [channel.read(None).position]
    positions += [channel.publish(str(number)) for number in range(1, case.published + 1)]
    check(case, positions, channel.read(case.place.among(positions), case.limit))


def test_offsets_are_consecutive_from_the_place_before_the_first(channel: Channel) -> None:
    """Also where nobody had asked for that place: 8 after 6 is a gap, whoever looks."""
    start = channel.read(None).position
    offsets = [channel.publish("1").offset for _ in range(3)]
    assert offsets == [start.offset + 1, start.offset + 2, start.offset + 3]


def test_a_second_message_of_one_name_is_not_published(channel: Channel) -> None:
    """It gets the position of the first one."""
    first = channel.publish("1", "name")
    assert channel.publish("2", "name") == first
    assert [message.text for message in channel.read(OLDEST).messages] == ["1"]


def test_a_name_is_known_for_five_minutes(channel: Channel) -> None:
    """Longer than whoever repeats himself waits; and not for ever."""
    channel.publish("1", "name")
    assert 299_000 < int(channel.client.pttl(names.name("news", "name"))) <= 300_000


def test_a_name_is_of_its_channel(channel: Channel) -> None:
    """Two channels may use the same ones; and no channel's key is another one's."""
    other = Channel(channel.client, name="news}:name")
    assert channel.publish("1", "name").epoch != other.publish("2", "name").epoch


def test_what_is_too_old_is_dropped_when_it_is_read(channel: Channel) -> None:
    """Nobody needs to publish for that; who has seen the last of the old ones has missed nothing."""
    positions = [channel.publish("1"), channel.publish("2")]
    channel.now += AGE
    positions.append(channel.publish("3"))
    assert [message.text for message in channel.read(positions[1]).messages] == ["3"]
    assert channel.read(positions[0]).resync == Reason.GAP
    assert [message.text for message in channel.read(OLDEST).messages] == ["3"]


def test_what_is_too_old_is_dropped_from_memory_when_something_is_published(channel: Channel) -> None:
    """All but the witness."""
    for _ in range(3):
        channel.publish("1")
    channel.now += AGE
    channel.publish("2")
    assert channel.client.xlen(names.stream("news")) == 2


def test_who_has_seen_all_has_missed_nothing_however_long_ago(channel: Channel) -> None:
    """The place of the last message outlives the message."""
    last = channel.publish("1")
    channel.now += 1000 * AGE
    assert channel.read(last) == Page([], last)


def test_the_messages_of_a_silent_channel_leave_the_memory(channel: Channel) -> None:
    """The stream is gone when its last message is too old, the place after a week."""
    channel.publish("1")
    assert AGE * 900 < int(channel.client.pttl(names.stream("news"))) <= AGE * 1000
    assert 6 * 24 * 3600 < int(channel.client.ttl(names.meta("news"))) <= 7 * 24 * 3600


def test_a_channel_that_begins_anew_is_beyond_all_it_had(channel: Channel) -> None:
    """A thousand messages in no time at all, and a microsecond later another life."""
    before = [channel.publish("1") for _ in range(5)][-1]
    channel.client.delete(names.meta("news"), names.stream("news"))
    channel.now += 0.001
    after = channel.publish("2")
    assert after.epoch != before.epoch and after.offset > before.offset
    assert channel.read(before).resync == Reason.EPOCH


@pytest.mark.parametrize("kind", [names.meta, names.stream])
def test_half_a_channel_that_was_evicted_heals(channel: Channel, kind: Any) -> None:
    """maxmemory-policy may take either key; listeners are told, and what comes then is heard."""
    before = [channel.publish("1") for _ in range(3)]
    channel.client.delete(kind("news"))
    channel.publish("2")
    assert channel.read(before[0]).resync in (Reason.EPOCH, Reason.GAP)
    now = channel.read(None).position
    channel.publish("3")
    assert [message.text for message in channel.read(now).messages] == ["3"]


def test_a_clock_that_was_set_back_stops_nobody(channel: Channel) -> None:
    """Offsets do not go back with it; not even those of a channel whose stream alone has survived."""
    channel.publish("1")
    channel.now -= 3600
    channel.client.delete(names.meta("news"))
    position = channel.publish("2")
    assert [message.position for message in channel.read(OLDEST).messages] == [position]


def test_what_somebody_else_adds_is_no_message(channel: Channel) -> None:
    """An entry that nobody here has counted is passed over."""
    first = channel.publish("1")
    channel.client.xadd(names.stream("news"), {"text": b"\xff"})
    assert channel.read(first) == Page([], first)
    channel.publish("2")
    assert [message.text for message in channel.read(first).messages] == ["2"]


@pytest.mark.parametrize("fields", [{"epoch": "", "text": "1"}, {"text": "1"}, {"epoch": "{}", "text": b"\xff"}])
def test_what_cannot_be_a_message_makes_a_resync(channel: Channel, fields: Any) -> None:
    """In its place: what came cannot be said, so it is not."""
    first = channel.publish("1")
    last = Position(first.epoch, first.offset + 1, 5)
    fields = {key: first.epoch if value == "{}" else value for key, value in fields.items()}
    channel.client.xadd(names.stream("news"), fields, id=f"{last.offset}-{last.tag}")
    channel.client.hset(names.meta("news"), "last", f"{last.offset}-{last.tag}")
    assert channel.read(first) == Page([], last, Reason.UNKNOWN)


def test_after_a_long_silence_who_has_seen_all_hears_what_comes(channel: Channel) -> None:
    """The stream was gone with its last message; the new one begins where that ended."""
    last = channel.publish("1")
    channel.client.delete(names.stream("news"))
    channel.now += 2 * AGE
    channel.publish("2")
    assert [message.text for message in channel.read(last).messages] == ["2"]


def test_the_text_comes_back_as_it_was(channel: Channel) -> None:
    """All of Unicode, and what looks like a protocol."""
    text = '"\u20ac \U0001f600 \\u0000 \r\n $5 . 1-1"'
    channel.publish(text)
    assert [message.text for message in channel.read(OLDEST).messages] == [text]


def test_a_page_of_large_messages_is_short(channel: Channel) -> None:
    """It must come in time over a slow network, too; the rest is in the next one."""
    channel.limits = Limits(100, AGE)
    for number in range(25):
        channel.publish(f"{number} {'x' * (HEAVY // 4)}")
    found, page = [], channel.read(OLDEST)
    while page.more:
        assert 1 <= len(page.messages) <= 13
        found += page.messages
        page = channel.read(page.position)
    assert [message.text.split()[0] for message in [*found, *page.messages]] == [str(number) for number in range(25)]


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(0, 30)),
        st.tuples(st.just("read"), st.integers(0, 60), st.integers(1, 5), st.sampled_from([0, 0, 0, 1, 2, 3])),
        st.tuples(st.just("pass"), st.floats(0.5, 80.0)),
        st.tuples(st.just("lose"), st.sampled_from([(names.meta, names.stream), (names.meta,), (names.stream,)])),
    ),
    max_size=40,
)


class Model:
    """A channel as history.py has it."""

    def __init__(self) -> None:
        self.names: dict[str, Position] = {}
        self.history: History | None = None

    def at(self, base: Position) -> History:
        """Its history, which begins at *base* if there is none."""
        self.history = self.history or History(base, most=MOST, weight=1 << 30, age=AGE)
        return self.history

    def lose(self, keys: tuple[Any, ...]) -> None:
        """They are gone; a channel without its meta is none."""
        if names.meta in keys:
            self.history = None
        while self.history:
            self.history.forget()


@given(ACTIONS)
@settings(max_examples=100)
def test_any_sequence_of_events_is_as_in_the_history_of_a_process(one_server: RedisServer, actions: list[Any]) -> None:
    """Publish, repeat, read from any place that ever was, let time pass, lose keys."""
    with Redis(port=one_server.port, protocol=2) as client:
        client.flushall()
        channel, model = Channel(client), Model()
        seen = [OLDEST, channel.read(None).position]
        model.at(seen[1])
        for number, (verb, *what) in enumerate(actions):
            channel.now += 0.001
            if verb == "pass":
                channel.now += what[0]
            elif verb == "lose":
                client.delete(*(key("news") for key in what[0]))
                model.lose(what[0])
            elif verb == "publish":
                if model.history is None:
                    seen.append(channel.read(None).position)
                    model.at(seen[-1])
                assert model.history is not None
                name, text = f"id {what[0]}", str(number)
                position = channel.publish(text, name)
                if name not in model.names:
                    last = model.history.last
                    assert (position.epoch, position.offset) == (last.epoch, last.offset + 1)
                    model.names[name] = position
                    model.history.add(Message("news", text, position), channel.now)
                    seen.append(position)
                assert position == model.names[name]
            else:
                place, limit, tag = seen[what[0] % len(seen)], what[1], what[2]
                after = place._replace(tag=place.tag + tag) if place != OLDEST else place
                page = channel.read(after, limit)
                history = model.at(page.position)
                history.expire(channel.now)
                assert page == history.page(after, limit)
