"""What a process needs to know to be a worker; whoever forks it, or becomes one itself, puts it together.

Law: only data. Start at Task.
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.freshness.check import Check
from runner.host.error_page import Failure
from runner.host.mounts import Mount
from runner.process.channel import Channel
from runner.process.private import Private
from runner.process.scoreboard import Scoreboard
from runner.settings import Settings
from runner.worker.fronts import Place


@dataclass
class Task:
    """All a worker is given: *mounts*, or the *failure* that is shown in their place.

    *good_until*: monotonic seconds; what began before then may be answered here, whatever was saved since. *private*:
    where the workers of this generation ask each other, None if they have no reason to. *inline*: applications of WSGI
    are called on the loop's thread, whatever --threads says.
    """

    slot: int
    generation: int
    settings: Settings
    listeners: list[Place]
    channel: Channel
    check: Check
    scoreboard: Scoreboard
    mounts: tuple[Mount, ...]
    failure: Failure | None
    good_until: float
    private: Private | None
    inline: bool
