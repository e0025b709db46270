"""What a process needs to know to be a worker; whoever forks it, or becomes one itself, puts it together.

Law: only data. Start at Task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runner.freshness.check import Check
from runner.host.error_page import Failure
from runner.process.messages import Channel
from runner.process.scoreboard import Scoreboard
from runner.settings import Settings
from runner.worker.fronts import Place


@dataclass
class Task:
    """All a worker is given. Exactly one of *application* and *failure* is there.

    *good_until*: monotonic seconds; what began before then may be answered here, whatever was saved since.
    """

    slot: int
    generation: int
    settings: Settings
    listeners: list[Place]
    channel: Channel
    check: Check
    scoreboard: Scoreboard
    application: Callable[..., Any] | None
    failure: Failure | None
    good_until: float
