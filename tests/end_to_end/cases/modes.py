"""What may be chosen, and must not matter: when a save is noticed, what a request meets, if there is inotify.

A claim about an answer holds in every mode. To try each claim in each of them takes long, so the normal run takes
turns: a file's first combination gets the first mode, the next one the next, and a file of four claims has seen all.
What is left over has the mark `stress`. Law: which test gets which mode is decided by its file alone, so a test that is
run by its name is the one that runs in CI. Start at in_turn.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any, TypeVar

import pytest

Function = TypeVar("Function", bound=Callable[..., None])
Mode = tuple[str, ...]

MODES: dict[str, Mode] = {
    "eager": ("--reload", "eager", "--on-change", "redirect"),
    "request, hold": ("--reload", "request", "--on-change", "hold"),
    "eager, hold": ("--reload", "eager", "--on-change", "hold"),
    "request": ("--reload", "request", "--on-change", "redirect"),
}
EAGER = {name: mode for name, mode in MODES.items() if "eager" in mode}
"""Where nobody asks, and yet something is to happen."""
REQUEST = {name: mode for name, mode in MODES.items() if "request" in mode}
"""Where nothing may happen before somebody asks: events are to pile up."""
REDIRECT = {name: mode for name, mode in MODES.items() if "redirect" in mode}
"""Where reloads are counted by what a request meets."""

BLIND = {"RUNNER_NO_INOTIFY": "1"}
EYES: dict[str, Mapping[str, str]] = {"inotify": {}, "sweep": BLIND}
each_eye = pytest.mark.parametrize("env", [{}, pytest.param(BLIND, marks=pytest.mark.stress)], ids=list(EYES))

_turns: defaultdict[str, "count[int]"] = defaultdict(count)


def in_turn(
    names: str = "", values: Iterable[Any] = ((),), *, modes: Mapping[str, Mode] = MODES, often: int = 1
) -> Callable[[Function], Function]:
    """Parametrize, as pytest's `parametrize` does, by *names* and by `mode`, the options of one of *modes*.

    For each of *values* the next *often* modes are in the normal run; for one that is of the stress run alone, none.
    """
    split = [name.strip() for name in names.split(",") if name.strip()]

    def decorate(function: Function) -> Function:
        turns, found = _turns[function.__module__], []
        for value in values:
            given = value if isinstance(value, type(pytest.param())) else None
            rest = given.values if given else (value,) if len(split) == 1 else tuple(value)
            marks = tuple(given.marks) if given else ()
            rare = any(mark.name == "stress" for mark in marks)
            chosen = set() if rare else {next(turns) % len(modes) for _ in range(often)}
            for number, mode in enumerate(modes.values()):
                more = () if rare or number in chosen else (pytest.mark.stress,)
                found.append(pytest.param(*rest, mode, marks=(*marks, *more)))
        turned: Function = pytest.mark.parametrize((*split, "mode"), found, ids=_title)(function)
        return turned

    return decorate


def _title(value: object) -> str | None:
    """A mode or an eye by its name; others as pytest would have them."""
    return next((name for name, known in {**MODES, **EYES}.items() if known == value), None)
