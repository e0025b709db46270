"""Hooks read, change and answer: one item, or all of them. One that fails fails where it was asked."""

import asyncio
import json
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest

from runner.batch import Answered, Context, Item, Reason
from runner.request import Request
from tests.batch.endpoint import Endpoint, array, ask, call, codes, decoded, internal, result

THREE = array(call(1, "a"), call(2, "b"), call(3, "c"))
SHORT = 0.1


def awaited(hook: Callable[..., Any]) -> Callable[..., Any]:
    """The same as a coroutine function."""

    async def later(*arguments: Any) -> Any:
        await asyncio.sleep(0)
        return hook(*arguments)

    return later


EITHER = pytest.mark.parametrize("kind", [lambda hook: hook, awaited], ids=["def", "async def"])


@EITHER
def test_hooks_see_everything(kind: Any) -> None:
    """In this order."""
    seen: list[Any] = []

    def before_batch(context: Context) -> None:
        context.state["seen"] = seen
        assert isinstance(context.request, Request)
        seen.append((context.is_batch, context.body, list(context.responses)))

    def before(context: Context, item: Item) -> None:
        context.state["seen"].append(("before", item.method, item.params, item.id_json))

    def after(context: Context, item: Item, response: bytes | None) -> None:
        seen.append(("after", item.method, response))

    def after_batch(context: Context) -> None:
        seen.append(list(context.responses))

    body = array(call(1, "a", 5), b"1", call(None, "n"))
    hooks = {"before_batch": before_batch, "before": before, "after": after, "after_batch": after_batch}
    answer = ask(body, concurrency=1, **{name: kind(hook) for name, hook in hooks.items()})
    first, refusal = b'{"jsonrpc": "2.0", "result": [5], "id": 1}', seen[0][2][1]
    assert seen == [
        (True, body, [None, refusal, None]),
        ("before", "a", [5], b"1"), ("after", "a", first),
        ("before", "n", [], b"null"), ("after", "n", None),
        [first, refusal, None],
    ]  # fmt: skip
    assert codes(answer) == [None, -32600]


@EITHER
def test_an_item_is_changed(kind: Any) -> None:
    """It goes out in the other form, and is answered under its id."""
    endpoint = Endpoint()

    def before(context: Context, item: Item) -> Item | None:
        return item.changed(method="z", params=["z"]) if item.method == "b" else None

    answer = ask(THREE, endpoint, before=kind(before))
    assert decoded(answer) == [result(1, []), result(2, ["z"]), result(3, [])]
    assert sorted(sub.item.method for sub in endpoint.asked) == ["a", "c", "z"]


@EITHER
@pytest.mark.parametrize("form", [bytes, json.loads, lambda made: MappingProxyType(json.loads(made))])
def test_an_item_is_answered(kind: Any, form: Any) -> None:
    """It does not go out then."""
    endpoint = Endpoint()

    def before(context: Context, item: Item) -> Any:
        match item.method:
            case "a":
                return form(item.result("own"))
            case "b":
                return form(item.error(-32001, "Denied"))
        return None

    first, second, third = decoded(ask(array(THREE[1:-1], call(None, "a")), endpoint, before=kind(before)))
    assert (first, second["error"]["code"], third) == (result(1, "own"), -32001, result(3, []))
    assert [sub.item.method for sub in endpoint.asked] == ["c"]


@EITHER
def test_a_response_is_changed(kind: Any) -> None:
    """That of a notification cannot be: it has none."""

    def after(context: Context, item: Item, response: bytes | None) -> Any:
        return item.result(len(response or b"")) if item.method != "b" else None

    answer = ask(array(call(1, "a"), call(2, "b"), call(None, "c")), after=kind(after))
    assert decoded(answer) == [result(1, 41), result(2, [])]


def test_after_is_asked_whatever_an_item_came_to() -> None:
    """It may make something else of a failure."""

    def after(context: Context, item: Item, response: bytes | None) -> Any:
        assert response is not None
        return item.result(json.loads(response)["error"]["data"]["status"])

    assert decoded(ask(call(1), Endpoint(lambda sub: Answered(503, b"")), after=after)) == result(1, 503)


@pytest.mark.parametrize("name", ["before", "after"])
@pytest.mark.parametrize("given", [b"no", b'{"a": 1}', {"jsonrpc": "2.0", "result": 1, "id": 7}, [1], "text", 1])
def test_a_hook_that_gives_no_response(name: str, given: Any) -> None:
    """Is found out: the answer is JSON, and each response is its item's."""
    hooks: dict[str, Any] = {name: lambda context, item, *_: given if item.method == "x" else None}
    answer = ask(array(call(1), call(2, "x")), **hooks)
    first, second = decoded(answer)
    assert first == result(1, [])
    assert (second["id"], second["error"]["code"], second["error"]["data"]["status"]) == (2, -32603, 200)


@EITHER
@pytest.mark.parametrize("name", ["before", "after", "path"])
@pytest.mark.parametrize("error", [
    ValueError("secret"), SystemExit("secret"), StopIteration("secret"), TimeoutError("secret"),
])  # fmt: skip
def test_a_hook_that_fails_on_an_item(kind: Any, name: str, error: BaseException) -> None:
    """Fails for this item; the client does not see why, the log does."""

    def fail(context: Context, item: Item, response: Any = None) -> Any:
        if item.method == "b":
            raise error
        return "/rpc" if name == "path" else None

    endpoint = Endpoint()
    answer = ask(THREE, endpoint, **{name: kind(fail)})
    assert decoded(answer) == [result(1, []), internal(2, Reason.HOOK), result(3, [])]
    assert b"secret" not in answer.body
    assert len(endpoint.done.faults) == 1


@pytest.mark.parametrize("name", ["before", "after", "path"])
def test_a_hook_that_hangs_on_an_item(name: str) -> None:
    """Has the time of its item."""

    async def hang(context: Context, item: Item, response: Any = None) -> Any:
        if item.method == "b":
            await asyncio.Event().wait()
        return "/rpc" if name == "path" else None

    hooks: dict[str, Any] = {name: hang}
    answer = ask(THREE, timeout=SHORT, **hooks)
    assert decoded(answer) == [result(1, []), internal(2, Reason.TIMEOUT), result(3, [])]


@EITHER
@pytest.mark.parametrize("name", ["before_batch", "after_batch"])
@pytest.mark.parametrize(("given", "body"), [
    ({"a": 1}, b'{"a": 1}'), (b"[1 ]", b"[1 ]"), ([b"{ }", {"a": 1}], b'[{ },{"a": 1}]'),
])  # fmt: skip
def test_the_whole_batch_is_answered(kind: Any, name: str, given: Any, body: bytes) -> None:
    """By an object, or a list of them."""
    endpoint = Endpoint()
    answer = ask(THREE, endpoint, **{name: kind(lambda context: given)})
    assert (answer.status, answer.body) == (200, body)
    assert len(endpoint.asked) == (0 if name == "before_batch" else 3)


def test_the_whole_batch_is_answered_by_nothing() -> None:
    """An empty list is no answer."""
    assert ask(THREE, before_batch=lambda context: []).status == 204


@EITHER
def test_a_hook_of_the_batch_changes_and_answers_items(kind: Any) -> None:
    """In their places."""

    def before_batch(context: Context) -> None:
        context.items[0] = context.items[0].changed(params=["z"])
        context.responses[1] = context.items[1].result("own")

    endpoint = Endpoint()
    answer = ask(THREE, endpoint, before_batch=kind(before_batch))
    assert decoded(answer) == [result(1, ["z"]), result(2, "own"), result(3, [])]
    assert sorted(sub.item.method for sub in endpoint.asked) == ["a", "c"]


@EITHER
def test_a_hook_of_the_batch_replaces_responses(kind: Any) -> None:
    """And cannot take one away: each request MUST have one."""

    def after_batch(context: Context) -> None:
        context.responses[0] = context.items[0].error(-32001, "Denied")
        context.responses[1] = None

    first, second, third = decoded(ask(THREE, after_batch=kind(after_batch)))
    assert (first["error"]["code"], second, third) == (-32001, result(2, []), result(3, []))


def test_what_a_hook_of_the_batch_leaves_alone_is_not_judged_again() -> None:
    """The gateway's own errors may be more than fits."""
    assert codes(ask(array(b"1", call(2)), max_response=1, after_batch=lambda context: None)) == [-32600, -32603]


@pytest.mark.parametrize("given", [b"no", {1}, {"jsonrpc": "2.0", "result": 1, "id": 7}])
def test_a_response_that_is_none_is_not_passed_on(given: Any) -> None:
    """Whichever hook has put it there."""

    def change(context: Context) -> None:
        context.responses[1] = given

    for name in ("before_batch", "after_batch"):
        hooks: dict[str, Any] = {name: change}
        first, second, third = decoded(ask(THREE, **hooks))
        assert (first, second["id"], second["error"]["code"], third) == (result(1, []), 2, -32603, result(3, []))


def test_an_item_that_is_none_is_the_affair_of_its_place() -> None:
    """Also if it is a notification, or refused: its place was a request's."""

    def change(context: Context) -> None:
        context.items[0] = "no"  # type: ignore[call-overload]
        context.items[1] = context.items[3]
        context.items[2] = context.items[4]

    first, second, third, fourth = decoded(ask(array(THREE[1:-1], call(None, "n"), b"1"), before_batch=change))
    assert first == internal(1, Reason.HOOK)
    assert second == internal(2, Reason.EMPTY, 204)
    assert (third["error"]["code"], third["id"], fourth["error"]["code"]) == (-32600, None, -32600)


@pytest.mark.parametrize("name", ["before_batch", "after_batch"])
@pytest.mark.parametrize("change", [
    lambda context: context.items.pop(), lambda context: context.responses.append(b"{}"), lambda context: 1 / 0,
    lambda context: {1}, lambda context: b"no", lambda context: [b"no"],
])  # fmt: skip
def test_a_hook_of_the_batch_that_fails(name: str, change: Any) -> None:
    """Fails for the batch: one error object."""

    def hook(context: Context) -> Any:
        came = change(context)
        return came if isinstance(came, set | bytes | list) and came != b"{}" else None

    endpoint = Endpoint()
    assert decoded(ask(THREE, endpoint, **{name: hook})) == internal(None, Reason.HOOK)
    assert len(endpoint.asked) == (0 if name == "before_batch" else 3)
    assert len(endpoint.done.faults) == 1
    assert ask(array(call(), call()), endpoint, **{name: lambda context: 1 / 0}).status == 204


@pytest.mark.parametrize("name", ["before_batch", "after_batch"])
def test_a_hook_of_the_batch_that_hangs(name: str) -> None:
    """Has the time of an item."""

    async def hang(context: Context) -> None:
        await asyncio.Event().wait()

    hooks: dict[str, Any] = {name: hang}
    assert decoded(ask(THREE, timeout=SHORT, **hooks)) == internal(None, Reason.TIMEOUT)


def test_a_batch_out_of_time_still_has_its_last_hook() -> None:
    """What has ended is kept."""

    async def hang(context: Context, item: Item) -> None:
        if item.method == "b":
            await asyncio.Event().wait()

    answer = ask(THREE, batch_timeout=SHORT, before=hang, after_batch=awaited(lambda context: None))
    assert decoded(answer) == [result(1, []), internal(2, Reason.BATCH_TIMEOUT), result(3, [])]
