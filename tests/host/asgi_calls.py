"""Calls of an ASGI application behind a real front, and what came of them. Start at Behind."""

from collections.abc import Awaitable, Callable
from typing import Any

from runner.front.http import HTTPFront
from runner.front.http_peer import Local
from runner.front.limits import Limits
from runner.front.variables import Rules
from runner.host.asgi import Host
from runner.request import Exchange, Request, current
from tests.front.rig import Rig, get
from tests.host.calls import Answered

Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[Event, Receive, Send], Awaitable[None]]

HTTP = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> Event:
    """How an answer begins."""
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> Event:
    """A part of it."""
    return {"type": "http.response.body", "body": data, "more_body": more}


class Witness:
    """A guard that notes what it is told, and which request is the present one then."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Request]] = []

    def begin(self, exchange: Exchange) -> None:
        """See AsyncGuard."""
        self.told.append(("begin", current()))

    def end(self, exchange: Exchange) -> None:
        """See Guard; a host of coroutines never says it."""
        raise AssertionError("end() was called")

    async def aend(self, exchange: Exchange) -> None:
        """See AsyncGuard."""
        if self.told[-1][0] != "end":
            self.told.append(("end", current()))


class Behind(Rig):
    """An application behind a FastCGI front, or an HTTP one; *grace*: seconds; *beside*: on the same loop.

    witness  its guard
    """

    def __init__(
        self, application: Application, *, http: bool = False, grace: float = 5.0, buffer: int = 0,
        beside: Rig | None = None,
    ) -> None:  # fmt: skip
        super().__init__(buffer)
        if beside is not None:
            self.loop.close()
            self.connection._loop = self.loop = beside.loop
        self.witness = Witness()
        self.host = Host(application, self.service.log, debug=False, grace=grace, guards=[self.witness])
        if http:
            self.service.answer = self.host.handle
            local = Local("", "", True, frozenset(("unix",)))
            self.connection.machine = HTTPFront(self.connection, self.service, Rules(), Limits(), local)
            self.connection.open()
        else:
            self.fastcgi(self.host.handle)

    def ended(self) -> None:
        """Wait until every call has returned and every exchange is over."""
        self.until(lambda: self.service.exchanges and not self.host.busy)
        assert len(self.service.outcomes) == len(self.service.exchanges)


def ask(application: Application, raw: bytes | None = None) -> Answered:
    """Send one FastCGI request (not kept) to *application*; wait for the end of the connection."""
    with Behind(application) as behind:
        behind.send(get(keep=False) if raw is None else raw)
        rest = behind.rest()
        behind.ended()
        assert [what for what, _ in behind.witness.told] == ["begin", "end"]
        return Answered(rest, behind.service.lines())
