"""One worker gives connections away and takes them; the test is its supervisor, and the next worker."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.process import messages
from runner.process.messages import Parcel, Taken
from runner.process.scoreboard import Counter
from tests.conftest import Project
from tests.support.client import Conversation, fetch
from tests.support.process import PATIENCE
from tests.support.project import edit
from tests.support.stage import ended, generation, receive
from tests.support.trouble import SOURCE, until
from tests.worker.test_loop import Hired

GET = "GET /pid HTTP/1.1\r\nHost: a\r\n\r\n"
ECHO = """
def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["wsgi.input"].read()]
"""


@pytest.fixture
def worker(project: Project, tmp_path: Path) -> Iterator[Hired]:
    """See Hired; what finds newer code is held."""
    with generation(project({"app.py": SOURCE}), on_change="hold") as stage:
        hired = Hired(stage, tmp_path)
        yield hired
        hired.channel.close()


@pytest.fixture
def threaded(project: Project, tmp_path: Path) -> Iterator[Hired]:
    """One that hears its orders also while a call is under way."""
    with generation(project({"app.py": SOURCE}), threads=2) as stage:
        hired = Hired(stage, tmp_path)
        yield hired
        hired.channel.close()


def given(worker: Hired) -> tuple[Parcel, socket.socket]:
    """What it gives away next, and the connection."""
    parcel, (descriptor,) = receive(worker.channel)
    assert isinstance(parcel, Parcel)
    sock = socket.socket(fileno=descriptor)
    sock.settimeout(PATIENCE)
    return parcel, sock


def hand(worker: Hired, parcel: Parcel, *files: int) -> Conversation:
    """Give it a connection; the client's end."""
    with socket.create_server(("127.0.0.1", 0)) as queue:
        client = Conversation(queue.getsockname())
        accepted, _ = queue.accept()
        with accepted:
            assert worker.channel.send(parcel, accepted.fileno(), *files)
    return client


def answer(sock: socket.socket, client: Conversation) -> None:
    """Say something as the next worker, and see that the client gets it."""
    with sock:
        sock.sendall(b"HTTP/1.1 203 Other\r\nContent-Length: 4\r\n\r\nnext")
        assert client.reply().body == b"next"


# ---- given away ---------------------------------------------------------------------------------------------


def test_a_retiring_worker_gives_its_idle_connections_away(worker: Hired) -> None:
    """They stay open, the next request is read by who has them; then it leaves."""
    with Conversation(worker.address) as client:
        client.request("GET", "/pid")
        assert client.reply().status == 200
        worker.say(messages.Retire())
        parcel, sock = given(worker)
        assert parcel == Parcel(0, "", 0.0, 0)
        client.request("GET", "/next")
        assert sock.recv(99).startswith(b"GET /next ")
        answer(sock, client)
    assert ended(worker.channel)
    assert worker.row.get(Counter.MOVED) == 1


def test_one_with_half_a_head_leaves_with_it(worker: Hired) -> None:
    """The rest is read by the next one."""
    with Conversation(worker.address) as client:
        client.request("GET", "/pid")
        client.reply()
        client.send(GET[:20].encode())
        worker.say(messages.Retire())
        parcel, sock = given(worker)
        client.send(GET[20:].encode())
        rest = b""
        while not (parcel.unread.encode() + rest).endswith(b"\r\n\r\n"):
            rest += sock.recv(99)
        assert (parcel.unread.encode() + rest).decode() == GET
        answer(sock, client)


def test_one_that_is_being_answered_leaves_after_its_answer(worker: Hired) -> None:
    """Which is whole, and does not speak of an end."""
    with worker.asked("go") as client:
        worker.say(messages.Retire())
        (worker.folder / "go").touch()
        reply = client.reply()
        assert reply.body.startswith(b"begun1 ") and reply.header("connection") is None
        parcel, sock = given(worker)
        assert parcel == Parcel(0, "", 0.0, 0)
        answer(sock, client)
    assert ended(worker.channel)


def test_told_by_signal_it_gives_away_what_it_has(worker: Hired) -> None:
    """After it has said that it leaves, so that nothing comes back to it."""
    with Conversation(worker.address) as client:
        client.request("GET", "/pid")
        client.reply()
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.hear(messages.Retiring) == messages.Retiring("received SIGTERM")
        _, sock = given(worker)
        answer(sock, client)


def test_the_last_of_all_closes_its_connections(worker: Hired) -> None:
    """Nobody comes after it: nothing is given away."""
    with Conversation(worker.address) as client:
        client.request("GET", "/pid")
        client.reply()
        worker.say(messages.Retire(last=True))
        assert client.ended()
    assert ended(worker.channel)
    assert worker.row.get(Counter.MOVED) == 0


def test_one_that_leaves_already_can_become_the_last(worker: Hired) -> None:
    """The service stops meanwhile: what is under way is answered, and closed."""
    with worker.asked("go") as client:
        worker.say(messages.Retire())
        worker.say(messages.Retire(last=True))
        (worker.folder / "go").touch()
        assert client.reply().body.startswith(b"begun1 ")
        assert client.ended()
    assert ended(worker.channel)


def test_a_request_that_meets_newer_code_leaves_with_its_body(worker: Hired) -> None:
    """A POST, unanswered and uncalled, every byte of it read or still to be read; it tells since when it waits."""
    body = b"x" * 3000
    with Conversation(worker.address) as client:
        client.request("GET", "/pid")
        client.reply()
        edit(worker.folder / "project" / "app.py", SOURCE + "\n")
        before = time.monotonic()
        client.request("POST", "/pid", body=body)
        parcel, sock = given(worker)
        with sock:
            assert before <= parcel.held <= time.monotonic()
            assert (parcel.after, parcel.place, parcel.refused) == (1, 0, "")
            raw = parcel.unread.encode("latin-1")
            while not raw.endswith(body):
                raw += sock.recv(1 << 16)
            assert raw.startswith(b"POST /pid HTTP/1.1\r\n")
            answer(sock.dup(), client)
    assert (worker.row.get(Counter.HELD), worker.row.get(Counter.REQUESTS)) == (1, 1)


def test_nobody_is_redirected_twice_for_one_save(project: Project, tmp_path: Path) -> None:
    """Only who finds the change is; whoever comes later is held."""
    with generation(project({"app.py": SOURCE}), on_change="redirect") as stage:
        worker = Hired(stage, tmp_path)
        with Conversation(worker.address) as one, Conversation(worker.address) as other:
            for client in (one, other):
                client.request("GET", "/pid")
                client.reply()
            edit(tmp_path / "project" / "app.py", SOURCE + "\n")
            one.request("GET", "/pid")
            met = (Counter.REDIRECTS, Counter.HELD)
            until("it is redirected or held", lambda: any(worker.row.get(counter) for counter in met))
            if worker.row.get(Counter.REDIRECTS):
                assert one.reply().status == 307
            other.request("GET", "/pid")
            parcel, sock = given(worker)
            assert parcel.after == 1
            answer(sock, one if worker.row.get(Counter.REDIRECTS) == 0 else other)
        assert worker.row.get(Counter.REDIRECTS) <= 1
        worker.channel.close()


def test_one_that_was_stale_from_the_start_takes_what_waits_and_gives_it_on(project: Project, tmp_path: Path) -> None:
    """Nobody is redirected by it, and saves that are faster than imports starve nobody: what waits has a beginning."""
    with generation(project({"app.py": SOURCE})) as stage:
        stage.hear(messages.Loaded)
        edit(tmp_path / "project" / "app.py", SOURCE + "\n")
        stage.hear(messages.Stale)
        _, channel = stage.fork()
        stage.hear(messages.Ready, channel)
        before = time.monotonic()
        with Conversation(stage.queue.getsockname()) as client:
            client.request("GET", "/pid")
            parcel, (descriptor,) = receive(channel)
            assert isinstance(parcel, Parcel)
            assert (parcel.unread.startswith("GET /pid"), parcel.held >= before, parcel.after) == (True, True, 1)
            answer(socket.socket(fileno=descriptor), client)
        channel.close()


# ---- taken --------------------------------------------------------------------------------------------------


def test_what_it_is_given_it_answers_and_keeps(worker: Hired) -> None:
    """First it says that it has it; later requests come the usual way."""
    with hand(worker, Parcel(0, GET, time.monotonic(), 0)) as client:
        assert worker.hear(Taken) == Taken(True)
        assert client.reply().body == b"1 %d" % worker.pid
        client.request("GET", "/pid")
        assert client.reply().status == 200
    until("both are counted", lambda: worker.row.get(Counter.REQUESTS) == 2)


def test_a_connection_at_rest_is_listened_to(worker: Hired) -> None:
    """Whatever comes on it, and whenever."""
    with hand(worker, Parcel(0, "", 0.0, 0)) as client:
        assert worker.hear(Taken) == Taken(True)
        client.request("GET", "/pid")
        assert client.reply().status == 200


def test_the_body_of_what_it_is_given_is_read_on(project: Project, tmp_path: Path) -> None:
    """One part came with the head, in a file; the other one comes from the client."""
    body = bytes(range(256)) * 100
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    file = os.memfd_create("request")
    os.write(file, raw[:20_000])
    with generation(project({"app.py": ECHO})) as stage:
        worker = Hired(stage, tmp_path)
        with hand(worker, Parcel(0, "", time.monotonic(), 0, beside=True), file) as client:
            assert worker.hear(Taken) == Taken(True)
            client.send(raw[20_000:])
            assert client.reply().body == body
        worker.channel.close()
    os.close(file)


def test_what_nobody_can_have_is_refused_and_its_connection_kept(worker: Hired) -> None:
    """503 with the reason, and when to ask again; the next request is as good as any."""
    with hand(worker, Parcel(0, GET, time.monotonic(), 1, "the newer code is not ready yet; ask again")) as client:
        reply = client.reply()
        assert (reply.status, reply.header("retry-after")) == (503, "1")
        assert reply.body == b"The newer code is not ready yet; ask again.\n"
        client.request("GET", "/pid")
        assert client.reply().status == 200
    assert worker.row.get(Counter.EXPIRED) == 1


def test_a_refusal_that_fails_is_not_said_to_others(worker: Hired) -> None:
    """It concerns one connection: here one of a listener that is not there."""
    with hand(worker, Parcel(99, GET, time.monotonic(), 1, "too late")) as client:
        assert client.ended()
    assert fetch(worker.address, "/pid").status == 200


def test_a_refusal_is_said_by_one_that_leaves_already(threaded: Hired) -> None:
    """There may be no other; the connection goes on its way then."""
    worker = threaded
    with worker.asked("go"):
        worker.say(messages.Retire())
        with hand(worker, Parcel(0, GET, time.monotonic(), 1, "too late")) as client:
            assert worker.hear(Taken) == Taken(True)
            assert client.reply().status == 503
            _, sock = given(worker)
            answer(sock, client)
        (worker.folder / "go").touch()


@pytest.mark.parametrize("unread", ["", GET[:9], GET])
def test_what_comes_when_it_leaves_is_not_taken(threaded: Hired, unread: str) -> None:
    """It was sent before the supervisor knew; kept, it would hold up the end, or end with it."""
    worker = threaded
    with worker.asked("go"):
        worker.say(messages.Retire())
        with hand(worker, Parcel(0, unread, 0.0, 0)):
            assert worker.hear(Taken) == Taken(False)
        (worker.folder / "go").touch()
        given(worker)[1].close()
    assert ended(worker.channel)


@pytest.mark.parametrize("refused", ["", "too late"])
def test_what_comes_after_the_end_is_left_to_others(worker: Hired, refused: str) -> None:
    """Orders that are read in one go: the first was to leave, and nothing is under way."""
    os.kill(worker.pid, signal.SIGSTOP)
    worker.say(messages.Retire())
    with hand(worker, Parcel(0, GET, time.monotonic(), 0, refused)):
        os.kill(worker.pid, signal.SIGCONT)
        assert ended(worker.channel)
