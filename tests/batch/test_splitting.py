"""A body -> items: exactly as sent, each valid or refused by itself."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.batch.splitting import INVALID, NOT_JSON, Item, Split, single, split
from tests.batch.endpoint import array, call
from tests.batch.test_scanning import SPACES, VALUES

IDS = st.text() | st.integers() | st.none() | st.floats(allow_nan=False, allow_infinity=False)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | st.just("2.0") | VALUES, "method": st.text() | VALUES, "id": IDS | VALUES,
        "params": st.lists(VALUES, max_size=2) | VALUES, "more": VALUES,
    },
)  # fmt: skip


def items(body: bytes, **options: Any) -> list[Item]:
    """Those of a body that has some."""
    found = split(body, **options)
    assert isinstance(found, Split)
    return found.items


def one(text: str) -> Item:
    """The only item of a batch."""
    (item,) = items(f"[{text}]".encode())
    return item


@given(st.lists(MEMBERS | VALUES, min_size=1, max_size=8), SPACES, st.booleans())
def test_what_was_split_can_be_joined_again(values: list[Any], space: str, ascii: bool) -> None:
    """Each byte is there, and each item is what json.loads says."""
    texts = [json.dumps(value, ensure_ascii=ascii, indent=1).encode("utf-8", "replace") for value in values]
    between = space.encode()
    found = items(between + b"[" + between + (between + b"," + between).join(texts) + between + b"]" + between)
    assert [item.raw for item in found] == texts
    for item, text in zip(found, texts, strict=True):
        value = json.loads(text)
        assert (item.refusal is None) == is_request(value)
        assert json.loads(item.id_json) == has_id(value)
        assert item.notification == (is_request(value) and "id" not in value)
        if is_request(value):
            assert (item.method, item.params) == (value["method"], value.get("params"))


def is_request(value: Any) -> bool:
    """Section 4, in other words."""
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0" or not isinstance(value.get("method"), str):
        return False
    id = value.get("id")
    good_id = id is None or (isinstance(id, str | int | float) and not isinstance(id, bool))
    return good_id and isinstance(value.get("params", []), list | dict)


def has_id(value: Any) -> Any:
    """What an answer has to say: null if there is none that is one."""
    id = value.get("id") if isinstance(value, dict) else None
    return id if isinstance(id, str | int | float) and not isinstance(id, bool) else None


@pytest.mark.parametrize("id", [
    "null", "0", "1", "-1", '"0"', '""', "1.0", "1.5", "1e400", "12345678901234567890123", '"\\ud800"', '"é"',
    "9" * 5000,
])  # fmt: skip
def test_a_valid_id(id: str) -> None:
    """Text, a number of any size, also with a fraction (SHOULD NOT), or null: no notification (section 4)."""
    item = one(f'{{"jsonrpc": "2.0", "method": "a", "id": {id}}}')
    assert (item.refusal, item.notification) == (None, False)
    assert json.loads(item.id_json, parse_int=str, parse_float=str) == json.loads(id, parse_int=str, parse_float=str)


@pytest.mark.parametrize("id", ["true", "false", "{}", "[]", "[1]", '{"a": 1}'])
def test_an_invalid_id(id: str) -> None:
    """The request is answered with null: its id could not be detected (section 5)."""
    assert one(f'{{"jsonrpc": "2.0", "method": "a", "id": {id}}}').refusal == INVALID


@pytest.mark.parametrize("text", [
    "1", "null", "true", '"a"', "[]", "[[]]", "{}", '{"foo": "boo"}', '{"method": "a", "id": {}}',
    '{"jsonrpc": 2.0, "method": "a"}', '{"jsonrpc": "2", "method": "a"}', '{"jsonrpc": "2.0 ", "method": "a"}',
    '{"jsonrpc": "2.0"}', '{"jsonrpc": "2.0", "method": 1}', '{"jsonrpc": "2.0", "method": null}',
    '{"jsonrpc": "2.0", "method": "a", "params": 1}', '{"jsonrpc": "2.0", "method": "a", "params": null}',
    '{"jsonrpc": "2.0", "method": "a", "params": "b"}', '{"jsonrpc": "2.0", "method": "a", "params": false}',
    '{"JSONRPC": "2.0", "method": "a"}',
])  # fmt: skip
def test_what_is_no_request(text: str) -> None:
    """Is refused, and is no notification even without an id: it is answered."""
    item = one(text)
    assert (item.refusal, item.notification, item.raw) == (INVALID, False, text.encode())


@pytest.mark.parametrize("id", ["5", '"x"', "1.50", "12345678901234567890123"])
def test_an_invalid_request_keeps_its_id(id: str) -> None:
    """There was no error in detecting that, so it MUST be the same (section 5)."""
    refusal = one(f'{{"jsonrpc": "1.0", "method": "a", "id": {id}}}').refusal
    assert refusal is not None and refusal.endswith(f'"id": {id}}}'.encode())


@pytest.mark.parametrize("text", [
    '{"jsonrpc": "2.0", "method": "a", "id": 1, "id": 2}', '{"jsonrpc": "2.0", "method": "a", "method": "b", "id": 1}',
    r'{"jsonrpc": "2.0", "method": "a", "m\u0065thod": "b", "id": 1}',
    '{"jsonrpc": "2.0", "method": "a", "x": 1, "x": 2}',
])  # fmt: skip
def test_two_members_of_one_name(text: str) -> None:
    """Which of them the endpoint would believe, nobody knows; nor which id is the right one."""
    assert one(text).refusal == INVALID


def test_two_params_of_one_name() -> None:
    """The same; what is further inside is data."""
    refusal = one('{"jsonrpc": "2.0", "method": "a", "params": {"b": 1, "b": 2}, "id": 1}').refusal
    assert refusal is not None and json.loads(refusal)["id"] == 1
    assert one('{"jsonrpc": "2.0", "method": "a", "params": [{"b": 1, "b": 2}], "id": 1}').refusal is None


def test_an_id_that_comes_twice_is_two_requests() -> None:
    """Both are answered."""
    assert [item.id for item in items(array(call(1), call(1)))] == [b"1", b"1"]


def test_a_single_request() -> None:
    """The space around it is nobody's."""
    found = split(b" " + call(1) + b"\n")
    assert isinstance(found, Split)
    assert (found.is_batch, [item.raw for item in found.items]) == (False, [call(1)])


def test_a_single_invalid_request() -> None:
    """Is one item, too."""
    for body in (b"1", b"null", b'"a"', b'{"foo": "boo"}'):
        assert [item.refusal for item in items(body)] == [INVALID]


def test_single_requests_may_be_forbidden() -> None:
    """With an error that says so."""
    for body in (call(1), b"1"):
        refusal = split(body, allow_single=False)
        assert isinstance(refusal, bytes)
        assert json.loads(refusal)["error"]["code"] == -32600
        assert "single" in json.loads(refusal)["error"]["data"]["reason"]
    assert len(items(array(call(1)), allow_single=False)) == 1


def test_an_empty_array() -> None:
    """Is one invalid request (section 6)."""
    assert split(b"[]") == split(b" [ ] ") == INVALID


@pytest.mark.parametrize("body", [
    b"", b" ", b"[", b"]", b"{", b"[1", b"[1,]", b"[,1]", b"[] []", b"[] x", b"1 2", b"{} ,", b"[1}", b"[NaN]",
    b"\xef\xbb\xbf" + call(1), b"\xef\xbb\xbf[1]", b'["\xff"]', call(1).decode().encode("utf-16"), b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000, b'[{"a":' * 100_000, call(1) + b",", array(call(1)) + b",", b"[" + call(1),
    array(call(1), b'{"jsonrpc": "2.0", "method"'), array(call(1), b'{"a": Infinity}'), b"\0",
])  # fmt: skip
def test_what_is_no_json(body: bytes) -> None:
    """Is one error, whatever else is in it: nothing of it can be believed."""
    assert split(body) == NOT_JSON


def test_as_many_items_as_allowed() -> None:
    """One more is one error."""
    assert len(items(array(*[call(1)] * 3), max_items=3)) == 3
    refusal = split(array(*[call(1)] * 4), max_items=3)
    assert isinstance(refusal, bytes)
    error, id = json.loads(refusal)["error"], json.loads(refusal)["id"]
    assert (error["code"], error["data"], id) == (-32600, {"reason": "more than 3 items"}, None)


def test_far_too_many_items_are_not_even_read() -> None:
    """So what is behind them need not be JSON."""
    assert json.loads(bytes_of(split(array(*[b"1"] * 100_000)[:-1])))["error"]["code"] == -32600


def bytes_of(found: Split | bytes) -> bytes:
    """An error object."""
    assert isinstance(found, bytes)
    return found


def test_a_hundred_thousand_items_are_split_in_one_pass() -> None:
    """Where somebody allows them."""
    assert len(items(array(*[call(1)] * 100_000), max_items=100_000)) == 100_000


def test_an_item_can_be_changed() -> None:
    """All that is not changed stays as it was written."""
    sent = '{ "id" : 1e400,"method":"a", "params":[1e400 ], "jsonrpc": "2.0", "x": 1.50}'
    item = one(sent)
    assert item.changed().raw == b'{"id": 1e400, "method": "a", "params": [1e400 ], "jsonrpc": "2.0", "x": 1.50}'
    changed = item.changed(method="b", params={"c": None})
    assert (changed.method, changed.params, changed.id) == ("b", {"c": None}, b"1e400")
    assert item.changed(params=None).params is None
    assert (item.raw, item.method) == (sent.encode(), "a")


def test_what_is_no_json_changes_nothing() -> None:
    """It is told at once."""
    with pytest.raises(ValueError):
        one(call(1).decode()).changed(params=[float("nan")])


def test_an_item_says_its_answers() -> None:
    """With its id as it was written."""
    item = one('{"jsonrpc": "2.0", "method": "a", "id": 1.0}')
    assert item.result([1]) == b'{"jsonrpc": "2.0", "result": [1], "id": 1.0}'
    error = json.loads(item.error(-32000, "Busy", {"a": 1}))["error"]
    assert error == {"code": -32000, "message": "Busy", "data": {"a": 1}}


def test_an_item_in_a_message() -> None:
    """Begins as it was sent."""
    assert repr(single(call(1))) == f"Item({call(1)!r})"
    assert len(repr(single(call(1, "a" * 1000)))) < 120
