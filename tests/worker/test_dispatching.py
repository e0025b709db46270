"""How the parts of a request go through the application: here, elsewhere, or on the loop."""

import asyncio
import io
import time
from collections.abc import Callable
from typing import Any

import pytest

from runner.batch import Answered, Done, Failed, JSONRPCBatch, Outcome, Reason, SubRequest
from runner.batch.splitting import single
from runner.front.inside import Collected
from runner.host.faults import Faults
from runner.request import Exchange, Request
from runner.worker import dispatching
from runner.worker.dispatching import DEEPEST, PATIENCE, SHORT, Dispatching, Parts
from tests.front.rig import FakeService

GIVEN = {
    "REQUEST_METHOD": "POST", "SCRIPT_NAME": "/app/batch", "PATH_INFO": "/x", "QUERY_STRING": "a=b",
    "REQUEST_URI": "/app/batch/x?a=b", "DOCUMENT_URI": "/app/batch/x", "CONTENT_LENGTH": "999",
    "CONTENT_TYPE": "text/x-batch", "REMOTE_ADDR": "192.0.2.7", "REMOTE_USER": "ann", "HTTPS": "on",
    "HTTP_COOKIE": "a=b", "HTTP_EXPECT": "100-continue",
}  # fmt: skip


class Worker:
    """One whose loop turns; `elsewhere`: what it has given away, in order."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, inline: bool = True, waits: bool = False, address: str = "there",
        answer: Callable[[Exchange], None] | None = None,
    ) -> None:  # fmt: skip
        self.service = FakeService(answer or whole)
        self.elsewhere: list[tuple[dict[str, str], bytes, int]] = []
        self.collected = Collected(200, b"elsewhere", whole=True, seconds=0.1)
        self.ours = Dispatching(
            self.service, asyncio.get_running_loop(), Faults(self.service.log, debug=False), root_path="/app",
            width=8, inline=inline, waits=lambda path: waits, address=address,
        )  # fmt: skip

        async def ask(address: str, variables: dict[str, str], body: bytes, most: int) -> Collected:
            assert self.ours.asking
            self.elsewhere.append((variables, body, most))
            return self.collected

        monkeypatch.setattr(dispatching, "ask", ask)

    def parts(self, **more: str) -> Parts:
        """Of a new request."""
        return self.ours.of(Request({**GIVEN, **more}, "https", 0.0))


def whole(exchange: Exchange) -> None:
    """An answer, at once."""
    exchange.start(200, "OK", [])
    exchange.finish(b"here")


def part(method: str = "add", path: str = "/jsonrpc?c=d%20e", most: int = 1000) -> SubRequest:
    """One of a batch."""
    body = b'{"jsonrpc": "2.0", "method": "%b", "id": 1}' % method.encode()
    return SubRequest(path, body, {"HTTP_COOKIE": "a=b", "CONTENT_TYPE": "application/json"}, single(body), most)


async def outcome(parts: Parts, sub: SubRequest | None = None) -> Outcome:
    """What comes of it."""
    came = parts.dispatch(sub or part())
    return came if isinstance(came, Answered | Failed) else await came


def play(scene: Callable[[], Any]) -> None:
    """A test on a loop."""
    asyncio.run(scene())


WAYS: dict[str, tuple[dict[str, Any], float | None, bytes]] = {
    "inline, nobody knows how long it takes": ({}, None, b"elsewhere"),
    "inline, short": ({}, SHORT / 2, b"here"),
    "inline, not short": ({}, SHORT, b"elsewhere"),
    "inline, and there is no elsewhere": ({"address": ""}, None, b"here"),
    "a task, or a thread that is free": ({"inline": False}, None, b"here"),
    "a thread, and none is free": ({"inline": False, "waits": True}, None, b"elsewhere"),
    "no thread is free, and there is no elsewhere": ({"inline": False, "waits": True, "address": ""}, None, b"here"),
}


@pytest.mark.parametrize("name", WAYS)
def test_where_a_part_is_called(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is known of its method, and of the worker."""
    how, known, expected = WAYS[name]

    async def scene() -> None:
        worker = Worker(monkeypatch, **how)
        if known is not None:
            worker.ours.note("add", known)
        assert await outcome(worker.parts()) == Answered(200, expected)
        assert not worker.ours.asking

    play(scene)


def test_a_part_has_variables_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path, its body, its header fields; all else is as it was when the whole request came."""

    async def scene() -> None:
        worker = Worker(monkeypatch)
        sub = part()
        await outcome(worker.parts(), sub)
        await outcome(worker.parts(), part(path="/other"))
        (variables, body, most), (other, _, _) = worker.elsewhere
        assert variables == {
            "REQUEST_METHOD": "POST", "SCRIPT_NAME": "/app", "PATH_INFO": "/jsonrpc", "QUERY_STRING": "c=d%20e",
            "REQUEST_URI": "/app/jsonrpc?c=d%20e", "CONTENT_LENGTH": str(len(sub.body)),
            "CONTENT_TYPE": "application/json", "REMOTE_ADDR": "192.0.2.7", "REMOTE_USER": "ann", "HTTPS": "on",
            "HTTP_COOKIE": "a=b", "RUNNER_DEPTH": "1",
        }  # fmt: skip
        assert (body, most) == (sub.body, 1000)
        assert (other["PATH_INFO"], other["QUERY_STRING"]) == ("/other", "")

    play(scene)


def test_parts_share_no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mounts change those of a request."""

    async def scene() -> None:
        worker = Worker(monkeypatch, inline=False)
        parts, sub = worker.parts(), part()
        for _ in range(2):
            await outcome(parts, sub)
        one, two = (exchange.request for exchange in worker.service.exchanges)
        one.variables["SCRIPT_NAME"] = "changed"
        assert two.variables["SCRIPT_NAME"] == "/app"
        assert (one.scheme, one.internal) == ("https", True)

    play(scene)


def test_a_path_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As CGI wants it."""

    async def scene() -> None:
        worker = Worker(monkeypatch)
        await outcome(worker.parts(), part(path="/caf%C3%A9"))
        assert worker.elsewhere[0][0]["PATH_INFO"] == "/caf\xc3\xa9"

    play(scene)


def test_parts_of_parts_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway may be its own endpoint."""

    async def scene() -> None:
        worker = Worker(monkeypatch)
        assert await outcome(worker.parts(RUNNER_DEPTH=str(DEEPEST - 1))) == Answered(200, b"elsewhere")
        assert await outcome(worker.parts(RUNNER_DEPTH=str(DEEPEST))) == Failed(Reason.FAILED)

    play(scene)


OUTCOMES = {
    Collected(200, b"a", whole=True): Answered(200, b"a"),
    Collected(500, b"a", whole=True): Answered(500, b"a"),
    Collected(200, b"a", whole=False, large=True): Failed(Reason.TOO_LARGE, 200),
    Collected(200, b"a", whole=False): Failed(Reason.DIED, 200),
    Collected(0, b"", whole=False): Failed(Reason.DIED, None),
}


@pytest.mark.parametrize("collected", OUTCOMES)
def test_what_was_collected_is_an_outcome(collected: Collected, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, too large, or its process has ended."""

    async def scene() -> None:
        worker = Worker(monkeypatch)
        worker.collected = collected
        assert await outcome(worker.parts()) == OUTCOMES[collected]

    play(scene)


def test_what_a_call_takes_elsewhere_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it has come to its end."""

    async def scene() -> None:
        worker = Worker(monkeypatch)
        worker.collected = Collected(0, b"", whole=False)
        await outcome(worker.parts())
        assert not worker.ours.is_short("add")
        worker.collected = Collected(200, b"", whole=True, seconds=SHORT / 10)
        await outcome(worker.parts())
        assert worker.ours.is_short("add")

    play(scene)


def test_the_median_is_what_is_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the mean: every fifth call is held up by others for as long as a hundred of them take."""

    async def scene() -> None:
        ours = Worker(monkeypatch).ours
        for number in range(100):
            ours.note("add", 1.0 if number % 5 == 0 else SHORT / 10)
        assert ours.is_short("add")
        for _ in range(40):
            ours.note("add", 1.0)
        assert not ours.is_short("add")

    play(scene)


def test_names_that_clients_make_up_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do they keep others out."""

    async def scene() -> None:
        ours = Worker(monkeypatch).ours
        for number in range(5000):
            ours.note(str(number), 0.0)
        ours.note("add", 0.0)
        assert ours.is_short("add")
        assert len(ours._usual) <= 1000

    play(scene)


def test_a_batch_that_takes_longer_than_usual_goes_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of it. The next one begins here again."""

    async def scene() -> None:
        now = [0.0]

        def slow(exchange: Exchange) -> None:
            now[0] += PATIENCE
            whole(exchange)

        worker = Worker(monkeypatch, answer=slow)
        monkeypatch.setattr(time, "perf_counter", lambda: now[0])
        worker.ours.note("add", 0.0001)
        parts = worker.parts()
        came = [await outcome(parts) for _ in range(4)]
        assert came == [Answered(200, b"here")] * 2 + [Answered(200, b"elsewhere")] * 2
        assert await outcome(worker.parts()) == Answered(200, b"here")

    play(scene)


def test_what_only_begins_here_is_not_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A delayed answer, or a batch within a batch: that nothing was waited for says nothing."""

    async def scene() -> None:
        begun: list[Exchange] = []
        worker = Worker(monkeypatch, address="", answer=begun.append)
        parts = worker.parts()
        asking = asyncio.ensure_future(outcome(parts))
        await asyncio.sleep(0)
        assert not worker.ours.is_short("add")
        whole(begun[0])
        assert await asking == Answered(200, b"here")

    play(scene)


def test_who_is_cancelled_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application is told as of any client."""

    async def scene() -> None:
        begun: list[Exchange] = []
        worker = Worker(monkeypatch, inline=False, answer=begun.append)
        asking = asyncio.ensure_future(outcome(worker.parts()))
        await asyncio.sleep(0)
        assert not begun[0].look()
        asking.cancel()
        await asyncio.wait((asking,))
        assert begun[0].gone

    play(scene)


def test_an_inline_call_may_run_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it may in any request: the task that asks for it is as invisible as the loop."""

    async def scene() -> None:
        def application(exchange: Exchange) -> None:
            asyncio._set_running_loop(None)
            assert asyncio.run(asyncio.sleep(0, "result")) == "result"
            asyncio._set_running_loop(loop)
            whole(exchange)

        loop = asyncio.get_running_loop()
        worker = Worker(monkeypatch, address="", answer=application)
        task = asyncio.current_task()
        assert await outcome(worker.parts()) == Answered(200, b"here")
        assert asyncio.current_task() is task

    play(scene)


def test_what_hooks_have_raised_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the failure of the whole request."""

    async def scene() -> None:
        worker = Worker(monkeypatch)
        worker.parts().report(Done(None, 0.0, [], [ValueError("it is broken")]))
        assert b"ValueError: it is broken" in b"\n".join(worker.service.lines())

    play(scene)


def test_a_batch_runs_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the Dispatcher that runner.batch wants."""

    async def scene() -> None:
        def add(exchange: Exchange) -> None:
            body = exchange.request.body
            assert isinstance(body, io.BytesIO)
            item = single(body.read())
            exchange.start(200, "OK", [])
            exchange.finish(item.result(sum(item.params)))

        worker = Worker(monkeypatch, address="", answer=add)
        request = Request(dict(GIVEN), "https", 0.0)
        request.dispatcher = worker.ours.of(request)
        body = b'[{"jsonrpc": "2.0", "method": "add", "params": [1, 2], "id": 7}]'
        answer = await JSONRPCBatch("/jsonrpc").run(body, request)
        assert (answer.status, answer.body) == (200, b'[{"jsonrpc": "2.0", "result": 3, "id": 7}]')

    play(scene)
