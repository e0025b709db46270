"""How items end that nobody waits for any more: out of time, or their client gone. Nothing is left behind."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from runner.batch import JSONRPCBatch, Outcome, Reason, SubRequest
from runner.batch import running as module
from runner.batch.running import run
from tests.batch.endpoint import PATIENCE, Endpoint, array, ask, call, decoded, echo, internal, request, result, until

SHORT = 0.1
"""Seconds that somebody waits for what never comes."""


class Hanging:
    """An endpoint where "hang" never ends by itself. `open`: how many are there; `released`: how many have left."""

    def __init__(self) -> None:
        self.open = self.released = 0

    async def __call__(self, sub: SubRequest) -> Outcome:
        """See Dispatcher.dispatch."""
        if sub.item.method != "hang":
            return echo(sub)
        self.open += 1
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # who releases something may have to wait for it
            self.open -= 1
            self.released += 1
        raise AssertionError("nothing comes of it")


def test_an_item_that_hangs() -> None:
    """Is cancelled, and has released what it held by the time its batch is answered."""
    hanging = Hanging()
    endpoint = Endpoint(hanging)
    answer = ask(array(call(1), call(2, "hang"), call(3)), endpoint, timeout=SHORT)
    assert decoded(answer) == [result(1, []), internal(2, Reason.TIMEOUT), result(3, [])]
    assert (hanging.open, hanging.released) == (0, 1)
    (spent,) = (spent for spent in endpoint.done.spent if spent.item.method == "hang")
    assert (spent.reason, spent.status, spent.seconds >= SHORT) == (Reason.TIMEOUT, None, True)
    assert endpoint.faults == []


def test_a_place_is_free_again_when_its_time_is_over() -> None:
    """Each has its own time, from its begin."""
    answer = ask(array(call(1, "hang"), call(2, "hang"), call(3)), Endpoint(Hanging()), timeout=SHORT, concurrency=1)
    assert decoded(answer) == [internal(1, Reason.TIMEOUT), internal(2, Reason.TIMEOUT), result(3, [])]


@pytest.mark.parametrize("ordered", [True, False])
def test_the_time_of_the_batch(ordered: bool) -> None:
    """What has not begun by then does not; what has ended is kept."""
    hanging = Hanging()
    endpoint = Endpoint(hanging)
    body = array(call(1), call(2, "hang"), call(3, "hang"), call(4), call(None, "hang"))
    answer = ask(body, endpoint, timeout=None, batch_timeout=5 * SHORT, concurrency=1, ordered=ordered)
    ends = [internal(id, Reason.BATCH_TIMEOUT) for id in (2, 3, 4)]
    assert decoded(answer) == [result(1, []), *ends]
    assert (hanging.open, hanging.released) == (0, 1)
    assert [sub.item.id for sub in endpoint.asked] == [b"1", b"2"]


@pytest.mark.parametrize(("options", "reason"), [
    ({"timeout": SHORT, "batch_timeout": PATIENCE}, Reason.TIMEOUT),
    ({"timeout": SHORT, "batch_timeout": None}, Reason.TIMEOUT),
    ({"timeout": PATIENCE, "batch_timeout": SHORT}, Reason.BATCH_TIMEOUT),
])  # fmt: skip
def test_the_shorter_time_counts(options: dict[str, Any], reason: Reason) -> None:
    """And is named."""
    assert decoded(ask(call(1, "hang"), Endpoint(Hanging()), **options)) == internal(1, reason)


def test_an_answer_that_comes_all_the_same() -> None:
    """Whoever does not let himself be cancelled, but answers, has answered."""

    async def stubborn(sub: SubRequest) -> Outcome:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return echo(sub)

    assert decoded(ask(call(1), Endpoint(stubborn), timeout=SHORT)) == result(1, [])


def test_an_end_that_fails() -> None:
    """Is a timeout still."""

    async def clumsy(sub: SubRequest) -> Outcome:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("could not close it")

    assert decoded(ask(call(1), Endpoint(clumsy), timeout=SHORT)) == internal(1, Reason.TIMEOUT)


def test_a_timeout_of_somebody_elses() -> None:
    """A TimeoutError that the dispatcher raises is a failure, which is told."""

    async def late(sub: SubRequest) -> Outcome:
        raise TimeoutError("no connection")

    endpoint = Endpoint(late)
    assert decoded(ask(call(1), endpoint)) == internal(1, Reason.FAILED)
    assert endpoint.faults == ["no connection"]


async def cancelled(work: Awaitable[Any], when: Callable[[], object]) -> None:
    """Have the client leave at this moment."""
    task = asyncio.ensure_future(work)
    await until(when)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("concurrency", [2, 100])
def test_a_client_that_leaves(concurrency: int) -> None:
    """All that runs is cancelled, and nothing else begins; when the batch has ended, everything is released."""

    async def play() -> None:
        hanging = Hanging()
        endpoint = Endpoint(hanging)
        told: list[object] = []
        batch = JSONRPCBatch("/rpc", concurrency=concurrency, after=lambda *arguments: told.append(arguments))
        body = array(*[call(id, "hang") for id in range(1, 11)])
        count = min(concurrency, 10)
        await cancelled(run(batch, body, request(), endpoint), lambda: hanging.open == count)
        assert (hanging.open, hanging.released, len(endpoint.asked)) == (0, count, count)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert (endpoint.done.answer, endpoint.faults, told) == (None, [], [])
        assert [spent.reason for spent in endpoint.done.spent] == [Reason.CANCELLED] * count

    asyncio.run(play())


def test_a_loop_that_ends_before_anything_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was to be awaited is closed: no coroutine is forgotten, which Python would complain about."""
    # Nobody else has a turn between the two, however slow the machine is.
    monkeypatch.setattr(module, "SLICE", PATIENCE)

    async def play() -> None:
        hanging = Hanging()
        endpoint = Endpoint(hanging)
        batch = JSONRPCBatch("/rpc", concurrency=2)
        body = array(*[call(id, "hang") for id in range(1, 11)])
        running = asyncio.create_task(run(batch, body, request(), endpoint))
        await until(lambda: len(endpoint.asked) == 2)
        # Its items are tasks by now, but none of these has had its first turn; and the loop cancels whatever is there.
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        assert (len(tasks), running in tasks, hanging.open) == (3, True, 0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert [spent.reason for spent in endpoint.done.spent] == [Reason.CANCELLED] * 2
        gc.collect()

    asyncio.run(play())


def test_a_client_that_leaves_during_a_hook() -> None:
    """The hook is cancelled."""

    async def play(name: str) -> None:
        entered: list[str] = []

        async def hang(*arguments: object) -> None:
            entered.append("in")
            try:
                await asyncio.Event().wait()
            finally:
                entered.append("out")

        options: dict[str, Any] = {name: hang}
        endpoint = Endpoint()
        await cancelled(run(JSONRPCBatch("/rpc", **options), call(1), request(), endpoint), lambda: entered)
        assert entered == ["in", "out"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    for name in ("before", "after", "before_batch", "after_batch"):
        asyncio.run(play(name))


@pytest.mark.parametrize("name", ["before", "before_batch"])
def test_a_batch_that_nobody_drives_any_more(name: str) -> None:
    """As when its loop has been closed: it gives up, and has no answer."""

    async def hang(*arguments: object) -> None:
        await asyncio.Event().wait()

    async def play() -> None:
        options: dict[str, Any] = {name: hang}
        endpoint = Endpoint()
        running = run(JSONRPCBatch("/rpc", **options), call(1), request(), endpoint)
        running.send(None)
        running.close()
        assert (endpoint.done.answer, endpoint.faults) == (None, [])

    asyncio.run(play())


def test_what_is_cancelled_by_somebody_else() -> None:
    """Is one item's end, not the batch's."""

    async def lost(sub: SubRequest) -> Outcome:
        gone: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        gone.cancel()
        return await gone

    endpoint = Endpoint(lambda sub: lost(sub) if sub.item.method == "lost" else echo(sub))
    answer = ask(array(call(1, "lost"), call(2)), endpoint)
    assert decoded(answer) == [internal(1, Reason.CANCELLED), result(2, [])]
