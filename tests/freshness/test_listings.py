"""What a directory offers to an import."""

import os
from pathlib import Path

import pytest

from runner.freshness.listings import find_importable, list_ending, list_importable, stem_of


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.py", "a"), ("a", "a"), ("a.pyc", "a"), ("a.cpython-311-x86_64-linux-gnu.so", None), ("a.abi3.so", "a"),
     ("a.txt", ""), ("a.py.bak", ""), (".a.py.swp", ""), ("a.py~", ""), ("4913", "4913")],
)  # fmt: skip
def test_what_can_be_imported(name: str, stem: str | None) -> None:
    """Only the names that an import could find have a stem; editors' own files have none."""
    assert stem_of(name) == (stem if stem is not None else stem_of(name))


def test_listings(tmp_path: Path) -> None:
    """A directory's importable names by stem, its module files alone, and nothing where nothing can be read."""
    for name in ("a.py", "a.pyc", "b.txt", "app.py"):
        (tmp_path / name).touch()
    (tmp_path / "pkg").mkdir()
    assert list_importable(str(tmp_path)) == {"a": {"a.py", "a.pyc"}, "app": {"app.py"}, "pkg": {"pkg"}}
    assert list_ending(str(tmp_path)) == {"a.py", "a.pyc", "app.py"}
    assert list_importable(str(tmp_path / "none")) == {}


def test_what_is_no_file_is_no_module(tmp_path: Path) -> None:
    """A FIFO, a directory, a link to nothing or to itself cannot be imported under a module's name."""
    os.mkfifo(tmp_path / "fifo.py")
    (tmp_path / "directory.py").mkdir()
    (tmp_path / "nothing.py").symlink_to("nowhere")
    (tmp_path / "itself.py").symlink_to("itself.py")
    (tmp_path / "plain").touch()
    assert list_importable(str(tmp_path)) == {}


def test_one_name_alone(tmp_path: Path) -> None:
    """What is found for one name is what the listing has for it."""
    for name in ("a.py", "a.pyc", "ab.py", "b.a.py"):
        (tmp_path / name).touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "ab").touch()
    listing = list_importable(str(tmp_path))
    assert [find_importable(str(tmp_path), stem) for stem in ("a", "ab")] == [listing["a"], listing["ab"]]
    assert find_importable(str(tmp_path), "c") == find_importable(str(tmp_path / "none"), "a") == frozenset()
