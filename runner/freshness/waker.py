"""Wakes a generation when something changed, where there is no inotify: `--reload eager` on such systems.

    Waker        the generation's side: starts the process, tells it which directories count, hears it
    main         the process: watches them with watchfiles, writes one byte for each batch of changes

A process of its own, since watchfiles runs a thread, and a generation with a thread cannot fork. The byte says "look",
never "changed": the verdict is given by looking at the files, so a byte too many costs a sweep and one too few only
makes eager as late as the next request.

Laws: exec, not fork; it ends with its generation, which is the end of its standard input; nothing of the application is
imported here. Start at Waker.open.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable

_ENTRY = "import sys; sys.path.insert(0, {home!r}); from runner.freshness import waker; del sys.path[0]; waker.main()"
_HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Waker:
    """*wake* is called whenever something changed in the directories that were told last."""

    def __init__(self, selector: selectors.BaseSelector, wake: Callable[[], None]) -> None:
        self._selector = selector
        self._wake = wake
        self._told: frozenset[str] = frozenset()
        self._unsent = bytearray()
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Start the process. Raises OSError (no process, no memory)."""
        command = [sys.executable, "-P", "-c", _ENTRY.format(home=_HOME)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        process = self._process = subprocess.Popen(
            command, env=environment, cwd="/", bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin and process.stdout
        os.set_blocking(process.stdin.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, self._hear)

    def tell(self, directories: Iterable[str]) -> None:
        """These directories count from now on."""
        wanted = frozenset(directories)
        if self._process is None or self._process.stdin is None or wanted == self._told:
            return
        self._told = wanted
        if not self._unsent:
            self._selector.register(self._process.stdin, selectors.EVENT_WRITE, self._send)
        self._unsent += json.dumps(sorted(wanted)).encode() + b"\n"
        self._send()

    def close(self) -> None:
        """Let go of the process, which ends by that; in a child too, after its selector."""
        process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                assert pipe
                with contextlib.suppress(KeyError):
                    self._selector.unregister(pipe)
                pipe.close()

    def _send(self) -> None:
        """As much as the pipe takes now: it holds less than the directories of a large application."""
        if self._process is None or self._process.stdin is None:
            return
        try:
            del self._unsent[: os.write(self._process.stdin.fileno(), self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not self._unsent:
            self._selector.unregister(self._process.stdin)

    def _hear(self) -> None:
        if self._process is None or self._process.stdout is None:
            return  # its other pipe has said in the same turn that it is gone
        if os.read(self._process.stdout.fileno(), 4096):
            self._wake()
        else:
            self.close()


def main() -> None:
    """The process's whole life."""
    stop = threading.Event()
    wanted: list[str] = []
    thread: threading.Thread | None = None
    for line in sys.stdin:
        stop.set()
        if thread is not None:
            thread.join()
        wanted, stop = json.loads(line), threading.Event()
        thread = threading.Thread(target=_watch, args=(wanted, stop), daemon=True)
        thread.start()
    os._exit(0)


def _watch(directories: list[str], stop: threading.Event) -> None:
    import watchfiles  # here, in the one process that wants it: a generation must not load its native threads

    there = [directory for directory in directories if os.path.isdir(directory)]
    first = True
    changes = watchfiles.watch(
        *there, recursive=False, watch_filter=None, debounce=50, step=10, rust_timeout=50, stop_event=stop,
        yield_on_timeout=True, raise_interrupt=False,
    )  # fmt: skip
    for batch in changes:
        # The first turn comes when everything is armed: what was saved before is found by the look that follows.
        if batch or first:
            first = False
            os.write(sys.stdout.fileno(), b".")
