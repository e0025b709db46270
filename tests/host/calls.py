"""One call of a WSGI application behind a real FastCGI front, and what came of it. Start at ask."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from runner.host.wsgi import Host
from runner.wire.requester import Requester, Stdout
from tests.front.rig import Rig, get, poisoned

Start = Callable[..., Callable[[bytes], None]]
Application = Callable[[dict[str, Any], Start], Iterable[bytes]]


class Answered:
    """What came of one request: the *raw* stream, the header *block* and the *body*, the *log*."""

    def __init__(self, raw: bytes, log: list[bytes]) -> None:
        self.raw = raw
        self.cut = poisoned(raw)
        events = Requester().feed(raw[:-8] if self.cut else raw)
        stdout = b"".join(event.data for event in events if isinstance(event, Stdout))
        block, _, self.body = stdout.partition(b"\r\n\r\n")
        self.block = block.decode("latin-1")
        self.status = int(self.block[8:11] or 0)
        self.log = log


def ask(application: Application, raw: bytes = get(keep=False), *, threads: int = 1) -> Answered:
    """Send one request (not kept) to *application* behind a FastCGI front; wait for the end of the connection."""
    with Rig() as rig:
        rig.fastcgi(Host(application, rig.service.log, threads=threads, debug=False).handle)
        rig.send(raw)
        answered = Answered(rig.rest(), rig.service.lines())
        assert len(rig.service.outcomes) == 1
        return answered


class Body:
    """An iterable that counts how often it is closed, and yields or raises *parts*."""

    def __init__(self, *parts: object) -> None:
        self.parts = iter(parts)
        self.closed = 0
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        part: Any = next(self.parts)
        self.taken += 1
        if isinstance(part, BaseException):
            raise part
        return part  # type: ignore[no-any-return]

    def close(self) -> None:
        """Count."""
        self.closed += 1


def answering(body: Iterable[bytes], headers: tuple[tuple[str, str], ...] = (), status: str = "200 OK") -> Application:
    """An application that returns *body*."""

    def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start(status, list(headers))
        return body

    return application


LENGTH = (("Content-Length", "2"),)

CLOSES: dict[str, tuple[Body, dict[str, Any], bytes, int]] = {
    "normal": (Body(b"a", b"b"), {}, get(keep=False), 200),
    "nothing": (Body(), {}, get(keep=False), 200),
    "an exception before the first part": (Body(ValueError("x")), {}, get(keep=False), 500),
    "an exception after a part": (Body(b"a", ValueError("x")), {}, get(keep=False), 200),
    "SystemExit after a part": (Body(b"a", SystemExit(3)), {}, get(keep=False), 200),
    "str": (Body("a"), {}, get(keep=False), 500),
    "str after a part": (Body(b"a", "b"), {}, get(keep=False), 200),
    "None": (Body(None), {}, get(keep=False), 500),
    "HEAD": (Body(b"a", b"b"), {}, get(keep=False, REQUEST_METHOD="HEAD"), 200),
    "204": (Body(b"a", b"b"), {"status": "204 No Content"}, get(keep=False), 204),
    "length met, and nothing more": (Body(b"ab"), {"headers": LENGTH}, get(keep=False), 200),
    "length met early, and more": (Body(b"ab", b"c"), {"headers": LENGTH}, get(keep=False), 200),
    "longer in one part": (Body(b"abc"), {"headers": LENGTH}, get(keep=False), 200),
    "shorter": (Body(b"a"), {"headers": LENGTH}, get(keep=False), 200),
    "empty, but a length": (Body(), {"headers": LENGTH}, get(keep=False), 500),
}
