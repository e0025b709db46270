"""A name is held by one process, whatever that one's end was like; nobody else's file is touched."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.supervisor.locks import HeldError, hold, release
from tests.support.runner_process import environment


def test_it_says_who_holds_it(tmp_path: Path) -> None:
    """To people, and to a second one that tries."""
    path = str(tmp_path / "lock")
    descriptor = hold(path, 0o600)
    assert Path(path).read_text() == f"{os.getpid()}\n"
    with pytest.raises(HeldError) as caught:
        hold(path, 0o600)
    assert caught.value.owner == str(os.getpid())
    release(path, descriptor)
    assert list(tmp_path.iterdir()) == []


def test_a_dead_holder_s_file_does_not_matter(tmp_path: Path) -> None:
    """Even if its number is another process's by now."""
    path = tmp_path / "lock"
    path.write_text("1\n")
    descriptor = hold(str(path), 0o600)
    assert path.read_text() == f"{os.getpid()}\n"
    release(str(path), descriptor)


@pytest.mark.parametrize("content", ["import os\n", "12 apples\n", "1234567890" * 4 + "x"])
def test_somebody_s_file_is_refused_and_untouched(tmp_path: Path, content: str) -> None:
    """Who types --pid-file app.py does not lose app.py."""
    path = tmp_path / "app.py"
    path.write_text(content)
    with pytest.raises(OSError):
        hold(str(path), 0o600)
    assert path.read_text() == content


def test_links_pipes_and_folders_are_refused(tmp_path: Path) -> None:
    """A link to another file least of all."""
    victim = tmp_path / "victim"
    victim.write_text("")
    (tmp_path / "link").symlink_to(victim)
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "dangling", "pipe", "folder"):
        with pytest.raises(OSError):
            hold(str(tmp_path / name), 0o600)
    assert victim.read_text() == "" and not (tmp_path / "nothing").exists()


def test_only_the_held_file_is_removed(tmp_path: Path) -> None:
    """Not one that somebody has put in its place."""
    path = tmp_path / "lock"
    descriptor = hold(str(path), 0o600)
    path.unlink()
    path.write_text("somebody's")
    release(str(path), descriptor)
    assert path.read_text() == "somebody's"


def test_a_removed_file_is_released_all_the_same(tmp_path: Path) -> None:
    """Without a complaint."""
    path = tmp_path / "lock"
    descriptor = hold(str(path), 0o600)
    path.unlink()
    release(str(path), descriptor)
    with pytest.raises(OSError):
        os.fstat(descriptor)


RACE = """
import sys, time
from runner.supervisor.locks import HeldError, hold, release
path, ledger = sys.argv[1:]
taken = 0
for _ in range(200):
    try:
        descriptor = hold(path, 0o600)
    except HeldError:
        continue
    with open(ledger, "a") as file:
        file.write("in\\n")
        file.flush()
        taken += 1
        file.write("out\\n")
    release(path, descriptor)
print(taken)
"""


def test_never_two_hold_it(tmp_path: Path) -> None:
    """Three processes that take and give it back as fast as they can: each stay is undisturbed."""
    command = [sys.executable, "-c", RACE, str(tmp_path / "lock"), str(tmp_path / "ledger")]
    running = [subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) for _ in range(3)]
    taken = sum(int(each.communicate(timeout=60)[0]) for each in running)
    lines = (tmp_path / "ledger").read_text().split()
    assert lines == ["in", "out"] * taken and taken > 0


def _die_holding(path: str) -> None:
    hold(path, 0o600)
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_kernel_gives_it_back(tmp_path: Path) -> None:
    """After a kill -9 of the holder."""
    path = str(tmp_path / "lock")
    process = multiprocessing.get_context("spawn").Process(target=_die_holding, args=(path,))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    release(path, hold(path, 0o600))
