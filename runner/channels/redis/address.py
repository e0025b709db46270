"""Where the Redis is, and how one connects to it.

Laws: the library is imported here, when it is needed, and nowhere else. It is asked for plain connections: no pool, no
retries, RESP2, bytes - a connection of a pool may have an answer in it that somebody did not wait for, and what is to
be said again is decided by who knows whether it may be. Start at Address.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from runner.channels.redis.faults import judge
from runner.channels.redis.scripts import Limits
from runner.channels_url import mask, parse_channels_url
from runner.errors import ChannelsUnavailable

ANSWER = 4.0
"""Seconds in which a Redis answers; a connection on which it does not is given up."""
_CONNECT = 3.0

_OPTIONS = {"socket_connect_timeout": _CONNECT, "protocol": 2, "decode_responses": False, "health_check_interval": 0}
_GREETING = "PING"
"""To who has not said the password a long command is a broken one, and it hangs up; to this it says NOAUTH."""
_NOT_OURS = ("connection_class", "max_connections", "timeout", "retry_on_timeout", "retry_on_error", "retry")


class Connection(Protocol):
    """What is used of the library's connections, for a thread; each of them raises its errors."""

    def connect(self) -> None:
        """Open it, and say who we are."""

    def disconnect(self) -> None:
        """Close it."""

    def pack_command(self, *words: str) -> list[bytes]:
        """A command as it is sent."""

    def send_packed_command(self, command: list[bytes], check_health: bool) -> None:
        """Send it."""

    def read_response(self) -> Any:
        """The next answer; a ResponseError leaves the connection as good as it was."""


class AsyncConnection(Protocol):
    """The same for a loop."""

    async def connect(self) -> None:
        """Open it, and say who we are."""

    async def disconnect(self, nowait: bool = False) -> None:
        """Close it; *nowait*: what is still to be sent may be lost."""

    def pack_command(self, *words: str) -> list[bytes]:
        """A command as it is sent."""

    def pack_commands(self, commands: list[list[bytes]]) -> list[bytes]:
        """Several."""

    async def send_packed_command(self, command: list[bytes], check_health: bool) -> None:
        """Send them."""

    async def read_response(self, *, timeout: float | None = None) -> Any:
        """The next answer; None if it has not come within *timeout* seconds."""


class Address:
    """*url*: as in --channels. *name*: that, as it may be shown. Raises UsageError, ChannelsUnavailable."""

    def __init__(self, url: str) -> None:
        parsed = parse_channels_url(url)
        self._url = parsed.url
        self.name = mask(parsed.url)
        self.limits = Limits(parsed.history, parsed.age)
        try:
            from redis import connection
        except ImportError:
            raise ChannelsUnavailable(
                f"the channels are in {self.name}, and there is no library to reach it; pip install 'runner[realtime]'"
            ) from None
        self.db = int(self._make(connection, ANSWER).db)

    def connect(self) -> Connection:
        """A connection for a thread. Raises what the library raises."""
        from redis import connection

        made: Connection = self._make(connection, ANSWER)
        try:
            made.connect()
            made.send_packed_command(made.pack_command(_GREETING), False)
            made.read_response()
        except BaseException:
            made.disconnect()
            raise
        return made

    async def connect_async(self) -> AsyncConnection:
        """One for a loop, which waits for no answer by itself.

        For the library would do so by asyncio.wait_for, and before Python 3.12 that may swallow a cancellation: a task
        that is told to end goes on.
        """
        from redis.asyncio import connection

        made: AsyncConnection = self._make(connection, None)
        try:
            async with asyncio.timeout(_CONNECT + ANSWER):
                await made.connect()
                await made.send_packed_command(made.pack_command(_GREETING), False)
                await made.read_response()
        except BaseException:
            await made.disconnect(nowait=True)
            raise
        return made

    def unavailable(self, error: BaseException) -> ChannelsUnavailable:
        """What somebody is told who cannot be helped by waiting."""
        return ChannelsUnavailable(f"the channels in {self.name}: {judge(error).text}")

    def _read(self, parse: Any) -> dict[str, Any]:
        try:
            return dict(parse(self._url))
        except ValueError:
            # Not in its words: they may quote what stands before the host.
            raise self._unreadable() from None

    def _make(self, library: Any, patience: float | None) -> Any:
        arguments = self._read(library.parse_url)
        kind = arguments.get("connection_class", library.Connection)
        wanted = {key: value for key, value in arguments.items() if key not in _NOT_OURS}
        try:
            return kind(**(wanted | _OPTIONS | {"socket_timeout": patience}))
        except (TypeError, ValueError):
            raise self._unreadable() from None

    def _unreadable(self) -> ChannelsUnavailable:
        return ChannelsUnavailable(
            f"the channels in {self.name}: the library redis does not understand that; see its Redis.from_url"
        )
