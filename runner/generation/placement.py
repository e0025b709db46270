"""Where in an import a checkpoint is worth its fork.

    hot    before a module that was edited last: it is the likeliest to be edited next
    even   at even steps of the import's time, so that whatever is edited, not much before it is imported again

How long the import will take is not known when it runs for the first time. So the steps begin small, and each time
there are more checkpoints than wanted, every other one is given up and the step doubles, at least: at any moment they
are evenly spread over what was imported so far, and a long import pays for a handful of forks more, not for hundreds.

Laws: pure; time comes in. Start at Placement.wants.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_STEP = 0.05
"""Seconds of import between two checkpoints, as long as nothing is known: a fork costs some thousandths, and a process
that waits some megabytes."""
WORTH = 10
"""So many times what the last fork took must have been imported since: on a busy machine both take longer, and who goes
on not far from the end of an import shall get there."""


@dataclass
class Placement:
    """*most*: checkpoints at even steps; *hot*: the files before which there is one in any case; *last*: when the last
    one was taken, in the seconds of whoever asks; *cost*: how many of these it took.
    """

    most: int
    hot: frozenset[str] = frozenset()
    step: float = FIRST_STEP
    last: float = 0.0
    cost: float = 0.0
    even: list[int] = field(default_factory=list)

    def wants(self, path: str, now: float) -> bool:
        """One should be taken before the code of the file *path* is read."""
        step = max(self.step, WORTH * self.cost)
        return self.most > 0 and (path in self.hot or now - self.last >= step)

    def note_taken(self, pid: int, path: str, now: float, cost: float = 0.0) -> list[int]:
        """It was, as process *pid*, in *cost* seconds; those that are to be given up for it. No *path*: the zygote."""
        self.last, self.cost = now, cost
        if not path or path in self.hot:
            return []
        self.even.append(pid)
        if len(self.even) <= self.most:
            return []
        self.step = max(2 * self.step, now / (self.most + 1))
        dropped, self.even = self.even[::2], self.even[1::2]
        return dropped
