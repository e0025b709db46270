"""Files without a name."""

import os
import tempfile
from pathlib import Path

import pytest

from runner.process.memory import anonymous_file


@pytest.fixture(params=["memfd", "none"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files would be made where the kernel has no memfd_create, or Python does not know it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if request.param == "none":
        monkeypatch.delattr(os, "memfd_create")
    return tmp_path


def test_it_is_a_new_and_empty_file(folder: Path) -> None:
    """Written and read like any other, and of a size that one may choose."""
    descriptor = anonymous_file("name")
    assert os.fstat(descriptor).st_size == 0
    os.write(descriptor, b"line\n")
    os.ftruncate(descriptor, 4096)
    assert os.pread(descriptor, 5, 0) == b"line\n"
    assert os.fstat(descriptor).st_size == 4096
    os.close(descriptor)


def test_no_name_of_it_is_on_a_disk(folder: Path) -> None:
    """Not even while it is open, so nothing stays after a kill -9."""
    descriptor = anonymous_file("name")
    assert (list(folder.iterdir()), os.fstat(descriptor).st_nlink) == ([], 0)
    os.close(descriptor)


def test_two_of_one_name_are_two(folder: Path) -> None:
    """The name is for /proc alone."""
    one, other = anonymous_file("name"), anonymous_file("name")
    os.write(one, b"x")
    assert os.fstat(other).st_size == 0
    os.close(one)
    os.close(other)


def test_a_program_does_not_inherit_it_by_accident(folder: Path) -> None:
    """Only who is meant to have it is given it."""
    descriptor = anonymous_file("name")
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
