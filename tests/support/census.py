"""What all processes of one runner hold and use, as the kernel tells it (proc(5)).

They are found by their session, so one that has lost its parent is counted, too. Start at census, and at activity.
"""

import os
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.support.memory import descriptors


class Census(NamedTuple):
    """What a reload must not change.

    held     the supervisor's descriptors by kind, e.g. {"socket:": 9, "/memfd:board (deleted)": 1}
    threads  the supervisor's
    states   how many processes there are, by state: "S" sleeps, "Z" is a zombie
    shared   inotify instances and memory files, by kind, in all processes together
    """

    held: dict[str, int]
    threads: int
    states: dict[str, int]
    shared: dict[str, int]

    def without(self, checkpoints: int) -> "Census":
        """What would be there without so many: each is a socket of the supervisor's, and two processes, who waits and
        its spare, with the same change queue, scoreboard and journal."""
        held = Counter(self.held) - Counter({"socket:": checkpoints})
        shared = Counter({kind: number - 2 * checkpoints for kind, number in self.shared.items()})
        return Census(dict(held), self.threads, dict(Counter(self.states) - Counter(S=2 * checkpoints)), +shared)


def census(session: int) -> Census:
    """Count the processes of that session, whose leader is the supervisor."""
    pids = processes(session)
    shared = Counter(kind for pid in pids for kind in _kinds(pid) if "inotify" in kind or "memfd" in kind)
    states = Counter("Z" if state == "Z" else "S" for state in pids.values())
    return Census(dict(_kinds(session)), len(os.listdir(f"/proc/{session}/task")), dict(states), dict(shared))


def processes(session: int) -> dict[int, str]:
    """The processes of that session, zombies included, each with the letter of its state."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(entry.name))
        if fields and int(fields[3]) == session:
            found[int(entry.name)] = fields[0]
    return found


def activity(session: int) -> dict[int, tuple[int, int]]:
    """Of each process: the ticks of processor time it has used, and how often it has gone to sleep."""
    return {pid: (_ticks(pid), _sleeps(pid)) for pid in processes(session)}


def private(pid: int) -> int:
    """Bytes of memory that the process shares with nobody."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return sum(int(kib) << 10 for kib in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE))


def _kinds(pid: int) -> Counter[str]:
    try:
        return Counter(re.sub(r"\[\d+\]", "", link) for link in descriptors(pid))
    except FileNotFoundError:   # it has ended
        return Counter()


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; none if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _ticks(pid: int) -> int:
    return sum(int(field) for field in _stat(pid)[11:13])


def _sleeps(pid: int) -> int:
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*/status"):
        found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", task.read_text(encoding="utf-8"), re.MULTILINE)
        total += int(found[1]) if found else 0
    return total
