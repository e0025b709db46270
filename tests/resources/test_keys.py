"""When two openings mean the same."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.resources.keys import canonical


class Plain:
    """Compared by identity."""


class Equal:
    """Compared by value, but without a hash."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_the_order_of_keys_does_not_matter(options: dict[str, Any]) -> None:
    """Of keywords and of dicts in them, at any depth."""

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: turned(value[name]) for name in reversed(value)}
        return [turned(each) for each in value] if isinstance(value, list) else value

    assert canonical(options) == canonical(turned(options))
    assert hash(canonical(options)) == hash(canonical(turned(options)))


@pytest.mark.parametrize(
    "values",
    [
        [1, True, 1.0, "1", b"1"], [0, False, 0.0, -0.0, "", None, b""], [[1], (1,), {1}, frozenset([1])],
        [[1, 2], [2, 1]], [{}, [], (), set()], [{"a": 1}, {"a": True}], [{1: "a"}, {True: "a"}], [math.nan, "nan"],
    ],
)  # fmt: skip
def test_what_differs_in_kind_differs(values: list[Any]) -> None:
    """Although Python finds some of them equal."""
    assert len({canonical({"value": value}) for value in values}) == len(values)


def test_a_number_that_is_none_equals_itself() -> None:
    """Or a singleton with nan in its options would be opened each time."""
    assert canonical({"a": math.nan}) == canonical({"a": float("nan")})


@pytest.mark.parametrize("kind", [Plain, Equal, object])
def test_what_cannot_be_compared_is_itself_only(kind: type) -> None:
    """The same object is the same option, another one is not."""
    one, other = kind(), kind()
    assert canonical({"a": one}) == canonical({"a": one})
    assert canonical({"a": one}) != canonical({"a": other})
    assert canonical({"a": [one]}) == canonical({"a": [one]})


def test_the_key_keeps_its_objects_alive() -> None:
    """Else a new object in the same place would be taken for the old one."""
    keys = {canonical({"a": Equal()}) for _ in range(100)}
    assert len(keys) == 100


def test_a_list_in_itself() -> None:
    """Is no endless loop."""
    loop: list[Any] = []
    loop.append(loop)
    assert canonical({"a": loop}) == canonical({"a": loop})


def test_keywords_count() -> None:
    """The same value by another name is another option."""
    assert canonical({"a": 1}) != canonical({"b": 1}) != canonical({})
