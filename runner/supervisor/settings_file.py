"""runner.toml while the runner runs: an edit of it applies like code, an invalid one keeps what was.

A generation notes the file before it imports, but what it was given had been read before that. A save between the two
is noticed by nobody but who compares what the file is now with what it was when it was read.

Law: the file is looked at before it is read, so that a save in between counts as news. Start at SettingsFile.read.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from runner.errors import RunnerError
from runner.log import Log
from runner.settings import Resolved, Settings

_FIXED = ("http", "fastcgi", "control", "pid_file", "target", "user", "group")
"""Settings that a running supervisor cannot change."""


class SettingsFile:
    """The file that *settings* came from, or might have; *reread* gives them anew."""

    def __init__(self, settings: Settings, reread: Callable[[], Resolved], log: Log) -> None:
        self.path = settings.config or os.path.join(settings.chdir, "runner.toml")
        self._settings = settings
        self._reread = reread
        self._log = log
        self._seen = self._look()

    def news(self) -> list[str]:
        """The path, if the file is not what it was when it was read; nothing is news with --reload off."""
        return [self.path] if self._settings.reload != "off" and self._look() != self._seen else []

    def read(self) -> Settings:
        """The settings as they are now, or as they were if they are invalid now."""
        self._seen = self._look()
        try:
            settings = self._reread().settings
        except RunnerError as error:
            self._log.error(f"{error}; the settings stay as they were")
            return self._settings
        fixed = [name for name in _FIXED if getattr(settings, name) != getattr(self._settings, name)]
        if fixed:
            self._log.warning(f"{', '.join(fixed)} changed in the settings: that needs a restart of the runner")
        self._settings = settings
        return settings

    def _look(self) -> tuple[int, ...]:
        try:
            seen = os.stat(self.path)
        except OSError:
            return ()
        return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
