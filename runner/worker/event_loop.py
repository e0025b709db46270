"""Which event loop a worker turns: uvloop's if that is installed, else the standard library's.

Law: the one optional import of the runner, an extra, and only workers want it. Start at factory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """For asyncio.Runner."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made
