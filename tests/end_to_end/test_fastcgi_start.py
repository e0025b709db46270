"""How a FastCGI server is started, whom it lets in, and when it says that it is too much."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runner.wire import records
from runner.wire.requester import End, Requester
from tests.support.client import FastCGI, FastCGIReply, parameters
from tests.support.places import connect
from tests.support.runner_process import ROOT, Served, environment, serve

APP = "tests.support.worker_app:application"


def pairs(path: str) -> list[tuple[bytes, bytes]]:
    """Parameters as the wire has them."""
    return [(name.encode(), value.encode()) for name, value in parameters(path).items()]


def ask(served: Served) -> FastCGIReply:
    """One request on a connection of its own."""
    with FastCGI(served.fastcgi) as client:
        return client.request(parameters("/size?1"))


def drain(sock: socket.socket) -> bytes:
    """All that comes until the peer closes."""
    found = bytearray()
    while data := sock.recv(1 << 16):
        found += data
    return bytes(found)


def test_too_many_at_once_are_refused_in_words_and_on_the_wire() -> None:
    """A19: 503, Retry-After, protocolStatus OVERLOADED."""
    with serve(ROOT, APP, "--workers", "1", "--max-inflight", "1") as served:
        with connect(served.fastcgi) as busy:
            busy.sendall(Requester().request(1, pairs("/slow?30"), keep=False) + Requester().stdin(1, b""))
            assert b"begun" in busy.recv(1 << 16)
            reply = ask(served)
            assert reply.stdout.startswith(b"Status: 503 Service Unavailable\r\nRetry-After: 1\r\n")
            assert reply.end == End(0, records.OVERLOADED)
        barrier = threading.Event()
        while ask(served).end.protocol_status:
            barrier.wait(0.01)


def test_a_listening_socket_on_descriptor_zero_is_served_with_the_other_two_closed(tmp_path: Path) -> None:
    """A21: as section 2.2 has it; what the application prints does not land on a socket that got its number."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        command = [sys.executable, "-m", "runner", "serve", APP, "--workers", "1", "--control", str(tmp_path / "c")]
        process = subprocess.Popen(
            ["/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command],
            stdin=listener.fileno(), cwd=ROOT, env=environment(),
        )
        try:
            with FastCGI(path) as client:
                assert client.request(parameters("/chatty")).body.startswith(b"0,1,2,")
            with FastCGI(path) as client:
                worker = int(client.request(parameters("/pid")).body)
            for number in (0, 1, 2):
                assert Path(f"/proc/{worker}/fd/{number}").readlink() == Path("/dev/null")
        finally:
            process.terminate()
            assert process.wait(15) == 0


def test_over_tcp_only_the_listed_web_servers_are_served() -> None:
    """A20: FCGI_WEB_SERVER_ADDRS, section 3.2; the log says who was turned away."""
    listed = {"FCGI_WEB_SERVER_ADDRS": "192.0.2.7, 127.0.0.2"}
    with serve(ROOT, APP, "--workers", "1", "--fastcgi", "127.0.0.1:0", env=listed) as served:
        port = int(served.wait_for(r"127\.0\.0\.1:(\d+) \(fastcgi\)")[1])
        with connect(("127.0.0.1", port)) as stranger:
            assert drain(stranger) == b""
        served.wait_for(r"127\.0\.0\.1 is not in FCGI_WEB_SERVER_ADDRS")
        with socket.create_connection(("127.0.0.1", port), 5, ("127.0.0.2", 0)) as friend:
            friend.sendall(Requester().request(1, pairs("/size?1"), keep=False) + Requester().stdin(1, b""))
            assert drain(friend).endswith(records.end(1))


@pytest.mark.parametrize("text", ["localhost", "127.0.0.1;10.0.0.1", "127.0.0.1,", "1.2.3"])
def test_a_list_of_web_servers_that_nobody_understands_is_no_start(text: str) -> None:
    """It must not become "anybody"."""
    with serve(ROOT, APP, ready=False, env={"FCGI_WEB_SERVER_ADDRS": text}) as served:
        assert served.wait() == 3
        served.wait_for("FCGI_WEB_SERVER_ADDRS")
