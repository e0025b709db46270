"""What a front gives a host, and what comes back: the only words both sides share. And `current`, for applications.

A front (FastCGI, HTTP) makes a Request; a host (WSGI) answers through an Exchange. Neither knows the other.

Laws: no socket, no loop, no application in here; a Request does not change once its body is complete. Start at
Exchange. Names of `variables`: RFC 3875 section 4.1 (CGI meta-variables), values latin-1 as PEP 3333 wants them.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar, copy_context
from enum import Enum, auto
from typing import IO, Any, NamedTuple, ParamSpec, Protocol, TypeVar

from runner.errors import NoRequest
from runner.log import Log

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Answer(NamedTuple):
    """A whole answer the runner gives by itself (redirect, refusal, ping), without the application.

    *headers* need no Content-Length; the Exchange adds it.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes


ELSEWHERE = Answer(0, [], b"")
"""Not an answer: another process is to have this request, see Service.hold."""


Message = str | bytes
"""Of a WebSocket: text or binary."""


class Closed(NamedTuple):
    """How a WebSocket ended: close code and reason (RFC 6455 section 7.4); 1006 if nobody said that it does."""

    code: int
    reason: str


class Question(Enum):
    """What the process asks the application of a WebSocket.

    MOVE: for its state in words, with which another process takes the socket over (WebSocket.move).
    """

    MOVE = auto()


class Request:
    """One request, as any front hands it to any host.

    variables   CGI meta-variables, cleaned; e.g. {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/x", …}
    scheme      "http" or "https", as far as the web server can be believed
    body        a binary file at position 0, complete; None until the last byte arrived
    began       monotonic seconds at which the head was complete, in whichever process it was read first
    upgrade     the client asked for another protocol
    internal    made by the runner itself for a part of a greater request: there is no client to follow a redirect
    environ     what a WSGI application was called with, or None
    scope       what an ASGI application was called with, or None
    over        its answer is finished
    keeper      where what it opens is kept until its end (runner.resources); None: nothing may be opened
    dispatcher  how parts of it are sent through the application (runner.batch); None: they cannot be
    """

    __slots__ = (
        "_id", "began", "body", "dispatcher", "environ", "internal", "keeper", "over", "scheme", "scope", "upgrade",
        "variables",
    )  # fmt: skip

    def __init__(self, variables: dict[str, str], scheme: str, began: float, *, internal: bool = False) -> None:
        self.variables = variables
        self.scheme = scheme
        self.began = began
        self.body: IO[bytes] | io.RawIOBase | None = None
        self.upgrade = "HTTP_UPGRADE" in variables
        self.internal = internal
        self.environ: dict[str, Any] | None = None
        self.scope: dict[str, Any] | None = None
        self.over = False
        self.keeper: Any = None
        self.dispatcher: Any = None
        self._id = ""

    @property
    def id(self) -> str:
        """A name for this request that no other one has, 16 letters long, e.g. for log lines."""
        if not self._id:
            self._id = secrets.token_hex(8)
        return self._id

    @property
    def method(self) -> str:
        """The method as sent: methods are case-sensitive (RFC 9110 section 9.1)."""
        return self.variables["REQUEST_METHOD"]

    @property
    def path(self) -> str:
        """The whole path of the URL, prefix included."""
        return self.variables["SCRIPT_NAME"] + self.variables["PATH_INFO"]

    @property
    def query(self) -> str:
        """What stands after the question mark, as sent; "" if there is nothing."""
        return self.variables.get("QUERY_STRING", "")

    @property
    def headers(self) -> Headers:
        """The header fields, by names in which case does not matter."""
        return Headers(self.variables)

    def bind(self, function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        """*function*, to be called in a thread or later, with this request as the present one.

        A thread does not inherit the context of whoever starts it: `Thread(target=current().bind(work))`.
        """
        context = copy_context()
        return lambda *args, **options: context.copy().run(function, *args, **options)


class Headers(Mapping[str, str]):
    """The header fields in CGI meta-variables; names are given in lower case."""

    __slots__ = ("_variables",)

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        key = name.upper().replace("-", "_")
        return self._variables[key if key in _BARE else f"HTTP_{key}"]

    def __iter__(self) -> Iterator[str]:
        for name in self._variables:
            if name.startswith("HTTP_"):
                yield name[5:].lower().replace("_", "-")
            elif name in _BARE:
                yield name.lower().replace("_", "-")

    def __len__(self) -> int:
        return sum(1 for _ in self)


_BARE = frozenset(("CONTENT_TYPE", "CONTENT_LENGTH"))
CURRENT: ContextVar[Request] = ContextVar("request")
"""The request of this context, also when it is over; for applications there is `current`."""


def current() -> Request:
    """The present request: in the application, each step of its answer, its close(), tasks and bound functions.

    Raises NoRequest where there is none: outside of a request, and once its answer is finished.
    """
    request = CURRENT.get(None)
    if request is None:
        raise NoRequest("there is no request here; a thread or a callback has one by `current().bind(function)`")
    if request.over:
        raise NoRequest(f"the answer to {request.method} {request.path} is finished; take what you need before that")
    return request


def enter(request: Request) -> None:
    """For hosts: from now on *request* is the present one in this context."""
    CURRENT.set(request)


class Guard(Protocol):
    """Is told of the begin and the end of each request, in its context, on the thread that calls the application."""

    def begin(self, exchange: Exchange) -> None:
        """The application is about to be called."""

    def end(self, exchange: Exchange) -> None:
        """Its answer is complete, or will never be; its last byte has not left yet. May be said twice."""


class AsyncGuard(Guard, Protocol):
    """The same where the application is a coroutine."""

    async def aend(self, exchange: Exchange) -> None:
        """As `end`, which is not called then."""


class Exchange(Protocol):
    """One request and the way its answer takes back. Made by a front, driven by a host, on the loop's thread only.

    Call order: start, send any number of times, finish; or fail at any point. start may be called again until
    `committed`, which is how an error page replaces an answer nobody has seen yet; so after a LocalProtocolError
    there is either nothing committed and the answer open, or it is over and was cut.
    """

    request: Request
    resume: Callable[[], None] | None
    """Called once when sending is welcome again, or when the client is gone or has shut its side."""

    @property
    def committed(self) -> bool:
        """A byte of the answer has left; the status cannot change any more."""

    @property
    def mute(self) -> bool:
        """Valid after `start`: no byte of a body leaves (HEAD, 204, 304), so no more of it need be produced."""

    @property
    def gone(self) -> bool:
        """The client left; whatever is sent now goes nowhere, so stop producing it."""

    @property
    def shut(self) -> bool:
        """The client will send no more. It may still be reading, but most who do this have left."""

    def look(self) -> bool:
        """`gone`, after a look at the connection: an inline call keeps everybody else from noticing."""

    def start(self, status: int, reason: str, headers: list[tuple[str, str]]) -> None:
        """Say how the answer begins. Raises LocalProtocolError for headers that HTTP cannot carry."""

    def send(self, data: bytes) -> bool:
        """Send a part of the body; False means: wait for `resume` before the next one.

        Raises LocalProtocolError when there is more body than Content-Length announced.
        """

    def commit(self) -> None:
        """Let the answer begin to leave, though there is nothing of its body yet."""

    def finish(self, data: bytes = b"") -> None:
        """Send the last part and end the answer. Raises LocalProtocolError when it is shorter than announced."""

    def answer(self, answer: Answer) -> None:
        """Give a whole answer of the runner's own: start and finish."""

    def flush(self, timeout: float) -> None:
        """Block until nearly everything sent has left (PEP 3333 `write()` called inline).

        A client that takes nothing for *timeout* seconds counts as gone.
        """

    @property
    def plain(self) -> Exchange:
        """The loop's own exchange, if this is the one that an application thread sees."""

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back in the loop's next turn."""

    def fail(self) -> None:
        """The answer cannot be completed: make sure that nobody takes what was sent for a whole one."""

    def websocket(self) -> WebSocket | Answer | None:
        """What becomes of the wish for a WebSocket: this exchange as one, an Answer that refuses it, None: no wish."""


class WebSocket(Exchange, Protocol):
    """An Exchange whose client wants a WebSocket: to be answered like any other, or accepted.

    After `accept`: take and say any number of times, then finish, or fail; both send a close frame if there was none.
    `resume` is called when a message has come, too. Once it is closed, by either side, it is `gone`.
    One whose application *moves* with it may be asked to: after MOVE nothing comes until `move`, or its end.
    """

    @property
    def subprotocols(self) -> list[str]:
        """Those the client offers."""

    @property
    def state(self) -> str | None:
        """What `move` was given in the process that it comes from; None: it is new."""

    def accept(self, subprotocol: str | None, headers: list[tuple[str, str]], *, moves: bool = False) -> None:
        """Open it. Raises LocalProtocolError for headers, or a subprotocol, that cannot be; ClientGone."""

    def take(self) -> Message | Closed | Question | None:
        """The next message, or after the last one how it ended; None: wait for `resume`."""

    def move(self, state: str) -> None:
        """Another process has it from here on, and is told *state*; for this one it is over."""

    def say(self, message: Message) -> bool:
        """Send a message; False means: wait for `resume` before the next one. Raises LocalProtocolError, ClientGone."""

    def hang_up(self, code: int, reason: str) -> None:
        """Begin to close it. Raises LocalProtocolError for a code or reason that no close frame can carry."""


class Served(Exchange, Protocol):
    """An Exchange as its front made it, for the process that front runs in."""

    connection: Any

    @property
    def upgraded(self) -> bool:
        """It has become a WebSocket: who ends it can say so."""

    def cut(self) -> None:
        """End an answer that has begun as `fail` does, and have the host told as if the client had left.

        A WebSocket is told to come back (1012).
        """


class Movable(Served, Protocol):
    """A WebSocket, for the process that serves it and may give it to another one."""

    @property
    def willing(self) -> bool:
        """Its application would put its state in words."""

    def invite(self, *, wanted: bool) -> None:
        """Have it asked to, as soon as nothing is on its way in either direction; not *wanted*: no longer."""

    def depart(self) -> bytes:
        """It has been asked, and leaves: what the other process is to know of it. Nobody is told that it is over."""


class Service(Protocol):
    """All that a front knows of the process it runs in."""

    log: Log
    marks: list[tuple[str, str]]
    """Headers that every answer carries (`--debug`: which generation gave it); usually none."""
    draining: bool
    """This process takes no further request: `part` with each connection after its present one."""
    closing: bool
    """Nor does another one: connections end after their present request."""

    def admit(self, request: Request) -> Answer | None:
        """The head is complete: an Answer to give at once, None for "go on and read the body", or ELSEWHERE."""

    def hold(self, connection: Any, request: Request, unread: bytes) -> None:
        """Give *request*, which is to be answered ELSEWHERE, away with its connection. *unread*: its bytes so far."""

    def part(self, connection: Any, unread: bytes) -> None:
        """Give a connection away on which no request is under way; *unread*: bytes of the next one, mostly none."""

    def handle(self, exchange: Served) -> None:
        """The request is complete: have it answered."""

    def upgraded(self, exchange: Movable) -> None:
        """It has become a WebSocket: it may stay for days, and keeps nobody waiting."""

    def moving(self, exchange: Movable) -> None:
        """Its application has said its state: let it `depart`, and give its connection away."""

    def finished(self, exchange: Served, status: int, sent: int, whole: bool) -> None:
        """The answer ended; *status* as sent (499: the client left first), *sent* body bytes, *whole* or cut."""
