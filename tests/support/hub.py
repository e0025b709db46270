"""A real hub, and the test in the place of its porter: it is started, killed and started again when the test says so.

Start at hub.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runner.process.lifeline import Lifeline
from runner.process.memory import anonymous_file
from runner.process.private import open_private
from runner.settings import Settings
from runner.supervisor.porter import hub_command
from tests.support.process import PATIENCE


class Hub:
    """*door*: how it is reached, whether it runs or not; *popen*: the process."""

    def __init__(self, settings: Settings) -> None:
        private = open_private()
        assert private is not None
        self.door, self.listener = private.door, private.listener
        self.lifeline = Lifeline()
        self.board = anonymous_file("board")
        self._settings = settings
        self._said = anonymous_file("said")
        self.start()

    def start(self) -> None:
        """The only one, or the next one."""
        descriptors = [self.listener.fileno(), self.lifeline.descriptor, self.board]
        command = hub_command(descriptors, self._settings)
        self.popen = subprocess.Popen(command, pass_fds=descriptors, stderr=self._said)

    def kill(self) -> None:
        """As the kernel does it that wants its memory."""
        self.popen.kill()
        self.popen.wait(PATIENCE)

    def report(self) -> dict[str, Any]:
        """What it tells of itself; {} if it has not yet."""
        text = os.pread(self.board, 512, 0).rstrip(b"\0")
        found: dict[str, Any] = json.loads(text) if text else {}
        return found if found.get("pid") == self.popen.pid else {}

    def until(self, **wanted: int) -> None:
        """Wait for what it tells, bounded."""
        deadline = time.monotonic() + PATIENCE
        while not self.report().items() >= wanted.items():
            assert time.monotonic() < deadline, (wanted, self.report(), self.said())
            time.sleep(0.01)

    def said(self) -> str:
        """On standard error."""
        return os.pread(self._said, 1 << 16, 0).decode()

    def close(self) -> None:
        """End it, and leave nothing open."""
        self.kill()
        self.lifeline.close()
        self.listener.close()
        os.close(self._said)
        os.close(self.door)
        os.close(self.board)


@contextmanager
def hub(channels: str = "memory:") -> Iterator[Hub]:
    """Start one; *channels* as the setting."""
    found = Hub(Settings(channels=channels))
    try:
        yield found
    finally:
        found.close()
