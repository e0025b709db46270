"""The hub: the process that has the channels in its memory, and tells each client what others publish.

    accept    whoever knocks at the supervisor's socket
    receive   so much of each client that the others' turn comes soon
    settle    answer, add what they follow, send; each so much in a round that none waits long

Laws: waits for nobody: whatever a client does, or does not do, costs the others nothing. What is no message ends the
connection, never the hub. It ends with the supervisor, whose end is the lifeline's (process/lifeline.py). Start at
main; only the supervisor starts this, by exec.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import socket
import sys
import time
from typing import NoReturn

from runner.channels.history import weigh
from runner.channels.memory.client import Client
from runner.channels.memory.ledger import Ledger
from runner.channels.memory.wire import (
    Follow,
    Found,
    Heard,
    Lost,
    Publish,
    Published,
    Read,
    Said,
    Unfollow,
    parse_said,
    serialize,
)
from runner.channels.message import Message, Page, Position, parse_position
from runner.errors import ProtocolError
from runner.log import Log

BOARD = 512
"""Bytes of the file in which the supervisor reads how things are."""
_PAGE, _ANSWER = 100, 1 << 20
"""Messages of one answer, and their bytes; a single one may be larger."""
_ACCEPTED = 64
_TIDY, _TELL, _STARVED = 10.0, 0.5, 0.1
"""Seconds between two looks at what has become too old; from a change until the supervisor can read of it; to look away
from the door when there is no descriptor left."""


class Hub:
    """*listener*: where clients come from; *lifeline*: readable at the supervisor's end; *board*: see BOARD."""

    def __init__(self, listener: socket.socket, lifeline: int, board: int, most: int, age: float, log: Log) -> None:
        self._listener, self._board, self._log = listener, board, log
        self._followers: dict[str, dict[Client, None]] = {}
        self._ledger = Ledger(most, age, lambda: os.urandom(8).hex(), self._followers)
        self._clients: dict[Client, None] = {}
        self._stirred: dict[Client, None] = {}
        self._now = self._tidied = time.monotonic()
        self._tell_at = self._open_at = 0.0
        self._shed = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(lifeline, selectors.EVENT_READ, _end)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)

    def run(self) -> NoReturn:
        """Until the supervisor ends."""
        while True:
            for key, _ in self._selector.select(self._patience()):
                if isinstance(key.data, Client):
                    self._receive(key.data)
                else:
                    key.data()
            self._now = time.monotonic()
            for client in list(self._stirred):
                if client in self._stirred:  # nobody has hung up on it meanwhile
                    del self._stirred[client]
                    self._settle(client)
            self._look()

    def _patience(self) -> float | None:
        if self._stirred:
            return 0.0
        moments = [moment for moment in (self._tell_at, self._open_at) if moment]
        if self._ledger:
            moments.append(self._tidied + _TIDY)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _look(self) -> None:
        """What is to be done from time to time."""
        if self._open_at and self._now >= self._open_at:
            self._open_at = 0.0
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        if self._now >= self._tidied + _TIDY:
            self._tidied = self._now
            self._ledger.tidy(self._now)
            self._tell_at = self._tell_at or self._now
        if self._tell_at and self._now >= self._tell_at:
            self._tell()

    def _tell(self) -> None:
        ledger = self._ledger
        report = {
            "pid": os.getpid(), "clients": len(self._clients), "channels": len(ledger), "messages": ledger.messages,
            "bytes": ledger.weighs,
        }  # fmt: skip
        os.pwrite(self._board, json.dumps(report).encode().ljust(BOARD), 0)
        self._tell_at = 0.0
        if ledger.shed and not self._shed:
            self._shed = True
            self._log.warning("the channels need too much memory: the oldest messages of the largest are forgotten")

    # ---- clients --------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        for _ in range(_ACCEPTED):
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # The queue stays readable, so looking on would be a spin.
                self._log.once_a_minute("accept", f"cannot accept: {error.strerror}")
                self._open_at = time.monotonic() + _STARVED
                self._selector.unregister(self._listener)
                return
            sock.setblocking(False)
            client = Client(sock)
            self._clients[client] = None
            self._tell_at = self._tell_at or self._now + _TELL
            self._watch(client)

    def _receive(self, client: Client) -> None:
        self._stirred[client] = None
        if client.full() or client.unserved():
            return  # it has become writable
        try:
            if not client.receive():
                self._hang_up(client)
        except ProtocolError as error:
            self._refuse(client, error)

    def _settle(self, client: Client) -> None:
        """All that it is to have in this round."""
        try:
            while (line := client.next_line()) is not None:
                self._answer(client, parse_said(line))
        except ProtocolError as error:
            self._refuse(client, error)
            return
        self._catch_up(client)
        if not client.send():
            self._hang_up(client)
            return
        self._watch(client)
        if client.unserved() and not client.full():
            self._stirred[client] = None

    def _watch(self, client: Client) -> None:
        wanted = selectors.EVENT_WRITE if client.unsent() else 0
        wanted |= 0 if client.full() or client.unserved() else selectors.EVENT_READ
        # For nothing: then its turn comes again in any case.
        if wanted and wanted != client.events:
            if client.events:
                self._selector.modify(client.sock, wanted, client)
            else:
                self._selector.register(client.sock, wanted, client)
            client.events = wanted

    def _refuse(self, client: Client, error: ProtocolError) -> None:
        self._log.once_a_minute("protocol", f"a client of the channels says {error}; its connection is closed")
        self._hang_up(client)

    def _hang_up(self, client: Client) -> None:
        for channel in [*client.live, *client.behind]:
            self._unfollow(client, channel)
        self._clients.pop(client)
        self._stirred.pop(client, None)
        self._selector.unregister(client.sock)
        client.sock.close()
        self._tell_at = self._tell_at or self._now + _TELL

    # ---- what they say --------------------------------------------------------------------------------------

    def _answer(self, client: Client, said: Said) -> None:
        self._tell_at = self._tell_at or self._now + _TELL
        match said:
            case Publish(number, channel, text, id):
                position, message = self._ledger.publish(channel, text, id, self._now)
                client.tell(Published(number, position.epoch, position.offset))
                if message is not None:
                    self._spread(message)
            case Read(number, channel, after, limit):
                where = parse_position(after) if after else None
                page = self._ledger.read(channel, where, min(max(limit, 0), _PAGE), self._now)
                client.tell(_found(number, page))
            case Follow(channel, after):
                self._unfollow(client, channel)
                client.behind[channel] = parse_position(after)
                self._followers.setdefault(channel, {})[client] = None
            case Unfollow(channel):
                self._unfollow(client, channel)

    def _unfollow(self, client: Client, channel: str) -> None:
        client.live.discard(channel)
        client.behind.pop(channel, None)
        if followers := self._followers.get(channel):
            followers.pop(client, None)
            if not followers:
                del self._followers[channel]

    def _spread(self, message: Message) -> None:
        line = b""
        for follower in self._followers.get(message.channel, ()):
            if message.channel in follower.live:
                if follower.full():
                    follower.live.remove(message.channel)
                    before = Position(message.position.epoch, message.position.offset - 1)
                    follower.behind[message.channel] = before
                else:
                    line = line or _heard(message)
                    follower.add(line)
                    self._stirred[follower] = None

    def _catch_up(self, client: Client) -> None:
        """Add what it has not got of the channels that it follows, as long as there is room."""
        for channel in list(client.behind):
            while channel in client.behind and not client.full():
                page = self._ledger.read(channel, client.behind[channel], _PAGE, self._now)
                if page.resync is not None:
                    self._unfollow(client, channel)
                    client.tell(Lost(channel))
                    break
                for message in page.messages:
                    if client.full():
                        break
                    client.add(_heard(message))
                    client.behind[channel] = message.position
                else:
                    if not page.more:
                        del client.behind[channel]
                        client.live.add(channel)


def _heard(message: Message) -> bytes:
    return serialize(Heard(message.channel, message.position.epoch, message.position.offset, message.text))


def _found(number: int, page: Page) -> Found:
    """The answer, cut to what goes into one line."""
    texts: list[str] = []
    room = _ANSWER
    for message in page.messages:
        room -= weigh(message)
        if room < 0 and texts:
            break
        texts.append(message.text)
    cut = len(texts) < len(page.messages)
    position = page.messages[len(texts) - 1].position if cut else page.position
    return Found(number, position.epoch, position.offset, page.resync or "", page.more or cut, texts)


def _end() -> NoReturn:
    os._exit(0)


def main() -> NoReturn:
    """The process's whole life.

    Arguments: the descriptors, then history, age, level and style of the log; then whom to become: user, group, groups.
    """
    listener, lifeline, board = map(int, sys.argv[1:4])
    if become := list(map(int, sys.argv[8:])):
        user, group, *groups = become
        os.setgroups(groups)
        os.setgid(group)
        os.setuid(user)
    # What it makes by the million, messages and positions, is in no circle.
    gc.disable()
    log = Log("channels", sys.argv[6], sys.argv[7])
    Hub(socket.socket(fileno=listener), lifeline, board, int(sys.argv[4]), float(sys.argv[5]), log).run()
