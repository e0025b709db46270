"""What a person sees when it is up: four lines on a terminal, one in a log.

Law: said once, when the first worker accepts; words only.
"""

from __future__ import annotations

import os
import sys

from runner.log import Log
from runner.settings import Settings
from runner.supervisor.report import Ledger
from runner.version import version


class Banner:
    """Knows the settings and the *addresses* as people read them."""

    def __init__(self, settings: Settings, addresses: list[str], log: Log) -> None:
        self.said = False
        self._settings = settings
        self._addresses = addresses
        self._log = log

    def say(self, ledger: Ledger, milliseconds: float) -> None:
        """Write it: to the terminal if standard error is one, else to the log."""
        self.said = True
        settings = self._settings
        kind = ledger.kind or "failed to import"
        if not sys.stderr.isatty():
            where = ", ".join(self._addresses)
            self._log.info(f"ready in {milliseconds:.0f} ms: {settings.target} ({kind}) on {where}")
            return
        threads = f" x {settings.threads} threads" if settings.threads > 1 else ""
        fresh = {
            "eager": f"edits are live at the next request ({ledger.files} files known)",
            "request": f"edits are noticed at the next request ({ledger.files} files known)",
            "off": "edits are not looked for (--reload off)",
        }[settings.reload]
        lines = [
            f"  runner {version()}   ready in {milliseconds:.0f} ms",
            f"  → {'  '.join(self._addresses)}   {settings.target} ({kind})",
            f"  → {settings.workers} worker{'s' if settings.workers > 1 else ''}{threads}, process {os.getpid()}",
            f"  → {fresh}",
        ]
        sys.stderr.write("\n" + "\n".join(lines) + "\n\n")
