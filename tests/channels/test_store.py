"""The pause between two attempts: it grows, and no two processes come back in step."""

from __future__ import annotations

from runner.channels.store import Pause


def test_a_pause_doubles_up_to_a_bound() -> None:
    """Each is somewhere below its bound, and the last bound stays."""
    pause = Pause(0.1, 1.0)
    bounds = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert all(0.0 <= pause.next() <= bound for bound in bounds)


def test_what_has_worked_begins_anew() -> None:
    """The next pause is a short one."""
    pause = Pause(0.1, 100.0)
    for _ in range(9):
        pause.next()
    pause.reset()
    assert pause.next() <= 0.1
