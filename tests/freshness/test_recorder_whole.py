"""A source that somebody saves in place is read before or after the save, never in its middle."""

from pathlib import Path
from types import CodeType

import pytest

from runner.freshness import recorder
from runner.freshness.recorder import whole
from runner.freshness.stamps import being_written
from tests.support.project import edit


class Source:
    """A file, and how often it was compiled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loads = 0
        path.write_text("1\n")

    def load(self) -> CodeType:
        """Compile it as it is."""
        self.loads += 1
        return compile(self.path.read_text(), str(self.path), "eval")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """One that was saved just now."""
    return Source(tmp_path / "module.py")


def test_a_writer_is_waited_for(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has truncated it is let write before it is read, once."""
    writer = source.path.open("w")

    def looked(path: str) -> bool | None:
        found = being_written(path)
        if found:
            writer.write("22\n")
            writer.close()
        return found

    monkeypatch.setattr(recorder, "being_written", looked)
    assert eval(whole(str(source.path), source.load)[0]) == 22
    assert writer.closed
    assert source.loads == 1


def test_what_was_saved_under_the_reader_is_read_again(source: Source) -> None:
    """The state that is there afterwards counts, also if what was read in between was no Python."""

    def load() -> CodeType:
        if source.loads == 0:
            edit(source.path, "(")
            try:
                return source.load()
            finally:
                edit(source.path, "(22)")
        return source.load()

    assert eval(whole(str(source.path), load)[0]) == 22
    assert source.loads == 2


def test_a_mistake_that_stays_is_told_at_once(source: Source) -> None:
    """Nobody is inside: it was saved so."""
    edit(source.path, "(")
    with pytest.raises(SyntaxError):
        whole(str(source.path), source.load)
    assert source.loads == 1


def test_nobody_is_waited_for_for_ever(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer who stays is overlooked after a while."""
    monkeypatch.setattr(recorder, "WRITING", 0.05)
    with source.path.open("a"):
        assert eval(whole(str(source.path), source.load)[0]) == 1


def test_what_is_not_there_is_not_waited_for(tmp_path: Path, source: Source) -> None:
    """As open() says it."""
    source.path.unlink()
    with pytest.raises(FileNotFoundError):
        whole(str(source.path), source.load)
