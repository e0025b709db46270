"""Path patterns mean what a shell's mean."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.freshness.patterns import translate, walk

TABLE = [
    ("/p/*.py", ["/p/a.py", "/p/.py"], ["/p/a.pyc", "/p/q/a.py", "/p/a.py/b"]),
    ("/p/**/*.html", ["/p/a.html", "/p/q/a.html", "/p/q/r/a.html"], ["/q/a.html", "/pa.html"]),
    ("/p/**", ["/p/a", "/p/q/r"], ["/p", "/q"]),
    ("/p/?.py", ["/p/a.py"], ["/p/ab.py", "/p//.py"]),
    ("/p/[ab].py", ["/p/a.py"], ["/p/c.py", "/p/[ab].py"]),
    ("/p/[!ab].py", ["/p/c.py"], ["/p/a.py", "/p//.py"]),
    ("/p/[a-c]", ["/p/b"], ["/p/-", "/p/d"]),
    ("/p/[z-a]", ["/p/z", "/p/-"], ["/p/m"]),
    ("/p/[x", ["/p/[x"], ["/p/x"]),
    ("/p/a+b(c).py", ["/p/a+b(c).py"], ["/p/aab(c).py"]),
]


@pytest.mark.parametrize(("pattern", "matching", "other"), TABLE, ids=[row[0] for row in TABLE])
def test_what_a_pattern_matches(pattern: str, matching: list[str], other: list[str]) -> None:
    """Each pattern matches the paths of its left column and none of its right one."""
    assert [path for path in matching if not translate(pattern).fullmatch(path)] == []
    assert [path for path in other if translate(pattern).fullmatch(path)] == []


@given(st.text(alphabet="ab*?[]!-^\\/.&|~", max_size=20))
def test_every_text_is_a_pattern(text: str) -> None:
    """Whatever somebody writes can be translated."""
    assert isinstance(translate(text), re.Pattern)


@given(st.text(alphabet="ab.+()^$/\n", max_size=20))
def test_a_text_without_wildcards_matches_itself_only(text: str) -> None:
    """Nothing but wildcards is special."""
    assert translate(text).fullmatch(text)
    assert not translate(text).fullmatch(text + "x")


def test_walk_observes_before_it_looks(tmp_path: Path) -> None:
    """Each directory is announced before what is in it is given; hidden ones and what lies beside are left out."""
    for name in ("t/a.html", "t/deep/b.html", "t/.git/c.html", "u/d.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    told: list[str] = []
    for path in walk(f"{tmp_path}/t/**/*.html", told.append):
        assert path.rpartition("/")[0] in told
    assert sorted(told) == [f"{tmp_path}/t", f"{tmp_path}/t/deep"]


def test_walk_announces_what_is_not_there(tmp_path: Path) -> None:
    """A pattern whose directory does not exist yet still has it observed."""
    told: list[str] = []
    assert list(walk(f"{tmp_path}/later/*.html", told.append)) == []
    assert told == [f"{tmp_path}/later"]
