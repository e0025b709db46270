"""Where the channels of this process are kept: told once, before the application is imported, and asked if it has any.

On the ground floor, and small: every application starts with this, few go on to load runner.channels.

Law: says where, opens nothing. Start at furnish.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from runner.errors import ChannelsUnavailable


class Place(NamedTuple):
    """*url*: what `--channels` says; *door*: the descriptor of the memory store's socket, -1 for none."""

    url: str
    door: int

    @property
    def in_memory(self) -> bool:
        """Not in a Redis."""
        return self.url.startswith("memory:")


_place: Place | None = None
_partings: list[Callable[[], None]] = []


def furnish(url: str, door: int) -> None:
    """From now on this process, and those it forks, have that store."""
    global _place
    _place = Place(url, door)


def place() -> Place:
    """Where the store is; in a script that the runner has not started, what RUNNER_CHANNELS says.

    Raises ChannelsUnavailable.
    """
    if _place is not None:
        return _place
    if url := os.environ.get("RUNNER_CHANNELS"):
        return Place(url, -1)
    raise ChannelsUnavailable(
        "there are no channels in this process; start the application by `runner serve`, or, for a script beside it, "
        "let both use RUNNER_CHANNELS=redis://…"
    )


def at_parting(close: Callable[[], None]) -> None:
    """*close* what this thread has opened when `part` is called."""
    _partings.append(close)


def part() -> None:
    """This process is about to be forked, amid an import, perhaps: a connection would be everybody's."""
    for close in _partings:
        close()
