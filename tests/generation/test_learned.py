"""What is kept of one start for the next."""

import json
import os
from pathlib import Path

import pytest

from runner.generation.learned import Learned
from runner.settings import Settings, resolve


def settings(cache: Path | str, target: str = "app:main", directory: str = "/srv") -> Settings:
    """Of an application, with that cache."""
    return resolve({"target": target, "cache_dir": str(cache)}, {}, directory).settings


def test_at_first_nothing_is_known(tmp_path: Path) -> None:
    """And nothing is written."""
    learned = Learned.of(settings(tmp_path / "cache"))
    assert (learned.names, learned.without, os.listdir(tmp_path / "cache")) == ([], [], [])


def test_what_was_learned_is_known_the_next_time(tmp_path: Path) -> None:
    """In its order; of another application nothing."""
    Learned.of(settings(tmp_path)).learn(["flask", "pandas"])
    assert Learned.of(settings(tmp_path)).names == ["flask", "pandas"]
    assert Learned.of(settings(tmp_path, "shop:main")).names == []
    assert Learned.of(settings(tmp_path, directory="/opt")).names == []
    assert len(os.listdir(tmp_path)) == 1


def test_what_is_known_already_is_not_written(tmp_path: Path) -> None:
    """A disk that is full, or read-only, need not be asked each time."""
    learned = Learned.of(settings(tmp_path))
    learned.learn(["flask"])
    before = os.stat(learned.path).st_ino
    learned.learn(["flask"])
    assert os.stat(learned.path).st_ino == before


def test_what_somebody_else_has_written_is_not_written_again(tmp_path: Path) -> None:
    """One that was paused before it was known finds out the same, at each edit."""
    older, newer = Learned.of(settings(tmp_path)), Learned.of(settings(tmp_path))
    newer.learn(["flask"])
    before = os.stat(newer.path).st_ino
    older.learn(["flask"])
    assert (os.stat(newer.path).st_ino, older.names) == (before, ["flask"])


def test_what_somebody_else_has_learned_meanwhile(tmp_path: Path) -> None:
    """Whoever waits may read it then; where there is nothing, what was known stays."""
    older, newer = Learned.of(settings(tmp_path)), Learned.of(settings(tmp_path))
    newer.learn(["flask"])
    older.read()
    assert older.names == ["flask"]
    os.unlink(newer.path)
    older.read()
    assert older.names == ["flask"]


def test_what_the_application_has_itself_is_known_the_next_time(tmp_path: Path) -> None:
    """By name and file, in its order; beside what is known of others, whoever has learned that."""
    own = [("shop", "/srv/shop/__init__.py"), ("shop.view", "/srv/shop/view.py")]
    mine, other = Learned.of(settings(tmp_path)), Learned.of(settings(tmp_path))
    other.learn(["flask"])
    mine.learn_own(own)
    other.learn(["pandas"])
    found = Learned.of(settings(tmp_path))
    assert (found.names, found.own) == (["pandas"], own)


def test_the_same_modules_of_its_own_are_not_written_again(tmp_path: Path) -> None:
    """Each run finds them."""
    Learned.of(settings(tmp_path)).learn_own([("shop", "/srv/shop.py")])
    learned = Learned.of(settings(tmp_path))
    before = os.stat(learned.path).st_ino
    learned.learn_own([("shop", "/srv/shop.py")])
    assert os.stat(learned.path).st_ino == before


@pytest.mark.parametrize(("without", "refused", "wanted"), [
    ([], [], ["a", "b", "c"]), (["b"], [], ["a"]), ([], ["c"], ["a", "b"]), (["c"], ["a"], []),
    (["x"], ["y"], ["a", "b", "c"]),
])  # fmt: skip
def test_the_order_ends_at_what_must_not_come_earlier(
    tmp_path: Path, without: list[str], refused: list[str], wanted: list[str]
) -> None:
    """Whatever comes after that must not either: it may need it."""
    learned = Learned.of(settings(tmp_path))
    learned.learn(["a", "b", "c"])
    for name in without:
        learned.stop_at(name)
    assert Learned.of(settings(tmp_path)).wanted(refused) == wanted


@pytest.mark.parametrize("content", [
    "", "null", "[]", "{}", '{"names": 1, "without": [], "own": []}', '{"names": [1], "without": [], "own": []}',
    '{"names": ["a"], "without": [], "own": ["b"]}', '{"names": ["a"], "without": []}', "{\x00", "\udcff",
])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, content: str) -> None:
    """Half a file, another form, other bytes."""
    learned = Learned.of(settings(tmp_path))
    Path(learned.path).write_text(content, encoding="utf-8", errors="surrogateescape")
    learned = Learned.of(settings(tmp_path))
    assert (learned.names, learned.own) == ([], [])


def test_who_else_may_write_there_is_not_believed(tmp_path: Path) -> None:
    """What the file names is imported."""
    Learned.of(settings(tmp_path)).learn(["flask"])
    tmp_path.chmod(0o777)
    learned = Learned.of(settings(tmp_path))
    assert (learned.path, learned.names) == ("", [])
    learned.learn(["pandas"])


def test_a_disk_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    """What was learned is known until the end of the process."""
    learned = Learned.of(settings(tmp_path / "cache"))
    os.rmdir(tmp_path / "cache")
    learned.learn(["flask"])
    assert learned.wanted() == ["flask"]


def test_the_file_is_plain(tmp_path: Path) -> None:
    """Whoever wants to know what is preloaded can look."""
    learned = Learned.of(settings(tmp_path))
    learned.learn(["flask"])
    learned.learn_own([("shop", "/srv/shop.py")])
    assert json.loads(Path(learned.path).read_text()) == {
        "names": ["flask"], "without": [], "own": ["shop", "/srv/shop.py"],
    }  # fmt: skip
