"""What the roster orders, and the supervisor carries out: one NamedTuple an order.

Law: says what, never how. Two orders of different kinds with the same values compare equal, as tuples do: ask for the
type as well.
"""

from __future__ import annotations

from typing import NamedTuple


class Start(NamedTuple):
    """Start generation *number*; *aftermath*: the last attempt's process died, do not import again just now.

    *voids*: attempts in a row before this one of which nothing came, because files changed under them.
    """

    number: int
    aftermath: bool = False
    voids: int = 0


class Explain(NamedTuple):
    """Start generation *number*, which imports nothing and says that the import of generation *subject* takes long.

    *since*: when that was started, monotonic seconds.
    """

    number: int
    subject: int
    since: float


class ForkWorker(NamedTuple):
    """Have generation *number* make the worker of *slot*; *solo*: as a process that imports by itself."""

    number: int
    slot: int
    solo: bool


class RetireWorker(NamedTuple):
    """Ask this worker to leave."""

    key: int


class CutWorker(NamedTuple):
    """Have this worker cut what it is still sending, for it will be ended; *reason* for the log, *spread* as of Cut."""

    key: int
    reason: str
    spread: float = 0.0


class KillWorker(NamedTuple):
    """End this worker now; *reason* for the log."""

    key: int
    reason: str


class RetireGeneration(NamedTuple):
    """Ask this generation to leave."""

    number: int


class KillGeneration(NamedTuple):
    """End this generation now."""

    number: int


class KeepGeneration(NamedTuple):
    """Tell this generation to go on although stale."""

    number: int


class LookOut(NamedTuple):
    """Have somebody watch what this generation has read, for it is importing for a long time."""

    number: int


class Finish(NamedTuple):
    """Nobody is left: end the supervisor."""


Order = (
    Start | Explain | LookOut | KeepGeneration | RetireGeneration | KillGeneration
    | ForkWorker | RetireWorker | CutWorker | KillWorker | Finish
)
