"""Which event loop a worker turns: uvloop's if that is installed, else the standard library's.

Imported before the workers are forked: loading it takes longer than all else that a worker does until it accepts.

Law: the one optional import of the runner, an extra. Importing it starts nothing.
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401 (a host's name asks for it, in any connection and in many a framework's first call)
from collections.abc import Callable

factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
"""Makes one, for asyncio.Runner."""

try:
    import uvloop
except ImportError:
    pass
else:
    factory = uvloop.new_event_loop
