"""Turns are taken fairly: the normal run and the stress run together leave out nothing."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.end_to_end.cases.modes import EAGER, MODES, Mode, in_turn

HERE = Path(__file__).parent
TURNING = sorted(path.stem for path in HERE.glob("test_*.py") if "\n@in_turn(" in path.read_text(encoding="utf-8"))


def combinations(function: Callable[..., Any]) -> list[tuple[tuple[Any, ...], bool]]:
    """What in_turn made of a test: each time its values, the mode last, and whether the normal run has them."""
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    found: list[Any] = next((mark.args[1] for mark in marks if mark.args[0][-1] == "mode"), [])
    return [(each.values, all(mark.name != "stress" for mark in each.marks)) for each in found]


def normal_modes(module: ModuleType) -> set[Mode]:
    """Those that the normal run of that file has."""
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    return {values[-1] for test in tests for values, normal in combinations(test) if normal}


@pytest.mark.parametrize("name", TURNING)
def test_every_file_has_every_mode(name: str) -> None:
    """The normal run tries each of the four modes somewhere in each file that takes turns."""
    assert normal_modes(importlib.import_module(f"tests.end_to_end.cases.{name}")) == set(MODES.values())


def test_one_turn_for_a_value() -> None:
    """Each value is once in the normal run, in the mode after the last one's, and in the stress run in all others."""

    @in_turn("kind", ["a", "b", pytest.param("c", marks=pytest.mark.stress), "d"])
    def claim(kind: str, mode: Mode) -> None: ...

    found = combinations(claim)
    assert [values for values, _ in found] == [(kind, mode) for kind in "abcd" for mode in MODES.values()]
    modes = list(MODES.values())
    first = modes.index(found[[normal for _, normal in found].index(True)][0][-1])
    assert [values for values, normal in found if normal] == [
        (kind, modes[(first + turn) % len(modes)]) for turn, kind in enumerate("abd")
    ]


def test_some_modes_often() -> None:
    """Several turns for one value, out of a choice of modes, with several names."""

    @in_turn("one, two", [(1, 2)], modes=EAGER, often=2)
    def claim(one: int, two: int, mode: Mode) -> None: ...

    assert combinations(claim) == [((1, 2, mode), True) for mode in EAGER.values()]
