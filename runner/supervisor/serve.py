"""`runner serve`: opens what belongs to the supervisor, in the order in which it must close, and runs its loop.

Signals first, so that nothing is left behind however early the end is asked for; then the names that only one process
may hold, then the listeners, which stay open over everything that follows.

Law: whatever happens between, each of them is closed once. Start at serve.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from runner.process import launch
from runner.settings import Resolved
from runner.supervisor.control import Desk, default_path
from runner.supervisor.listeners import close_listeners, open_listeners
from runner.supervisor.loop import Supervisor
from runner.supervisor.pid_file import PidFile
from runner.supervisor.signals import Signals


def serve(resolved: Resolved, reread: Callable[[], Resolved]) -> int:
    """Serve until told to stop; the exit code. *reread* gives the settings anew after an edit of their file.

    Raises BootError if the sockets cannot be had, UsageError if the target does not exist at the first start.
    """
    # Each connection that waits between two workers is an open file here.
    launch.allow_all_files()
    settings = resolved.settings
    explicit = any(resolved.sources[name] != "default" for name in ("http", "fastcgi"))
    with Signals() as signals, PidFile(settings.pid_file):
        listeners = open_listeners(settings, os.environ, explicit=explicit)
        try:
            with Desk(settings.control or default_path()) as desk:
                return Supervisor(settings, reread, listeners, desk, signals).run()
        finally:
            close_listeners(listeners)
