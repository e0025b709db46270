"""Sockets are bound, adopted and given back; nobody's file is lost and nobody's socket stolen."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.errors import BootError
from runner.settings import Settings, resolve
from runner.supervisor.listeners import Listener, close_listeners, open_listeners, parse_peers
from tests.support.process import Live
from tests.support.runner_process import environment


@pytest.fixture
def opened() -> Iterator[list[Listener]]:
    """What a test opens and forgets."""
    listeners: list[Listener] = []
    yield listeners
    close_listeners(listeners)


def settings(*fastcgi: str, http: tuple[str, ...] = (), **more: Any) -> Settings:
    """Settings with these addresses only."""
    known = resolve({}, {}, "/").settings
    return replace(known, fastcgi=fastcgi, http=http, **more)


def bind(path: Path, **more: Any) -> list[Listener]:
    """Listen on a unix socket."""
    return open_listeners(settings(f"unix:{path}", **more), {}, explicit=True)


def free(sock: socket.socket) -> int:
    """A high descriptor number for a copy of *sock*."""
    return os.dup(sock.fileno())


# ---- unix sockets -------------------------------------------------------------------------------------------

def test_the_owner_is_the_one_asked_for(sockets: Path, opened: list[Listener]) -> None:
    """Before anybody can connect."""
    assert os.geteuid() == 0, "run the tests as root, or this promise is not looked at"
    opened += bind(sockets / "s", socket_owner="nobody", socket_group="www-data")
    seen = (sockets / "s").stat()
    assert (seen.st_uid, seen.st_gid) == (65534, 33)


def test_an_unknown_owner_is_refused(sockets: Path) -> None:
    """With nothing left on disk."""
    with pytest.raises(BootError, match="check --socket-owner"):
        bind(sockets / "s", socket_owner="nobody-at-all")
    assert list(sockets.iterdir()) == []


def test_a_folder_that_is_missing_is_named(sockets: Path) -> None:
    """With the remedy."""
    with pytest.raises(BootError, match="create the directory first"):
        bind(sockets / "missing" / "s")


def test_a_folder_one_may_not_write_to_is_named(sockets: Path) -> None:
    """Root may, so somebody else tries."""
    sockets.chmod(0o755)
    code = ("import os, sys\nfrom pathlib import Path\nfrom tests.supervisor.test_listeners import bind\n"
            "os.setuid(65534)\ntry: bind(Path(sys.argv[1]))\nexcept Exception as error: print(error)")
    done = subprocess.run([sys.executable, "-c", code, str(sockets / "s")], env=environment(), capture_output=True,
                          text=True, timeout=30, check=True)
    assert "Permission denied; choose a port above 1023 or a directory you may write to" in done.stdout


def test_a_failure_leaves_nothing_of_the_earlier_ones(sockets: Path) -> None:
    """The second address cannot be had: the first is given back."""
    with pytest.raises(BootError):
        open_listeners(settings(f"unix:{sockets}/a", f"unix:{sockets}/missing/b"), {}, explicit=True)
    assert list(sockets.iterdir()) == []


# ---- TCP ------------------------------------------------------------------------------------------------------

def test_a_port_of_zero_is_one_the_kernel_chooses(opened: list[Listener]) -> None:
    """And the address for people has it."""
    opened += open_listeners(settings(http=("127.0.0.1:0",)), {}, explicit=True)
    port = opened[0].sock.getsockname()[1]
    assert opened[0].address == f"http://127.0.0.1:{port}/"


def test_a_port_in_use_is_refused() -> None:
    """With the remedy."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(BootError, match=f"cannot listen on {address}: Address already in use; something else"):
            open_listeners(settings(http=(address,)), {}, explicit=True)


# ---- inherited sockets --------------------------------------------------------------------------------------

def test_a_descriptor_by_number_is_adopted(opened: list[Listener]) -> None:
    """fd://N; it must be listening."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as plain:
        opened += open_listeners(settings(f"fd://{free(server)}"), {}, explicit=True)
        assert (opened[0].front, opened[0].sock.getsockname()) == ("fastcgi", server.getsockname())
        with pytest.raises(BootError, match="is not a listening socket"):
            open_listeners(settings(f"fd://{plain.fileno()}"), {}, explicit=True)


ADOPT = """
import os, socket, sys
from runner.supervisor.listeners import open_listeners
from tests.supervisor.test_listeners import settings
server = socket.create_server(("127.0.0.1", 0))
plain = socket.socket(socket.AF_UNIX)
plain.bind(sys.argv[2])
plain.listen()
copies = [os.dup2(each.fileno(), 60 + index) for index, each in enumerate((server, plain))]
%s
for each in open_listeners(settings(http=("127.0.0.1:0",)), os.environ, explicit=False):
    print(each.front, each.text)
print(os.path.realpath("/proc/self/fd/0"))
"""


def adopt(sockets: Path, prepare: str) -> list[str]:
    """What a process with such descriptors finds: "front address" each, then what descriptor 0 is."""
    command = [sys.executable, "-c", ADOPT % prepare, "-", str(sockets / "p")]
    with Live(command, env=environment()) as live:
        assert live.wait() == 0, live.output
        return live.lines


def test_what_the_service_manager_gives_is_taken(sockets: Path) -> None:
    """LISTEN_FDS from descriptor 3 on; by its name HTTP, else FastCGI."""
    lines = adopt(sockets, "os.dup2(60, 3); os.dup2(61, 4)\n"
                  "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2', LISTEN_FDNAMES='http:whatever')")
    assert lines[0].startswith("http 127.0.0.1:")
    assert lines[1] == f"fastcgi unix:{sockets}/p"


def test_what_is_for_another_process_is_left_alone(sockets: Path) -> None:
    """LISTEN_PID of somebody else: the defaults are served."""
    (line, _) = adopt(sockets, "os.dup2(60, 3); os.environ.update(LISTEN_PID='1', LISTEN_FDS='1')")
    assert line.startswith("http 127.0.0.1:")


def test_a_socket_on_descriptor_0_is_fastcgi(sockets: Path) -> None:
    """FastCGI 1.0 section 2.2; the application's standard input is then nothing."""
    lines = adopt(sockets, "os.dup2(61, 0)")
    assert lines == [f"fastcgi unix:{sockets}/p", "/dev/null"]


@pytest.mark.parametrize("text", ["localhost", "127.0.0.1,,", "1.2.3", "127.0.0.1;10.0.0.1"])
def test_a_list_of_peers_that_nobody_understands_is_refused(text: str) -> None:
    """It must not become "anybody"."""
    with pytest.raises(BootError, match="FCGI_WEB_SERVER_ADDRS"):
        parse_peers(text)
