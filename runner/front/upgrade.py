"""A request that asks for a WebSocket, and the way its answer takes: a WebSocket, if the application accepts one.

Until then it is an exchange like any other, and a host that knows nothing of WebSockets answers it as such. From
`accept` on the connection belongs to websocket.Socket; what remains here is what a host and the process know of it.
It may end here and go on in another process (moved.py), for the host to which this one's luggage is given.

Laws: nothing of the `websockets` library, an extra, is loaded before somebody asks. A socket that is accepted counts as
an answer that has begun, and it ends once, with a close frame wherever one can still be sent.
Start at UpgradeExchange.websocket, then accept. RFC 6455 section 4.2; RFC 9110 section 7.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from runner.errors import ClientGone
from runner.front.connection import Connection
from runner.front.http_exchange import HTTPExchange, Turns
from runner.front.luggage import Luggage
from runner.origin import Origins
from runner.request import Answer, Closed, Message, Question, Request, Service
from runner.wire.headers import serialize_headers

if TYPE_CHECKING:
    from runner.front.handshake import Handshake
    from runner.front.websocket import Socket

NORMAL, FAILED, RESTART = 1000, 1011, 1012
"""Close codes: nothing more to say; the application failed; come back at once, somebody else will be here."""


def asked(request: Request) -> bool:
    """Whether *request* asks for a WebSocket. Every other protocol that may be asked for is not spoken here."""
    return request.upgrade and "websocket" in [
        each.strip("\t ") for each in request.variables["HTTP_UPGRADE"].lower().split(",")
    ]


class UpgradeExchange(HTTPExchange):
    """See runner.request.WebSocket and Movable for what callers may rely on. *raw*: the request's head."""

    again: ClassVar[bool] = False
    """It was accepted already."""

    __slots__ = ("_handshake", "_origins", "_raw", "_said", "_socket", "_subprotocol", "willing")

    def __init__(
        self, front: Turns, request: Request, connection: Connection, service: Service, *, keep: bool,
        origins: Origins, raw: bytes,
    ) -> None:  # fmt: skip
        super().__init__(front, request, connection, service, keep=keep)
        self.willing = False
        self._origins = origins
        self._raw = raw
        self._handshake: Handshake | None = None
        self._socket: Socket | None = None
        self._subprotocol: str | None = None
        self._said: str | None = None  # the state in which it moves

    def websocket(self) -> UpgradeExchange | Answer:
        """See runner.request.Exchange."""
        try:
            from runner.front.handshake import shake
        except ImportError as error:
            remedy = f"WebSockets need the websockets library ({error}); pip install 'runner[realtime]'"
            self.service.log.once_a_minute("websockets", remedy)
            return Answer(501, [("Content-Type", "text/plain")], b"WebSockets are not spoken here.\n")
        outcome = shake(self.request.variables, self._origins, again=self.again)
        if isinstance(outcome, Answer):
            reason = outcome.body.decode().rstrip()
            self.service.log.once_a_minute(reason[:30], f"a WebSocket was refused with {outcome.status}: {reason}")
            return outcome
        self._handshake = outcome
        return self

    # ---- what the host calls --------------------------------------------------------------------------------

    @property
    def upgraded(self) -> bool:
        """See runner.request.Served."""
        return self._socket is not None

    @property
    def subprotocols(self) -> list[str]:
        """See runner.request.WebSocket."""
        return self._handshake.subprotocols if self._handshake is not None else []

    @property
    def state(self) -> str | None:
        """See runner.request.WebSocket."""
        return None

    def accept(self, subprotocol: str | None, headers: list[tuple[str, str]], *, moves: bool = False) -> None:
        """See runner.request.WebSocket."""
        if self.gone or self.shut or self.connection.closed:
            raise ClientGone("the client left before its WebSocket was accepted")
        assert self._handshake is not None
        if moves:
            self._handshake.renounce()
        head = self._handshake.complete(subprotocol, serialize_headers([*headers, *self.service.marks]))
        socket = self._socket = self._handshake.open(self.connection, self._stir)
        ahead = self._front.leave_to(socket)
        self.status, self.committed = 101, True
        self._subprotocol, self.willing = subprotocol, moves
        self.service.upgraded(self)
        socket.open(head, ahead)

    def take(self) -> Message | Closed | Question | None:
        """See runner.request.WebSocket."""
        if self._said is not None:
            return Closed(RESTART, "moved")
        if self._socket is None:
            return Closed(1006, "") if self.gone or self.shut else None
        return self._socket.take()

    def say(self, message: Message) -> bool:
        """See runner.request.WebSocket."""
        assert self._socket is not None
        return self._socket.say(message)

    def hang_up(self, code: int, reason: str) -> None:
        """See runner.request.WebSocket."""
        assert self._socket is not None
        self._socket.hang_up(code, reason)

    def move(self, state: str) -> None:
        """See runner.request.WebSocket."""
        assert self._socket is not None
        if self._socket.closed is not None:
            self.fail()
        else:
            self._said, self.request.over = state, True
            self._socket.leave()
            self.service.moving(self)

    # ---- what a process that gives it away does -------------------------------------------------------------

    def invite(self, *, wanted: bool) -> None:
        """See runner.request.Movable."""
        if self._socket is not None:
            self._socket.invited = wanted
            if wanted and self._socket.at_rest:
                self._wake()

    def depart(self) -> bytes:
        """See runner.request.Movable."""
        assert self._socket is not None and self._said is not None
        self._ended = True
        if self.request.body is not None:
            self.request.body.close()
        return Luggage(
            self._raw, self._said, self.request.variables["SCRIPT_NAME"], self._subprotocol, self.request.began,
            self._socket.sent, self.connection.deadline,
        ).pack()  # fmt: skip

    # ---- what hosts and the process do with every exchange ---------------------------------------------------

    def finish(self, data: bytes = b"") -> None:
        """See runner.request.Exchange."""
        if self._socket is not None:
            self._end(NORMAL)
        else:
            super().finish(data)

    def fail(self) -> None:
        """See runner.request.Exchange."""
        if self._socket is not None:
            self._end(FAILED)
        else:
            super().fail()

    def cut(self) -> None:
        """See runner.request.Served."""
        if self._socket is not None:
            self._socket.hang_up(RESTART, "service restart")
        else:
            super().cut()

    def _end(self, code: int) -> None:
        assert self._socket is not None
        self._socket.hang_up(code, "")
        self.sent = self._socket.sent
        self._over(whole=self._socket.told)

    def _stir(self) -> None:
        """Something has arrived, or there is room again, or it is over."""
        if self._socket is not None and self._socket.closed is not None:
            self.leave()
        else:
            self._wake()

    def _release(self, *, whole: bool) -> None:
        if self._socket is None:
            super()._release(whole=whole)
