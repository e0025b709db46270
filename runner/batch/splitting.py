"""The body of a JSON-RPC 2.0 request -> its items, each exactly as it was sent; or the one error object it deserves.

    no JSON, too deep              one error object, -32700
    no object, no array, an empty array, more items than allowed
                                   one error object, -32600
    what is no request object      an item that is refused already, -32600
    an object without id           a notification: never answered, whatever becomes of it

Laws: pure; an item's bytes are those of the body, so numbers and spaces stay what they are; one that is refused hurts
no other. Two members of one name are refused, in the request and in its params: the endpoint might believe the other
one. An invalid request is answered with its id, if that is one. Sections 4, 5 and 6 of the specification. Start at
split.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any, Final, NamedTuple

from runner.batch.objects import INVALID_REQUEST, PARSE_ERROR, failure, success
from runner.batch.scanning import elements, members, read, scan, skip

NOT_JSON = failure(PARSE_ERROR)
INVALID = failure(INVALID_REQUEST)


class _Same:
    """What is not to be changed."""


SAME: Final = _Same()
_ID_TYPES = frozenset((str, bytes, type(None)))


class Item:
    """One item of a batch. Not to be changed; `changed` gives another one.

    raw           its JSON, exactly as sent
    id            text (str), a number as it was written (bytes), or None: null, no id, or one that is none
    method        its name; "" if it cannot be read
    notification  it has no id and gets no answer
    refusal       the error object it has got instead of being run, or None: it is a request
    """

    __slots__ = ("id", "method", "notification", "raw", "refusal")

    def __init__(
        self, raw: bytes, id: str | bytes | None, method: str, notification: bool, refusal: bytes | None = None
    ) -> None:
        self.raw = raw
        self.id = id
        self.method = method
        self.notification = notification
        self.refusal = refusal

    def __repr__(self) -> str:
        return f"Item({self.raw[:100]!r})"

    @property
    def id_json(self) -> bytes:
        """The id as JSON, with the value that was sent."""
        return self.id if isinstance(self.id, bytes) else json.dumps(self.id).encode()

    @property
    def params(self) -> Any:
        """A list, a dict, or None if it has none; decoded anew each time.

        Raises ValueError for a whole number of more digits than Python reads (4300).
        """
        found = members(self.raw.decode()).get("params")
        return None if found is None else json.loads(found)

    def changed(self, *, method: str | None = None, params: Any = SAME) -> Item:
        """The same item with another *method* or other *params* (a list or a dict; None: without).

        All else is as it was sent. Raises ValueError, TypeError if they are no JSON.
        """
        found = members(self.raw.decode())
        if method is not None:
            found["method"] = json.dumps(method)
        if params is None:
            found.pop("params", None)
        elif params is not SAME:
            found["params"] = json.dumps(params, allow_nan=False)
        text = ", ".join(f"{json.dumps(name)}: {value}" for name, value in found.items())
        return single(f"{{{text}}}".encode())

    def result(self, value: Any) -> bytes:
        """The response object that says *value*. Raises ValueError, TypeError if that is no JSON."""
        return success(value, self.id_json)

    def error(self, code: int, message: str, data: Any = None) -> bytes:
        """The response object that says this error. Raises ValueError, TypeError if *data* is no JSON."""
        return failure(code, message, data, self.id_json)


class Split(NamedTuple):
    """The items of a body; *is_batch*: it was an array."""

    items: list[Item]
    is_batch: bool


def split(body: bytes, *, max_items: int = 100, allow_single: bool = True) -> Split | bytes:
    """What *body* is made of, or the error object that is its answer. Past *max_items* nothing more is read."""
    steps = begin(body, max_items=max_items, allow_single=allow_single)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def begin(body: bytes, *, max_items: int, allow_single: bool) -> Generator[None, None, Split | bytes]:
    """`split` for who cannot stay away for so long: yields after each item."""
    try:
        text = read(body)
        start = skip(text, 0)
        if text[start : start + 1] == "[":
            return (yield from _array(text, start, max_items))
        value, end = scan(text, start)
    except ValueError:
        return NOT_JSON
    if skip(text, end) != len(text):
        return NOT_JSON
    if not allow_single:
        reason = {"reason": "a single request: this address takes batches only"}
        return failure(INVALID_REQUEST, data=reason)
    return Split([_item(value, text[start:end].encode())], is_batch=False)


def single(body: bytes) -> Item:
    """The one item that *body* is. Raises ValueError if it is no JSON."""
    text = read(body)
    start = skip(text, 0)
    value, end = scan(text, start)
    return _item(value, text[start:end].encode())


def _array(text: str, start: int, most: int) -> Generator[None, None, Split | bytes]:
    """Raises ValueError."""
    items: list[Item] = []
    for value, first, end in elements(text, start):
        if len(items) == most:
            return failure(INVALID_REQUEST, data={"reason": f"more than {most} items"})
        items.append(_item(value, text[first:end].encode()))
        yield
    return Split(items, is_batch=True) if items else INVALID


def _item(value: Any, raw: bytes) -> Item:
    """Section 4: what a request object must be."""
    if type(value) is not tuple:
        return Item(raw, None, "", notification=False, refusal=INVALID)
    found = dict(value)
    method, id, params = found.get("method"), found.get("id", found), found.get("params", found)
    if (
        len(found) == len(value)
        and found.get("jsonrpc") == "2.0"
        and type(method) is str
        and (id is found or type(id) in _ID_TYPES)
        and (params is found or type(params) is list or (type(params) is tuple and len(dict(params)) == len(params)))
    ):
        return Item(raw, None if id is found else id, method, notification=id is found)
    return _refused(found, raw, sure=len(found) == len(value))


def _refused(found: dict[str, Any], raw: bytes, *, sure: bool) -> Item:
    """With its id, if it has one that can be told for *sure*: so whoever sent it knows which one it was."""
    method, id = found.get("method"), found.get("id")
    if not sure or type(id) not in _ID_TYPES:
        id = None
    item = Item(raw, id, method if type(method) is str else "", notification=False, refusal=INVALID)
    if id is not None:
        item.refusal = failure(INVALID_REQUEST, id_json=item.id_json)
    return item
