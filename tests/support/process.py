"""A live command: started, read line by line, waited for, stopped.

Laws: nobody here sleeps and hopes. A test waits for a line that the command writes, and when it does not come
in time or the command ends before, the failure shows all that was written. What was written before one asks is seen:
whoever asks reads the pipe himself, and does not hope that the reader has had his turn. Only what was started here is
ever signalled: the command and the processes of its own group.

Start at Live.wait_for.
"""

import os
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE = 15.0   # seconds that a test waits for something that takes milliseconds on a quiet machine


class Live:
    """A running command, and every line it has written to stdout and stderr in the order of their coming."""

    def __init__(
        self, command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        """Start *command* in a process group of its own; *env* is its whole environment (None: ours)."""
        self.command = list(command)
        self._lines: list[str] = []
        self._begun = b""
        self._changed = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            self.command, cwd=cwd, env=env, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        assert self.process.stdout
        self._pipe = self.process.stdout
        os.set_blocking(self._pipe.fileno(), False)
        self._reader = threading.Thread(target=self._read_all, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process started, which is also the leader and the number of its group."""
        return self.process.pid

    @property
    def lines(self) -> list[str]:
        """All that were written until now."""
        with self._changed:
            self._read()
            return list(self._lines)

    @property
    def position(self) -> int:
        """How many lines there are now; `wait_for(..., after=position)` sees only later ones."""
        return len(self.lines)

    @property
    def output(self) -> str:
        """All that was written, below the command that wrote it."""
        return "\n".join([f"$ {' '.join(self.command)}", *self.lines, ""])

    def wait_for(self, pattern: str, timeout: float = PATIENCE, *, after: int = 0) -> re.Match[str]:
        """Return the match in the first line, *after* that many, that has *pattern*; waits for it to come.

        Raises AssertionError, with the whole output, when *timeout* seconds pass or the command ends before.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for line in self._lines[after:]:
                    if found := re.search(pattern, line):
                        return found
                if self._ended:
                    raise AssertionError(f"ended without {pattern!r}:\n{self.output}")
                if not self._changed.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no {pattern!r} within {timeout:g} s:\n{self.output}")

    def wait(self, timeout: float = PATIENCE) -> int:
        """Return the exit status, -N if signal N was the end, once the command has ended by itself."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s:\n{self.output}") from None
        self._reader.join(timeout)
        return status

    def signal(self, number: int) -> None:
        """Send a signal to the command itself; does nothing once it has ended."""
        self.process.send_signal(number)

    def stop(self, timeout: float = PATIENCE) -> int:
        """End the command with SIGTERM, after *timeout* seconds with SIGKILL.

        What its group has left behind gets SIGKILL, too. Returns the exit status, and again if called again.
        """
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        self.kill()
        return self.wait()

    def kill(self) -> None:
        """SIGKILL for the whole group, also when its leader has ended and only orphans are left."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def _read_all(self) -> None:
        """The reader's life: until nobody can write any more."""
        waiting = select.poll()
        waiting.register(self._pipe, select.POLLIN)
        while not self._ended:
            waiting.poll()
            with self._changed:
                self._read()
        self._pipe.close()

    def _read(self) -> None:
        """What is in the pipe; with the lock in one's hands."""
        while not self._ended:
            try:
                data = os.read(self._pipe.fileno(), 65536)
            except BlockingIOError:
                return
            *lines, self._begun = (self._begun + data).split(b"\n")
            if not data:
                self._ended = True
                lines = [self._begun] if self._begun else []
            self._lines += [line.decode("utf-8", "replace") for line in lines]
            self._changed.notify_all()
