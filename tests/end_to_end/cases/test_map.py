"""The table of the cases, in this folder's docstring, is about tests that exist."""

import re
from pathlib import Path

from tests.end_to_end import cases

HERE = Path(__file__).parent
TABLE = cases.__doc__ or ""


def test_every_case_has_its_place() -> None:
    """All twenty are there, in their order."""
    assert [int(number) for number in re.findall(r"^ {4}([ 0-9]\d)  \S", TABLE, re.MULTILINE)] == list(range(1, 21))


def test_every_named_test_exists() -> None:
    """What the table names can be run by that name."""
    named = re.findall(r"^ {12}(test_\w+)\.(test_\w+)$", TABLE, re.MULTILINE)
    assert named
    missing = [
        f"{file}.{name}" for file, name in named
        if f"\ndef {name}(" not in (HERE / f"{file}.py").read_text(encoding="utf-8")
    ]  # fmt: skip
    assert missing == []
