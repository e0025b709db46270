"""How the parts of a request (runner.batch) go through the application: each a request of its own.

    on the loop   an ASGI application, and application threads as long as one is free: many at once in this worker
    here, now     an inline call that is known to be short: anything else would cost more than the call
    elsewhere     an inline call that may take its time, or one that would wait here for a thread: whichever sibling
                  is free (elsewhere.py), so many at once

How long calls usually take is remembered for each JSON-RPC method; one that nobody knows yet goes elsewhere. Usually
is the median: a busy machine makes some calls of the shortest method take a hundred times as long. So it can be wrong
about a batch, and when calls that were made here have taken much longer than usual, all the rest of it goes elsewhere.

Laws: a part is let in because its request was: no look at the disk, no redirect. It is logged and counted as any other
request, and whoever asked is not asked to wait in line with others: the loop has its turns between two calls. Parts of
parts end at DEEPEST. Start at Parts.dispatch.
"""

from __future__ import annotations

import asyncio
import io
import sys
import time
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from urllib.parse import unquote_to_bytes

from runner.batch import Answered, Done, Failed, Outcome, Reason, SubRequest
from runner.front.inside import Collected, Inside
from runner.host.faults import Faults
from runner.request import Request, Served, Service
from runner.worker.elsewhere import ask

SHORT = 0.0005
"""Seconds: a call that usually takes less is made here. To have it made elsewhere costs about a third of that."""
PATIENCE = 0.005
"""Seconds that the calls of one batch here may take longer than usual, all together, before the rest goes elsewhere."""
STEP = 1.25
"""What is remembered goes up or down by this factor, for each call: so it ends up at the median."""
DEEPEST = 8
"""Requests within requests; more is a gateway whose endpoint is itself."""
_DEPTH = "RUNNER_DEPTH"
_MOST_KNOWN = 1000
_OWN = frozenset(("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_URI", "DOCUMENT_URI"))
"""What is of the greater request, and no part's."""


class Dispatching:
    """Of one worker.

    *inline*: calls keep the loop from turning; *waits*: a call at this path would have to wait for a thread; *address*:
    of the private socket, "" for none.

    asking  parts of which the answer is awaited from elsewhere
    """

    def __init__(
        self, service: Service, loop: AbstractEventLoop, faults: Faults, *, root_path: str, width: int, inline: bool,
        waits: Callable[[str], bool], address: str,
    ) -> None:  # fmt: skip
        self.service = service
        self.loop = loop
        self.faults = faults
        self.root_path = root_path
        self.width = width
        self.inline = inline
        self.waits = waits
        self.address = address
        self.asking = 0
        self._usual: dict[str, float] = {}

    def of(self, request: Request) -> Parts:
        """What *request* may send its parts by."""
        return Parts(self, request)

    def is_short(self, method: str) -> bool:
        """A call of it is not worth the way to a sibling."""
        return self._usual.get(method, SHORT) < SHORT

    def note(self, method: str, seconds: float) -> float:
        """So long it took this time; returns how much longer that is than usual."""
        usual = self._usual.get(method)
        if usual is None:
            if len(self._usual) >= _MOST_KNOWN:
                self._usual.clear()  # it is clients who choose the names
            self._usual[method] = seconds
            return 0.0
        self._usual[method] = usual * STEP if seconds > usual else usual / STEP
        return seconds - usual


class Parts:
    """The Dispatcher (runner.batch) of one request."""

    __slots__ = ("_common", "_dispatching", "_given", "_late", "_path", "_request")

    def __init__(self, dispatching: Dispatching, request: Request) -> None:
        self._dispatching = dispatching
        self._request = request
        self._common: dict[str, str] = {}
        self._path = ""
        self._given: dict[str, str] = {}
        self._late = 0.0  # seconds, of calls that were made here

    @property
    def width(self) -> int:
        """See Dispatcher."""
        return self._dispatching.width

    def dispatch(self, sub: SubRequest, /) -> Outcome | Awaitable[Outcome]:
        """See Dispatcher."""
        ours = self._dispatching
        variables = self._variables(sub)
        if int(variables[_DEPTH]) > DEEPEST:
            return Failed(Reason.FAILED)
        if ours.address and self._is_far(sub.item.method, variables["PATH_INFO"]):
            return self._elsewhere(variables, sub)
        exchange = self._here(variables, sub)
        if exchange.collected.done():
            return _outcome(exchange.collected.result())
        return _await(exchange)

    def report(self, done: Done, /) -> None:
        """See Dispatcher. Its items have lines of their own in the access log, and so has the whole."""
        for fault in done.faults:
            self._dispatching.faults.report(self._request, fault)

    def _is_far(self, method: str, path: str) -> bool:
        ours = self._dispatching
        return self._late > PATIENCE or not ours.is_short(method) if ours.inline else ours.waits(path)

    def _here(self, variables: dict[str, str], sub: SubRequest) -> Inside:
        ours = self._dispatching
        request = Request(variables, self._request.scheme, time.monotonic(), internal=True)
        request.body = io.BytesIO(sub.body)
        exchange = Inside(request, ours.service, ours.loop, sub.most)
        if not ours.inline:
            ours.service.handle(exchange)
            return exchange
        began = time.perf_counter()
        _unseen(ours.loop, ours.service.handle, exchange)
        if exchange.collected.done():
            self._late += ours.note(sub.item.method, time.perf_counter() - began)
        return exchange

    async def _elsewhere(self, variables: dict[str, str], sub: SubRequest) -> Outcome:
        ours = self._dispatching
        ours.asking += 1
        try:
            collected = await ask(ours.address, variables, sub.body, sub.most)
        finally:
            ours.asking -= 1
        if collected.whole:
            ours.note(sub.item.method, collected.seconds)
        return _outcome(collected)

    def _variables(self, sub: SubRequest) -> dict[str, str]:
        """Those of the part: the greater request's, but for its header fields, its path and its body."""
        if sub.path != self._path or sub.variables is not self._given:
            self._common = self._variables_at(sub.path) | sub.variables
            self._path, self._given = sub.path, sub.variables
        variables = self._common.copy()
        variables["CONTENT_LENGTH"] = str(len(sub.body))
        return variables

    def _variables_at(self, path: str) -> dict[str, str]:
        given, prefix = self._request.variables, self._dispatching.root_path
        place, _, query = path.partition("?")
        return {
            **{name: value for name, value in given.items() if name not in _OWN and not name.startswith("HTTP_")},
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": prefix,
            "PATH_INFO": unquote_to_bytes(place).decode("latin-1"),
            "QUERY_STRING": query,
            "REQUEST_URI": prefix + path,
            _DEPTH: str(int(given.get(_DEPTH, "0")) + 1),
        }


def _unseen(loop: AbstractEventLoop, handle: Callable[[Served], None], exchange: Served) -> None:
    """Call an inline application from a task, as if there were none: it may run a loop of its own (asyncio.run).

    Since Python 3.14 a thread has one present task; before, each loop has one, and nobody is in another one's way.
    """
    task = asyncio.current_task(loop) if sys.version_info >= (3, 14) else None
    if task is not None:
        asyncio.tasks._leave_task(loop, task)
    try:
        handle(exchange)
    finally:
        if task is not None:
            asyncio.tasks._enter_task(loop, task)


async def _await(exchange: Inside) -> Outcome:
    try:
        return _outcome(await exchange.collected)
    finally:
        exchange.leave()  # nothing, if it is over


def _outcome(collected: Collected) -> Outcome:
    if collected.whole:
        return Answered(collected.status, collected.body)
    return Failed(Reason.TOO_LARGE if collected.large else Reason.DIED, collected.status or None)
