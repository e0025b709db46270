"""Options -> one hashable key: two openings share a singleton if, and only if, their options mean the same.

    order     of keywords and of the keys of a dict does not matter
    type      does: 1, True, 1.0 and "1" are four different things, and equal to no other
    identity  what cannot be compared by value is itself only: a file, an object of one's own without __eq__

Law: pure. The key keeps alive what it names, so that no other object can get its identity. Start at canonical.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Set
from typing import Any


class _Itself:
    """An object that is equal to itself only."""

    __slots__ = ("_object",)

    def __init__(self, what: object) -> None:
        self._object = what

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other._object is self._object

    def __hash__(self) -> int:
        return id(self._object)


def canonical(options: Mapping[str, Any]) -> Hashable:
    """The key of these keywords, e.g. of {"path": "shop.db", "timeout": 5}."""
    return frozenset((name, _key(value)) for name, value in options.items())


def _key(value: object, around: tuple[int, ...] = ()) -> Hashable:
    kind = type(value)
    if value is None or kind in (bool, int, str, bytes):
        return kind, value
    if kind in (float, complex):
        return kind, repr(value)  # -0.0 and 0.0 are two, and each nan is the same
    if id(value) in around:
        return _Itself(value)  # a list in itself
    around = (*around, id(value))
    if isinstance(value, Mapping):
        return kind, frozenset((_key(name, around), _key(each, around)) for name, each in value.items())
    if isinstance(value, list | tuple):
        return kind, tuple(_key(each, around) for each in value)
    if isinstance(value, Set):
        return kind, frozenset(_key(each, around) for each in value)
    try:
        hash(value)
    except TypeError:
        return _Itself(value)
    return kind, value
