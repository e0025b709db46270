"""A socket at a path: nobody's file is lost, nobody's socket stolen, and nobody finds it half made."""

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.supervisor.unix_socket import TakenError, open_at, remove
from tests.support.runner_process import environment

Held = tuple[Path, socket.socket, int]


def bind(path: Path, mode: int = 0o660) -> list[Held]:
    """Take a path."""
    return [(path, *open_at(str(path), mode=mode, backlog=5))]


def unbind(held: list[Held]) -> None:
    """Give it back."""
    for path, sock, lock in held:
        sock.close()
        remove(str(path), lock)


@pytest.fixture
def opened() -> Iterator[list[Held]]:
    """What a test opens and forgets."""
    held: list[Held] = []
    yield held
    unbind(held)


def test_a_unix_socket_comes_and_goes(sockets: Path) -> None:
    """With a lock beside it that says who; at the end neither is left."""
    held = bind(sockets / "s")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(sockets / "s"))
    assert (sockets / "s.lock").read_text() == f"{os.getpid()}\n"
    assert {each.name for each in sockets.iterdir()} == {"s", "s.lock"}
    unbind(held)
    assert list(sockets.iterdir()) == []


@pytest.mark.parametrize("mode", [0o660, 0o600, 0o666, 0o777])
@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_the_mode_is_the_one_asked_for(sockets: Path, opened: list[Held], mode: int, mask: int) -> None:
    """Whatever the process's own mask, which is as before afterwards."""
    before = os.umask(mask)
    try:
        opened += bind(sockets / "s", mode=mode)
        assert stat.S_IMODE((sockets / "s").stat().st_mode) == mode
        assert os.umask(mask) == mask
    finally:
        os.umask(before)


def test_the_socket_is_never_open_wider_than_asked(sockets: Path) -> None:
    """Somebody who looks all the time, sees no other mode at any name in the directory."""
    seen: set[int] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            for entry in os.scandir(sockets):
                try:
                    found = entry.stat(follow_symlinks=False).st_mode
                except FileNotFoundError:
                    continue
                if stat.S_ISSOCK(found):
                    seen.add(stat.S_IMODE(found))

    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(200):
        unbind(bind(sockets / "s", mode=0o600))
    done.set()
    watcher.join()
    assert seen <= {0o600}


def test_a_dead_socket_is_replaced(sockets: Path, opened: list[Held]) -> None:
    """As a crash leaves it."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(sockets / "s"))
    opened += bind(sockets / "s")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(sockets / "s"))


def test_another_program_s_socket_is_refused(sockets: Path) -> None:
    """It lives on, at its own name."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(sockets / "s"))
        other.listen()
        with pytest.raises(TakenError, match="already served by another program"):
            bind(sockets / "s")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(sockets / "s"))
    assert {each.name for each in sockets.iterdir()} == {"s"}


def test_what_is_no_socket_is_refused_and_untouched(sockets: Path) -> None:
    """A file, a folder, a link to a file, a link to nothing, a link to a socket."""
    (sockets / "file").write_text("content")
    (sockets / "folder").mkdir()
    (sockets / "link").symlink_to("file")
    (sockets / "dangling").symlink_to("nothing")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(sockets / "dead"))
    (sockets / "to_dead").symlink_to("dead")
    before = {each.name: each.lstat().st_ino for each in sockets.iterdir()}
    for name in ("file", "folder", "link", "dangling", "to_dead"):
        with pytest.raises(TakenError, match="exists and is not a socket; remove it yourself"):
            bind(sockets / name)
    assert {each.name: each.lstat().st_ino for each in sockets.iterdir()} == before
    assert (sockets / "file").read_text() == "content"


@pytest.mark.parametrize("length", [95, 100, 106, 107])
def test_the_longest_path_works(sockets: Path, length: int) -> None:
    """Up to the 107 bytes that unix(7) allows, also over a dead socket."""
    folder = sockets / ("d" * (length - len(str(sockets)) - 3))
    folder.mkdir()
    path = folder / "s"
    assert len(str(path)) == length
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    held = bind(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    unbind(held)
    assert list(folder.iterdir()) == []


RACE = """
import sys
from pathlib import Path
from tests.supervisor.test_unix_socket import bind, unbind
for path in sys.stdin:
    held = []
    try:
        held = bind(Path(path.strip()))
        print("won", flush=True)
    except Exception as error:
        print(error, flush=True)
    sys.stdin.readline()
    unbind(held)
"""


def test_of_two_starts_at_once_exactly_one_wins(sockets: Path) -> None:
    """Ten times; the winner's socket answers, the loser names the winner."""
    racers = [subprocess.Popen([sys.executable, "-c", RACE], env=environment(), text=True, bufsize=1,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]

    def tell(text: str) -> None:
        for each in racers:
            assert each.stdin is not None
            each.stdin.write(text)
            each.stdin.flush()

    for turn in range(10):
        tell(f"{sockets}/{turn}\n")
        said = [each.stdout.readline().strip() for each in racers if each.stdout]
        assert sorted(line == "won" for line in said) == [False, True], said
        winner = racers[said.index("won")]
        assert f"already served by process {winner.pid}" in next(line for line in said if line != "won")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{sockets}/{turn}")
        tell("next\n")
    for each in racers:
        each.communicate(timeout=10)
    assert list(sockets.iterdir()) == []
