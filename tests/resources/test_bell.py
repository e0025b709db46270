"""A task waits for what a thread brings."""

import asyncio
import threading
from concurrent.futures import Future

import pytest

from runner.resources.bell import arrival, on_loop
from tests.resources.tasks import when


@pytest.mark.parametrize("early", [True, False])
def test_what_was_brought_arrives(early: bool) -> None:
    """From another thread, before it is waited for or after."""

    async def main() -> int:
        future: Future[int] = Future()
        thread = threading.Thread(target=future.set_result, args=(7,))
        if early:
            thread.start()
            thread.join()
            return await arrival(future)
        waiting = asyncio.create_task(arrival(future))
        await when("it waits", lambda: future._done_callbacks)  # type: ignore[attr-defined]
        thread.start()
        brought = await waiting
        thread.join()
        return brought

    assert asyncio.run(main()) == 7


def test_an_error_arrives_as_well() -> None:
    """It is raised."""

    async def main() -> None:
        future: Future[int] = Future()
        future.set_exception(ValueError("no"))
        await arrival(future)

    with pytest.raises(ValueError, match="no"):
        asyncio.run(main())


def test_who_is_cancelled_takes_nothing_back() -> None:
    """Whoever brings it does not notice; asyncio's own wrapper would have cancelled it, and he would fail."""

    async def left(wait: "asyncio.Future[int]") -> None:
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait

    async def main() -> list[bool]:
        troubles: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, trouble: troubles.append(trouble))
        wrapped: Future[int] = Future()
        ours: Future[int] = Future()
        waiting = asyncio.create_task(arrival(ours))
        await when("it waits", lambda: ours._done_callbacks)  # type: ignore[attr-defined]
        await left(asyncio.wrap_future(wrapped))
        await left(waiting)
        ours.set_result(7)
        await asyncio.sleep(0)
        return [wrapped.cancelled(), ours.cancelled(), bool(troubles)]

    assert asyncio.run(main()) == [True, False, False]


def test_what_comes_when_the_loop_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    """Is nobody's, and no failure of who brings it."""
    future: Future[int] = Future()

    async def main() -> None:
        waiting = asyncio.create_task(arrival(future))
        await when("it waits", lambda: future._done_callbacks)  # type: ignore[attr-defined]
        waiting.cancel()

    asyncio.run(main())
    future.set_result(7)
    assert not caplog.records


def test_where_waiting_would_stop_a_loop() -> None:
    """In a coroutine and in what it calls; not in its threads."""

    async def main() -> list[bool]:
        return [on_loop(), await asyncio.to_thread(on_loop)]

    assert [on_loop(), *asyncio.run(main())] == [False, True, False]
