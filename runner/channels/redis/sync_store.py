"""Channels in a Redis, for a thread that may block.

Laws: as of every SyncStore. A connection on which a call did not come to its end is not used again. Start at
RedisSyncStore.
"""

from __future__ import annotations

import time
from typing import Any

from runner.channels.message import Page, Position
from runner.channels.redis import names, scripts
from runner.channels.redis.address import Address, Connection
from runner.channels.redis.faults import answered, judge, unknown_script
from runner.channels.store import PATIENCE, Pause, SyncStore

_BLOCK = 2.0
"""Seconds for which a Redis is asked to wait; less than ANSWER. A channel that begins anew meanwhile wakes nobody."""


class RedisSyncStore(SyncStore):
    """*url*: as in --channels. Raises ChannelsUnavailable."""

    def __init__(self, url: str) -> None:
        self._address = Address(url)
        self._connection: Connection | None = None

    def publish(self, channel: str, text: str, id: str) -> Position:
        """See Store."""
        call = scripts.publish(self._address.limits, channel, text, id, self._address.db)
        return scripts.position_of(self._patiently(call))

    def read(self, channel: str, after: Position | None, limit: int) -> Page:
        """See Store."""
        answer = self._patiently(scripts.read(self._address.limits, channel, after, limit))
        return scripts.page_of(channel, after, answer)

    def wait(self, channel: str, after: Position, timeout: float) -> None:
        """See SyncStore."""
        # At least 1 ms: 0 means for ever.
        block = max(1, int(min(timeout, _BLOCK) * 1000))
        place = f"{after.offset}-{after.tag}"
        try:
            self._call(("XREAD", "COUNT", "1", "BLOCK", str(block), "STREAMS", names.stream(channel), place))
        except Exception as error:
            raise self._address.unavailable(error) from None

    def close(self) -> None:
        """See SyncStore."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _patiently(self, call: scripts.Call) -> Any:
        pause, end = Pause(), time.monotonic() + PATIENCE
        while True:
            try:
                return self._run(call)
            except Exception as error:
                last = error
            wait = pause.next()
            if judge(last).final or time.monotonic() + wait >= end:
                raise self._address.unavailable(last)
            time.sleep(wait)

    def _run(self, call: scripts.Call) -> Any:
        try:
            return self._call(call.short())
        except Exception as error:
            if not unknown_script(error):
                raise
        return self._call(call.long())

    def _call(self, words: tuple[str, ...]) -> Any:
        try:
            if self._connection is None:
                self._connection = self._address.connect()
            connection = self._connection
            connection.send_packed_command(connection.pack_command(*words), False)
            return connection.read_response()
        except BaseException as error:
            if not answered(error) or judge(error).leave:
                self.close()
            raise
