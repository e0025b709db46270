"""The crowd against a server that does each thing wrong: every fault on the wire is noticed, and called by its name."""

import asyncio
import hashlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.crowd import Line, Plan, Route
from tests.support.crowd_process import CrowdProcess
from tests.support.places import free_port
from tests.support.process import PATIENCE
from tests.support.verdict import Record


class Handler(socketserver.StreamRequestHandler):
    """Answers the first request rightly, with version 1, and every later one as its server is told."""

    def handle(self) -> None:
        """One connection."""
        while head := self._head():
            lines = head.split("\r\n")
            length = next((int(line[16:]) for line in lines if line.startswith("Content-Length: ")), 0)
            body = self.rfile.read(length)
            target = lines[0].split()[1]
            token = body[:9].decode() if length else target.partition("token=")[2][:9]
            answer = whole(f"1 7 {token} {length} {hashlib.sha256(body).hexdigest()}\n".encode())
            server = self.server
            assert isinstance(server, Server)
            served, server.count = server.count, server.count + 1
            self.wfile.write(server.later(answer, target) if served else answer)
            if served and server.wrong == "late":
                self.rfile.read(1)   # until the visitor leaves
            if "Connection: close" in head or (served and server.hangs_up):
                return

    def _head(self) -> str:
        head = ""
        while line := self.rfile.readline().decode("latin-1"):
            head += line
            if line == "\r\n":
                return head
        return ""


class Server(socketserver.ThreadingTCPServer):
    """*wrong* names what it does from the second request on."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, wrong: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.wrong, self.count = wrong, 0
        self.hangs_up = wrong in ("reset", "half a head", "half a body", "fewer chunks")

    def later(self, answer: bytes, target: str) -> bytes:
        """What becomes of the right *answer*."""
        match self.wrong:
            case "reset" | "late":
                return b""
            case "half a head":
                return answer[:20]
            case "half a body":
                return answer[:-1]
            case "fewer chunks":
                return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n1 7 0\r\n"
            case "another's":
                return whole(b"1 7 999-99999 0 " + hashlib.sha256(b"").hexdigest().encode() + b"\n")
            case "not sealed":
                return b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n1 7 0\n"
            case "an error":
                return b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad"
            case "given up":
                return b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
            case "a loop":
                return f"HTTP/1.1 307 Go\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()
            case "astray":
                return b"HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
        return answer


def whole(content: bytes) -> bytes:
    """A right answer."""
    body = content + f"sha256 {hashlib.sha256(content).hexdigest()}\n".encode()
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@contextmanager
def serving(wrong: str) -> Iterator[int]:
    """The port of a server that does *wrong*."""
    with Server(wrong) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def visited(port: int, awaited: str, **more: float) -> list[Record]:
    """What one visitor has written down when his process has said *awaited*."""
    plan = Plan((Route("own", "127.0.0.1", port, False, True),), 1, seed=1, pause=0.01, **more)
    with CrowdProcess(plan) as crowd:
        crowd.live.wait_for(awaited)
    return crowd.records


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ("reset", "reset"), ("half a head", "cut"), ("half a body", "cut"), ("fewer chunks", "cut"), ("late", "late"),
        ("another's", "cut"), ("not sealed", "cut"), ("an error", "status"), ("a loop", "status"), ("astray", "status"),
        ("given up", "given up"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kept", [0.0, 1.0], ids=["new", "kept"])
def test_a_fault_is_called_by_its_name(wrong: str, fault: str, kept: float) -> None:
    """The first request was answered well; the later ones have the fault, and no visitor has tried again."""
    with serving(wrong) as port:
        first, *later = visited(port, f"^{fault}: ", kept=kept, patience=2.0 if fault == "late" else PATIENCE)
    assert (first.fault, first.version, first.pid, first.kept) == ("", 1, 7, False)
    assert {each.fault for each in later} == {fault}
    assert len({each.token for each in later}) == len(later)
    assert later[0].kept == later[0].reused == bool(kept)


def test_nobody_there() -> None:
    """A connection that nobody accepts is refused."""
    assert {each.fault for each in visited(free_port(), "^refused: ")} == {"refused"}


def test_a_reset_is_no_silence() -> None:
    """A connection that the server's kernel resets instead of answering is a reset, too."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def reset() -> None:
            connection, _ = listener.accept()
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()

        thread = threading.Thread(target=reset)
        thread.start()
        faults = [each.fault for each in visited(listener.getsockname()[1], "^reset: ", patience=3.0)]
        thread.join(PATIENCE)
    assert faults[0] == "reset"


def test_an_end_between_two_requests_is_no_fault() -> None:
    """That the server has closed is known at once, before anything is sent, so the connection can be replaced."""

    async def look() -> tuple[bool, bool]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            line = Line(*await asyncio.open_connection(*listener.getsockname()))
            with listener.accept()[0]:
                before = line.ended()
            after = line.ended()
            line.close()
            return before, after

    assert asyncio.run(look()) == (False, True)
