"""A redis-server for all tests that leave it running, and one for each that does not."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support import redis
from tests.support.redis import RedisServer


@pytest.fixture(scope="package")
def one_server() -> Iterator[RedisServer]:
    """Shared; nobody stops it."""
    with redis.run() as server:
        yield server


@pytest.fixture
def server(one_server: RedisServer) -> RedisServer:
    """Shared, and empty."""
    one_server.ask("FLUSHALL")
    return one_server


@pytest.fixture
def start_redis() -> Iterator[Callable[..., RedisServer]]:
    """Start a server of the test's own, with options: start_redis("appendonly", "yes")."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(redis.run(*options))
