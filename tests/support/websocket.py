"""A WebSocket client that hides nothing: frames out, frames in. Start at WebSocket.

Law: what does not come raises; nothing is answered by itself, be it a ping or a close frame.
"""

from tests.support.client import Conversation
from tests.support.frames import ACCEPT, CLOSE, PING, TEXT, Heard, Reader, close, code_of, frame, handshake
from tests.support.places import Address
from tests.support.process import PATIENCE


class WebSocket(Conversation):
    """A connection that asks for a WebSocket at *target*; *head*: the answer, 101 unless *refused*."""

    def __init__(
        self, address: Address, target: str = "/", timeout: float = PATIENCE, *, refused: bool = False, **headers: str
    ) -> None:
        super().__init__(address, timeout)
        self._reader = Reader()
        self._heard: list[Heard] = []
        self.send(handshake(target, **headers))
        self.head = ""
        while not self.head.endswith("\r\n\r\n"):
            line = self._input.readline().decode("latin-1")
            assert line, f"the connection ended after {self.head!r}"
            self.head += line
        assert refused or (" 101 " in self.head and ACCEPT in self.head), self.head

    @property
    def status(self) -> int:
        """Of the answer."""
        return int(self.head.split()[1])

    def hear(self) -> Heard:
        """The next frame; pings, which come when they like, are passed over."""
        while True:
            while not self._heard:
                data = self._input.read1(65536)
                assert data, "the connection ended"
                self._heard += self._reader.feed(data)
            heard = self._heard.pop(0)
            if heard.opcode != PING:
                return heard

    def ask(self, text: str) -> str:
        """Say *text*; what is said to it."""
        self.send(frame(TEXT, text.encode()))
        heard = self.hear()
        assert heard.opcode == TEXT, heard
        return heard.data.decode()

    def goodbye(self) -> int:
        """The code of the close frame that comes next; it is answered, and then the connection ends on either side."""
        heard = self.hear()
        assert heard.opcode == CLOSE, heard
        self.send(close(code_of(heard)))
        assert self._input.read() == b""
        self.close()
        return code_of(heard)
