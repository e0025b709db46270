"""What each way of saving does to the verdict."""

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.freshness import watch as module
from runner.freshness.additions import Additions, File
from runner.freshness.inotify import Inotify
from runner.freshness.stamps import WRITING
from runner.freshness.watch import VANISHED, State, Watch
from tests.freshness.watched import quieted, settled, verdicts, watching
from tests.support.project import edit, project, replace


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with one input, a.py, and a neighbour."""
    directory = tmp_path / "place"
    directory.mkdir()
    (directory / "a.py").write_text("X = 1\n")
    (tmp_path / "other.py").write_text("X = 2\n")
    return directory


def older(place: Path) -> None:
    """A file with an older time takes its place, as by `cp -p`."""
    os.utime(place.parent / "other.py", (1, 1))
    shutil.copy2(place.parent / "other.py", place / "a.py")


def same_size_same_time(place: Path) -> None:
    """An edit that leaves size and modification time as they were."""
    times = os.stat(place / "a.py")
    (place / "a.py").write_text("X = 2\n")
    os.utime(place / "a.py", ns=(times.st_atime_ns, times.st_mtime_ns))


def by_truncate(place: Path) -> None:
    """truncate(2) by name: nobody ever had the file open."""
    os.truncate(place / "a.py", 0)


def by_link(place: Path) -> None:
    """A symbolic link to another file takes its place."""
    (place / "a.py").unlink()
    (place / "a.py").symlink_to("../other.py")


def by_directory(place: Path) -> None:
    """A directory takes its place."""
    (place / "a.py").unlink()
    (place / "a.py").mkdir()


def again(place: Path) -> None:
    """Removed and made again as it was."""
    (place / "a.py").unlink()
    edit(place / "a.py", "X = 1\n")


def neighbours(place: Path) -> None:
    """What editors and applications leave beside it."""
    for name in ("b.py", "a.py~", ".a.py.swp", "a.log", "4913"):
        edit(place / name, "")


def by_map(place: Path) -> None:
    """Through a memory map: no write at all, only the close."""
    code = "import mmap\nwith open('a.py', 'r+b') as f, mmap.mmap(f.fileno(), 0) as m: m[4:5] = b'2'"
    subprocess.run(["python3", "-c", code], cwd=place, check=True)


CHANGES: dict[str, Callable[[Path], object]] = {
    "in place": lambda place: edit(place / "a.py", "X = 2\n"),
    "renamed over": lambda place: replace(place / "a.py", "X = 2\n"),
    "moved in": lambda place: os.rename(place.parent / "other.py", place / "a.py"),
    "older": older,
    "same size and time": same_size_same_time,
    "truncate(2)": by_truncate,
    "memory map": by_map,
    "removed": lambda place: (place / "a.py").unlink(),
    "replaced by a link": by_link,
    "directory renamed": lambda place: place.rename(place.parent / "moved"),
    "directory removed": lambda place: shutil.rmtree(place),
    "unreadable": by_directory,
}
NO_CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda place: None,
    "touched": lambda place: os.utime(place / "a.py"),
    "mode": lambda place: (place / "a.py").chmod(0o600),
    "same content in place": lambda place: edit(place / "a.py", "X = 1\n"),
    "same content renamed over": lambda place: replace(place / "a.py", "X = 1\n"),
    "removed and made again": again,
    "neighbours": neighbours,
    "read": lambda place: (place / "a.py").read_text(),
    "a hard link elsewhere": lambda place: os.link(place / "a.py", place.parent / "linked.py"),
}
WAYS = ("inotify", "quieted", "sweep")


def watching_by(way: str, place: Path) -> Watch:
    """A Watch that hears of changes in that way: "inotify", "quieted" (of inputs and names alone) or "sweep"."""
    watch = watching(place, watch=Watch(inotify=way != "sweep"))
    return quieted(watch, place) if way == "quieted" else watch


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", WAYS)
def test_changes(place: Path, change: str, way: str) -> None:
    """Each of these makes the generation stale, and says which path it was."""
    watch = watching_by(way, place)
    CHANGES[change](place)
    assert watch.pending()
    assert settled(watch) is State.STALE
    assert watch.stale == (f"{place}/a.py",)


@pytest.mark.parametrize("change", NO_CHANGES)
@pytest.mark.parametrize("way", WAYS)
def test_no_changes(place: Path, change: str, way: str) -> None:
    """None of these does, whatever the queue says."""
    watch = watching_by(way, place)
    NO_CHANGES[change](place)
    assert settled(watch) is State.FRESH
    assert watch.pending() is (way == "sweep")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("before", NO_CHANGES)
def test_changes_after_no_changes(place: Path, before: str, change: str) -> None:
    """Whatever a quieted directory has seen before, and however it listens now, a change is a change."""
    watch = watching_by("quieted", place)
    NO_CHANGES[before](place)
    assert settled(watch) is State.FRESH
    CHANGES[change](place)
    assert watch.pending()
    assert settled(watch) is State.STALE


def test_stale_is_final(place: Path) -> None:
    """Undoing the edit does not make the verdict good again: the next generation may have begun."""
    watch = watching(place)
    edit(place / "a.py", "X = 2\n")
    assert watch.verdict().state is State.STALE
    edit(place / "a.py", "X = 1\n")
    assert watch.verdict() == (State.STALE, (f"{place}/a.py",), None)


def test_a_writer_inside(place: Path) -> None:
    """While a writer is inside the save is not complete and the present code is right; its close completes it."""
    watch = watching(place)
    with (place / "a.py").open("w") as file:
        verdict = watch.verdict()
        assert verdict.state is State.FRESH
        assert verdict.again is not None
        assert watch.pending()
        file.write("X = 2\n")
        file.flush()
        assert watch.verdict().state is State.FRESH
    assert watch.verdict().state is State.STALE


def test_a_writer_who_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer who does not leave holds the verdict for WRITING seconds, not for ever."""
    assert WRITING <= 2.0
    watch = watching(place)
    monkeypatch.setattr(module, "WRITING", 0.05)
    with (place / "a.py").open("w"):
        began = time.monotonic()
        states = [verdict.state for verdict in verdicts(watch)]
        assert states[0] is State.FRESH
        assert states[-1] is State.STALE
        assert time.monotonic() - began >= 0.05


def test_a_new_file_beside_the_writer(place: Path) -> None:
    """A rename over a file in which somebody still writes is complete, whatever he does."""
    watch = watching(place)
    with (place / "a.py").open("a") as file:
        file.write("#")
        file.flush()
        assert watch.verdict().state is State.FRESH
        replace(place / "a.py", "X = 2\n")
        assert watch.verdict().state is State.STALE


@pytest.mark.parametrize("save", [edit, replace])
def test_a_writer_inside_after_a_complete_save(place: Path, save: Callable[[Path, str], None]) -> None:
    """Whoever writes the version after the next does not make the present code right again."""
    watch = watching(place)
    save(place / "a.py", "X = 2\n")
    with (place / "a.py").open("w"):
        assert watch.verdict().state is State.STALE


def test_removed_for_a_moment(place: Path) -> None:
    """A file that vanished leaves the answer open for VANISHED seconds; if it is back by then nothing happened."""
    assert VANISHED <= 0.02
    watch = watching(place)
    (place / "a.py").unlink()
    assert watch.verdict().state is State.BUSY
    edit(place / "a.py", "X = 1\n")
    assert watch.verdict().state is State.FRESH


def test_removed_and_made_new(place: Path) -> None:
    """A file that is back with another content is a change at once."""
    watch = watching(place)
    (place / "a.py").unlink()
    assert watch.verdict().state is State.BUSY
    edit(place / "a.py", "X = 2\n")
    assert watch.verdict().state is State.STALE


def test_proof_waits_for_a_writer(place: Path) -> None:
    """A file that is being written when the import is over is proven only after the writer's end."""
    watch = Watch()
    code = "import sys; f = open('a.py', 'w'); print(flush=True); sys.stdin.read(1); f.write('X = 2')"
    with subprocess.Popen(["python3", "-c", code], cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdin and writer.stdout
        writer.stdout.readline()
        watch.inputs.add_file(f"{place}/a.py")   # read, and empty
        writer.stdin.close()
        assert watch.prove() == (f"{place}/a.py",)


def test_proof_does_not_wait_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer who has been inside for WRITING seconds by then is not waited for: what he has written counts."""
    with (place / "a.py").open("w") as file:
        watch = Watch()
        watch.inputs.add_file(f"{place}/a.py")
        seen = watch.inputs.files[f"{place}/a.py"]
        assert seen is not None
        watch.inputs.files[f"{place}/a.py"] = seen._replace(ctime_ns=seen.ctime_ns - int(WRITING * 1e9))
        monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waited"))
        watch.prove()
        file.write("#")


def test_proof_finds_what_has_no_event(place: Path) -> None:
    """What changed between its stamp and the proof makes the attempt void, events or none."""
    watch = Watch(inotify=False)
    watch.inputs.add_file(f"{place}/a.py")
    edit(place / "a.py", "X = 2\n")
    assert watch.prove() == (f"{place}/a.py",)


def test_an_overflow(place: Path) -> None:
    """When the kernel had to drop events everything is looked at, and watched anew."""
    watch = watching(place, "a.py", "b.py")
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(limit // 2 + 1):
        os.utime(place / "a.py")
        (place / "noise").touch()
        os.unlink(place / "noise")
    edit(place / "b.py", "X = 2\n")
    assert settled(watch) is State.STALE
    assert watch.stale == (f"{place}/b.py",)


def test_after_an_overflow(place: Path) -> None:
    """An overflow without a change leaves everything watched, hard links too."""
    os.link(place / "a.py", place.parent / "linked.py")
    watch = watching(place)
    watch._coverage.lost = True
    assert watch.verdict().state is State.FRESH
    edit(place.parent / "linked.py", "X = 2\n")
    assert watch.pending()
    assert watch.verdict().state is State.STALE


def test_a_write_through_another_name(place: Path) -> None:
    """A file with several hard links is watched by inode."""
    os.link(place / "a.py", place.parent / "linked.py")
    watch = watching(place)
    edit(place.parent / "linked.py", "X = 2\n")
    assert watch.pending()
    assert settled(watch) is State.STALE


def test_a_late_file_with_links(place: Path) -> None:
    """What another process read late is watched by inode, too."""
    os.link(place / "a.py", place.parent / "linked.py")
    there, here = Watch(), Watch()
    there.inputs.add_file(f"{place}/a.py")
    here.adopt(there.inputs.take_additions())
    assert here.verdict().state is State.FRESH
    edit(place.parent / "linked.py", "X = 2\n")
    assert here.pending()
    assert settled(here) is State.STALE


@pytest.mark.parametrize("saved", ["a.py", "new.py"], ids=["a file", "a look-up"])
def test_what_was_adopted_is_looked_at(place: Path, saved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been saved again before this process had heard of it. That alone: events tell of all else."""
    there, here = Watch(), watching(place, "b.py")
    there.inputs.add_file(f"{place}/a.py")
    there.inputs.add_lookup("new", str(place))
    edit(place / saved, "X = 2\n")
    assert here.verdict().state is State.FRESH
    here.adopt(there.inputs.take_additions())
    monkeypatch.setattr(here.inputs, "sweep", lambda: [f"{place}/b.py"])
    assert here.pending()
    assert settled(here) is State.STALE
    assert len(here.stale) == 1
    assert here.stale[0].startswith(f"{place}/{saved[:-3]}")


class Limited(Inotify):
    """An instance that has no watch left for anybody."""

    def watch_directory(self, directory: str) -> int:
        """See Inotify."""
        raise OSError(errno.ENOSPC, "No space left on device")


def missing() -> Inotify:
    """What the constructor does where there is no instance left."""
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize(
    ("open_inotify", "said"),
    [(Limited, "raise fs.inotify.max_user_watches"), (missing, "no inotify (Too many open files)")],
    ids=["no watches", "no instance"],
)
def test_limits_are_said_and_lived_with(place: Path, open_inotify: Callable[[], Inotify], said: str) -> None:
    """Where nothing can be watched the files are looked at instead, and that is said once."""
    watch = watching(place, "a.py", "b.py", watch=Watch(open_inotify=open_inotify))
    watch.inputs.add_lookup("shadow", str(place))
    assert [note for note in watch.notes if said in note] == watch.notes
    assert len(watch.notes) == 1
    assert watch.pending()
    assert watch.verdict().state is State.FRESH
    (place / "shadow.py").touch()
    assert settled(watch) is State.STALE


def test_what_turns_out_later_is_told_at_once(place: Path) -> None:
    """To whoever asked to be told, once for each directory, and not again when the watches are set anew."""
    watch = watching(place, watch=Watch(open_inotify=Limited))
    told: list[str] = []
    watch.noted = told.append
    for name in ("late/a.py", "late/b.py", "later/a.py"):
        (place / name).parent.mkdir(exist_ok=True)
        watch.inputs.add_file(f"{place}/{name}")
    watch.adopt(Additions([File(f"{place}/late/c.py", None)]))
    assert [text.partition(" (")[0] for text in told] == [f"cannot watch {place}/late", f"cannot watch {place}/later"]
    assert watch.notes[1:] == told


def test_what_is_looked_at_costs_nothing(place: Path) -> None:
    """Giving the verdict leaves nothing in the queue that would ask for the next one."""
    watch = watching(place)
    edit(place / "b.py", "")
    assert watch.pending()
    assert watch.verdict().state is State.FRESH
    assert not watch.pending()


def test_a_directory_that_may_not_be_entered(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory whose mode changes has everything in it looked at: what cannot be seen is as good as gone."""
    project(place, {"pack/b.py": ""})
    watch = watching(place, "pack/b.py")
    (place / "pack").chmod(0o700)
    swept: list[bool] = []

    def sweep() -> list[str]:
        swept.append(True)
        return []

    monkeypatch.setattr(watch.inputs, "sweep", sweep)
    assert settled(watch) is State.FRESH
    assert swept == [True]
