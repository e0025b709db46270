"""What is said, in both directions: read and written."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.channels.message import MAX_TEXT, OLDEST, Message, Position, Reason, Resync
from runner.channels.web import talk
from runner.channels.web.talk import Malformed, Ping, Publish, Refused, Subscribe, Unsubscribe, parse

HERE = Position("e1", 7, 3)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["subscribe", "unsubscribe", "publish", "ping", "after", "data", "id", "n"])
OUTCOMES = Subscribe | Unsubscribe | Publish | Ping | Refused | Malformed


def nested(depth: int) -> str:
    """A list in a list in a list."""
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(("said", "meant"), [
    ('{"subscribe": "a"}', Subscribe("a", None)),
    ('{"subscribe": "a", "after": null, "n": 4}', Subscribe("a", None, 4)),
    ('{"subscribe": "a", "after": "e1.7.3"}', Subscribe("a", HERE)),
    ('{"subscribe": "a", "after": "oldest"}', Subscribe("a", OLDEST)),
    ('{"unsubscribe": "a"}', Unsubscribe("a")),
    ('{"publish": "a", "data": {"b": [1, "é"]}, "id": "s-1"}', Publish("a", '{"b":[1,"é"]}', "s-1")),
    ('{"publish": "a", "data": null, "id": "s-1"}', Publish("a", "null", "s-1")),
    ('{"ping": 3}', Ping(3)),
])  # fmt: skip
def test_what_clients_say(said: str, meant: object) -> None:
    """Each of the four."""
    assert parse(said) == meant
    assert parse(said.encode()) == meant


@pytest.mark.parametrize(("said", "what", "of"), [
    ('{"subscribe": "a b"}', "subscribe", "a b"),
    ('{"subscribe": "a", "after": "here"}', "subscribe", "a"),
    ('{"subscribe": "\\ud800"}', "subscribe", "\ud800"),
    ('{"publish": "", "data": 1, "id": "s-1"}', "publish", "s-1"),
    ('{"publish": 5, "data": 1, "id": "s-1"}', "publish", "s-1"),
    ('{"publish": "a", "data": "\\ud800", "id": "s-1"}', "publish", "s-1"),
    ('{"publish": "a", "data": ' + nested(talk.MOST_DEEP + 1) + ', "id": "s-1"}', "publish", "s-1"),
    ('{"publish": "a", "data": "' + "a" * MAX_TEXT + '", "id": "s-1"}', "publish", "s-1"),
])  # fmt: skip
def test_what_cannot_be_is_refused(said: str, what: str, of: str) -> None:
    """Where it can be said of what: the client is told, and the connection goes on."""
    refused = parse(said)
    assert isinstance(refused, Refused)
    assert (refused.what, refused.of, refused.again) == (what, of, False)
    assert json.loads(str(refused).encode())["reason"]


@pytest.mark.parametrize(("said", "code"), [
    ("", talk.INVALID), ("{", talk.INVALID), ('{"ping": NaN}', talk.INVALID), (nested(100_000), talk.INVALID),
    ('{"ping": ' + "1" * 5000 + "}", talk.INVALID), ("[]", talk.VIOLATION), ("{}", talk.VIOLATION),
    ('{"ping": "a"}', talk.VIOLATION), ('{"ping": true}', talk.VIOLATION), ('{"ping": 1.5}', talk.VIOLATION),
    ('{"subscribe": 1}', talk.VIOLATION), ('{"subscribe": "a", "after": 1}', talk.VIOLATION),
    ('{"subscribe": "a", "n": "1"}', talk.VIOLATION), ('{"unsubscribe": null}', talk.VIOLATION),
    ('{"publish": "a", "data": 1}', talk.VIOLATION), ('{"publish": "a", "id": "s-1"}', talk.VIOLATION),
    ('{"publish": "a", "data": 1, "id": "s 1"}', talk.VIOLATION),
    ('{"publish": "a", "data": 1, "id": "' + "s" * 65 + '"}', talk.VIOLATION),
    ('"' + "a" * talk.MOST_CHARACTERS + '"', talk.TOO_BIG),
])  # fmt: skip
def test_what_says_nothing_is_hung_up_on(said: str, code: int) -> None:
    """With a code, and a reason that a close frame has room for."""
    malformed = parse(said)
    assert isinstance(malformed, Malformed)
    assert malformed.code == code
    assert 0 < len(malformed.reason.encode()) <= 123


def test_as_deep_as_allowed() -> None:
    """Is not refused."""
    assert isinstance(parse('{"publish": "a", "data": ' + nested(talk.MOST_DEEP) + ', "id": "s-1"}'), Publish)


@given(st.text() | st.binary())
def test_noise_is_malformed(said: str | bytes) -> None:
    """Or something that was meant; never an exception."""
    assert isinstance(parse(said), OUTCOMES)


@given(st.dictionaries(NAMES, JSON))
def test_whatever_json_says(said: dict[str, Any]) -> None:
    """It becomes a value; what is answered can be sent; what is to be published is JSON that means the same."""
    found = parse(json.dumps(said))
    assert isinstance(found, OUTCOMES)
    if isinstance(found, Refused):
        assert str(found).encode()
    if isinstance(found, Publish):
        assert json.loads(found.text) == said["data"]
        assert found.text.encode()
        assert "\n" not in found.text


@given(st.text(min_size=1), JSON.filter(lambda data: data == data))
def test_a_message_is_written_with_its_data_as_they_are(channel: str, data: Any) -> None:
    """And can be read again; on one line, as server-sent events want it."""
    text = json.dumps(data, ensure_ascii=False)
    told = talk.told(Message(channel, text, HERE))
    assert json.loads(told) == {"channel": channel, "position": "e1.7.3", "data": json.loads(text)}
    assert text in told
    assert "\n" not in told


def test_a_message_is_written_once_for_all() -> None:
    """The small ones, which are many, and reach many."""
    message, same = (Message("a", "1", Position("e1", 8)) for _ in range(2))
    assert talk.told(message) is talk.told(same)


def test_of_large_messages_the_last_one_is_kept() -> None:
    """It is said to all who listen one after the other; a few hundred would be memory that nobody accounts for."""
    one, other = (Message("a", f'"{"a" * 100_000}"', Position("e1", offset)) for offset in (1, 2))
    written = talk.told(one)
    assert talk.told(one) is written
    talk.told(other)
    assert talk.told(one) is not written


@pytest.mark.parametrize(("text", "meant"), [
    (talk.subscribed("a", HERE, None), {"subscribed": "a", "position": "e1.7.3"}),
    (talk.subscribed("a", OLDEST, 4), {"subscribed": "a", "position": "oldest", "n": 4}),
    (talk.published("s-1", HERE), {"published": "s-1", "position": "e1.7.3"}),
    (talk.resync(Resync("a", Reason.GAP, HERE)), {"resync": "a", "reason": "gap", "position": "e1.7.3"}),
    (talk.pong(3), {"pong": 3}),
    (str(Refused("publish", "s-1", "no")), {"refused": "publish", "id": "s-1", "reason": "no"}),
    (str(Refused("publish", "s-1", "no", again=True)),
     {"refused": "publish", "id": "s-1", "reason": "no", "again": True}),
    (str(Refused("subscribe", "a", "no", n=2)), {"refused": "subscribe", "channel": "a", "reason": "no", "n": 2}),
])  # fmt: skip
def test_what_the_server_says(text: str, meant: dict[str, Any]) -> None:
    """All of it."""
    assert json.loads(text) == meant


def test_a_browsers_names_are_not_the_applications() -> None:
    """Who guesses the id of the application's next message cannot take its place."""
    assert Publish("a", "1", "order-17").store_id != "order-17"
