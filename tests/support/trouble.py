"""An application that misbehaves on demand, and what a test asks of the processes that serve it.

Laws: nothing here sleeps and hopes: `until` names what it waits for. Only processes below the runner of the test are
looked at or signalled. Start at SOURCE, the application's text, and until.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from runner.supervisor.control import ask
from tests.support.client import Conversation
from tests.support.process import PATIENCE
from tests.support.runner_process import Served

SOURCE = '''
import os, time
from urllib.parse import parse_qs

VERSION = 1
held = []

def main(environ, start_response):
    options = {name: values[-1] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    start_response("200 OK", [("Content-Type", "text/plain")])
    return globals()[environ["PATH_INFO"].strip("/") or "pid"](options)

def pid(options):
    return [b"%d %d" % (VERSION, os.getpid())]

def spin(options):
    open(options["began"], "w").close()
    while True:
        pass

def sleep(options):
    open(options["began"], "w").close()
    time.sleep(60)
    return [b"slept"]

def wait(options):
    """Answers once the file `until` is there."""
    open(options["began"], "w").close()
    deadline = time.monotonic() + 20
    while not os.path.exists(options["until"]) and time.monotonic() < deadline:
        time.sleep(0.005)
    return [b"%d %d" % (VERSION, os.getpid())]

def stream(options):
    """A first part at once, the rest once the file `until` is there."""
    yield b"begun"
    yield from wait(options)

def leave(options):
    os._exit(7)

def eat(options):
    held.append(bytearray(4 << 20))
    return [b"%d %d" % (VERSION, os.getpid())]

def child(options):
    """Forks, without exec: the child holds whatever the worker holds."""
    number = os.fork()
    if not number:
        time.sleep(60)
        os._exit(0)
    return [b"%d" % number]
'''

Kind = TypeVar("Kind")


def until(what: str, found: Callable[[], Kind], timeout: float = PATIENCE, live: Served | None = None) -> Kind:
    """Return what *found* gives as soon as it is true; *what* names it in the failure."""
    deadline = time.monotonic() + timeout
    while not (value := found()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}\n{live.output if live else ''}"
        time.sleep(0.005)
    return value


def report(served: Served) -> dict[str, Any]:
    """What `runner status --json` prints."""
    return ask(str(served.control), {"command": "status"})


def ready_pids(served: Served) -> dict[int, int]:
    """The processes of the workers that accept, by slot."""
    found = [each for each in report(served)["workers"] if each["state"] in ("ready", "busy")]
    return {each["slot"]: each["pid"] for each in found}


def descendants(pid: int) -> set[int]:
    """All processes below *pid* that have not ended."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (state := stat_of(int(entry.name))) is not None and state[0] != "Z":
            parents[int(entry.name)] = state[1]
    found: set[int] = set()
    fresh = {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def at_work(served: Served) -> int:
    """How many processes are below the supervisor, without those that only wait, as their titles say."""
    below = descendants(served.pid)
    return len(below) - sum(waits(pid) for pid in below)


def waiting(served: Served) -> int:
    """How many only wait: of each checkpoint the one that stays, and its spare."""
    return sum(waits(pid) for pid in descendants(served.pid))


def waits(pid: int) -> bool:
    """It says so."""
    return title_of(pid).startswith(("runner: checkpoint", "runner: zygote"))


def title_of(pid: int) -> str:
    """What ps(1) shows; "" if the process is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def stat_of(pid: int) -> tuple[str, int] | None:
    """State letter and parent of a process, proc_pid_stat(5); None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[1])


def alive(pids: set[int]) -> set[int]:
    """Those that have not ended."""
    return {pid for pid in pids if (state := stat_of(pid)) is not None and state[0] != "Z"}


def generation_pid(served: Served) -> int:
    """The process that the workers were forked from."""
    (worker, *_) = ready_pids(served).values()
    state = stat_of(worker)
    assert state is not None
    return state[1]


def descriptors(pid: int) -> int:
    """How many are open in that process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def begin(served: Served, folder: Path, action: str, name: str, **options: str) -> Conversation:
    """Start a request that goes on until the file `name` in *folder* is there, and wait until it is being answered."""
    began = folder / f"{name}.began"
    query = "&".join(f"{key}={value}" for key, value in options.items())
    conversation = Conversation(served.http)
    conversation.request("GET", f"/{action}?began={began}&until={folder / name}&{query}", {"Connection": "close"})
    until(f"{action} is being answered", began.exists, live=served)
    return conversation
