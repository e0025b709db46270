"""The channels of this process: which store it has, and the reader of the loop that somebody runs on.

Where the store is, the process is told before the application is imported (channels_place.py).

Laws: nothing is opened before somebody asks, and nothing that was opened before a fork is used after it. Start at
reader.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from importlib import import_module
from weakref import WeakKeyDictionary

from runner.channels.message import Message
from runner.channels.reader import Reader
from runner.channels.store import Store, SyncStore
from runner.channels_place import at_parting, place
from runner.errors import ChannelsUnavailable

_OF_MEMORY = ("runner.channels.memory.store", "runner.channels.memory.sync_store")
_OF_REDIS = ("runner.channels.redis.store", "runner.channels.redis.sync_store", "redis.asyncio.connection")


class _Local(threading.local):
    store: SyncStore | None = None


_readers: WeakKeyDictionary[asyncio.AbstractEventLoop, Reader] = WeakKeyDictionary()
_local = _Local()


def load() -> None:
    """Import what the store of this process needs, if it has one: with the application, of which workers are copies.

    Later it would be on the loop of each worker, after each edit, and a library that takes half a second stops all that
    is served there for so long. One that is missing is told of when somebody asks.
    """
    try:
        where = place()
    except ChannelsUnavailable:
        return
    try:
        for name in _OF_MEMORY if where.in_memory else _OF_REDIS:
            import_module(name)
    except ImportError:
        pass


def reader() -> Reader:
    """That of the running loop. Raises RuntimeError where none runs."""
    loop = asyncio.get_running_loop()
    found = _readers.get(loop)
    if found is None:
        found = _readers[loop] = Reader(_open_store)
    return found


def sync_store() -> SyncStore:
    """That of this thread. Raises ChannelsUnavailable."""
    if _local.store is None:
        _local.store = _open_sync_store()
    return _local.store


def hang_up() -> None:
    """This thread asks nothing more for now; when it does it opens its store again."""
    store, _local.store = _local.store, None
    if store is not None:
        store.close()


async def close() -> None:
    """The running loop is about to end."""
    found = _readers.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.close()


def _open_store(hear: Callable[[Message], None], lose: Callable[[str], None]) -> Store:
    where = place()
    if where.in_memory:
        from runner.channels.memory.store import MemoryStore

        return MemoryStore(where.door, hear, lose)
    from runner.channels.redis.store import RedisStore

    return RedisStore(where.url, hear, lose)


def _open_sync_store() -> SyncStore:
    where = place()
    if where.in_memory:
        from runner.channels.memory.sync_store import MemorySyncStore

        return MemorySyncStore(where.door)
    from runner.channels.redis.sync_store import RedisSyncStore

    return RedisSyncStore(where.url)


def _forget() -> None:
    """In a forked process. Connections are the parent's: not closed, for that would be said for both."""
    _readers.clear()
    _local.__dict__.clear()


os.register_at_fork(after_in_child=_forget)
at_parting(hang_up)
