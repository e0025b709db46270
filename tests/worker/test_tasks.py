"""Seen from another thread: which task is at a loop, and for which request."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from threading import Thread
from typing import Any, TypeVar

from runner.request import Request, enter
from runner.worker.tasks import Task, present, request_of
from tests.worker.loops import each_loop

Kind = TypeVar("Kind")
Factory = Callable[[], asyncio.AbstractEventLoop]


def request(path: str) -> Request:
    """A GET of *path*."""
    return Request({"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path}, "http", 0.0)


def elsewhere(call: Callable[[], Kind]) -> Kind:
    """What *call* gives in another thread, while this one stands still."""
    given: list[Kind] = []
    thread = Thread(target=lambda: given.append(call()))
    thread.start()
    thread.join()
    return given[0]


def seen(loop: asyncio.AbstractEventLoop) -> tuple[Task | None, Request | None]:
    """The task at *loop* and its request, from another thread."""
    def look() -> tuple[Task | None, Request | None]:
        task = present(loop)
        return task, None if task is None else request_of(task)

    return elsewhere(look)


async def answer(wanted: Request, work: Coroutine[Any, Any, Kind]) -> Kind:
    """As a host does for a request."""
    enter(wanted)
    return await work


@each_loop
def test_the_task_at_a_loop(factory: Factory) -> None:
    """In a task that one, in a callback none, and none while the loop does not run."""
    async def task() -> None:
        loop = asyncio.get_running_loop()
        assert seen(loop)[0] is asyncio.current_task()
        called: asyncio.Future[Task | None] = loop.create_future()
        loop.call_soon(lambda: called.set_result(seen(loop)[0]))
        assert await called is None

    with asyncio.Runner(loop_factory=factory) as runner:
        loop = runner.get_loop()
        assert seen(loop)[0] is None
        runner.run(task())


@each_loop
def test_the_request_of_a_task(factory: Factory) -> None:
    """The one that was entered in it, also while others are under way; none outside of requests."""
    async def work(turn: asyncio.Barrier) -> Request | None:
        await turn.wait()
        return seen(asyncio.get_running_loop())[1]

    async def all_of_them() -> tuple[Request | None, ...]:
        turn = asyncio.Barrier(3)
        return tuple(await asyncio.gather(answer(first, work(turn)), answer(second, work(turn)), work(turn)))

    first, second = request("/1"), request("/2")
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(all_of_them()) == (first, second, None)


@each_loop
def test_the_request_of_its_children(factory: Factory) -> None:
    """However deep, and whatever callbacks of others hang on them."""
    async def grandchild() -> Request | None:
        await asyncio.sleep(0)
        return seen(asyncio.get_running_loop())[1]

    async def child() -> Request | None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(grandchild())
            task.add_done_callback(lambda done: None, context=Context())
            Context().run(task.add_done_callback, lambda done: None)
        return task.result()

    async def work() -> Request | None:
        return await asyncio.create_task(child(), name="child")

    wanted = request("/report")
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(answer(wanted, work())) is wanted


@each_loop
def test_a_task_made_for_nobody(factory: Factory) -> None:
    """In an empty context: it belongs to no request, although a request has made it."""
    async def child() -> Request | None:
        return seen(asyncio.get_running_loop())[1]

    async def work() -> Request | None:
        return await asyncio.create_task(child(), context=Context())

    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(answer(request("/report"), work())) is None


@each_loop
def test_tasks_of_the_applications_own_kind(factory: Factory) -> None:
    """A task factory is the application's to set."""
    class Own(asyncio.Task[Any]):
        """A subclass, with a field."""

        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options)
            self.note = "mine"

    async def child() -> Request | None:
        return seen(asyncio.get_running_loop())[1]

    async def work() -> Request | None:
        asyncio.get_running_loop().set_task_factory(lambda loop, work, **options: Own(work, loop=loop, **options))
        return await asyncio.create_task(child())

    wanted = request("/report")
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(answer(wanted, work())) is wanted
