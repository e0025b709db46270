"""What tells one state of a file from another, and whether a writer is inside."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.freshness import stamps
from runner.freshness.stamps import HASHED, Reading, Stamp, being_written, digest, hash_bytes, is_young, stamp, torn
from tests.support.trouble import until

WRITER = "import sys; f = open(sys.argv[1], 'a'); print('in', flush=True); sys.stdin.read()"


def test_absent_is_a_state(tmp_path: Path) -> None:
    """What is not there, or cannot have a name, has the stamp None."""
    assert stamp(str(tmp_path / "absent")) is None
    assert stamp("nul\0name") is None


def test_an_older_time_is_a_change(tmp_path: Path) -> None:
    """Setting the modification time back gives another stamp, restoring it gives a third: nothing undoes a change."""
    path = tmp_path / "a.py"
    path.write_text("1")
    stamps = [stamp(str(path))]
    for seconds in (1, stamps[0].mtime_ns // 10**9 if stamps[0] else 0):
        os.utime(path, (seconds, seconds))
        stamps.append(stamp(str(path)))
    assert len(set(stamps)) == 3


def test_a_rename_over_is_a_change(tmp_path: Path) -> None:
    """Another file with the same size and times under the same name has another stamp."""
    path, other = tmp_path / "a.py", tmp_path / "b.py"
    path.write_text("1")
    other.write_text("2")
    times = os.stat(path)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    before = stamp(str(path))
    os.replace(other, path)
    assert stamp(str(path)) != before


def test_symbolic_links_are_followed(tmp_path: Path) -> None:
    """A link that leads elsewhere is a change although nothing happened to the files."""
    for name in ("one", "two"):
        (tmp_path / name).write_text("")
    link = tmp_path / "link"
    link.symlink_to("one")
    before = stamp(str(link))
    link.unlink()
    link.symlink_to("two")
    assert stamp(str(link)) != before


@pytest.mark.parametrize(("hours", "young"), [(1, False), (0, True), (-1, True)])
def test_after_the_clock_was_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int, young: bool) -> None:
    """A stamp of a time that is still to come proves nothing: the clock will be there a second time."""
    (tmp_path / "a.py").write_text("1")
    seen = stamp(str(tmp_path / "a.py"))
    assert seen is not None
    monkeypatch.setattr(time, "time_ns", lambda: seen.ctime_ns + hours * 3600 * 10**9)
    assert is_young(seen) is young


def test_digest_is_of_the_content(tmp_path: Path) -> None:
    """A file's digest is its content's; what cannot be read or is too large to be worth it has none."""
    path = tmp_path / "a"
    path.write_bytes(b"text")
    assert digest(str(path)) == hash_bytes(b"text")
    assert digest(str(tmp_path)) is None
    with path.open("wb") as file:
        file.truncate(HASHED + 1)
    assert digest(str(path)) is None


def test_a_fifo_is_not_read(tmp_path: Path) -> None:
    """A FIFO under a module's name is not waited for, has no hash, and keeps what is in it for its reader."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    assert digest(str(path)) is None
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        assert digest(str(path)) is None
        os.write(descriptor, b"text")
        assert digest(str(path)) is None
        assert os.read(descriptor, 10) == b"text"
    finally:
        os.close(descriptor)


def test_a_writer_is_seen_until_it_is_done(tmp_path: Path) -> None:
    """A process that has a file open for writing is inside; once it has closed, nobody is."""
    path = tmp_path / "a.py"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin and writer.stdout
        assert writer.stdout.readline() == "in\n"
        assert being_written(str(path)) is True
        writer.stdin.close()
        writer.wait()
    assert being_written(str(path)) is False


def test_what_cannot_be_told(tmp_path: Path) -> None:
    """Where there is no file, or no lease to be had, the answer is neither yes nor no."""
    assert being_written(str(tmp_path / "absent")) is None
    assert being_written(str(tmp_path)) is None


def test_a_reader_is_no_writer(tmp_path: Path) -> None:
    """Somebody who reads does not count."""
    path = tmp_path / "a.py"
    path.write_text("1")
    with path.open():
        assert being_written(str(path)) is False


def test_asking_is_harmless_to_the_one_who_asks(tmp_path: Path) -> None:
    """Who opens a file while another asks about it must not end him by the kernel's signal for a broken lease."""
    path = tmp_path / "a.py"
    path.write_text("1")
    code = (
        "import os, sys, threading\nfrom runner.freshness.stamps import being_written\npath = sys.argv[1]\n"
        "def write():\n    for _ in range(4000): os.close(os.open(path, os.O_WRONLY))\n"
        "thread = threading.Thread(target=write); thread.start()\nwhile thread.is_alive(): being_written(path)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=Path(__file__).parents[2], timeout=30)
    assert done.returncode != -signal.SIGIO
    assert done.returncode == 0


@pytest.mark.parametrize("seconds", [0, 1])
def test_epoch_times_are_times(tmp_path: Path, seconds: int) -> None:
    """Builds that set every time to the epoch still have stamps that change with the content."""
    path = tmp_path / "a.py"

    def built(text: str) -> object:
        path.write_text(text)
        os.utime(path, (seconds, seconds))
        return stamp(str(path))

    first = built("1")
    until("the kernel's clock of changes has gone on", lambda: built("2") != first)


def read_at(*moments: tuple[int, int]) -> dict[str, Reading]:
    """Files "0", "1" … that were changed and read at these *moments* (milliseconds)."""
    return {
        str(number): Reading(Stamp(1, number, 1, 0, changed * 10**6, 1), read * 10**6)
        for number, (changed, read) in enumerate(moments)
    }


@pytest.mark.parametrize(("moments", "missed", "mixed"), [
    ([(100, 103), (50, 105)], ["0"], False),    # the other one is older than the reading of what was missed
    ([(50, 103), (100, 105)], ["0"], True),     # it may have changed after it
    ([(50, 103), (92, 105)], ["0"], False),     # not so, whatever the clock of the change times lags behind
    ([(50, 103), (94, 105)], ["0"], True),
    ([(50, 105), (104, 104)], ["0"], False),    # it was read before
    ([(50, 103), (100, 105)], ["1"], False),    # what was read last is missed: all others had become what they were
    ([(50, 103), (100, 105)], ["0", "1"], True),
    ([(50, 103), (60, 105)], ["0", "1"], False),
    ([(100, 101), (50, 103), (50, 105)], ["1"], False),
    ([(50, 101), (50, 103), (101, 105)], ["0", "1"], True),
    ([(100, 103)], ["0"], False),
    ([(100, 103)], ["elsewhere"], True),        # nobody knows in which state it was read
])  # fmt: skip
def test_what_was_read_is_torn_if_it_was_there_at_no_moment(
    moments: list[tuple[int, int]], missed: list[str], mixed: bool
) -> None:
    """Files that changed after they were read may have changed several times: what they are now says nothing."""
    read = read_at(*moments)
    assert torn({path: reading.seen for path, reading in read.items()}, read, missed) is mixed


def test_what_was_confirmed_was_there_until_then() -> None:
    """A file that was read long ago, and looked at again."""
    read = read_at((50, 60), (100, 115))
    noted = {**{path: reading.seen for path, reading in read.items()}, "data": read["0"].seen}
    assert torn(noted, read, ["0"])
    assert not torn(noted, read, ["0", "data"], {"0", "data"}, 112 * 10**6)
    assert torn(noted, read, ["0"], {"0"}, 105 * 10**6)
    assert torn(noted, read, ["0", "other"], {"0", "data"}, 112 * 10**6)


def test_a_file_whose_size_nobody_tells(tmp_path: Path) -> None:
    """It is read to its end all the same, or as far as is wanted."""
    with open("/proc/version", "rb") as file:
        content = file.read()
    assert os.stat("/proc/version").st_size == 0
    assert stamps.read("/proc/version") == content
    assert stamps.read("/proc/version", 3) == content[:3]
    (tmp_path / "a.py").write_bytes(content)
    assert stamps.read(str(tmp_path / "a.py")) == content
    assert stamps.read(str(tmp_path / "a.py"), 3) == content[:3]
