"""The porter: minds the door of the channels in memory, and starts their hub when the first one knocks.

The supervisor has the listening socket, so a client can always connect, and what it says waits in the queue until there
is a hub. Whether somebody knocks is looked at only while there is none. One that ends is followed by another one when
the next client knocks; one that ends again and again has its followers wait longer and longer.

Laws: nothing is started before somebody wants it, and nothing of what is said over the channels comes through this
process. The hub ends after the workers, and with this process whatever ends that. Start at Porter.door.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from typing import Any

from runner.channels_url import parse_channels_url
from runner.errors import RunnerError
from runner.log import Log
from runner.process import interpreter, launch
from runner.process.endings import describe_exit
from runner.process.lifeline import Lifeline
from runner.process.memory import anonymous_file
from runner.process.private import Private, open_private
from runner.settings import Settings

_ENTRY = f"""import sys, types
sys.path.insert(0, {launch.HOME!r})
import runner
room = sys.modules["runner.channels"] = types.ModuleType("runner.channels")
room.__path__ = [runner.__path__[0] + "/channels"]
from runner.channels.memory import hub
hub.main()
"""
"""runner.channels itself is for applications, and loads asyncio: half of the memory that a hub needs."""

_LIVED = 10.0
"""Seconds after which a hub's end is no reason to wait before the next one is started."""
_LEAST, _MOST = 0.1, 5.0
"""Seconds to wait otherwise."""
_BOARD = 512
_READS = 5
"""How often it is read at most: who reads while the hub writes may find half of either. At first it is empty."""


def hub_command(descriptors: list[int], settings: Settings) -> list[str]:
    """The command line of a hub; *descriptors*: its listener, the lifeline, and the file that it tells of itself in.

    Raises BootError: there is no such user.
    """
    url = parse_channels_url(settings.channels)
    identity = interpreter.identify(settings.user, settings.group)
    numbers = [*descriptors, url.history, url.age]
    # By itself, as a generation does: another user may not be able to read the interpreter that root has started.
    become = identity.numbers() if identity is not None and os.geteuid() == 0 else []
    return [
        sys.executable, "-I", "-S", "-c", _ENTRY, *map(str, numbers), settings.log_level, settings.log_format,
        *map(str, become),
    ]  # fmt: skip


class Porter:
    """Knocks are heard through *selector*."""

    def __init__(self, selector: selectors.BaseSelector, log: Log) -> None:
        self._settings = Settings()
        self._selector = selector
        self._log = log
        self._private: Private | None = None
        self._lifeline: Lifeline | None = None
        self._board = -1
        self._hub: subprocess.Popen[bytes] | None = None
        self._since = 0.0
        self._pause = 0.0
        self._next = 0.0

    def door(self, settings: Settings) -> int:
        """The descriptor through which a process finds the hub, from the first time on that it may be wanted; else -1.

        *settings*: those of now, also for a hub that is started later.
        """
        self._settings = settings
        if parse_channels_url(settings.channels).kind != "memory":
            return -1
        if self._private is None:
            with suppress(OSError):  # no descriptor left, perhaps there is one for the next process
                self._open()
        return self._private.door if self._private is not None else -1

    def next_look(self) -> float | None:
        """When `look` has something to do (CLOCK_MONOTONIC)."""
        return self._next or None

    def look(self, now: float) -> None:
        """Listen at the door again, if that was given up for a while."""
        if self._private is not None and 0.0 < self._next <= now:
            self._next = 0.0
            self._selector.register(self._private.listener, selectors.EVENT_READ, self._knocked)

    def hear_end(self, pid: int, code: int) -> bool:
        """Process *pid* has been collected; True if it was the hub."""
        if self._hub is None or self._hub.pid != pid:
            return False
        self._hub.returncode = code
        self._hub = None
        lived = time.monotonic() - self._since
        self._log.once_a_minute(
            "hub", f"the channels' process {pid} {describe_exit(code)} after {lived:.0f} s, and what it kept with it; "
            "whoever listens is told, and the next one is started when somebody wants it"
        )  # fmt: skip
        self._wait(lived)
        return True

    def report(self) -> dict[str, Any]:
        """For `runner status`: what the hub says of itself; {} if there is none."""
        if self._hub is None:
            return {}
        for _ in range(_READS):
            with suppress(ValueError):
                report: dict[str, Any] = json.loads(os.pread(self._board, _BOARD, 0))
                return {"channels": {"store": "memory", **report}} if report.get("pid") == self._hub.pid else {}
        return {}

    def close(self) -> None:
        """The workers have ended."""
        if self._hub is not None:
            self._hub.kill()
            self._hub.wait()
            self._hub = None
        if self._private is not None:
            self._private.listener.close()
            os.close(self._private.door)
            os.close(self._board)
        if self._lifeline is not None:
            self._lifeline.close()
        self._private = self._lifeline = None

    def _open(self) -> None:
        """Raises OSError."""
        private = open_private()
        if private is None:
            return
        with ExitStack() as undoing:
            undoing.callback(private.listener.close)
            undoing.callback(os.close, private.door)
            lifeline = Lifeline()
            undoing.callback(lifeline.close)
            self._board = anonymous_file("runner-channels")
            undoing.pop_all()
        self._private, self._lifeline = private, lifeline
        self._selector.register(private.listener, selectors.EVENT_READ, self._knocked)

    def _knocked(self) -> None:
        """Somebody wants the hub."""
        assert self._private is not None
        self._selector.unregister(self._private.listener)
        try:
            self._start(self._private)
        except (OSError, RunnerError) as error:
            self._log.once_a_minute("hub", f"cannot start the channels' process: {error}; trying again")
            self._wait(0.0)

    def _start(self, private: Private) -> None:
        assert self._lifeline is not None
        descriptors = [private.listener.fileno(), self._lifeline.descriptor, self._board]
        self._hub = launch.launch(hub_command(descriptors, self._settings), descriptors)
        self._since = time.monotonic()

    def _wait(self, lived: float) -> None:
        """Before listening again, if the last one has not *lived* for long (seconds)."""
        self._pause = 0.0 if lived >= _LIVED else min(_MOST, self._pause * 2 or _LEAST)
        self._next = time.monotonic() + self._pause
