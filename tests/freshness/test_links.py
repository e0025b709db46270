"""Which links decide over what a path means."""

import os
from pathlib import Path

import pytest

from runner.freshness.links import links


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory that no link leads to."""
    return Path(os.path.realpath(tmp_path))


def test_a_plain_path_has_none(tree: Path) -> None:
    """Whether it is there or not."""
    (tree / "app.py").touch()
    assert list(links(str(tree / "app.py"))) == []
    assert list(links(str(tree / "absent" / "app.py"))) == []


def test_each_step_of_a_chain_is_one(tree: Path) -> None:
    """current -> next -> releases/2: any of them may be swapped."""
    (tree / "releases" / "2").mkdir(parents=True)
    (tree / "next").symlink_to("releases/2")
    (tree / "current").symlink_to("next")
    assert list(links(str(tree / "current" / "app.py"))) == [(str(tree), "current"), (str(tree), "next")]


def test_a_link_on_the_way_to_where_one_leads(tree: Path) -> None:
    """A relative target is relative to where the link really lies."""
    (tree / "real").mkdir()
    (tree / "real" / "2").mkdir()
    (tree / "releases").symlink_to("real")
    (tree / "current").symlink_to(tree / "releases" / "2")
    assert list(links(str(tree / "current"))) == [(str(tree), "current"), (str(tree), "releases")]


def test_links_in_a_circle_come_to_an_end(tree: Path) -> None:
    """Each is named once."""
    (tree / "a").symlink_to("b")
    (tree / "b").symlink_to("a")
    assert list(links(str(tree / "a"))) == [(str(tree), "a"), (str(tree), "b")]


def test_it_is_named_before_it_is_followed(tree: Path) -> None:
    """A swap after that is followed; a link that is gone is an error."""
    (tree / "one").mkdir()
    (tree / "two").mkdir()
    (tree / "current").symlink_to("one")
    walk = links(str(tree / "current"))
    assert next(walk) == (str(tree), "current")
    (tree / "current").unlink()
    with pytest.raises(OSError):
        next(walk)
