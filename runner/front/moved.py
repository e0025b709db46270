"""A WebSocket that has come over from another process, before this one's host: its request, once more.

The client has had its 101 long ago. So the host accepts without a head being sent, and whatever else it answers (a
refusal, an error page, a page of an application that is no longer the same) becomes a close frame: 1012 tells the
client to come back, and what it hears then is what everybody hears who asks now.

    accept, moves    it goes on, if the client speaks the subprotocol that is accepted
    accept           by who takes no state: 1012
    close            before accept: its code
    anything else    1012

Laws: no byte of HTTP is ever sent; the socket is open here from the start, but nothing of it is received before it is
accepted. Start at MovedExchange.websocket. RFC 6455 section 7.4.
"""

from __future__ import annotations

from runner.errors import ClientGone
from runner.front.connection import Connection
from runner.front.http_exchange import Turns
from runner.front.luggage import Luggage
from runner.front.upgrade import RESTART, UpgradeExchange
from runner.origin import Origins
from runner.request import Answer, Closed, Message, Question, Request, Service

_COME_BACK = b"\x88\x02\x03\xf4"
"""A close frame with 1012 and no reason, where nothing that speaks the protocol was begun: section 5.5.1."""
_ELSEWHERE = Answer(404, [], b"")


class MovedExchange(UpgradeExchange):
    """See runner.request.WebSocket for what callers may rely on; it is committed and has no answer but `accept`."""

    again = True

    __slots__ = ("_accepted", "_luggage")

    def __init__(
        self, front: Turns, request: Request, connection: Connection, service: Service, *, origins: Origins,
        luggage: Luggage,
    ) -> None:  # fmt: skip
        super().__init__(front, request, connection, service, keep=False, origins=origins, raw=luggage.head)
        self._luggage = luggage
        self._accepted = False
        self.status, self.committed, self.sent = 101, True, luggage.sent

    def websocket(self) -> UpgradeExchange | Answer:
        """See runner.request.Exchange."""
        outcome = super().websocket()
        if isinstance(outcome, Answer):
            return outcome
        if self.request.variables["SCRIPT_NAME"] != self._luggage.script:
            return _ELSEWHERE
        assert self._handshake is not None
        socket = self._socket = self._handshake.open(self.connection, self._stir)
        self._front.leave_to(socket)
        socket.go_on(self._luggage.sent, self._luggage.due)
        return self

    @property
    def upgraded(self) -> bool:
        """See runner.request.Served."""
        return self._accepted

    @property
    def state(self) -> str | None:
        """See runner.request.WebSocket."""
        return self._luggage.state

    def accept(self, subprotocol: str | None, headers: list[tuple[str, str]], *, moves: bool = False) -> None:
        """See runner.request.WebSocket; *headers* were said when it was new."""
        if not self.gone and not (moves and subprotocol == self._luggage.subprotocol):
            self._turn_away()
        if self.gone:
            raise ClientGone("the client of this WebSocket has left, or is to come back and ask anew")
        self._subprotocol, self.willing = subprotocol, moves
        self._accepted = True
        self.service.upgraded(self)
        self._wake()

    def take(self) -> Message | Closed | Question | None:
        """See runner.request.WebSocket."""
        return super().take() if self._accepted or self.gone else None

    def start(self, status: int, reason: str, headers: list[tuple[str, str]]) -> None:
        """See runner.request.Exchange."""
        self._turn_away()

    def send(self, data: bytes) -> bool:
        """See runner.request.Exchange."""
        return True

    def answer(self, answer: Answer) -> None:
        """See runner.request.Exchange."""
        self.fail()

    def finish(self, data: bytes = b"") -> None:
        """See runner.request.Exchange."""
        if self._accepted:
            super().finish()
        else:
            self.fail()

    def fail(self) -> None:
        """See runner.request.Exchange."""
        if self._accepted:
            super().fail()
        elif self._socket is not None:
            self._end(RESTART)
        else:
            self._turn_away()
            self._over(whole=True)

    def cut(self) -> None:
        """See runner.request.Served."""
        self._turn_away()

    def _turn_away(self) -> None:
        if self._socket is not None:
            super().cut()
        elif not (self.gone or self._ended):
            self.connection.write(_COME_BACK)
            self.sent += len(_COME_BACK)
            self.leave()

    def _release(self, *, whole: bool) -> None:
        if self._socket is None:
            self._front.forget()
            self.connection.close(linger=True)
