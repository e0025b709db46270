"""What the supervisor remembers of this run for whoever asks: `runner status`, `runner reload`.

Law: a record of facts, no decisions; the shape of `report` is what status.py renders and `--json` prints.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from runner.process import messages
from runner.process.scoreboard import Counter, Scoreboard
from runner.settings import Settings
from runner.supervisor.checkpoints import Checkpoint
from runner.supervisor.life import Phase, Worker
from runner.supervisor.roster import Roster


@dataclass(frozen=True)
class Reload:
    """One reload: the *changed* paths (or who asked), the *generation* it led to, and an *error* if that is broken.

    *origin*: where its import went on, "" if from the beginning.
    """

    changed: list[str]
    generation: int
    milliseconds: float
    error: str
    origin: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {name: value for name, value in asdict(self).items() if value != ""}


class Ledger:
    """The record. *addresses* as people read them."""

    def __init__(self, settings: Settings, addresses: list[str]) -> None:
        self.kind = ""
        self.files = 0
        self.error = ""
        self.origin = ""
        self.importing = ""
        self.crashes = 0
        self.kills = 0
        self.notes: list[str] = []
        self._settings = settings
        self._addresses = addresses
        self._since = time.monotonic()
        self._last: Reload | None = None
        self._reloads = 0

    def note_loaded(self, message: messages.Loaded, origin: str = "") -> None:
        """A generation is live; *origin*: where its import went on, "" if from the beginning."""
        self.origin = origin
        self.kind, self.files, self.error = message.kind, message.files, ""

    def note_broken(self, message: messages.Broken) -> None:
        """A generation failed."""
        place = f" ({message.where})" if message.where else ""
        self.files, self.error = message.files, f"{message.summary}{place}"

    def note(self, text: str) -> bool:
        """Something that cannot be exact here; True the first time."""
        if text in self.notes:
            return False
        self.notes.append(text)
        return True

    def note_reload(self, reload: Reload) -> None:
        """A reload came to its end."""
        self._last = reload
        self._reloads += 1

    def report(
        self, roster: Roster, scoreboard: Scoreboard, pids: dict[int, int], checkpoints: Sequence[Checkpoint] = ()
    ) -> dict[str, Any]:
        """Everything, as a dict of JSON values; times are seconds before now."""
        now = time.monotonic()
        current = roster.current()
        report: dict[str, Any] = {
            "state": self._state(roster),
            "target": self._settings.target,
            "kind": self.kind,
            "pid": os.getpid(),
            "uptime": round(now - self._since, 1),
            "since": 0.0,
            "addresses": self._addresses,
            "files": self.files,
            "generation": current.number if current else roster.newest_served(),
            "workers": [],
            "finishing": self._finishing(roster, current.number if current else roster.newest_served()),
            "checkpoints": [each._asdict() for each in checkpoints],
            "counters": self._counters(scoreboard),
            "notes": [*self.notes, *self._passing_notes(roster)],
        }
        if self._last is not None:
            report["last_reload"] = self._last.to_dict()
        for worker in sorted(roster.workers.values(), key=lambda each: (each.slot, each.key)):
            row = scoreboard.row(worker.slot)
            state = "leaving" if worker.leaving else "ready" if worker.ready else "starting"
            if state == "ready" and row.get(Counter.INFLIGHT):
                state = "busy"
            report["workers"].append(
                {"slot": worker.slot, "pid": pids.get(worker.key, 0), "generation": worker.generation, "state": state,
                 "requests": row.get(Counter.REQUESTS), "sockets": row.get(Counter.SOCKETS),
                 "since": round(worker.since - self._since, 1)}
            )  # fmt: skip
        return report

    def _finishing(self, roster: Roster, newest: int) -> list[dict[str, Any]]:
        """The older generations that have answers to finish; *streams* of those that are busy with nothing else."""
        found: dict[int, list[Worker]] = {}
        for worker in roster.workers.values():
            if worker.leaving and worker.generation != newest:
                found.setdefault(worker.generation, []).append(worker)
        return [
            {"generation": number, "workers": len(workers), "streams": sum(worker.streams for worker in workers),
             "since": round(min(worker.left for worker in workers) - self._since, 1)}
            for number, workers in sorted(found.items())
        ]  # fmt: skip

    def _passing_notes(self, roster: Roster) -> list[str]:
        """What is so just now."""
        broken = [f"the newest code is broken: {self.error}"] if self.error else []
        return broken + ([self.importing] if roster.page() is not None and self.importing else [])

    def _state(self, roster: Roster) -> str:
        current = roster.current()
        if roster.stopping:
            return "stopping"
        if current is None:
            # After the death of a generation its workers serve on.
            return "reloading" if any(worker.ready for worker in roster.workers.values()) else "starting"
        if current.subject:
            return "importing"
        if current.broken:
            return "broken"
        if current.kept:
            return "kept"
        return "reloading" if current.phase is Phase.OUTDATED else "running"

    def _counters(self, scoreboard: Scoreboard) -> dict[str, int]:
        rows = [scoreboard.row(slot) for slot in scoreboard.used()]
        shown = (
            Counter.REQUESTS, Counter.REDIRECTS, Counter.HELD, Counter.MOVED, Counter.EXPIRED, Counter.REFUSED,
            Counter.CUT,
        )  # fmt: skip
        counters = {counter.name.lower(): sum(row.get(counter) for row in rows) for counter in shown}
        return counters | {"crashes": self.crashes, "kills": self.kills, "reloads": self._reloads}
