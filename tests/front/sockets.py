"""A WebSocket behind a real HTTP front, with a host that is a few lines. Start at Talk; Arrived has moved."""

from collections.abc import Callable

from runner.front.http import HTTPFront
from runner.front.http_peer import Local
from runner.front.limits import Limits
from runner.front.luggage import Luggage
from runner.front.upgrade import UpgradeExchange
from runner.front.variables import Rules
from runner.origin import OWN_PAGES, Origins
from runner.request import Answer, Closed, Exchange, Message, Question
from tests.front.rig import Rig
from tests.support.frames import CLOSE, Heard, Reader, code_of, handshake


class Talk(Rig):
    """One connection whose host accepts the WebSocket and sends back each message; *echo* False: it takes none.

    speaks   it sends back what it takes
    taken    that
    asked    how often it was asked what is to go along; *says*: its answer, None for none
    closed   how it ended, as the host was told
    """

    def __init__(
        self, *, echo: bool = True, buffer: int = 0, origins: Origins = OWN_PAGES,
        answer: Callable[[Exchange], None] | None = None, moves: bool = False, says: str | None = None,
        root_path: str = "",
    ) -> None:  # fmt: skip
        super().__init__(buffer)
        self.echo = echo
        self.moves = moves
        self.says = says
        self.asked = 0
        self.speaks = True
        self.taken: list[Message] = []
        self.closed: Closed | None = None
        self.exchange: UpgradeExchange
        self._reader = Reader()
        self._rest = b""
        self.service.answer = answer or self._welcome
        local = Local("", "", True, frozenset())
        rules = Rules(root_path)
        self.connection.machine = HTTPFront(self.connection, self.service, rules, Limits(), local, origins)
        self.connection.open()

    def open(self, ahead: bytes = b"", **headers: str) -> str:
        """Ask for the WebSocket, *ahead* of the answer too; return the answer's head."""
        self.send(handshake(**headers) + ahead)
        raw = b""
        while b"\r\n\r\n" not in raw:
            raw += self.receive()
        head, _, self._rest = raw.partition(b"\r\n\r\n")
        return head.decode()

    def stuff(self, data: bytes) -> bytes:
        """Send as the peer until nobody takes any more; return the rest."""
        self.peer.setblocking(False)
        still = 0
        while data and still < 50:  # turns in which the kernel takes nothing: its buffers are full, and stay so
            try:
                data, still = data[self.peer.send(data) :], 0
            except BlockingIOError:
                still += 1
            self.turn()
        return data

    def hear(self, count: int = 1) -> list[Heard]:
        """At least so many frames, fewer only if the connection ends."""
        found = self._reader.feed(self._rest)
        self._rest = b""
        while len(found) < count and (data := self.receive()):
            found += self._reader.feed(data)
        return found

    def hear_all(self) -> list[Heard]:
        """All frames up to the connection's end."""
        return self.hear(1 << 40)

    def end(self) -> int:
        """The code of the close frame, which must be the last."""
        heard = self.hear_all()
        assert [each.opcode for each in heard].count(CLOSE) == 1
        return code_of(heard[-1])

    def take(self) -> None:
        """As a host that is told of something."""
        self.exchange.resume = self.take
        while self.echo and (received := self.exchange.take()) is not None:
            if isinstance(received, Closed):
                self.closed = received
                self.exchange.finish()
                return
            if isinstance(received, Question):
                self.asked += 1
                if self.says is not None:
                    self.exchange.move(self.says)
                    return
                continue
            self.taken.append(received)
            if self.speaks and not self.exchange.gone:
                self.exchange.say(received)

    def _welcome(self, exchange: Exchange) -> None:
        websocket = exchange.websocket()
        if isinstance(websocket, Answer):
            exchange.answer(websocket)
            return
        assert isinstance(websocket, UpgradeExchange)
        self.exchange = websocket
        self.exchange.resume = self.take
        websocket.accept(None, [], moves=self.moves)
        self.take()


class Arrived(Talk):
    """A socket that comes from another process with this *luggage*; its client has had its 101."""

    def __init__(
        self, luggage: Luggage, *, refused: bool = False, origins: Origins = OWN_PAGES,
        answer: Callable[[Exchange], None] | None = None, moves: bool = True, root_path: str = "",
    ) -> None:  # fmt: skip
        super().__init__(origins=origins, answer=answer, moves=moves, root_path=root_path)
        front = self.connection.machine
        assert isinstance(front, HTTPFront)
        self.connection.come_over(lambda: front.come_over(luggage, refused=refused))
