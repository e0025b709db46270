"""Directories in which the application writes: its writes cost nothing, and a save is seen as ever."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.freshness.additions import Additions, File
from runner.freshness.inotify import Inotify
from runner.freshness.names import Names
from runner.freshness.noise import NOISE
from runner.freshness.notice import Notice
from runner.freshness.watch import State, Watch
from tests.freshness.watched import append, quieted, settled, watching
from tests.support.project import edit, replace


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with two inputs."""
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("X = 1\n")
    return tmp_path


def test_an_application_that_writes_is_not_heard(place: Path) -> None:
    """After some writes to one file a write to any file that is no input leaves nothing in the queue."""
    watch = quieted(watching(place, "a.py", "b.py"), place)
    (place / "other.log").touch()
    assert watch.verdict().state is State.FRESH
    append(place / "other.log")
    assert not watch.pending()


def test_all_inputs_of_a_quieted_directory_are_heard(place: Path) -> None:
    """Not only the one that was watched last; and which one it was is said."""
    watch = quieted(watching(place, "a.py", "b.py"), place)
    edit(place / "a.py", "X = 2\n")
    assert watch.pending()
    assert settled(watch) is State.STALE
    assert watch.stale == (f"{place}/a.py",)


def test_what_is_written_while_it_is_quieted(place: Path) -> None:
    """A save whose events stand behind the noise in the same queue is seen."""
    watch = watching(place)
    for _ in range(NOISE):
        append(place / "busy.log")
        os.utime(place / "busy.log")   # between equal events, or the kernel would make them one
    edit(place / "a.py", "X = 2\n")
    assert settled(watch) is State.STALE


def test_a_new_module_is_heard(place: Path) -> None:
    """The creation of what was looked for and absent is seen, and the writing of it waited for."""
    watch = Watch()
    watch.inputs.add_lookup("later", str(place))
    quieted(watching(place, watch=watch), place)
    with (place / "later.py").open("w") as file:
        assert watch.pending()
        assert watch.verdict().state is State.FRESH
        file.write("X = 1\n")
    assert watch.inotify is not None
    assert watch.inotify.pending()
    assert watch.verdict().state is State.STALE


def test_a_writer_inside_is_waited_for(place: Path) -> None:
    """While a writer is inside an input the present code is right; his leaving is heard at once."""
    watch = quieted(watching(place), place)
    with (place / "a.py").open("w") as file:
        assert watch.verdict().state is State.FRESH
        file.write("X = 2\n")
        file.flush()
        assert watch.verdict().state is State.FRESH
    assert watch.inotify is not None
    assert watch.inotify.pending()
    assert watch.verdict().state is State.STALE


def test_what_was_read_late_is_heard(place: Path) -> None:
    """A file that a worker has read in a directory that was quieted before."""
    watch = quieted(watching(place), place)
    worker = Watch()
    worker.inputs.add_file(f"{place}/b.py")
    watch.adopt(worker.inputs.take_additions())
    assert watch.verdict().state is State.FRESH
    edit(place / "b.py", "X = 2\n")
    assert watch.pending()
    assert settled(watch) is State.STALE


def test_quieted_again_it_watches_what_is_there_now(place: Path) -> None:
    """A file that was replaced by an equal one is watched by its new inode."""
    watch = quieted(watching(place), place)
    replace(place / "a.py", "X = 1\n")
    assert settled(watch) is State.FRESH
    quieted(watch, place)
    edit(place / "a.py", "X = 2\n")
    assert watch.pending()
    assert settled(watch) is State.STALE


def test_one_directory_by_two_names(place: Path) -> None:
    """A directory that is reached by a link, too, has inputs under both of its names."""
    (place / "code").mkdir()
    for name in ("a.py", "b.py"):
        (place / "code" / name).write_text("X = 1\n")
    (place / "link").symlink_to("code")
    watch = Watch()
    watch.inputs.add_file(f"{place}/link/b.py")
    quieted(watching(place / "code", watch=watch), place / "code")
    edit(place / "code" / "b.py", "X = 2\n")
    assert watch.pending()
    assert settled(watch) is State.STALE


class Unable(Inotify):
    """An instance that has no watch left for single files."""

    def watch_file(self, path: str) -> int:
        """See Inotify."""
        raise OSError(28, "No space left on device")


def test_without_watches_for_files_everything_is_heard(place: Path) -> None:
    """It is slower then, and as exact."""
    watch = watching(place, watch=Watch(open_inotify=Unable))
    for _ in range(2 * NOISE):
        append(place / "busy.log")
        assert watch.verdict().state is State.FRESH
    append(place / "busy.log")
    assert watch.pending()
    edit(place / "a.py", "X = 2\n")
    assert settled(watch) is State.STALE
    assert (watch.notes, watch.swept) == ([], set())


# ---- names that come and go -------------------------------------------------------------------------------------


def hushed(watch: Watch, directory: Path, notice: Notice) -> Watch:
    """*watch*, after a journal has come and gone so often in *directory* that only its own queue hears of it."""
    watch.share(notice.publish)
    for _ in range(NOISE):
        journal(directory)
        assert watch.verdict().state is State.FRESH
    journal(directory)
    assert not watch.pending()
    return watch


def journal(directory: Path) -> None:
    """What a database does at each transaction."""
    (directory / "hits-journal").touch()
    os.unlink(directory / "hits-journal")


@pytest.fixture
def notice() -> Notice:
    """What is told to others."""
    return Notice()


def test_a_journal_that_comes_and_goes_is_not_heard(place: Path, notice: Notice) -> None:
    """And all are told which name that is."""
    hushed(watching(place, "a.py", "b.py"), place, notice)
    assert notice.bustle()[1] == {str(place): ["hits-journal"]}


def test_who_has_nobody_to_tell_hears_all(place: Path) -> None:
    """A process that asks itself would read a second queue as well."""
    watch = watching(place)
    for _ in range(2 * NOISE):
        journal(place)
        assert watch.verdict().state is State.FRESH
    journal(place)
    assert watch.pending()


@pytest.mark.parametrize("save", [edit, replace])
def test_a_save_beside_the_journal(place: Path, notice: Notice, save: Callable[[Path, str], None]) -> None:
    """In place or renamed over it, it is heard in the common queue."""
    watch = hushed(watching(place, "a.py", "b.py"), place, notice)
    save(place / "b.py", "X = 2\n")
    assert watch.pending()
    assert settled(watch) is State.STALE
    assert watch.stale == (f"{place}/b.py",)


def test_a_new_name_beside_the_journal(place: Path, notice: Notice) -> None:
    """It is in the own queue of each, this one's too."""
    watch = Watch()
    watch.inputs.add_lookup("later", str(place))
    hushed(watching(place, watch=watch), place, notice)
    other = Names()
    other.listen(notice.bustle()[1])
    journal(place)
    assert other.news() == []
    (place / "later.py").touch()
    assert {event.name for event in other.news()} == {"later.py"}
    assert settled(watch) is State.STALE
    other.close()


def test_what_is_heard_again_is_said(place: Path, notice: Notice) -> None:
    """An input of the directory was touched: until there is as much noise again everything is in the common queue."""
    watch = hushed(watching(place, "a.py"), place, notice)
    os.utime(place / "a.py")
    assert settled(watch) is State.FRESH
    assert notice.bustle()[1] == {}
    journal(place)
    assert watch.pending()


def test_a_name_that_was_dull_and_is_read_later(place: Path, notice: Notice) -> None:
    """Some worker imports it: from then on it is news to everybody."""
    watch = hushed(watching(place, "a.py"), place, notice)
    watch.adopt(Additions([File(f"{place}/hits-journal", None)]))
    assert watch.verdict().state is State.FRESH
    assert notice.bustle()[1] == {}
    for _ in range(2 * NOISE):
        (place / "busy.lock").touch()
        os.unlink(place / "busy.lock")
        assert watch.verdict().state is State.FRESH
    assert notice.bustle()[1] == {str(place): ["busy.lock"]}
    (place / "hits-journal").touch()
    assert settled(watch) is State.STALE


def test_where_anything_new_may_be_of_interest(place: Path, notice: Notice) -> None:
    """Below a directory that a pattern searches everything is heard."""
    watch = Watch()
    watch.inputs.add_glob(f"{place}/**/*.toml")
    watching(place, watch=watch).share(notice.publish)
    for _ in range(2 * NOISE):
        journal(place)
        assert watch.verdict().state is State.FRESH
    assert notice.bustle() == (0, {})


def test_without_a_second_queue(place: Path, notice: Notice, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of instances everything is heard as before."""
    watch = watching(place)
    watch.share(notice.publish)
    monkeypatch.setattr("runner.freshness.noise.Names", missing)
    for _ in range(2 * NOISE):
        journal(place)
        assert watch.verdict().state is State.FRESH
    (place / "other").touch()
    assert watch.pending()
    assert notice.bustle() == (0, {})


def missing() -> Names:
    """What it does at the limit."""
    raise OSError(24, "Too many open files")
