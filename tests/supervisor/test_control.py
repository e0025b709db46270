"""The control socket: who is answered, who is not, and that nobody can hold it up."""

import json
import os
import resource
import selectors
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.errors import BootError, UsageError
from runner.supervisor import control
from runner.supervisor.control import Desk, Question, ask, find, peer_user, runtime_directory


class Office:
    """A desk that is attended by a thread; it answers with what was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.desk = Desk(str(path))
        self._selector = selectors.DefaultSelector()
        self._ours, self._theirs = socket.socketpair()
        self._selector.register(self._theirs, selectors.EVENT_READ, None)
        self.desk.attend(self._selector, self._answer)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def connect(self) -> socket.socket:
        """A client that has not said anything yet."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(5)
        client.connect(str(self.path))
        return client

    def say(self, data: bytes) -> bytes:
        """What a client gets that says this and nothing more."""
        with self.connect() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            with client.makefile("rb") as file:
                return file.read()

    def close(self) -> None:
        """The end of the thread, then of the desk."""
        self._ours.close()
        self._thread.join()
        self.desk.close()
        self._theirs.close()
        self._selector.close()

    def _answer(self, question: Question) -> None:
        question.answer({"asked": question.command})

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                key.data()


@pytest.fixture
def office(sockets: Path) -> Iterator[Office]:
    """An attended desk."""
    office = Office(sockets / "c")
    yield office
    office.close()


def test_a_question_is_answered(office: Office) -> None:
    """One line there, one line back."""
    assert ask(str(office.path), {"command": "status"}) == {"asked": {"command": "status"}}


def test_only_its_user_may_come_near(office: Office) -> None:
    """The mode of the socket keeps the others out already."""
    assert stat.S_IMODE(office.path.stat().st_mode) == 0o600


def test_a_question_may_come_in_pieces(office: Office) -> None:
    """Byte by byte."""
    with office.connect() as client:
        for byte in b'{"command": "x"}\n':
            client.sendall(bytes([byte]))
        assert json.loads(client.recv(1000)) == {"asked": {"command": "x"}}


@pytest.mark.parametrize("data", [
    b"garbage\n", b"\x00\xff\n", b"[1]\n", b"1\n", b"null\n", b"{}\n", b"\n", b"[" * 300_000 + b"\n",
    b'{"a": 1e400000}x\n',
])
def test_what_is_no_question_is_answered_as_such(office: Office, data: bytes) -> None:
    """And the next one is heard."""
    assert json.loads(office.say(data)) == {"error": "not a JSON object on one line"}
    assert ask(str(office.path), {"command": "next"})


@pytest.mark.parametrize("data", [b"", b'{"command": "half', b"x" * (control._LINE + 100)])
def test_half_a_question_is_no_question(office: Office, data: bytes) -> None:
    """No answer; an endless one is cut off."""
    try:
        assert office.say(data) == b""
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert ask(str(office.path), {"command": "next"})


def test_silence_holds_up_nobody(office: Office) -> None:
    """40 clients that say nothing: the oldest make room."""
    silent = [office.connect() for _ in range(40)]
    assert ask(str(office.path), {"command": "next"})
    assert silent[0].recv(1) == b""
    for each in silent:
        each.close()


def test_a_client_that_leaves_before_its_answer_costs_nothing(office: Office) -> None:
    """Fifty of them."""
    for _ in range(50):
        with office.connect() as client:
            client.sendall(b'{"command": "status"}\n')
    assert ask(str(office.path), {"command": "next"})


def test_strangers_are_not_answered(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is neither the same user nor root."""
    monkeypatch.setattr(control, "peer_user", lambda sock: 65534)
    with office.connect() as client:
        assert client.recv(1) == b""


def test_the_kernel_says_who_is_there() -> None:
    """The user at the other end."""
    ours, theirs = socket.socketpair()
    assert peer_user(ours) == os.geteuid()
    ours.close()
    theirs.close()


def test_without_a_descriptor_left_it_looks_away_for_a_while(sockets: Path) -> None:
    """Who asks waits in the queue, which is readable all the time; then he is answered."""
    selector = selectors.DefaultSelector()
    desk = Desk(str(sockets / "c"))
    desk.attend(selector, lambda question: question.answer({"asked": question.command}))
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(sockets / "c"))
    client.sendall(b'{"command": "status"}\n')
    with none_left():
        ((key, _),) = selector.select(5)
        key.data()
        assert selector.select(0) == []
        moment = desk.next_look()
        assert moment is not None
        desk.look(moment - 0.01)
        assert selector.select(0) == []
    desk.look(moment)
    assert desk.next_look() is None
    for _ in range(2):
        ((key, _),) = selector.select(5)
        key.data()
    assert json.loads(client.recv(1000)) == {"asked": {"command": "status"}}
    client.close()
    desk.close()
    selector.close()


@contextmanager
def none_left() -> Iterator[None]:
    """No descriptor can be had."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.dup(0)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


# ---- the place -------------------------------------------------------------------------------------------------

def test_a_dead_socket_is_taken_over(sockets: Path) -> None:
    """As a crash leaves it."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(sockets / "c"))
    Desk(str(sockets / "c")).close()
    assert not (sockets / "c").exists()


def test_a_living_one_is_not(office: Office) -> None:
    """Its owner goes on."""
    with pytest.raises(BootError, match="already served by process"):
        Desk(str(office.path))
    assert ask(str(office.path), {"command": "next"})


def test_somebody_s_file_is_not(sockets: Path) -> None:
    """Nor a link, not even to a dead socket."""
    (sockets / "file").write_text("content")
    (sockets / "link").symlink_to("file")
    for name in ("file", "link"):
        with pytest.raises(BootError, match="exists and is not a socket"):
            Desk(str(sockets / name))
    assert (sockets / "file").read_text() == "content"


@pytest.mark.parametrize("path", ["/no/such/directory/c", "/tmp/" + "x" * 150])
def test_a_path_that_cannot_be_is_refused(path: str) -> None:
    """With the reason and the option."""
    with pytest.raises(BootError, match=r"cannot open the control socket .*(No such file|too long).*--control"):
        Desk(path)


def test_what_has_taken_its_place_is_left_alone(sockets: Path) -> None:
    """At the end only the own one is removed."""
    desk = Desk(str(sockets / "c"))
    (sockets / "c").unlink()
    (sockets / "c").write_text("somebody's")
    desk.close()
    assert (sockets / "c").read_text() == "somebody's"


# ---- finding it ------------------------------------------------------------------------------------------------

def test_the_runtime_directory_is_one_s_own(sockets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made with mode 0700; one that others may enter is refused, and so is a link."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(sockets))
    assert stat.S_IMODE(os.stat(runtime_directory()).st_mode) == 0o700
    os.chmod(runtime_directory(), 0o755)
    with pytest.raises(BootError, match="only you may enter"):
        runtime_directory()
    os.rmdir(sockets / "runner")
    (sockets / "elsewhere").mkdir(mode=0o700)
    (sockets / "runner").symlink_to("elsewhere")
    with pytest.raises(BootError, match="only you may enter"):
        runtime_directory()


def test_dead_ones_are_cleared_away(sockets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else binds a name in that directory."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(sockets))
    place = Path(runtime_directory(), "4711.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
    with pytest.raises(UsageError, match="no runner is running; start one by"):
        find("/somewhere")
    assert not place.exists()
