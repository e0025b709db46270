"""JSON with nothing lost: numbers keep their text, and no text, however made, costs more than its length."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.batch import scanning
from runner.batch.scanning import DEPTH, elements, members, read, scan, skip, whole

MANY = 300_000

SPACES = st.text(" \t\n\r", max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def nested(depth: int, inside: str) -> bytes:
    """*inside*, in *depth* brackets of both kinds."""
    pairs = [("[", "]"), ('{"[": ', "}")]
    opening = "".join(pairs[level % 2][0] for level in range(depth))
    closing = "".join(pairs[level % 2][1] for level in reversed(range(depth)))
    return f"{opening}{inside}{closing}".encode()


def plain(value: Any) -> Any:
    """What json.loads says of a value as `whole` has it: numbers are decoded at last."""
    match value:
        case bytes():
            return json.loads(value)
        case list():
            return [plain(each) for each in value]
        case dict():
            return {name: plain(each) for name, each in value.items()}
        case _:
            return value


@given(VALUES)
def test_a_value_is_what_json_says(value: Any) -> None:
    """Numbers apart, which keep their text."""
    assert plain(whole(json.dumps(value).encode())) == value


@pytest.mark.parametrize("number", ["12345678901234567890123", "1e400", "-0", "1.50", "0.1E-7", "9" * 5000])
def test_a_number_is_its_text(number: str) -> None:
    """Whatever it is as a float, and however many digits it has."""
    assert whole(number.encode()) == scan(number, 0)[0] == number.encode()


def test_the_members_of_an_object_are_pairs() -> None:
    """So two of the same name are seen."""
    assert scan('{"a": 1, "a": {}}', 0) == ((("a", b"1"), ("a", ())), 17)


@pytest.mark.parametrize("body", [
    b"", b" ", b"{", b'{"a" 1}', b"[1,]", b"[1 2]", b"nul", b"NaN", b"[Infinity]", b'{"a": -Infinity}', b"01", b"1.",
    b"+1", b"'a'", b'"\t"', b"1 2", b"{} {}", b"\xef\xbb\xbf{}", b'"\xff"', b"\xc0\x80", b"[\0]", "{}".encode("utf-16"),
    b'"\xed\xa0\x80"', b"/**/1", b"\x0b1", b"1\xc2\xa0",
])  # fmt: skip
def test_what_is_no_json(body: bytes) -> None:
    """RFC 8259, in UTF-8 and without a byte-order mark (section 8.1)."""
    with pytest.raises(ValueError):
        whole(body)


@pytest.mark.parametrize("inside", ["null", '"]["', r'"\""', r'"\\"', r'"\\\"["'])
def test_the_depth_is_limited(inside: str) -> None:
    """To DEPTH exactly, whatever strings have in them."""
    deepest = nested(DEPTH, inside)
    assert whole(deepest) == json.loads(deepest)
    with pytest.raises(ValueError, match="deeper"):
        whole(nested(DEPTH + 1, inside))


@given(
    st.recursive(
        st.text('[]{}"\\, a', max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[]{}"\\', max_size=3), inner, max_size=3),
        max_leaves=30,
    ),
    st.integers(scanning._PASSES, 16),
)
def test_levels_are_counted_exactly(value: Any, limit: int) -> None:
    """Whatever stands in strings."""

    def levels(value: Any) -> int:
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inside is None else 1 + max(map(levels, inside), default=0)

    value = [[[[[[[[[value]]]]]]]]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "DEPTH", limit)
        text = json.dumps(value)
        if levels(value) <= limit:
            assert read(text.encode()) == text
        else:
            with pytest.raises(ValueError, match="deeper"):
                read(text.encode())


@pytest.mark.parametrize("blocks", [1, 3])
def test_levels_are_counted_over_long_distances(blocks: int) -> None:
    """Where most brackets are close together, and the deepest ones are far away."""
    flat = "[[[[[[[[[[]]]]]]]]]]," * 1000 * blocks
    text = nested(DEPTH - 12, f"[{flat}[[[[[[[[[[[]]]]]]]]]]]]")
    assert read(text) == text.decode()
    with pytest.raises(ValueError, match="deeper"):
        read(text.replace(b"[[[[[[[[[[[]", b"[[[[[[[[[[[[]]"))


def test_many_brackets_need_not_be_deep() -> None:
    """It is levels that count."""
    body = json.dumps([{"params": [[], {}]}] * 1000).encode()
    assert len(whole(body)) == 1000


@pytest.mark.parametrize("body", [
    b"[" * MANY, b"]" * MANY, b"[" * MANY + b"]" * MANY, b'{"a":' * MANY, b"[]" * MANY, b"[[" + b"[]," * MANY,
    b'["' + b"[" * MANY, b'["' + b"\\" * MANY, b'"][",[' * MANY, b"[\\" * MANY, b'[{"a":[' * MANY + b"]}]" * MANY,
], ids=range(11))  # fmt: skip
def test_broken_text_is_refused_in_one_pass(body: bytes) -> None:
    """No recursion, and nothing quadratic: that would take minutes at this size."""
    with pytest.raises(ValueError):
        whole(body)


def test_depth_is_not_hidden_by_strings_or_by_what_follows() -> None:
    """Closing brackets in strings close nothing, and neither do those behind an error."""
    hidden = b'["]",' * MANY
    for body in (hidden, hidden + b"]" * MANY, b"[" * MANY + b" x " + b"]" * MANY):
        with pytest.raises(ValueError, match="deeper"):
            read(body)


def test_whoever_has_used_up_the_stack_gets_no_recursion_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is not too deep may be so for what is left."""

    def used_up(text: str, start: int) -> None:
        raise RecursionError

    monkeypatch.setattr(scanning, "_decode_pairs", used_up)
    monkeypatch.setattr(scanning, "_decode_dict", used_up)
    for broken in (lambda: whole(b"[]"), lambda: scan("[]", 0), lambda: list(elements("[[]]", 0))):
        with pytest.raises(ValueError, match="stack"):
            broken()


@given(st.lists(VALUES, max_size=5), SPACES)
def test_the_elements_of_an_array_are_where_they_are(values: list[Any], space: str) -> None:
    """Each one's text, and nothing of what is between them."""
    texts = [json.dumps(value) for value in values]
    text = f"[{space}{f'{space},{space}'.join(texts)}{space}]{space}"
    assert [text[start:end] for _, start, end in elements(text, 0)] == texts


@pytest.mark.parametrize("text", ["[", "[1", "[1,", "[1,]", "[,]", "[1 2]", "[1]]", "[1] x", "[] []", "[1}", "[,1]"])
def test_what_is_no_array(text: str) -> None:
    """Is seen by the time its end is asked for."""
    with pytest.raises(ValueError):
        list(elements(text, 0))


@given(st.dictionaries(st.text(), VALUES, max_size=5), SPACES)
def test_the_members_of_an_object_as_they_were_written(value: dict[str, Any], space: str) -> None:
    """Each by its name, without the space around it."""
    written = {name: json.dumps(each) for name, each in value.items()}
    inside = ",".join(f"{space}{json.dumps(name)}{space}:{space}{each}{space}" for name, each in written.items())
    assert members(f"{{{inside or space}}}") == written


def test_white_space_is_what_json_calls_so() -> None:
    """Four characters (RFC 8259 section 2), no others."""
    assert skip(" \t\n\r\x0b ", 0) == 4
    assert skip("", 0) == 0
