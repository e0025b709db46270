"""A process that was paused goes on with the change queue of the one it was forked from."""

import os
from collections.abc import Callable, Set
from pathlib import Path

import pytest

from runner.freshness.inputs import Inputs
from runner.freshness.noise import NOISE
from runner.freshness.notice import Notice
from runner.freshness.watch import State, Watch
from tests.freshness.forked import forked
from tests.freshness.watched import append, quieted, settled, watching
from tests.support.project import edit, project, replace


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with inputs."""
    for name in ("a.py", "b.py", "c.py"):
        (tmp_path / name).write_text("X = 1\n")
    return tmp_path


def going_on(watch: Watch) -> Callable[[], str]:
    """What a paused copy of the process says when it goes on: its verdict, and whether it has another queue."""
    queue = watch.inotify

    def answer() -> str:
        watch.go_on()
        same = "same" if watch.inotify is queue is not None else ""
        return f"{settled(watch).name} {' '.join(watch.stale)} {same}"

    return answer


def test_what_nobody_has_read_is_in_the_queue(place: Path) -> None:
    """A save after the last reader has ended."""
    watch = watching(place, "a.py")
    with forked(going_on(watch)) as answer:
        edit(place / "b.py", "X = 2\n")
        watch.inputs.add_file(f"{place}/b.py")
        assert settled(watch) is State.FRESH
        edit(place / "b.py", "X = 3\n")
        assert settled(watch) is State.STALE
        edit(place / "a.py", "X = 2\n")
        assert answer().split() == ["STALE", f"{place}/a.py", "same"]


def test_what_was_found_is_no_longer_in_the_queue(place: Path) -> None:
    """It is told by the one who has found it."""
    watch = watching(place, "a.py", "b.py")
    with forked(going_on(watch)) as answer:
        edit(place / "a.py", "X = 2\n")
        assert settled(watch) is State.STALE
        assert answer().split() == ["STALE", f"{place}/a.py", "same"]


def test_what_concerns_only_what_was_read_later(place: Path) -> None:
    """Then the copy is as good as ever."""
    watch = watching(place, "a.py")
    with forked(going_on(watch)) as answer:
        watch.inputs.add_file(f"{place}/b.py")
        edit(place / "b.py", "X = 2\n")
        assert settled(watch) is State.STALE
        assert answer().split() == ["FRESH", "same"]


def test_who_was_inside_is_not_forgotten(place: Path) -> None:
    """A writer whose first event was read, and who has left since then, or has not."""
    watch = watching(place, "a.py", "b.py")
    with forked(going_on(watch)) as answer, (place / "a.py").open("w") as file:
        assert watch.verdict().state is State.FRESH
        edit(place / "b.py", "X = 2\n")
        assert settled(watch) is State.STALE
        file.write("X = 2\n")
        file.flush()
        file.close()
        said = answer().split()
        assert said[0] == "STALE" and f"{place}/a.py" in said


def test_who_reads_and_ends_without_a_word(place: Path) -> None:
    """Killed, say: what he has read is found on the disk, and from then on heard by a queue of one's own."""
    watch = watching(place, "a.py", "b.py")
    with forked(going_on(watch)) as answer:
        edit(place / "a.py", "X = 2\n")
        assert watch.inotify is not None and watch.inotify.take()
        assert answer().split() == ["STALE", f"{place}/a.py"]


def test_who_has_a_queue_of_his_own_misleads_nobody(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is paused after that goes on from what this one has found, and need not look at everything."""
    watch = watching(place, "a.py")
    watch.go_on()   # nobody has left a word
    assert settled(watch) is State.FRESH
    monkeypatch.setattr(watch.inputs, "sweep", lambda: [f"{place}/a.py"])
    with forked(going_on(watch)) as answer:
        watch.inputs.add_file(f"{place}/b.py")
        edit(place / "b.py", "X = 2\n")
        assert settled(watch) is State.STALE
        assert answer().split() == ["FRESH", "same"]


def test_nobody_reads_the_queue_of_a_living_one(place: Path) -> None:
    """What would be taken out he would never hear of."""
    watch = watching(place, "a.py", "b.py")
    with forked(going_on(watch)) as answer:
        edit(place / "b.py", "X = 2\n")
        assert answer().split() == ["STALE", f"{place}/b.py"]
        assert watch.pending()
        assert settled(watch) is State.STALE


@pytest.mark.parametrize("ending", ["", ".link"])
def test_a_directory_that_was_quieted_meanwhile(place: Path, ending: str) -> None:
    """Of inputs that the last reader did not have he heard nothing; also if others are there by another name."""
    Path(f"{place}.link").symlink_to(place)
    watch = watching(Path(f"{place}{ending}"), "a.py")
    watching(place, "b.py", watch=watch)
    with forked(going_on(watch)) as answer:
        # What the copy knows, and this process does not.
        del watch.inputs.files[f"{place}/b.py"]
        quieted(watch, place)
        edit(place / "b.py", "X = 2\n")
        assert watch.verdict().state is State.FRESH
        edit(place / "a.py", "X = 2\n")
        assert settled(watch) is State.STALE
        edit(place / "a.py", "X = 1\n")
        said = answer().split()
        assert said[0] == "STALE" and f"{place}/b.py" in said


def test_nothing_but_that_directory_is_looked_at_then(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each edit beside a log that is always written would cost a look at everything."""
    watch = watching(place, "a.py")
    looked: list[object] = []

    def sweep(*only: Set[str]) -> list[str]:
        looked.append(only)
        return Inputs.sweep(watch.inputs, *only)

    def answers() -> str:
        monkeypatch.setattr(watch.inputs, "sweep", sweep)
        watch.go_on()
        assert settled(watch) is State.FRESH
        return f"{looked} {watch.pending()}"

    with forked(answers) as answer:
        quieted(watch, place)
        watch.inputs.add_file(f"{place}/b.py")
        edit(place / "b.py", "X = 2\n")
        assert settled(watch) is State.STALE
        assert answer() == f"{[({str(place)},)]} False"


def test_it_hears_everything_of_what_it_reads_next(place: Path) -> None:
    """In a directory that was quieted before."""
    watch = quieted(watching(place, "a.py"), place)
    watch.inputs.add_file(f"{place}/b.py")
    append(place / "b.py")
    assert settled(watch) is State.STALE


def test_without_inotify_everything_is_looked_at(place: Path) -> None:
    """As each time."""
    watch = watching(place, "a.py", watch=Watch(inotify=False))
    with forked(going_on(watch)) as answer:
        edit(place / "a.py", "X = 2\n")
        assert settled(watch) is State.STALE
        assert answer().split() == ["STALE", f"{place}/a.py"]


def test_what_the_import_wrote_itself(place: Path) -> None:
    """It is accepted by whoever wrote it; to who was paused before that it is news."""
    watch = Watch()
    for name in ("a.py", "b.py"):
        watch.inputs.add_file(f"{place}/{name}")
    with forked(going_on(watch)) as answer:
        edit(place / "a.py", "X = 2\n")
        watch.inputs.accept(f"{place}/a.py")
        assert watch.prove() == ()
        watch.inputs.add_file(f"{place}/c.py")
        edit(place / "c.py", "X = 2\n")
        assert settled(watch) is State.STALE
        assert answer().split()[:2] == ["STALE", f"{place}/a.py"]


def test_a_new_directory_below_a_pattern(place: Path) -> None:
    """Who was paused before it was made watches it, too."""
    watch = Watch()
    watch.inputs.add_glob(f"{place}/t/**/*.html")
    watching(place, "a.py", watch=watch)
    (place / "t").mkdir()
    assert watch.verdict().state is State.FRESH

    def answers() -> str:
        watch.go_on()
        before = settled(watch)
        (place / "t" / "new" / "x.html").write_text("x")
        return f"{before.name} {settled(watch).name}"

    with forked(answers) as answer:
        (place / "t" / "new").mkdir()
        assert settled(watch) is State.FRESH
        watch.inputs.add_file(f"{place}/b.py")
        edit(place / "b.py", "X = 2\n")
        assert settled(watch) is State.STALE
        assert answer() == "FRESH STALE"


def test_a_hard_link_is_heard_before_the_import_is_over(place: Path) -> None:
    """A save through another name while an import runs, or nobody reads."""
    os.link(place / "a.py", place.parent / "linked.py")
    watch = Watch()
    watch.inputs.add_file(f"{place}/a.py")
    with forked(going_on(watch)) as answer:
        watch.inputs.add_file(f"{place}/b.py")
        edit(place / "b.py", "X = 2\n")
        assert settled(watch) is State.STALE
        edit(place.parent / "linked.py", "X = 2\n")
        assert answer().split()[:2] == ["STALE", f"{place}/a.py"]


def test_a_link_in_a_hushed_directory(tmp_path: Path) -> None:
    """Swapped while nobody hears of names there, for a place with equal content: that is what has to be watched now."""
    releases = {f"releases/{number}/pack/a.py": "X = 1\n" for number in (1, 2)}
    project(tmp_path, {**releases, "srv/other": "", "b.py": ""})
    current = tmp_path / "srv" / "current"
    current.symlink_to(tmp_path / "releases" / "1")
    watch = Watch()
    watch.share(Notice().publish)
    watching(current / "pack", watch=watch)

    def answers() -> str:
        watch.go_on()
        before = settled(watch)
        edit(tmp_path / "releases" / "2" / "pack" / "a.py", "X = 2\n")
        return f"{before.name} {settled(watch).name}"

    with forked(answers) as answer:
        watch.inputs.add_file(f"{tmp_path}/b.py")
        for _ in range(NOISE):
            (current.parent / "dull").touch()
            os.unlink(current.parent / "dull")
            watch.verdict()
        assert watch._coverage.hushed == {str(current.parent)}
        replace(tmp_path / "b.py", "X = 2\n")
        assert settled(watch) is State.STALE
        (current.parent / "next").symlink_to(tmp_path / "releases" / "2")
        os.replace(current.parent / "next", current)
        assert answer() == "FRESH STALE"
