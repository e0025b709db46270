"""While an import takes so long that nobody should wait for it any longer: a page that says so.

It is an application like any other, for workers like any others; a second generation has it, beside the one that is
importing, and reads the latter's journal at each request.

Laws: imports nothing of the application; never stale, for what it says is true whatever is saved. What a module is
called is for the log, and for those who would be shown a traceback. Start at load.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from runner.generation.importing import Import
from runner.generation.lookout import last_name
from runner.host.error_page import is_local
from runner.host.loading import Target
from runner.host.mounts import Mount
from runner.process import interpreter
from runner.process.messages import Begin
from runner.settings import Settings

RETRY = 5
"""Seconds after which a client may ask again."""


def load(settings: Settings, begin: Begin) -> Import:
    """The page in the place of the application."""
    interpreter.furnish(settings)

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        text = summary(begin, whole=settings.debug and is_local(environ))
        start_response("503 Service Unavailable", [
            ("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"), ("Retry-After", str(RETRY)),
        ])  # fmt: skip
        return [f"{text}\n".encode("utf-8", "replace")]

    return Import((Mount("", Target(application, "WSGI", __name__)),), None)


def summary(begin: Begin, *, whole: bool = True) -> str:
    """One line: since when, and, if that is known and wanted, where it is now."""
    name = last_name(begin.journal) if whole else ""
    place = f", now at module {name}" if name else ""
    return f"the application is still being imported, since {time.monotonic() - begin.since:.0f} s{place}"
