"""Three pieces of news in any order make one line."""

import itertools
import signal

from runner.supervisor.obituary import Obituary


def test_each_death_is_told_once_in_every_order() -> None:
    """Lost and named in either order, explained last, as its parent can."""
    for order in itertools.permutations(["lost", "named"]):
        told: list[tuple[int, int, str]] = []
        obituary = Obituary(lambda slot, pid, how, told=told: told.append((slot, pid, how)))  # type: ignore[misc]
        for news in order:
            if news == "lost":
                obituary.lost(7, 1, 4711 if order[0] == "named" else 0)
            else:
                obituary.named(7, 4711)
        obituary.explained(4711, -signal.SIGKILL)
        obituary.explained(4711, -signal.SIGKILL)
        assert told == [(1, 4711, "was ended by SIGKILL (out of memory, perhaps)")]


def test_strangers_are_not_told() -> None:
    """A process that was no worker, or that ended because it was asked to."""
    told: list[object] = []
    obituary = Obituary(lambda *news: told.append(news))
    obituary.explained(99, 0)
    obituary.named(8, 99)
    obituary.explained(99, 0)
    assert told == []


def test_what_never_was_cannot_die() -> None:
    """The fork failed: that has its own line."""
    told: list[object] = []
    obituary = Obituary(lambda *news: told.append(news))
    obituary.lost(7, 1, 0)
    obituary.named(7, 0)
    obituary.explained(0, 1)
    assert told == []
