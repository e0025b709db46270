"""Answers that come later, for WSGI: the application returns at once, and responds when there is something to say.

    from runner.streaming import delayed

    def main(environ, start_response):
        return delayed(lambda respond: Timer(1.0, respond, ["200 OK", headers, b"one second later"]).start())

Neither the worker nor one of its threads is occupied meanwhile. The function is called once, on the worker's event
loop, which it can see (`asyncio.create_task` works there); it must only start something, and not wait for it.

Law: only the words; what they do is host/later.py. Start at delayed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, overload

from runner.errors import LocalProtocolError

Headers = list[tuple[str, str]]
TIMEOUT = 60.0
"""Seconds until a delayed answer must have begun, if nothing else is said."""


class Writer(Protocol):
    """The body of a delayed answer, part by part; usable from any thread."""

    @property
    def closed(self) -> bool:
        """Nothing that is written will arrive: the answer is complete, or its client has left."""

    def write(self, data: bytes) -> None:
        """Send a part. In a thread this waits as long as the client reads more slowly than we write.

        On the event loop it does not wait; there `await drain()` does. Nothing happens once `closed`.
        """

    async def drain(self) -> None:
        """On the event loop: wait until there is room for the next part."""

    def close(self) -> None:
        """The answer is complete. Said again, it is nothing."""

    def on_disconnect(self, call: Callable[[], object]) -> None:
        """Have *call* called, on the event loop, if the client leaves before the answer is complete."""


class Respond(Protocol):
    """Begins the answer, from any thread, once: a second call raises LocalProtocolError."""

    @overload
    def __call__(self, status: str, headers: Headers, body: bytes) -> None:
        """The whole answer."""

    @overload
    def __call__(self, status: str, headers: Headers) -> Writer:
        """Its beginning; the body is written to what is returned, which must be closed."""


class Delayed:
    """What a WSGI application returns instead of an iterable. *timeout*: seconds until it must have begun, or 504."""

    def __init__(self, function: Callable[[Respond], object], timeout: float) -> None:
        self.function = function
        self.timeout = timeout

    def __iter__(self) -> Iterator[bytes]:
        raise LocalProtocolError(
            "a delayed answer must come to the runner as it was returned; some middleware took it for a body"
        )


def delayed(function: Callable[[Respond], object], *, timeout: float = TIMEOUT) -> Delayed:
    """Return this from a WSGI application instead of calling start_response: *function* is told how to respond.

    The answer must begin within *timeout* seconds, or it is 504. What was opened through runner.resources stays open
    until the answer is complete, or its client has left.
    """
    return Delayed(function, timeout)
