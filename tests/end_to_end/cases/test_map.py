"""The table of the cases, in this folder's docstring, is about tests that exist."""

import re
from pathlib import Path

from tests.end_to_end import cases

HERE = Path(__file__).parent
TABLE = cases.__doc__ or ""
PLACES = re.findall(r"^ {12}(\S.*)$", TABLE, re.MULTILINE)
PLACE = re.compile(r"((?:\.\./)?test_\w+)(?:\.(test_\w+))?")


def is_there(place: str) -> bool:
    """Whether `file` or `file.function`, counted from this folder, is a test, or has one."""
    named = PLACE.fullmatch(place)
    if named is None or not (path := HERE / f"{named[1]}.py").is_file():
        return False
    wanted = f"\ndef {named[2]}(" if named[2] else "\ndef test_"
    return wanted in path.read_text(encoding="utf-8")


def test_every_case_has_its_place() -> None:
    """All twenty are there, in their order, and each is followed by a place."""
    rows = re.findall(r"^ {4}([ 0-9]\d)  \S.*\n {12}\S", TABLE, re.MULTILINE)
    assert [int(number) for number in rows] == list(range(1, 21))


def test_every_place_is_a_test() -> None:
    """What the table names, a function or a whole file, can be run by that name, and runs something."""
    assert [place for place in PLACES if not is_there(place)] == []


def test_what_is_no_test_is_told() -> None:
    """A file, a function that does not exist, or a file without tests would be noticed."""
    wrong = ("test_nothing", "test_map.test_nothing", "../test_nothing", "modes", "__init__", "../reloading")
    assert [place for place in wrong if is_there(place)] == []
