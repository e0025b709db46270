"""The channels of a process: one reader for a loop, one store for a thread, and none of another process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from runner import channels, channels_place
from runner.channels import current
from runner.channels_place import furnish
from runner.errors import ChannelsUnavailable
from runner.generation import fork_safety
from tests.support.hub import Hub, hub
from tests.support.memory import open_files


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, and this process told of it."""
    monkeypatch.setattr(channels_place, "_place", None)
    with hub() as found:
        furnish("memory:", found.door)
        yield found
        current.hang_up()


def test_a_loop_has_one_reader(house: Hub) -> None:
    """Until it is closed; another loop has another one."""
    async def main() -> object:
        found = current.reader()
        assert current.reader() is found
        await channels.publish("c", 1)
        await current.close()
        await current.close()
        assert current.reader() is not found
        return found

    assert asyncio.run(main()) is not asyncio.run(main())


def test_there_is_no_reader_without_a_loop(house: Hub) -> None:
    """Nobody would read."""
    with pytest.raises(RuntimeError):
        current.reader()


def test_a_thread_has_one_store(house: Hub) -> None:
    """Its own."""
    found = [current.sync_store()]
    thread = threading.Thread(target=lambda: found.append(current.sync_store()))
    thread.start()
    thread.join()
    assert current.sync_store() is found[0] is not found[1]


def test_hanging_up_leaves_no_connection(house: Hub) -> None:
    """And the next one who asks has another."""
    before = open_files()
    channels.publish_sync("c", 1)
    current.hang_up()
    current.hang_up()
    assert open_files() == before
    assert channels.publish_sync("c", 2).offset == 2


def test_parting_leaves_nothing_that_children_would_share(house: Hub) -> None:
    """What is in the way of a fork is gone, and is opened again by whoever goes on."""
    # What is none of ours may be there: where two processes share the tests, each has a thread beside them.
    streams, threads = fork_safety.streams(), set(sys._current_frames())
    channels.publish_sync("c", 1)
    assert fork_safety.streams() - streams
    channels_place.part()
    assert not fork_safety.streams() - streams
    assert not set(sys._current_frames()) - threads
    assert channels.publish_sync("c", 2).offset == 2


def test_a_forked_process_has_its_own_connection(house: Hub) -> None:
    """Parent and child both publish, and each is answered."""
    first = channels.publish_sync("c", "parent")
    pid = os.fork()
    if not pid:
        code = 1
        try:
            code = 0 if channels.publish_sync("c", "child") == first._replace(offset=2) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert channels.publish_sync("c", "parent again").offset == 3


def test_where_memory_is_not_reached_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """By every function, at once."""
    monkeypatch.setattr(channels_place, "_place", None)
    furnish("memory:", -1)

    async def listen() -> None:
        async for _ in channels.subscribe("c"):
            pass

    for ask in (
        lambda: channels.publish_sync("c", 1), lambda: channels.position_sync("c"),
        lambda: next(channels.subscribe_sync("c")), lambda: asyncio.run(listen()),
    ):  # fmt: skip
        with pytest.raises(ChannelsUnavailable, match="--channels redis"):
            ask()


@pytest.mark.parametrize(("url", "loaded"), [
    ("redis://127.0.0.1:1/", {"runner.channels.redis.store", "redis.asyncio.connection"}),
    ("memory:", {"runner.channels.memory.store"}), (None, set()),
])  # fmt: skip
def test_what_the_store_needs_is_imported_with_the_application(url: str | None, loaded: set[str]) -> None:
    """And not on the loop of a worker, which would stand still meanwhile; nothing of the other store is."""
    code = (
        "import sys; from runner.channels_place import furnish\n"
        f"url = {url!r}\n"
        "if url: furnish(url, -1)\n"
        "import runner.channels; print(*sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "RUNNER_CHANNELS"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    possible = {"runner.channels.redis.store", "redis.asyncio.connection", "runner.channels.memory.store"}
    assert set(found.stdout.split()) & possible == loaded
