"""The applications of a worker, each behind the host that fits it."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner import channels, channels_place
from runner.batch import JSONRPCBatch
from runner.batch.splitting import single
from runner.channels_place import furnish
from runner.host.error_page import Failure
from runner.host.loading import Target
from runner.host.mounts import Mount
from runner.host.timer import Clock
from runner.request import Exchange, current
from runner.settings import resolve
from runner.wire.requester import Requester
from runner.worker.hosting import Ears, Hosting
from runner.worker.task import Task
from tests.front.rig import Rig, get, params
from tests.host.asgi_calls import Event, Receive, Send, body, start
from tests.host.calls import Answered, Start
from tests.support.hub import hub


class Ear:
    """A Clock that notes which calls it is told of."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def start(self, exchange: Exchange) -> None:
        """See Clock."""
        self.heard.append(exchange.request.path)

    def stop(self, exchange: Exchange) -> None:
        """See Clock."""


class Hosted(Rig):
    """A worker's applications behind a FastCGI front."""

    def __init__(self, *mounts: Mount, failure: Failure | None = None, inline: bool = False, **flags: str) -> None:
        super().__init__()
        self.inline, self.threaded, self.marks, self.turns, self.freed = (
            Ear(), Ear(), list[float](), list[float](), list[int](),
        )  # fmt: skip
        settings = resolve({"target": "app", **flags}, {}, "/").settings
        more = {"failure": failure, "private": None, "inline": inline}
        task = cast(Task, SimpleNamespace(settings=settings, mounts=mounts, **more))
        freed = lambda: self.freed.append(1)  # noqa: E731
        ears = Ears(cast(Clock, self.inline), self.threaded, self.marks.append, self.turns.append, freed)
        self.hosting = Hosting(task, self.service.log, ears, self.service)
        self.loop.run_until_complete(self.hosting.open())
        self.fastcgi(self.hosting.handle)

    def ask(self, path: str = "/") -> Answered:
        """One request; the connection stays."""
        self.send(get(PATH_INFO=path))
        raw = self.receive()
        while not self.service.outcomes:
            raw += self.receive()
        self.service.outcomes.clear()
        return Answered(raw, [])


@contextmanager
def hosted(*mounts: Mount, **more: Any) -> Iterator[Hosted]:
    """As Hosted, closed at the end."""
    with Hosted(*mounts, **more) as rig:
        yield rig
        rig.loop.run_until_complete(rig.hosting.close(5.0))


def wsgi(environ: dict[str, Any], start_response: Start) -> list[bytes]:
    """Tell the thread, and where it is mounted."""
    start_response("200 OK", [])
    place = f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}"
    return [f"{threading.current_thread().name.partition('_')[0]} {place}".encode()]


async def asgi(scope: Event, receive: Receive, send: Send) -> None:
    """Tell the state that the lifespan has left, and where it is mounted."""
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["started"] = "yes"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        events.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send(start())
    await send(body(f"{scope['state'].get('started')} {scope['root_path']}|{scope['path']}".encode()))


async def failing(scope: Event, receive: Receive, send: Send) -> None:
    """Cannot start."""
    await receive()
    raise OSError("no database")


events: list[str] = []


def mount(application: Any, prefix: str = "") -> Mount:
    """Below *prefix*."""
    return Mount(prefix, Target(application, "ASGI" if asyncio.iscoroutinefunction(application) else "WSGI", "app"))


def test_wsgi_is_called_on_the_loops_thread() -> None:
    """The watchdog hears of it."""
    with hosted(mount(wsgi)) as rig:
        assert rig.ask("/x").body == b"MainThread |/x"
        assert (rig.inline.heard, rig.threaded.heard) == (["/x"], [])
        assert not rig.hosting.full


def test_who_shall_leave_no_thread_behind_has_none() -> None:
    """Whatever --threads says."""
    with hosted(mount(wsgi), inline=True, threads="2") as rig:
        assert rig.ask("/x").body == b"MainThread |/x"
        assert (rig.inline.heard, rig.hosting.threads) == (["/x"], None)


def test_wsgi_with_threads_is_called_in_them() -> None:
    """And there is an end to how many at once."""
    with hosted(mount(wsgi), threads="2") as rig:
        assert rig.ask("/x").body == b"application |/x"
        assert (rig.inline.heard, rig.threaded.heard) == ([], ["/x"])
        rig.until(lambda: rig.freed)
        assert rig.hosting.threads is not None
        rig.hosting.threads.idle = 0
        assert rig.hosting.full
        rig.hosting.threads.idle = 2


def test_beside_asgi_wsgi_has_a_thread_of_its_own() -> None:
    """A call that blocks does not stall the loop, on which the other application runs."""
    release = threading.Event()

    def blocking(environ: dict[str, Any], start_response: Start) -> list[bytes]:
        release.wait(5)
        return wsgi(environ, start_response)

    with hosted(mount(blocking), mount(asgi, "/live")) as one:
        two = Rig()
        two.loop.close()
        two.connection._loop = two.loop = one.loop
        two.fastcgi(one.hosting.handle)
        one.send(get())
        two.peer.send(get(keep=False, PATH_INFO="/live/x"))
        assert b"yes /live|/live/x" in two.rest()
        assert not one.hosting.full
        release.set()
        assert b"application" in one.receive(60)
        two.peer.close()
        two.service.close()


def test_the_path_says_who_answers() -> None:
    """What is cut off is where the application is mounted."""
    with hosted(mount(wsgi), mount(asgi, "/live"), mount(wsgi, "/api")) as rig:
        assert rig.ask("/live/x").body == b"yes /live|/live/x"
        assert rig.ask("/api/x").body == b"application /api|/x"
        assert rig.ask("/api").body == b"application /api|"
        assert rig.ask("/apis").body == b"application |/apis"


def rpc(environ: dict[str, Any], start_response: Start) -> list[bytes]:
    """An endpoint: every method tells its thread, and where it is mounted."""
    item = single(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "application/json")])
    return [item.result(f"{threading.current_thread().name.partition('_')[0]} {environ['SCRIPT_NAME']}")]


async def arpc(scope: Event, receive: Receive, send: Send) -> None:
    """The same as tasks; with what is posted to /run it makes a batch of its own."""
    if scope["type"] == "lifespan":
        return
    data = (await receive())["body"]
    answer = single(data).result("task") if scope["path"] == "/" else (await GATEWAY.run(data, current())).body
    await send(start())
    await send(body(answer))


GATEWAY = JSONRPCBatch("/")
BATCH = Mount("/batch", Target(cast(Any, GATEWAY), "batch", "app"))
TWO = b'[{"jsonrpc": "2.0", "method": "a", "id": 1}, {"jsonrpc": "2.0", "method": "b", "id": 2}]'
WHERE: dict[str, tuple[tuple[Mount, ...], dict[str, str], str, str]] = {
    "inline": ((mount(rpc), BATCH), {}, "/batch", "MainThread "),
    "threads": ((mount(rpc), BATCH), {"threads": "2"}, "/batch", "application "),
    "tasks": ((mount(arpc), BATCH), {}, "/batch", "task"),
    "tasks, without a mount": ((mount(arpc),), {}, "/run", "task"),
}


def posted(path: str, data: bytes) -> bytes:
    """A request with a body."""
    requester = Requester()
    head = params(REQUEST_METHOD="POST", PATH_INFO=path, CONTENT_LENGTH=str(len(data)),
                  CONTENT_TYPE="application/json")  # fmt: skip
    return requester.request(1, head, keep=True) + requester.stdin(1, data) + requester.stdin(1, b"")


@pytest.mark.parametrize("name", WHERE)
def test_the_items_of_a_batch_go_through_the_applications(name: str) -> None:
    """However they are called; each is a request of its own."""
    mounts, flags, path, where = WHERE[name]
    with hosted(*mounts, **flags) as rig:
        rig.send(posted(path, TWO))
        raw = rig.receive()
        rig.until(lambda: len(rig.service.outcomes) == 3)
        answers = json.loads(Answered(raw, []).body)
        assert [answer["result"] for answer in answers] == [where, where]


def test_only_what_a_thread_would_call_waits_for_one() -> None:
    """A task never does."""
    with hosted(mount(wsgi), mount(asgi, "/live"), threads="1") as rig:
        assert rig.hosting.threads is not None
        assert not rig.hosting.waits("/x")
        rig.hosting.threads.idle = 0
        assert rig.hosting.waits("/x")
        assert not rig.hosting.waits("/live/x")
        rig.hosting.threads.idle = 1
    with hosted(mount(wsgi)) as rig:
        assert not rig.hosting.waits("/x")


def test_who_has_given_parts_away_is_asking() -> None:
    """Until they are back."""
    with hosted(mount(rpc), BATCH) as rig:
        assert not rig.hosting.asking
        assert rig.hosting._dispatching is not None
        rig.hosting._dispatching.asking = 1
        assert rig.hosting.asking


def test_an_application_is_told_of_its_end() -> None:
    """When no request can come any more."""
    events.clear()
    with hosted(mount(asgi)) as rig:
        rig.ask()
        assert events == []
    assert events == ["shutdown"]


def test_an_application_that_cannot_start_is_answered_for() -> None:
    """By an error page, and the log says why."""
    with hosted(mount(asgi), mount(failing, "/broken")) as rig:
        assert rig.ask("/").status == 500
        assert rig.hosting.failed
        assert b"OSError: no database" in b"\n".join(rig.service.lines())


def test_what_could_not_be_imported_is_answered_for() -> None:
    """There is nothing else to call."""
    with hosted(failure=Failure("SyntaxError", "…")) as rig:
        assert rig.ask().status == 500
        assert not rig.hosting.failed, "another worker would fare no better"


def test_the_deadline_of_a_call_is_marked() -> None:
    """With --timeout; and taken back when it returns."""
    with hosted(mount(wsgi), timeout="7s") as rig:
        before = time.monotonic()
        rig.ask()
        assert before + 6.9 < rig.marks[0] < time.monotonic() + 7.1
        assert rig.marks[1] == 0.0


def test_the_deadline_of_the_loop_is_marked() -> None:
    """With --timeout; and taken back when nothing runs on it any more."""
    with hosted(mount(asgi), timeout="7s") as rig:
        before = time.monotonic()
        rig.ask()
        assert before + 6.9 < rig.turns[0] < time.monotonic() + 7.1
        rig.until(lambda: rig.turns[-1] == 0.0)


@pytest.mark.parametrize("background", [True, False])
def test_background_work_is_cancelled_by_wish(background: bool) -> None:
    """Until then it keeps the worker busy."""

    async def working(scope: Event, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        await send(start())
        await send(body(b"answered"))
        await asyncio.Event().wait()

    with hosted(mount(working)) as rig:
        assert rig.ask().body == b"answered"
        assert rig.hosting.busy
        rig.hosting.cancel(background=background)
        rig.until(lambda: not rig.hosting.busy)
        assert rig.freed


def test_the_channels_of_the_loop_are_closed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the applications have shut down, which may publish that."""
    monkeypatch.setattr(channels_place, "_place", None)
    with hub() as house:
        furnish("memory:", house.door)
        with hosted(mount(wsgi)) as rig:
            rig.loop.run_until_complete(channels.publish("c", 1))
            house.until(clients=1)
        house.until(clients=0)
