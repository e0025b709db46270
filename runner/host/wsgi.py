"""Request -> environ -> the application -> the answer, as PEP 3333 wants it.

Inline: the call happens on the loop's thread, and between two parts of a streamed answer the loop gets a turn, so a
slow reader holds up nobody. No loop is *visible* during the call: Django's ORM, Flask's async views and `asyncio.run`
refuse to work where one is. In threads: the whole call happens in an application thread.

Everything of one request runs in one contextvars.Context, a copy of the one the application was imported in: the call,
each step of the iterable, its close(), what the guards do at its begin and its end. Frameworks keep "the current
request" there, as runner.request.current does, and interleaved streams would otherwise see each other's.

Laws: close() is called exactly once on the iterable, whatever happened, before the answer's end is sent; after that the
exchange is finished or failed, exactly once. Start at Host.handle. PEP 3333, sections by name in the comments.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio import _set_running_loop
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import copy_context
from types import TracebackType
from typing import IO, Any

from runner.errors import ClientGone, LocalProtocolError
from runner.host.faults import Faults
from runner.host.later import Later
from runner.host.timer import Clock
from runner.log import Log
from runner.request import Answer, Exchange, Guard, enter
from runner.streaming import Delayed
from runner.wire.headers import parse_status

ExcInfo = tuple[type[BaseException], BaseException, TracebackType]

_WRITE_TIMEOUT = 60.0
"""Seconds an inline `write()` may wait for a client that does not read."""
_END = object()


class FileWrapper:
    """`wsgi.file_wrapper` ("Optional Platform-Specific File Handling"): a file as an iterable of blocks."""

    def __init__(self, file: IO[bytes], block_size: int = 65536) -> None:
        self._file = file
        self._block_size = block_size
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block = self._file.read(self._block_size)
        if not block:
            raise StopIteration
        return block


class Host:
    """Calls one WSGI application. *debug*: show tracebacks to their author.

    *clocks* are told of each call, *guards* of each request.
    """

    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
        log: Log,
        *,
        threads: int,
        debug: bool,
        clocks: Sequence[Clock] = (),
        guards: Sequence[Guard] = (),
    ) -> None:
        self.application = application
        self.faults = Faults(log, debug=debug)
        self.clocks = clocks
        self.guards = guards
        self.context = copy_context()
        self.environ = {
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": threads > 1,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
        }

    def handle(self, exchange: Exchange) -> None:
        """Answer *exchange*; returns when the answer is complete, or has a part on its way."""
        _Call(self, exchange).step()

    def run(self, exchange: Exchange) -> None:
        """The same in an application thread, whose exchange blocks instead of asking to wait."""
        call = _Call(self, exchange)
        while call.advance():
            pass


class _Call:
    """One call of the application, from environ to close()."""

    __slots__ = ("_close", "_context", "_exchange", "_going", "_host", "_iterator", "_next", "_started")

    def __init__(self, host: Host, exchange: Exchange) -> None:
        self._host = host
        self._exchange = exchange
        self._context = host.context.copy()
        self._iterator: Iterator[bytes] | None = None
        self._close: Callable[[], object] | None = None
        self._next: Callable[[], None] = self._begin
        self._started = False
        self._going = True

    def advance(self) -> bool:
        """Do the next piece of the work; True while there is more."""
        self.timed(self._next)
        return self._iterator is not None

    def timed(self, call: Callable[[], object]) -> None:
        """Make a call in the request's context, of which the clocks are told."""
        clocks, exchange = self._host.clocks, self._exchange
        for clock in clocks:
            clock.start(exchange)
        try:
            self._context.run(call)
        finally:
            for clock in clocks:
                clock.stop(exchange)

    def step(self) -> None:
        """`advance` on the loop's thread, unseen by the application, and again as soon as the reader allows."""
        loop = asyncio.get_running_loop()
        _set_running_loop(None)
        try:
            more = self.advance()
        finally:
            _set_running_loop(loop)
        if more and self._going:
            self._exchange.soon(self.step)
        elif more:
            self._exchange.resume = self.step

    def _begin(self) -> None:
        exchange = self._exchange
        request = exchange.request
        # A copy: applications change their environ (methods, prefixes), and the front goes on by what the client said.
        environ: dict[str, Any] = {**request.variables, **self._host.environ}
        environ["wsgi.url_scheme"] = request.scheme
        environ["wsgi.input"] = request.body
        request.environ = environ
        self._next = self._take
        enter(request)
        try:
            for guard in self._host.guards:
                guard.begin(exchange)
            iterable = self._host.application(environ, self.start_response)
            if isinstance(iterable, Delayed):
                self._delay(iterable)
                return
            self._close = getattr(iterable, "close", None)
            if type(iterable) is list or type(iterable) is tuple:
                self.finish(_join(iterable))
            else:
                self._iterator = iter(iterable)
                self._take()
        except BaseException as error:
            # Whatever it is, SystemExit included: one request must not end the process that serves all the others.
            self.fail(error)

    def _delay(self, delayed: Delayed) -> None:
        """The answer comes later, by the loop's thread, whichever thread this is."""
        if self._started:
            raise LocalProtocolError("start_response was called; a delayed answer begins with respond() instead")
        self._exchange = self._exchange.plain
        self._started = True
        self._exchange.soon(Later(delayed, self._exchange, self, self._context).begin)

    def _take(self) -> None:
        """Take one part and send it."""
        exchange, iterator = self._exchange, self._iterator
        assert iterator is not None
        if exchange.gone:
            self.leave()
            return
        try:
            part = next(iterator, _END)
            if part is _END:
                self.finish(b"")
            elif not isinstance(part, bytes):
                raise LocalProtocolError(f"a part of the answer is {type(part).__name__}, not bytes")
            elif part:
                if not self._started:
                    raise LocalProtocolError("a part of the answer came before start_response was called")
                if exchange.mute:
                    # HEAD, 204, 304: no part will ever leave, and there are bodies without an end.
                    self.finish(b"")
                else:
                    # "Buffering and Streaming": the next part is asked for only when this one is on its way.
                    self._going = exchange.send(part)
        except BaseException as error:
            self.fail(error)

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """PEP 3333, "The start_response() Callable" and "Error Handling"."""
        exchange = self._exchange
        if exc_info:
            try:
                if exchange.committed:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._started:
            raise LocalProtocolError("start_response was called twice; give exc_info to replace the first answer")
        number, reason = parse_status(status)
        exchange.start(number, reason, list(headers))
        self._started = True
        return self._write

    def _write(self, data: bytes) -> None:
        """ "The write() Callable": when it returns, the data is on its way, so an inline call waits here."""
        if not isinstance(data, bytes):
            raise LocalProtocolError(f"write() was given {type(data).__name__}, not bytes")
        if data and not self._exchange.send(data):
            self._exchange.flush(_WRITE_TIMEOUT)
        if self._exchange.gone:
            raise ClientGone("the client left before the answer was complete; stop producing it")

    # ---- end: see later.Ending --------------------------------------------------------------------------------

    def finish(self, data: bytes) -> None:
        """With the last part."""
        if not self._started:
            raise LocalProtocolError("the application returned without having called start_response")
        self._iterator = None
        self._run_close()
        self._exchange.finish(data)

    def give(self, answer: Answer) -> None:
        """With an answer of the runner's own."""
        self._run_close()
        self._exchange.answer(answer)

    def fail(self, error: BaseException) -> None:
        """With the error page, or cut short."""
        self._iterator = None
        self._run_close()
        self._host.faults.show(self._exchange, error)

    def leave(self) -> None:
        """The client is gone: nobody wants the rest, but whatever the iterable holds must be given back."""
        self._iterator = None
        self._run_close()
        self._exchange.fail()

    def report(self, error: BaseException) -> None:
        """Something went wrong that is no end: log it."""
        self._host.faults.report(self._exchange.request, error)

    def _run_close(self) -> None:
        close, self._close = self._close, None
        try:
            if close is not None:
                close()
        except BaseException as error:
            self.report(error)
        for guard in self._host.guards:
            try:
                guard.end(self._exchange)
            except BaseException as error:
                self.report(error)


def _join(parts: list[bytes] | tuple[bytes, ...]) -> bytes:
    """The parts of an answer that is complete already; sent at once, so its length can be announced."""
    if len(parts) == 1 and type(parts[0]) is bytes:
        return parts[0]
    with contextlib.suppress(TypeError):
        return b"".join(parts)
    raise LocalProtocolError("the application gave something else than bytes for a part of its answer")
