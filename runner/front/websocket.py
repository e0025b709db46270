"""WebSocket messages over one connection, from the opening to the closing handshake.

    in    bytes → frames (the library) → whole messages, text checked as it comes → a bounded queue for the host
    out   messages → frames → the connection, which says when it is enough
    ping  every 20 s, give or take 4, so that no line is idle for 30 s, and no two sockets ask at the same moment
    end   a close frame, the peer's own for GOODBYE seconds, then the connection's close

Nothing is read while the host has messages to take, or while answers to pings wait for a peer that does not read. One
that has given no sign of life from a ping to the time of the next, or taken nothing of what waits for it, is gone.

A socket can go on in another process, where it is at rest: nothing was begun in either direction. Its host is asked
for what that process must know (MOVE); from then on nothing is read, so what the peer sends waits in the kernel.

Laws: on the loop's thread only. Every limit is one of memory: what a peer can make this process keep is at most a
message, its fragments and one read. Start at Socket.received. RFC 6455 sections 5 to 7; RFC 7692.
"""

from __future__ import annotations

import random
from codecs import IncrementalDecoder, getincrementaldecoder
from collections import deque
from collections.abc import Callable

from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from runner.errors import ClientGone, LocalProtocolError
from runner.front.connection import HIGH_WATER, Connection
from runner.request import Closed, Message, Question

MAX_MESSAGE = 16 << 20
"""Bytes of one message, inflated. A longer one ends the socket (1009) before more of it is kept."""
MAX_FRAGMENTS = 100_000
"""Frames of one message; each costs memory beside its bytes, and may have none."""
INBOX = 64
"""Messages, and INBOX_BYTES bytes of them, that wait for the host before reading pauses."""
INBOX_BYTES = 65536
PING, JITTER = 20.0, 4.0
"""Seconds between two pings, and by how much they differ: proxies hang up on what is idle for 30 or 60."""
GOODBYE = 5.0
"""Seconds in which the peer has to answer a close frame."""

ANSWER = 10.0
"""Seconds in which a host has to say what goes along with a socket that moves."""

_decoder = getincrementaldecoder("utf-8")
_random = random.SystemRandom()
"""Not that of the application, which may have seeded it: all workers would ping in step."""
_VANISHED, _INVALID, _TOO_BIG, _RESTART = 1006, 1007, 1009, 1012


_ABANDONED = Frame(Opcode.CONT, b"", fin=True)
"""In place of the rest of a message that never comes."""


class Protocol(ServerProtocol):
    """The library's, but for a peer that closes between two fragments of a message: it may (RFC 6455 section 5.4)."""

    within = False  # a message has begun and not ended

    def recv_frame(self, frame: Frame) -> None:
        """See ServerProtocol."""
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self.within = not frame.fin
        elif frame.opcode is Opcode.CLOSE and self.within:
            super().recv_frame(_ABANDONED)
        super().recv_frame(frame)


class Socket:
    """*protocol* has agreed to the request; *stir* is called when a message has come or there is room, and at the end.

    closed   how it ended, None as long as it has not
    invited  the host is to be asked MOVE when the socket is at rest
    sent     bytes, those of the head that opened it left out
    told     a close frame says how it ended, the peer's or ours
    """

    __slots__ = (
        "_answered", "_asked", "_begun", "_connection", "_decoder", "_due", "_fragments", "_heard", "_inbox", "_parts",
        "_pinged", "_protocol", "_reading", "_seen", "_stir", "_weight", "closed", "invited", "sent", "told",
    )  # fmt: skip

    def __init__(self, connection: Connection, protocol: Protocol, stir: Callable[[], None]) -> None:
        self._connection = connection
        self._protocol = protocol
        self._stir = stir
        self._inbox: deque[Message] = deque()
        self._weight = 0  # bytes or characters in it
        self._parts: list[str] | list[bytes] = []  # of the message that is arriving
        self._decoder: IncrementalDecoder | None = None
        self._fragments = 0
        self._pinged = self._heard = False
        self._seen = -1  # Connection.taken at the last look that found bytes waiting; -1 for none
        self._reading = False  # the protocol has things to say that come before what the host says
        self._begun = 0  # bytes of a frame that has not come to its end
        self._asked = False  # whether the host will let it move; nothing is read until it has said so
        self._answered = False
        self._due = 0.0  # when the next ping was due, had it not been asked
        self.invited = False
        self.closed: Closed | None = None
        self.sent = 0
        self.told = False

    def open(self, head: bytes, ahead: bytes) -> None:
        """Say *head*; *ahead*: what has arrived since the request."""
        self._protocol.state = State.OPEN
        self._connection.expect(_pause())
        self._connection.write(head)
        if ahead:
            self.received(ahead)

    def go_on(self, sent: int, due: float) -> None:
        """Go on where another process left off: so many bytes were *sent*; the next ping is *due* (monotonic)."""
        self.sent = sent
        self._connection.deadline = due

    # ---- what the host does ---------------------------------------------------------------------------------

    def take(self) -> Message | Closed | Question | None:
        """The next message; None: there is none yet."""
        if not self._inbox:
            return self._ask() if self.invited and self.at_rest else self.closed
        message = self._inbox.popleft()
        self._weight -= len(message)
        self._regulate()
        return message

    def say(self, message: Message) -> bool:
        """Send it; False: wait for `stir` before the next one. Raises ClientGone, LocalProtocolError."""
        if self.closed is not None:
            raise ClientGone("the WebSocket is closed")
        if not isinstance(message, str):
            self._protocol.send_binary(message)
        elif self._protocol.extensions or self._reading:
            self._protocol.send_text(_encode(message))
        else:
            data = _frame(message)
            self.sent += len(data)
            return self._connection.write(data)
        return self._push()

    @property
    def at_rest(self) -> bool:
        """Open, and nothing is under way: no frame, no message, no byte of ours, no question."""
        under_way = self._asked or self._inbox or self._begun or self._protocol.within
        return not (under_way or self._connection.buffered or self.closed is not None)

    def leave(self) -> None:
        """The host has let it move: go on as before, but for reading, until it is given away."""
        self._answered = True
        self._connection.deadline = self._due

    def hang_up(self, code: int, reason: str) -> None:
        """Begin to close, unless it is closed. Raises LocalProtocolError for what no close frame can carry."""
        if self.closed is not None:
            return
        try:
            self._protocol.send_close(code, reason)
        except ProtocolError as error:
            raise LocalProtocolError(
                f"a close frame cannot carry code {code} and a reason of {len(reason)} characters: give 1000, or 3000 "
                "to 4999, and at most 123 bytes"
            ) from error
        self._push()
        self._over(Closed(code, reason), told=True)
        self._connection.expect(GOODBYE)
        self._regulate()

    # ---- connection.Machine ---------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """See connection.Machine."""
        self._heard = True
        protocol = self._protocol
        protocol.receive_data(data)
        self._begun += len(data)
        self._reading = True
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._begun -= _length(len(event.data))
                if self.closed is None:
                    self._read(event)
        self._reading = False
        self._push()
        self._regulate()

    def ended(self) -> None:
        """See connection.Machine. There is no such thing as half a WebSocket."""
        self._over(Closed(_VANISHED, ""))
        self._connection.close(linger=False)

    def drained(self) -> None:
        """See connection.Machine."""
        self._regulate()
        self._stir()

    def overdue(self) -> None:
        """See connection.Machine. It is time for a ping, or too late."""
        connection = self._connection
        if self.closed is None:
            connection.poll()  # or what has just come would look as if it had not
        if self.closed is not None:
            connection.close(linger=True)
        elif self._asked and not self._answered:
            self.hang_up(_RESTART, "service restart")
        elif self._dead():
            self._over(Closed(_VANISHED, "no sign of life"))
            connection.abort()
        else:
            self._pinged, self._heard = True, False
            self._seen = connection.taken if connection.buffered else -1
            self._protocol.send_ping(b"")
            self._push()
            connection.expect(_pause())

    def lost(self) -> None:
        """See connection.Machine."""
        self._over(Closed(_VANISHED, ""))

    def rest(self) -> None:
        """See connection.Machine. A socket that comes from another process is told so by `go_on`."""

    def unread(self) -> bytes | None:
        """See connection.Machine. A socket goes to another process only when its host has been asked."""
        return None

    # ---- in -------------------------------------------------------------------------------------------------

    def _read(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY:
            self._decoder = _decoder() if frame.opcode is Opcode.TEXT else None
            self._parts, self._fragments = [], 0
        elif frame.opcode is not Opcode.CONT:
            return  # the protocol has answered it
        if frame is _ABANDONED:
            return
        self._fragments += 1
        if self._fragments > MAX_FRAGMENTS:
            self._refuse(_TOO_BIG, f"more than {MAX_FRAGMENTS} fragments")
            return
        data = bytes(frame.data)
        try:
            part: Message = data if self._decoder is None else self._decoder.decode(data, frame.fin)
        except UnicodeDecodeError as error:
            self._refuse(_INVALID, error.reason)
            return
        if part:
            self._parts.append(part)  # type: ignore[arg-type]
        if frame.fin:
            self._deliver()

    def _deliver(self) -> None:
        parts, self._parts = self._parts, []
        message: Message = (b"" if self._decoder is None else "").join(parts)  # type: ignore[arg-type]
        self._inbox.append(message)
        self._weight += len(message)
        self._stir()

    def _refuse(self, code: int, reason: str) -> None:
        self._protocol.fail(code, reason)
        self._push()

    # ---- out ------------------------------------------------------------------------------------------------

    def _push(self) -> bool:
        """Send what the protocol has to say; False: that is enough for the moment."""
        protocol, going = self._protocol, True
        if data := b"".join(protocol.data_to_send()):
            self.sent += len(data)
            going = self._connection.write(data)
        if protocol.eof_sent and not self._connection.closed:
            said = protocol.close_sent if protocol.parser_exc else protocol.close_rcvd or protocol.close_sent
            self._over(Closed(said.code, said.reason) if said else Closed(_VANISHED, ""), told=said is not None)
            self._connection.close(linger=True)
        return going

    def _regulate(self) -> None:
        """Read on, or leave what comes in the kernel."""
        connection = self._connection
        if connection.closed:
            return
        if connection.buffered > HIGH_WATER or (self.closed is None and self._deaf):
            connection.pause_reading()
        else:
            connection.resume_reading()

    def _ask(self) -> Question:
        connection = self._connection
        self._asked, self._due = True, connection.deadline
        connection.expect(ANSWER)
        self._regulate()
        return Question.MOVE

    @property
    def _deaf(self) -> bool:
        return self._asked or len(self._inbox) >= INBOX or self._weight >= INBOX_BYTES

    def _dead(self) -> bool:
        """Nothing was heard since the last ping although we listened, or nothing was taken of what was waiting then."""
        connection = self._connection
        if connection.broken(half=False) or (connection.buffered and connection.taken == self._seen):
            return True
        return self._pinged and not self._heard and not self._deaf

    def _over(self, closed: Closed, *, told: bool = False) -> None:
        if self.closed is None:
            self.closed, self.told = closed, told
            self._parts = []
            self._stir()


def _length(size: int) -> int:
    """Bytes of a peer's frame of *size* bytes, section 5.2, without compression and as short as it can be written.

    One that is longer leaves a rest in `_begun` for ever: then the socket never seems at rest, and does not move.
    """
    return 6 + size + (0 if size < 126 else 2 if size < 65536 else 8)


def _encode(message: str) -> bytes:
    try:
        return message.encode()
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"a text message must be UTF-8: {error.reason}") from error


_latest: tuple[str | None, bytes] = (None, b"")


def _frame(message: str) -> bytes:
    """The frame of a text message, made once for all sockets to which the same text is said one after the other."""
    global _latest
    text, data = _latest
    if text is not message:
        data = Frame(Opcode.TEXT, _encode(message)).serialize(mask=False)
        _latest = message, data
    return data


def _pause() -> float:
    return PING + _random.uniform(-JITTER, JITTER)
