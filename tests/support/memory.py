"""How much memory a process has, and what it has open, from /proc (proc(5))."""

import gc
import os
import re
from pathlib import Path


def resident(pid: int) -> int:
    """Bytes that the process has in memory now."""
    return _field(pid, "VmRSS")


def peak(pid: int) -> int:
    """The most it ever had since the last `forget_peak`."""
    return _field(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Let the peak begin at what it has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def descriptors(pid: int) -> list[str]:
    """What the process has open; something that is closed meanwhile may be missing."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except FileNotFoundError:
            continue
    return found


def _field(pid: int, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found, f"no {name} of process {pid}"
    return int(found[1]) << 10


def open_files() -> int:
    """How many descriptors this process has. What nobody has any more is collected first: a mapping has one, too."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
