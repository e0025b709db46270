"""How long a worker lives at most: `--max-requests`, `--max-rss`.

For applications that leak: a worker that has done or grown enough makes room for a new one, between requests.

Law: says only that the span is over, once; whoever asks decides what follows.
"""

from __future__ import annotations

import os
import random
import time

from runner.settings import Settings

_WEIGH_EVERY = 0.1
"""Seconds between two looks at the process's size, which cost a file's opening each."""


class Wear:
    """Counts from its making on. The jitter keeps workers that began together from leaving together."""

    def __init__(self, settings: Settings) -> None:
        jitter = random.SystemRandom().randrange(settings.max_requests_jitter + 1)
        self._left = settings.max_requests + jitter if settings.max_requests else 0
        self._most = settings.max_rss
        self._weigh_at = 0.0

    def spent(self) -> str:
        """Call after each request: why it was the last one, or ""."""
        if self._left:
            self._left -= 1
            if not self._left:
                return "it has answered --max-requests requests"
        if self._most and time.monotonic() >= self._weigh_at:
            self._weigh_at = time.monotonic() + _WEIGH_EVERY
            resident = resident_bytes()
            if resident > self._most:
                self._most = 0
                return f"it uses {resident >> 20} MiB, more than --max-rss"
        return ""


def resident_bytes() -> int:
    """What this process holds in memory, shared pages included; 0 where the system does not say, proc_pid_statm(5)."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        return 0
