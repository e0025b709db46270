"""The processes as the supervisor knows them: what it needs to speak to one, and to end it.

    Station   a generation's process (or, where the application cannot be forked, that of one worker)
    Hand      a worker, known by the roster's key; forked by its generation, but spoken to directly

Law: a process is signalled only while its channel is open, for its parent collects it only after that ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass

from runner.process.channel import Channel
from runner.supervisor.checkpoints import Checkpoint


@dataclass(eq=False)
class Station:
    """*number* of the generation; *journal*: where it notes what it imports, readable after its death; *voids*: as of
    the order to start it.

    *popen*: of a fresh interpreter; else it went on from *checkpoint*, and is process *pid*, 0 until it has said so.
    """

    number: int
    popen: subprocess.Popen[bytes] | None
    channel: Channel
    journal: int
    checkpoint: Checkpoint | None = None
    voids: int = 0
    pid: int = 0
    doomed: bool = False

    @property
    def key(self) -> int:
        """As it is known among the workers' keys while it may answer like one; none of these is negative."""
        return -self.number

    def kill(self) -> None:
        """End it; one that has not said which process it is will be ended as soon as it does."""
        self.doomed = True
        if self.popen is not None:
            self.popen.kill()
        else:
            send_signal(self.pid, signal.SIGKILL)

    def note_pid(self, pid: int) -> None:
        """It has said which process it is."""
        self.pid = pid
        if self.doomed:
            self.kill()

    def collect(self) -> int | None:
        """It has ended, or is to: its exit code, if it is our own child and nobody else's."""
        self.kill()
        return self.popen.wait() if self.popen is not None else None

    def has_ended(self) -> bool:
        """As far as we can know: a child of ours that is to be collected."""
        return self.popen is not None and self.popen.poll() is not None


@dataclass(eq=False)
class Hand:
    """A worker. *pid* 0 until it is known; *station* only of one that imports by itself."""

    key: int
    slot: int
    channel: Channel
    pid: int = 0
    station: Station | None = None
    stacks_until: float = 0.0
    killed: bool = False


def send_signal(pid: int, number: signal.Signals) -> None:
    """Signal a worker; harmless if it is gone."""
    if pid > 0:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
