"""Many visitors in one process, so that they cost little beside what they visit: `python -m tests.support.crowd PLAN`.

Each asks one thing after the other of probe.noted, GET or POST by chance, on a connection that is kept or on a new one
each time, as browsers do (307 is followed; a kept connection that has ended *before* a request is replaced). Every
request has a token of its own, told back in its answer; lengths and hashes prove that nothing was cut in either
direction.

It prints `first VERSION MOMENT` when a version has answered first, `requests N` now and then, the first few faults as
they come, and after SIGTERM, when each visitor has his last answer, all records, one JSON array a line.

Laws: a request is sent once; what goes wrong is written down, never tried again. Start at Visitor.live.
"""

import asyncio
import hashlib
import json
import os
import random
import select
import signal
import sys
import time
from dataclasses import asdict, dataclass
from typing import NamedTuple, Self

from tests.support.verdict import Record

MOST_REDIRECTS = 10
FEW = 20
TOLD_EVERY = 100   # requests
BIGGEST_BODY, BIGGEST_ANSWER = 200_000, 100_000
TOKEN = 10   # bytes, with the end of its line; the smallest body
_FILLER = random.Random(1).randbytes(2 * BIGGEST_BODY)
_SEAL = len("sha256 \n") + 64


@dataclass(frozen=True)
class Route:
    """A way to the runner. *proxied*: by a web server, and *keeps* then says whether that keeps its connections."""

    name: str
    host: str
    port: int
    proxied: bool
    keeps: bool


@dataclass(frozen=True)
class Plan:
    """*visitors* in turn on *routes*; *kept* is the share that keeps connections; *pause* the mean between requests.

    *patience*: seconds after which an answer is late, and no longer waited for.
    """

    routes: tuple[Route, ...]
    visitors: int
    seed: int
    kept: float = 0.5
    pause: float = 0.0
    patience: float = 35.0

    def to_json(self) -> str:
        """As an argument of the command."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What to_json wrote."""
        values = json.loads(text)
        return cls(**values | {"routes": tuple(Route(**each) for each in values["routes"])})


class Wrong(Exception):
    """A fault, one of verdict.ON_THE_WIRE, and what is to be said about it."""

    def __init__(self, fault: str, words: str) -> None:
        super().__init__(f"{fault}: {words}")
        self.fault, self.words = fault, words


class Request(NamedTuple):
    """What is sent; the same again after a redirect."""

    method: str
    token: str
    target: str
    body: bytes

    def head(self, *, keep: bool) -> bytes:
        """The request line and the headers."""
        length = f"Content-Length: {len(self.body)}\r\n" if self.method == "POST" else ""
        connection = "" if keep else "Connection: close\r\n"
        return f"{self.method} {self.target} HTTP/1.1\r\nHost: localhost\r\n{connection}{length}\r\n".encode("ascii")


class Reply(NamedTuple):
    """One whole answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """One connection to the route's server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def ended(self) -> bool:
        """The server has closed it; asks the kernel, too, which may know it before the loop does."""
        if self._reader.at_eof() or self._writer.is_closing():
            return True
        poll = select.poll()
        poll.register(self._writer.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def exchange(self, head: bytes, body: bytes) -> Reply:
        """Send, and return the whole answer. Raises Wrong if there is none, or half of one."""
        heard = b""
        try:
            self._writer.write(head + body)
            await self._writer.drain()
            heard = await self._reader.readuntil(b"\r\n\r\n")
            lines = heard.decode("latin-1").split("\r\n")[:-2]
            fields = (line.partition(":") for line in lines[1:])
            headers = {name.lower(): value.strip() for name, _, value in fields}
            return Reply(int(lines[0].split()[1]), headers, await self._body(headers))
        except asyncio.IncompleteReadError as error:
            fault = "cut" if heard or error.partial else "reset"
            raise Wrong(fault, f"the connection ended; {(heard + error.partial)[-60:]!r}") from error
        except OSError as error:
            raise Wrong("cut" if heard else "reset", f"{error!r} {heard[-60:]!r}") from error

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunks()
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        return await self._reader.read()

    async def _chunks(self) -> bytes:
        chunks = []
        while size := int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            chunks.append((await self._reader.readexactly(size + 2))[:-2])
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass   # trailers
        return b"".join(chunks)

    def close(self) -> None:
        """Leave."""
        self._writer.close()


class Visitor:
    """Visitor *number* of a *crowd*; the number decides the route, and whether connections are kept."""

    def __init__(self, crowd: "Crowd", number: int) -> None:
        plan = crowd.plan
        self._crowd, self._number = crowd, number
        self._route = plan.routes[number % len(plan.routes)]
        turn = number // len(plan.routes)   # of those on the same route
        self._keep = int((turn + 1) * plan.kept) > int(turn * plan.kept)
        self._chance = random.Random(f"{plan.seed} {number}")
        self._count = 0
        self._line: Line | None = None

    async def live(self) -> None:
        """Ask until the end."""
        plan = self._crowd.plan
        await asyncio.sleep(self._chance.uniform(0, 2 * plan.pause))
        while not self._crowd.over:
            self._crowd.note(await self._ask(self._next()))
            await asyncio.sleep(self._chance.uniform(0, 2 * plan.pause))
        self._leave()

    def _next(self) -> Request:
        self._count += 1
        token = f"{self._number:03}-{self._count:05}"
        size = int(BIGGEST_ANSWER ** self._chance.random())
        if self._chance.random() < 0.5:
            return Request("GET", token, f"/noted?token={token}&size={size}", b"")
        length = int(TOKEN * (BIGGEST_BODY / TOKEN) ** self._chance.random()) - TOKEN
        offset = self._chance.randrange(BIGGEST_BODY)
        return Request("POST", token, f"/noted?size={size}", f"{token}\n".encode() + _FILLER[offset:offset + length])

    async def _ask(self, request: Request) -> Record:
        """Ask until something else than a redirect comes."""
        first, redirects = time.monotonic(), list[float]()
        while True:
            began, kept, version, pid, wrong = time.monotonic(), False, -1, 0, Wrong("", "")
            try:
                async with asyncio.timeout(self._crowd.plan.patience):
                    line, kept = await self._connected()
                    if kept:
                        began = time.monotonic()
                    reply = await self._exchange(line, request)
                if self._followed(request, reply, redirects):
                    continue
                version, pid = _read(request, reply)
            except Wrong as error:
                wrong = error
                self._leave()
            except TimeoutError:
                wrong = Wrong("late", f"no answer after {time.monotonic() - began:.1f} s")
                self._leave()
            reused = self._route.keeps if self._route.proxied else kept
            return Record(
                self._number, self._route.name, request.method, request.token, kept, reused, first, began,
                time.monotonic(), redirects, version, pid, wrong.fault, wrong.words,
            )  # fmt: skip

    def _followed(self, request: Request, reply: Reply, redirects: list[float]) -> bool:
        """Tell whether the answer is a redirect, which is then noted. Raises Wrong if it leads astray."""
        if reply.status != 307 or request.method == "POST":
            return False
        redirects.append(time.monotonic())
        if reply.headers.get("location") != request.target or len(redirects) > MOST_REDIRECTS:
            raise Wrong("status", f"redirect {len(redirects)} to {reply.headers.get('location')}")
        return True

    async def _connected(self) -> tuple[Line, bool]:
        """The connection, and whether it was there before."""
        if self._line is not None and not self._line.ended():
            return self._line, True
        self._leave()
        try:
            self._line = Line(*await asyncio.open_connection(self._route.host, self._route.port))
        except OSError as error:
            raise Wrong("refused", repr(error)) from error
        return self._line, False

    async def _exchange(self, line: Line, request: Request) -> Reply:
        reply = await line.exchange(request.head(keep=self._keep), request.body)
        if not self._keep or reply.headers.get("connection", "").lower() == "close":
            self._leave()
        return reply

    def _leave(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


class Crowd:
    """All visitors of *plan*, and what they have written down."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._records: list[Record] = []
        self._seen: set[int] = set()
        self._faults = 0
        self._ended = False
        self._parent = os.getppid()

    @property
    def over(self) -> bool:
        """Told to end, or nobody is there any more who could tell it."""
        return self._ended or os.getppid() != self._parent

    def note(self, record: Record) -> None:
        """Keep it; say what is new in it."""
        self._records.append(record)
        if len(self._records) % TOLD_EVERY == 0:
            print(f"requests {len(self._records)}", flush=True)
        if record.fault:
            self._faults += 1
            if self._faults <= FEW:
                print(f"{record.fault}: {record}: {record.words}", flush=True)
        elif record.version not in self._seen:
            self._seen.add(record.version)
            print(f"first {record.version} {record.ended}", flush=True)

    async def live(self) -> None:
        """Visit until SIGTERM, then tell everything."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._end)
        print("visiting", flush=True)
        async with asyncio.TaskGroup() as group:
            for number in range(self.plan.visitors):
                group.create_task(Visitor(self, number).live())
        sys.stdout.writelines(f"{json.dumps(record)}\n" for record in self._records)

    def _end(self) -> None:
        self._ended = True


def _read(request: Request, reply: Reply) -> tuple[int, int]:
    """Version and process of a whole answer to that very request. Raises Wrong if it is none."""
    if reply.status != 200:
        given_up = reply.status == 503 and "retry-after" in reply.headers
        raise Wrong("given up" if given_up else "status", f"{reply.status} {reply.body[:100]!r}")
    content, seal = reply.body[:-_SEAL], reply.body[-_SEAL:]
    if seal != f"sha256 {hashlib.sha256(content).hexdigest()}\n".encode():
        raise Wrong("cut", f"{len(reply.body)} bytes that end with {seal[-40:]!r}")
    version, pid, *told = content.partition(b"\n")[0].decode("ascii").split()
    if told != [request.token, str(len(request.body)), hashlib.sha256(request.body).hexdigest()]:
        raise Wrong("cut", f"{len(request.body)} bytes were sent, and it says {told}")
    return int(version), int(pid)


if __name__ == "__main__":
    asyncio.run(Crowd(Plan.from_json(sys.argv[1])).live())
