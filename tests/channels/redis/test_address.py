"""Where the Redis is."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis.asyncio.connection
import redis.connection
from redis.exceptions import AuthenticationError

from runner.channels.redis.address import Address
from runner.errors import ChannelsUnavailable, UsageError
from tests.support.redis import RedisServer

ROOT = Path(__file__).parents[3]


def test_an_address_says_how_much_is_kept() -> None:
    """What is ours of a URL is not the library's."""
    assert Address("redis://127.0.0.1/3?history=7&age=2m").limits == (7, 120.0)


def test_the_database_is_known() -> None:
    """A subscription does not know databases, so names must."""
    assert Address("redis://127.0.0.1/3").db == 3
    assert Address("redis://127.0.0.1").db == 0
    assert Address("unix:///run/redis.sock?db=2").db == 2


@pytest.mark.parametrize("url", [
    "redis://bob:secret@127.0.0.1:1/3?max_connections=5&retry_on_timeout=true&protocol=3&decode_responses=true",
    "rediss://:secret@127.0.0.1:1/3?ssl_cert_reqs=none&socket_timeout=900",
    "unix://bob:secret@/run/redis.sock?db=3&health_check_interval=1",
])  # fmt: skip
def test_connections_are_plain_ones_whatever_a_url_asks_for(url: str) -> None:
    """No retries, no checks between command and answer; and an answer is not waited for without end."""
    for library in (redis.connection, redis.asyncio.connection):
        connection = Address(url)._make(library, 9.0)
        names = ("db", "password", "protocol", "socket_timeout", "health_check_interval")
        assert [getattr(connection, name) for name in names] == [3, "secret", 2, 9.0, 0]
        assert vars(connection)["retry"]._retries == 0


@pytest.mark.parametrize("url", ["redis://bob:secret@127.0.0.1:1/?colour=secret", "unix://:secret@/a?db=secret"])
def test_what_the_library_does_not_understand_is_said_without_secrets(url: str) -> None:
    """Its own words may quote them."""
    with pytest.raises(ChannelsUnavailable, match=r"from_url") as caught:
        Address(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


@pytest.mark.parametrize("options", [(), ("requirepass", "right")])
def test_who_is_not_let_in_is_told_so(start_redis: Callable[..., RedisServer], options: tuple[str, ...]) -> None:
    """With the wrong password where there is none, too; not by a connection that is cut during his first command."""
    server = start_redis(*options)
    address = Address(server.url.replace("redis://", "redis://ann:wrong@") if not options else server.url)
    with pytest.raises(AuthenticationError):
        address.connect()
    with pytest.raises(AuthenticationError):
        asyncio.run(address.connect_async())


def test_an_address_that_is_none_is_refused() -> None:
    """As on the command line."""
    with pytest.raises(UsageError):
        Address("http://127.0.0.1")


def test_an_error_says_where_without_the_password() -> None:
    """What happened, where, and what to do."""
    told = str(Address("redis://bob:secret@db.example/3").unavailable(TimeoutError()))
    assert "db.example" in told and "secret" not in told and "bob" not in told


def test_without_the_library_there_is_a_remedy_and_before_it_is_needed_no_import() -> None:
    """Who has no Redis needs no library for it, and does not wait for it to be imported."""
    code = (
        "import sys; from runner.channels.redis.store import RedisStore; assert 'redis' not in sys.modules\n"
        "sys.modules['redis'] = None\n"
        "from runner.errors import ChannelsUnavailable\n"
        "try: RedisStore('redis://:secret@127.0.0.1', print, print)\n"
        "except ChannelsUnavailable as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "pip install 'runner[realtime]'" in done.stdout and "secret" not in done.stdout
