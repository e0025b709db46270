"""The scope of the present request: found by its context, opened and closed by whoever calls the application.

    present         that of whoever asks; scripts and tests have their own (own.py)
    RequestScopes   in a worker: a host tells it when a request begins and ends

Law: a request's scope is found by its context alone, so it is the same in each step of a streamed answer, in its
close(), and in threads that were given the context (Request.bind); never another's. Start at present.
"""

from __future__ import annotations

import threading
import time
from traceback import format_exception
from typing import Any

from runner.errors import NoRequest, ResourcesClosed
from runner.log import Log, escape
from runner.request import CURRENT, Exchange, Request
from runner.resources.ascope import AsyncScope
from runner.resources.bell import on_loop
from runner.resources.own import OWN
from runner.resources.recipes import BUILT_IN, Recipe, Recipes
from runner.resources.scope import Held, worn

recipes = Recipes()
"""What this process can open."""
HELD = 30.0
"""Seconds that an answer which goes out bit by bit may hold a resource before that is told."""


def present() -> AsyncScope:
    """Raises NoRequest outside of a request, ResourcesClosed after its end."""
    own = OWN.get(None)
    if own is not None:
        return own
    request = CURRENT.get(None)
    if request is None:
        raise NoRequest("there is no request here; open resources `with runner.resources.scope():`")
    keeper = request.keeper
    if keeper is None:
        raise ResourcesClosed(f"a resource was to be opened after the end of {request.method} {request.path}")
    scopes: RequestScopes = keeper[0]
    return scopes.of(*keeper[1:])


class _RequestScope(AsyncScope):
    __slots__ = ("_exchange", "_log", "_thread", "told")

    def __init__(self, exchange: Exchange, log: Log, most: int, waits: bool, thread: int) -> None:
        super().__init__(most=most, waits=waits)
        self._exchange = exchange
        self._log = log
        self._thread = thread
        self.told = False

    def failed(self, held: Held, error: BaseException) -> None:
        """See Scope. The answer does not suffer from it."""
        request = self._exchange.request
        subject = f"{held.name}, opened at {held.place} for {escape(request.method)} {escape(request.path)}"
        _tell_open(self._log, subject, error)

    def left(self) -> bool:
        """See Scope. Only the thread that calls the application may touch its connection."""
        return self._exchange.look() if threading.get_ident() == self._thread else self._exchange.gone

    def look(self, now: float) -> None:
        """Tell, once, of what is held for long while an answer goes out bit by bit."""
        kept = [held for held in self.all() if now - held.since >= HELD and held.name not in BUILT_IN]
        if kept and self._exchange.committed and not self.told:
            self.told = True
            request, first = self._exchange.request, kept[0]
            more = f" and {len(kept) - 1} more" if len(kept) > 1 else ""
            self._log.warning(
                f"{escape(request.method)} {escape(request.path)} streams, and has held {first.name} (opened at "
                f"{first.place}){more} for {now - first.since:.0f} s; release what the rest of the answer does not need"
            )


class _KeptScope(AsyncScope):
    """What outlived its requests, when the worker retires."""

    __slots__ = ("_log",)

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def take(self, recipe: Recipe, resource: Any) -> None:
        """One more to be closed."""
        self._held.append(worn(recipe, resource))

    def failed(self, held: Held, error: BaseException) -> None:
        """See Scope."""
        _tell_open(self._log, held.name, error)


class RequestScopes:
    """An AsyncGuard (runner.request): a scope for each request.

    *most*: --max-open; *waits*: whoever is not on an event loop's thread may wait for others (not so an inline call,
    which keeps the loop from turning, although it sees none).
    """

    def __init__(self, log: Log, *, most: int, waits: bool) -> None:
        self._log = log
        self._most = most
        self._waits = waits
        self._lock = threading.Lock()
        self._open: dict[Request, _RequestScope] = {}
        self._retired = False

    def begin(self, exchange: Exchange) -> None:
        """See Guard. A scope is made when something is opened: most requests open nothing."""
        exchange.request.keeper = self, exchange, threading.get_ident()

    def of(self, exchange: Exchange, thread: int) -> _RequestScope:
        """That of this request, which began on *thread*. Raises ResourcesClosed if it has just ended."""
        request = exchange.request
        with self._lock:
            made = self._open.get(request)
            if made is None:
                if request.keeper is None:
                    raise ResourcesClosed(f"a resource was to be opened after the end of {request.path}")
                made = self._open[request] = _RequestScope(exchange, self._log, self._most, self._waits, thread)
        return made

    def end(self, exchange: Exchange) -> None:
        """See Guard. Where an answer came later there is a loop: a task of its own awaits what is to be awaited."""
        made = self._leave(exchange)
        if made is not None:
            _close(made)
            self._forget(exchange.request, made)
        if self._retired:
            _close(self._emptied())

    async def aend(self, exchange: Exchange) -> None:
        """See AsyncGuard. Cancelled, it closes all the same; said again, it waits for that."""
        made = self._leave(exchange)
        if made is not None:
            made.begin_close()
            self._forget(exchange.request, made)
            await made.aclose()
        if self._retired:
            await self._emptied().aclose()

    def _leave(self, exchange: Exchange) -> _RequestScope | None:
        with self._lock:
            exchange.request.keeper = None
            return self._open.get(exchange.request)

    def _forget(self, request: Request, made: _RequestScope) -> None:
        """What is still being closed is still open, and told so."""
        if made.ending is None:
            self._open.pop(request, None)
        else:
            made.ending.add_done_callback(lambda _: self._open.pop(request, None))

    def look(self) -> None:
        """Now and then, on the loop's thread."""
        now = time.monotonic()
        for made in list(self._open.values()):
            made.look(now)

    async def aretire(self) -> None:
        """This worker answers no more requests: what was kept for them is closed, and so is what still comes back.

        What requests that have ended still close is waited for.
        """
        for made in list(self._open.values()):
            if made.ending is not None:
                await made.aclose()
        await self._emptied().aclose()

    def _emptied(self) -> _KeptScope:
        self._retired = True
        kept = _KeptScope(self._log)
        for recipe, pool in recipes.pools():
            for resource in pool.retire():
                kept.take(recipe, resource)
        return kept

    def report(self) -> list[list[Any]]:
        """What is open at this moment: resource, place, seconds, and the request that has opened it."""
        now = time.monotonic()
        return [
            [held.name, held.place, round(now - held.since, 3), f"{request.method} {request.path}"]
            for request, made in list(self._open.items()) for held in made.all()
        ]  # fmt: skip


def _close(scope: AsyncScope) -> None:
    """As far as that is possible without waiting."""
    if on_loop():
        scope.begin_close()
    else:
        scope.close()


def _tell_open(log: Log, what: str, error: BaseException) -> None:
    log.error(f"could not close {what}\n{''.join(format_exception(error))}")
