"""What a front gives a host, and what comes back: the only words both sides share.

A front (FastCGI, HTTP) makes a Request; a host (WSGI) answers through an Exchange. Neither knows the other.

Laws: no socket, no loop, no application in here; a Request does not change once its body is complete. Start at
Exchange. Names of `variables`: RFC 3875 section 4.1 (CGI meta-variables), values latin-1 as PEP 3333 wants them.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO, Any, NamedTuple, Protocol

from runner.log import Log


class Answer(NamedTuple):
    """A whole answer the runner gives by itself (redirect, refusal, ping), without the application.

    *headers* need no Content-Length; the Exchange adds it.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes


ELSEWHERE = Answer(0, [], b"")
"""Not an answer: another process is to have this request, see Service.hold."""


class Request:
    """One request, as any front hands it to any host.

    variables   CGI meta-variables, cleaned; e.g. {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/x", …}
    scheme      "http" or "https", as far as the web server can be believed
    body        a binary file at position 0, complete; None until the last byte arrived
    began       monotonic seconds at which the head was complete, in whichever process it was read first
    upgrade     the client asked for another protocol
    internal    made by the runner itself for a part of a greater request: there is no client to follow a redirect
    """

    __slots__ = ("began", "body", "internal", "scheme", "upgrade", "variables")

    def __init__(self, variables: dict[str, str], scheme: str, began: float, *, internal: bool = False) -> None:
        self.variables = variables
        self.scheme = scheme
        self.began = began
        self.body: IO[bytes] | io.RawIOBase | None = None
        self.upgrade = "HTTP_UPGRADE" in variables
        self.internal = internal

    @property
    def method(self) -> str:
        """The method as sent: methods are case-sensitive (RFC 9110 section 9.1)."""
        return self.variables["REQUEST_METHOD"]

    @property
    def path(self) -> str:
        """The whole path of the URL, prefix included."""
        return self.variables["SCRIPT_NAME"] + self.variables["PATH_INFO"]


class Exchange(Protocol):
    """One request and the way its answer takes back. Made by a front, driven by a host, on the loop's thread only.

    Call order: start, send any number of times, finish; or fail at any point. start may be called again until
    `committed`, which is how an error page replaces an answer nobody has seen yet; so after a LocalProtocolError
    there is either nothing committed and the answer open, or it is over and was cut.
    """

    request: Request
    resume: Callable[[], None] | None
    """Called once when sending is welcome again, or when the client is gone."""

    @property
    def committed(self) -> bool:
        """A byte of the answer has left; the status cannot change any more."""

    @property
    def mute(self) -> bool:
        """Valid after `start`: no byte of a body leaves (HEAD, 204, 304), so no more of it need be produced."""

    @property
    def gone(self) -> bool:
        """The client left; whatever is sent now goes nowhere, so stop producing it."""

    def start(self, status: int, reason: str, headers: list[tuple[str, str]]) -> None:
        """Say how the answer begins. Raises LocalProtocolError for headers that HTTP cannot carry."""

    def send(self, data: bytes) -> bool:
        """Send a part of the body; False means: wait for `resume` before the next one.

        Raises LocalProtocolError when there is more body than Content-Length announced.
        """

    def finish(self, data: bytes = b"") -> None:
        """Send the last part and end the answer. Raises LocalProtocolError when it is shorter than announced."""

    def answer(self, answer: Answer) -> None:
        """Give a whole answer of the runner's own: start and finish."""

    def flush(self, timeout: float) -> None:
        """Block until nearly everything sent has left (PEP 3333 `write()` called inline).

        A client that takes nothing for *timeout* seconds counts as gone.
        """

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back in the loop's next turn."""

    def fail(self) -> None:
        """The answer cannot be completed: make sure that nobody takes what was sent for a whole one."""


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

    def handle(self, exchange: Exchange) -> None:
        """The request is complete: have it answered."""

    def finished(self, exchange: Exchange, status: int, sent: int, whole: bool) -> None:
        """The answer ended; *status* as sent (499: the client left first), *sent* body bytes, *whole* or cut."""
