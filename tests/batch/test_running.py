"""A batch runs: what goes to the endpoint, how much at a time, in which order it comes back, and what fits."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from runner.batch import Answered, Failed, Item, JSONRPCBatch, Outcome, Reason, SubRequest
from runner.batch.running import SLICE, run
from tests.batch.endpoint import (
    Endpoint,
    array,
    ask,
    call,
    codes,
    decoded,
    echo,
    internal,
    request,
    result,
    until,
)

MANY = 20


def test_an_item_goes_out_exactly_as_it_came() -> None:
    """Numbers that nobody could hold, and odd spaces; and so does its response."""
    item = b'{ "jsonrpc":"2.0", "method":"a","params" : [12345678901234567890123, 1e400],\t"id":1.50 }'
    body = b'\n{"jsonrpc": "2.0", "result": 12345678901234567890123, "id": 1.50} '
    endpoint = Endpoint(lambda sub: Answered(200, body))
    assert ask(b" [ %b , %b ] " % (item, item), endpoint).body == b"[%b,%b]" % (body, body)
    assert [sub.body for sub in endpoint.asked] == [item, item]


def test_headers_are_taken_along() -> None:
    """Those that were chosen, and never the length of the batch."""
    variables = {"HTTP_COOKIE": "a=b", "HTTP_X_OTHER": "x", "CONTENT_LENGTH": "77", "HTTP_ACCEPT_ENCODING": "gzip"}
    endpoint = Endpoint()
    asyncio.run(run(JSONRPCBatch("/rpc"), call(1), request(**variables), endpoint))
    (sub,) = endpoint.asked
    assert sub.path == "/rpc"
    usual = {"CONTENT_TYPE": "application/json", "HTTP_ACCEPT": "application/json"}
    assert sub.variables == {**usual, "HTTP_COOKIE": "a=b"}


@pytest.mark.parametrize("asynchronous", [False, True])
def test_each_item_has_a_path_of_its_own(asynchronous: bool) -> None:
    """If a function says so, which may wait for something."""

    def by_method(context: Any, item: Item) -> str:
        return f"/{item.method}"

    async def later(context: Any, item: Item) -> str:
        await asyncio.sleep(0)
        return by_method(context, item)

    endpoint = Endpoint()
    ask(array(call(1, "a"), call(2, "b")), endpoint, later if asynchronous else by_method)
    assert sorted(sub.path for sub in endpoint.asked) == ["/a", "/b"]


@pytest.mark.parametrize("path", ["rpc", "/a b", "http://x/", None, 7])
def test_a_path_that_is_none_is_the_affair_of_its_item(path: Any) -> None:
    """It is asked nowhere."""
    endpoint = Endpoint()
    answer = ask(array(call(1, "a"), call(2, "b")), endpoint, lambda _, item: path if item.method == "a" else "/b")
    assert decoded(answer) == [internal(1, Reason.HOOK), result(2, [])]
    assert len(endpoint.asked) == 1
    assert "is no path" in endpoint.faults[0]


class Crowd:
    """An endpoint where everybody waits until told; `most` were there at once."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.open = asyncio.Event()

    async def __call__(self, sub: SubRequest) -> Outcome:
        """See Dispatcher.dispatch."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.open.wait()
        await asyncio.sleep(0)
        self.inside -= 1
        return echo(sub)


@pytest.mark.parametrize(("concurrency", "width", "most"), [(3, 8, 3), (None, 8, 8), (None, 1, 1), (100, 8, MANY)])
def test_as_many_as_allowed_run_at_the_same_time(concurrency: int | None, width: int, most: int) -> None:
    """The worker says how many, if the batch does not; as soon as one ends, the next one begins."""

    async def play() -> None:
        crowd = Crowd()
        batch = JSONRPCBatch("/rpc", concurrency=concurrency)
        body = array(*[call(id) for id in range(1, MANY + 1)])
        running = asyncio.create_task(run(batch, body, request(), Endpoint(crowd, width)))
        await until(lambda: crowd.inside == most)
        crowd.open.set()
        assert [each["id"] for each in decoded(await running)] == list(range(1, MANY + 1))
        assert crowd.most == most

    asyncio.run(play())


@pytest.mark.parametrize("ordered", [True, False])
def test_every_request_is_answered_in_either_order(ordered: bool) -> None:
    """Those that run, those that are refused, and those that hooks have made fail."""
    items = array(call(1), b"1", call(2, "?"), call(3))
    answer = ask(items, ordered=ordered, cost=lambda item: None if item.method == "?" else 1, max_cost=2)
    assert codes(answer) == ([None, -32600, -32603, None] if ordered else [-32600, -32603, None, None])


@pytest.mark.parametrize(("ordered", "ids"), [(True, [1, 2, 3]), (False, [3, 2, 1])])
def test_the_order_of_responses(ordered: bool, ids: list[int]) -> None:
    """That of the requests; or as they came."""

    async def play() -> None:
        turns = {b"1": asyncio.Event(), b"2": asyncio.Event(), b"3": asyncio.Event(), b"4": asyncio.Event()}
        turns[b"3"].set()

        async def one_after_the_other(sub: SubRequest) -> Outcome:
            assert isinstance(sub.item.id, bytes)
            await turns[sub.item.id].wait()
            if sub.item.id != b"1":
                turns[b"%d" % (int(sub.item.id) - 1)].set()
            return echo(sub)

        batch = JSONRPCBatch("/rpc", ordered=ordered)
        body = array(call(1), call(2), call(3))
        answer = await run(batch, body, request(), Endpoint(one_after_the_other))
        assert [each["id"] for each in decoded(answer)] == ids

    asyncio.run(play())


def test_notifications_are_run_and_not_answered() -> None:
    """Whatever comes of them."""
    endpoint = Endpoint(lambda sub: Failed(Reason.DIED) if sub.item.method == "b" else echo(sub))
    answer = ask(array(call(), call(1), call(None, "b"), call()), endpoint)
    assert decoded(answer) == [result(1, [])]
    assert len(endpoint.asked) == 4
    for body in (array(call(), call(None, "b")), call(None, "b"), call()):
        answer = ask(body, endpoint)
        assert (answer.status, answer.headers, answer.body) == (204, [], b"")


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize(("outcome", "reason", "status"), [
    (Failed(Reason.DIED), Reason.DIED, None), (Failed(Reason.TIMEOUT, 504), Reason.TIMEOUT, 504),
    (Answered(500, b"<html>"), Reason.STATUS, 500), (Answered(200, b"no"), Reason.NOT_JSON, 200),
    (Answered(204, b""), Reason.EMPTY, 204), (OSError("no way"), Reason.FAILED, None),
    (SystemExit(), Reason.FAILED, None), (asyncio.CancelledError(), None, None),
])  # fmt: skip
def test_what_fails_is_the_affair_of_its_item(outcome: Any, reason: Reason | None, status: int, waits: bool) -> None:
    """All others have their responses."""

    def serve(sub: SubRequest) -> Outcome:
        if sub.item.method != "fail":
            return echo(sub)
        if isinstance(outcome, BaseException):
            raise outcome
        made: Outcome = outcome
        return made

    async def later(sub: SubRequest) -> Outcome:
        await asyncio.sleep(0)
        return serve(sub)

    endpoint = Endpoint(later if waits else serve)
    answer = ask(array(call(1), call(2, "fail"), call(3)), endpoint)
    reason = reason or (Reason.CANCELLED if waits else Reason.FAILED)
    assert decoded(answer) == [result(1, []), internal(2, reason, status), result(3, [])]
    assert len(endpoint.asked) == 3


def test_a_batch_of_too_many_items_does_not_run() -> None:
    """HTTP 200 with one error object."""
    endpoint = Endpoint()
    answer = ask(array(*[call(1)] * 101), endpoint)
    assert (decoded(answer)["error"]["code"], decoded(answer)["id"]) == (-32600, None)
    assert endpoint.asked == []
    assert len(decoded(ask(array(*[call(1)] * 100)))) == 100


def test_a_single_request_is_answered_alone() -> None:
    """Unless that is forbidden."""
    assert decoded(ask(call(1, "echo", 5))) == result(1, [5])
    assert decoded(ask(call(1), allow_single=False))["error"]["code"] == -32600


def test_a_batch_that_costs_too_much_does_not_run() -> None:
    """It is admitted up to the limit."""

    def cost(item: Item) -> float:
        return len(item.params)

    endpoint = Endpoint()
    items = array(call(1, "a", 1, 2), call(2, "a", 3), call(), b"{}")
    assert codes(ask(items, endpoint, cost=cost, max_cost=3)) == [None, None, -32600]
    error = decoded(ask(items, endpoint, cost=cost, max_cost=2.5))["error"]
    assert (error["code"], error["data"]) == (-32600, {"reason": "the batch costs 3, more than 2.5"})
    assert len(endpoint.asked) == 3


@pytest.mark.parametrize("cost", [-1, "1", None, float("nan"), float("inf")])
def test_an_item_whose_cost_nobody_can_tell_does_not_run(cost: Any) -> None:
    """The others do."""
    endpoint = Endpoint()
    items = array(call(1), call(2, "?"), call(None, "?"))
    answer = ask(items, endpoint, cost=lambda item: cost if item.method == "?" else 1, max_cost=2)
    assert decoded(answer) == [result(1, []), internal(2, Reason.HOOK)]
    assert len(endpoint.asked) == 1
    assert len(endpoint.faults) == 2


def test_responses_that_do_not_fit() -> None:
    """Become errors; what is there is kept, and what fits later is, too."""
    large = 9_000_000

    def serve(sub: SubRequest) -> Outcome:
        return Answered(200, sub.item.result("x" * (large if sub.item.method == "large" else 1)))

    endpoint = Endpoint(serve)
    answer = ask(array(call(1, "large"), call(2, "large"), call(3, "large"), call(4)), endpoint)
    assert decoded(answer)[1:] == [internal(2, "the response is too large", 200), internal(3, Reason.TOO_LARGE, 200),
                                   result(4, "x")]  # fmt: skip
    assert len(answer.body) <= 10 * 2**20
    assert endpoint.asked[0].most == 10 * 2**20 - 2
    assert endpoint.asked[1].most < 2**20 + 2**19


@pytest.mark.parametrize("items", [[call(1)], [call(1), call(2)], [call(1), call(2), call(3)], [b"1", call(1), b"2"]])
@pytest.mark.parametrize("single", [False, True])
def test_the_whole_answer_has_as_many_bytes_as_allowed(items: list[bytes], single: bool) -> None:
    """Brackets, commas and errors count; what a hook has replaced does not."""
    body = items[len(items) // 2] if single else array(*items)
    size = len(ask(body).body)
    assert len(ask(body, max_response=size).body) == size
    assert len(ask(body, max_response=size, after=lambda context, item, response: response).body) == size
    assert Reason.TOO_LARGE in ask(body, max_response=size - 1).body.decode()


def test_nothing_is_left_over_by_whom_nobody_waits_for() -> None:
    """Items that are done at once need no task: the loop has no turn, and the report says all."""
    endpoint = Endpoint()
    answer = ask(array(call(1, "a"), call(2, "b"), b"1"), endpoint)
    assert [(spent.item.method, spent.path, spent.status, spent.reason) for spent in endpoint.done.spent] == [
        ("a", "/rpc", 200, None), ("b", "/rpc", 200, None),
    ]  # fmt: skip
    assert endpoint.done.answer == answer
    assert 0 <= sum(spent.seconds for spent in endpoint.done.spent) <= endpoint.done.seconds
    assert endpoint.faults == []


def test_the_durations_are_those_of_the_items() -> None:
    """And the batch's is that of the longest, where they run at the same time."""

    async def sleep(sub: SubRequest) -> Outcome:
        await asyncio.sleep(0.02)
        return echo(sub)

    endpoint = Endpoint(sleep)
    ask(array(call(1), call(2)), endpoint)
    assert all(spent.seconds >= 0.02 for spent in endpoint.done.spent)
    assert endpoint.done.seconds >= 0.02


def turns_beside(batch: JSONRPCBatch, body: bytes, endpoint: Endpoint) -> int:
    """How many turns of the loop another task has while *batch* runs."""
    turns = 0

    async def another() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def play() -> None:
        other = asyncio.create_task(another())
        await run(batch, body, request(), endpoint)
        other.cancel()

    asyncio.run(play())
    return turns


@pytest.mark.parametrize("waits", [False, True])
def test_others_have_their_turns_while_a_large_batch_runs(waits: bool) -> None:
    """Also if no item waits for anything: here each takes longer than a slice."""
    def work(sub: SubRequest) -> Outcome:
        time.sleep(2 * SLICE)
        return echo(sub)

    async def work_later(sub: SubRequest) -> Outcome:
        return work(sub)

    body = array(*[call(id) for id in range(1, MANY + 1)])
    assert turns_beside(JSONRPCBatch("/rpc", concurrency=1), body, Endpoint(work_later if waits else work)) >= MANY


def test_others_have_their_turns_while_a_large_batch_is_split() -> None:
    """None of these items is run, so that is all that takes time."""
    assert turns_beside(JSONRPCBatch("/rpc", max_items=50_000), array(*[b"{}"] * 50_000), Endpoint()) > 10


def test_a_large_batch_is_run_in_one_pass() -> None:
    """What is quadratic would take minutes."""
    many = 20_000
    answer = ask(array(*[call(1)] * many), max_items=many, concurrency=2)
    assert len(json.loads(answer.body)) == many


BAD: dict[str, tuple[bytes, Callable[[Any], bool]]] = {
    "nested": (b"[" * 100_000, lambda said: said["error"]["code"] == -32700),
    "nested and closed": (b"[" * 100_000 + b"]" * 100_000, lambda said: said["error"]["code"] == -32700),
    "nested params": (array(call(1)[:-1] + b', "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
                      lambda said: said["error"]["code"] == -32700),
    "NaN": (array(b'{"jsonrpc": "2.0", "method": "a", "id": NaN}'), lambda said: said["error"]["code"] == -32700),
    "1e400 alone": (b"1e400", lambda said: said["error"]["code"] == -32600),
    "1e400": (b"[1e400]", lambda said: said[0]["error"]["code"] == -32600),
    "duplicate keys": (array(b'{"jsonrpc": "2.0", "method": "a", "id": 1, "id": 2}'),
                       lambda said: said[0]["error"]["code"] == -32600 and said[0]["id"] is None),
    "byte-order mark": (b"\xef\xbb\xbf" + array(call(1)), lambda said: said["error"]["code"] == -32700),
    "invalid UTF-8": (array(b'{"jsonrpc": "2.0", "method": "\xff", "id": 1}'),
                      lambda said: said["error"]["code"] == -32700),
    "100,000 items": (array(*[call(1)] * 100_000), lambda said: said["error"]["code"] == -32600),
    "a batch in a batch": (array(array(call(1)), call(2)),
                           lambda said: said[0]["error"]["code"] == -32600 and said[1]["id"] == 2),
    "nothing": (b"", lambda said: said["error"]["code"] == -32700),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    """Is answered with HTTP 200 and an error; what is no request runs nowhere."""
    body, expected = BAD[name]
    endpoint = Endpoint()
    assert expected(decoded(ask(body, endpoint)))
    assert len(endpoint.asked) == (name == "a batch in a batch")
    assert endpoint.faults == []
