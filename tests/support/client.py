"""Clients that hide nothing: HTTP/1.1 and FastCGI by hand, over TCP or a unix socket.

Law: an answer that ends before its framing says so raises Truncated; a test cannot take half an answer for a
whole one. Start at fetch, for one request, and at Conversation, for several on one connection or for a
request in pieces.
"""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import NamedTuple, Self

from runner.wire.requester import End, Requester, Stderr, Stdout
from tests.support.places import Address, connect
from tests.support.process import PATIENCE


class Truncated(AssertionError):
    """The connection ended inside an answer, or before it."""


class Reply(NamedTuple):
    """One whole HTTP answer; header names are in lower case, repeated ones stay apart."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first value of that header, or None."""
        return next((value for each, value in self.headers if each == name.lower()), None)

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode("utf-8")


class Conversation:
    """One HTTP/1.1 connection, byte by byte as the test wants it."""

    def __init__(self, address: Address, timeout: float = PATIENCE) -> None:
        """Connect; no operation takes longer than *timeout* seconds."""
        self.socket = connect(address, timeout)
        self._input = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave, also in the middle of an answer."""
        self._input.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send these bytes as they are."""
        self.socket.sendall(data)

    def request(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> None:
        """Send a request; Host and, with a body, Content-Length are added unless *headers* have them."""
        lines = {"Host": "localhost"}
        if body:
            lines["Content-Length"] = str(len(body))
        lines |= headers or {}
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {lines[name]}\r\n" for name in lines)
        self.send(f"{head}\r\n".encode("latin-1") + body)

    def reply(self, method: str = "GET") -> Reply:
        """Read one final answer (1xx are skipped); *method* is that of its request, for HEAD has no body."""
        while True:
            status = int(self._line().split()[1])
            headers = list(self._headers())
            if status >= 200:
                bodiless = method == "HEAD" or status in (204, 304)
                return Reply(status, headers, b"" if bodiless else self._body(dict(headers)))

    def ended(self) -> bool:
        """Wait for the server's next byte or its end of the connection; tell whether it was the end."""
        try:
            return not self._input.read(1)
        except ConnectionResetError:
            return True

    def _line(self) -> str:
        line = self._input.readline()
        if not line.endswith(b"\n"):
            raise Truncated(f"the connection ended within a line: {line!r}")
        return line.decode("latin-1").rstrip("\r\n")

    def _headers(self) -> Iterable[tuple[str, str]]:
        while line := self._line():
            name, _, value = line.partition(":")
            yield name.lower(), value.strip()

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]))
        return self._input.read()

    def _chunks(self) -> Iterable[bytes]:
        while size := int(self._line().partition(";")[0], 16):
            yield self._exactly(size)
            self._line()
        list(self._headers())   # trailers

    def _exactly(self, size: int) -> bytes:
        data = self._input.read(size)
        if len(data) < size:
            raise Truncated(f"the connection ended after {len(data)} of {size} bytes: {data[-80:]!r}")
        return data


def fetch(
    address: Address,
    target: str = "/",
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Reply:
    """Send one request on a connection of its own, and return the whole answer."""
    with Conversation(address) as conversation:
        conversation.request(method, target, {"Connection": "close"} | dict(headers or {}), body)
        return conversation.reply(method)


def parameters(
    path: str = "/", *, method: str = "GET", length: int | None = None, **more: str
) -> dict[str, str]:
    """Return the FastCGI parameters of a request as nginx sends them; *length* is the body's, *more* wins."""
    return {
        "REQUEST_METHOD": method,
        "REQUEST_URI": path,
        "SCRIPT_NAME": "",
        "PATH_INFO": path.partition("?")[0],
        "QUERY_STRING": path.partition("?")[2],
        "CONTENT_LENGTH": "" if length is None else str(length),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        **more,
    }


class FastCGIReply(NamedTuple):
    """One whole FastCGI answer: what came on STDOUT (header block and body) and STDERR, and how it ended."""

    stdout: bytes
    stderr: bytes
    end: End

    @property
    def body(self) -> bytes:
        """What follows the header block."""
        return self.stdout.partition(b"\r\n\r\n")[2]

    @property
    def reply(self) -> Reply:
        """The same as a web server reads it."""
        head = self.stdout.partition(b"\r\n\r\n")[0].decode("latin-1")
        lines = [line.partition(":") for line in head.split("\r\n")]
        headers = [(name.lower(), value.strip()) for name, _, value in lines]
        status = next((value for name, value in headers if name == "status"), "200")
        return Reply(int(status.split()[0]), headers, self.body)


class FastCGI:
    """One connection to a FastCGI application, as a web server has it."""

    def __init__(self, address: Address, timeout: float = PATIENCE) -> None:
        """Connect; no operation takes longer than *timeout* seconds."""
        self.socket = connect(address, timeout)
        self._machine = Requester()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave, also in the middle of an answer."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send these bytes as they are."""
        self.socket.sendall(data)

    def request(
        self, params: Mapping[str, str], body: bytes = b"", *, request_id: int = 1, keep: bool = False
    ) -> FastCGIReply:
        """Send one complete request, and return its whole answer."""
        self.ask(params, body, request_id=request_id, keep=keep)
        return self.reply()

    def ask(self, params: Mapping[str, str], body: bytes = b"", *, request_id: int = 1, keep: bool = False) -> None:
        """Send one complete request."""
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in params.items()]
        self.send(self._machine.request(request_id, pairs, keep=keep) + self._stdin(request_id, body))

    def reply(self) -> FastCGIReply:
        """Read until END_REQUEST. Raises Truncated when the connection ends before."""
        stdout, stderr = bytearray(), bytearray()
        while True:
            data = self.socket.recv(65536)
            if not data:
                raise Truncated(f"the connection ended before END_REQUEST: {bytes(stdout[-80:])!r}")
            for event in self._machine.feed(data):
                match event:
                    case Stdout():
                        stdout += event.data
                    case Stderr():
                        stderr += event.data
                    case End():
                        return FastCGIReply(bytes(stdout), bytes(stderr), event)

    def _stdin(self, request_id: int, body: bytes) -> bytes:
        data = self._machine.stdin(request_id, body) if body else b""
        return data + self._machine.stdin(request_id, b"")
