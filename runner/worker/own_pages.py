"""The two pages the runner answers itself, without the application: `--ping-path` and `--status-path`.

Laws: the status names no URL and no client, and is for this machine only (a loopback or unix peer) as long as nothing
else guards it; the ping says only that this worker's loop turns.
"""

from __future__ import annotations

import json

from runner.process.scoreboard import Counter, Scoreboard
from runner.request import Answer, Request
from runner.settings import Settings

_TEXT = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
_LOCAL = ("127.", "::ffff:127.")


class OwnPages:
    """Knows the two paths; *scoreboard* is everybody's numbers."""

    def __init__(self, settings: Settings, generation: int, scoreboard: Scoreboard) -> None:
        self._ping = settings.ping_path
        self._status = settings.status_path
        self._workers = settings.workers
        self._generation = generation
        self._scoreboard = scoreboard

    @classmethod
    def wanted(cls, settings: Settings, generation: int, scoreboard: Scoreboard) -> OwnPages | None:
        """The pages, if the settings name any."""
        return cls(settings, generation, scoreboard) if settings.ping_path or settings.status_path else None

    def answer(self, request: Request) -> Answer | None:
        """The page, or None if *request* is not for one."""
        path = request.variables["PATH_INFO"]
        if path == self._ping:
            return Answer(200, _TEXT, b"pong\n")
        if path == self._status:
            peer = request.variables.get("REMOTE_ADDR", "")
            if peer not in ("", "::1") and not peer.startswith(_LOCAL):
                return Answer(404, _TEXT, b"Nothing is served at this path.\n")
            return Answer(200, [("Content-Type", "application/json"), _TEXT[1]], self._report())
        return None

    def _report(self) -> bytes:
        workers = []
        for slot in sorted({*range(self._workers), *self._scoreboard.used()}):
            row = self._scoreboard.row(slot)
            numbers = {counter.name.lower(): row.get(counter) for counter in Counter}
            workers.append({"slot": slot, **numbers})
        total = {counter.name.lower(): sum(worker[counter.name.lower()] for worker in workers) for counter in Counter}
        for name in ("pid", "generation"):
            del total[name]
        return json.dumps({"generation": self._generation, "counters": total, "workers": workers}).encode() + b"\n"
