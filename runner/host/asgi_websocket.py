"""A WebSocket of an ASGI application: one task for each, on the loop.

    receive    connect, then each message, then disconnect, with the code and the reason
    send       accept, messages, close, checked by talking.py; waits while the peer reads more slowly than we write
    end        who returns without a word closes with 1000, who raises with 1011

Who sends to a peer that has left is told by an OSError (ClientGone): else a sender that never receives would not hear
of it. Messages that came before the end are received before `websocket.disconnect`.

An extension of ours, "runner.websocket.move": after an edit a socket moves to the process of the newer code, if its
application can put its state in words. Its client notices nothing; nothing that is said in either direction is lost.

    scope["extensions"]["runner.websocket.move"]
                    {"state": None} for a new socket; {"state": "..."} for one that has come over: what was said of it
    websocket.accept
                    with "runner.websocket.move": True (a bool, default False): I can. The socket is then spoken without
                    compression. One that has come over is received (`websocket.connect`) and accepted like a new one,
                    with the same subprotocol; the client sees nothing of it, headers are ignored. Who accepts it
                    without this key or with another subprotocol, denies it, returns or raises before that, has its
                    client told to come back (close code 1012) and ask anew; who closes it, closes it with its own code
    receive() -> {"type": "runner.websocket.move"}
                    say now what the next one has to know. It comes after the last message that was received, when
                    nothing is half said in either direction; then nothing is received any more but
                    `websocket.disconnect`, should the socket end meanwhile. `websocket.send` is still possible
    send({"type": "runner.websocket.move", "state": "..."})
                    the answer, within 10 s: a str of at most 262,144 bytes of UTF-8. LocalProtocolError for any other,
                    and one that can be may follow. Afterwards nothing may be sent, `receive` says
                    `websocket.disconnect` (1012, "moved"), and the application returns; its resources are closed by
                    then, what it still does is background work. `websocket.close` is an answer, too
    no answer       in time: the client is told to come back (1012), the application of `websocket.disconnect`

It is asked only while there is somebody who could have the socket, never when the service stops: then all are told to
come back (1012). A state is given to an application at the same path (`root_path`) only.

Law: on the loop's thread only. Start at WebSocketCall.receive and send; the rest is in asgi_call.py.
ASGI 3.0, "HTTP & WebSocket ASGI Message Format" 2.5.
"""

from __future__ import annotations

import asyncio

from runner.errors import ClientGone, LocalProtocolError
from runner.host.answering import Begin, Part
from runner.host.asgi_call import Call, Callee, Event
from runner.host.asgi_scope import Scope, websocket_scope
from runner.host.talking import MOVE, Accept, Move, Stage, Talking
from runner.request import Answer, Closed, Question, WebSocket

_DENIED = Answer(403, [("Content-Type", "text/plain")], b"The application has not accepted this WebSocket.\n")


class WebSocketCall(Call):
    """One WebSocket, from its handshake on."""

    __slots__ = ("_connected", "_talking", "_websocket")

    def __init__(self, callee: Callee, websocket: WebSocket) -> None:
        super().__init__(callee, websocket)
        self._websocket = websocket
        self._talking = Talking()
        self._connected = False

    async def receive(self) -> Event:
        """ "Connect", "Receive" and "Disconnect - receive event"."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        while (received := self._websocket.take()) is None:
            if self._left is None:
                self._left = asyncio.Event()
            self._left.clear()
            await self._left.wait()
        if isinstance(received, Closed):
            await self._tell_once()
            return {"type": "websocket.disconnect", "code": received.code, "reason": received.reason}
        if isinstance(received, Question):
            self._talking.asked = True
            return {"type": MOVE}
        return {"type": "websocket.receive", "text" if isinstance(received, str) else "bytes": received}

    async def send(self, event: Event) -> None:
        """ "Accept", "Send" and "Close - send event", and those of a denial. Raises LocalProtocolError, ClientGone."""
        websocket = self._websocket
        step = self._talking.take(event)
        if isinstance(step, str | bytes) and not self._leaving:
            await self._yield(going=websocket.say(step))
        elif isinstance(step, Closed):
            await self._close(step)
        elif self._leaving:
            raise ClientGone("the client of this WebSocket has left")
        elif isinstance(step, Accept):
            websocket.accept(step.subprotocol, step.headers, moves=step.moves)
        elif isinstance(step, Move):
            await self._release()
            self._end(websocket.move, step.state)
        elif isinstance(step, Begin):
            websocket.start(*step)
        elif isinstance(step, Part) and step.last:
            await self._release()
            self._end(websocket.finish, step.data)
        elif isinstance(step, Part):
            await self._yield(going=websocket.send(step.data))

    def _scope(self) -> Scope:
        websocket = self._websocket
        extensions = {MOVE: {"state": websocket.state}}
        return websocket_scope(self._exchange.request, self._callee.state, websocket.subprotocols, extensions)

    async def _complete(self) -> None:
        if self._talking.stage is not Stage.OPEN:
            raise LocalProtocolError(f"the application returned; expected was {self._talking.stage.value}")
        await self._release()
        self._end(self._exchange.finish)

    async def _close(self, how: Closed) -> None:
        websocket = self._websocket
        if websocket.committed:
            websocket.hang_up(*how)
        await self._release()
        if websocket.committed or websocket.gone:
            self._end(websocket.finish)
        else:
            self._end(websocket.answer, _DENIED)

    def _wake(self) -> None:
        """As of every call, or a message has come."""
        super()._wake()
        if self._left is not None:
            self._left.set()
