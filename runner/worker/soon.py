"""Something to be done in the loop's next turn: once, however often it was asked for.

What a worker does when something has ended looks at all that goes on. Where a thousand WebSockets leave in a second, it
would look at a thousand of them a thousand times.

Law: on the loop's thread only. Start at Soon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Soon:
    """Calling it has *callback* called in the next turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
        self._loop = loop
        self._callback = callback
        self._asked = False

    def __call__(self) -> None:
        """See the class."""
        if not self._asked:
            self._asked = True
            self._loop.call_soon(self._call)

    def _call(self) -> None:
        self._asked = False
        self._callback()
