"""The scope of the present request: found by its context, opened and closed by whoever calls the application.

    RequestScopes   in a worker: a host tells it when a request begins and ends
    scope           in scripts and tests: `with scope():`

Law: a request's scope is found by its context alone, so it is the same in each step of a streamed answer, in its
close(), and in threads that were given the context (Request.bind); never another's. Start at present.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from traceback import format_exception
from typing import Any

from runner.errors import NoRequest, ResourcesClosed
from runner.log import Log, escape
from runner.request import CURRENT, Exchange, Request
from runner.resources.recipes import BUILT_IN, Recipes
from runner.resources.scope import Held, Scope

recipes = Recipes()
"""What this process can open."""
HELD = 30.0
"""Seconds that an answer which goes out bit by bit may hold a resource before that is told."""
_OWN: ContextVar[Scope] = ContextVar("scope")


def present() -> Scope:
    """Raises NoRequest outside of a request, ResourcesClosed after its end."""
    own = _OWN.get(None)
    if own is not None:
        return own
    request = CURRENT.get(None)
    if request is None:
        raise NoRequest("there is no request here; open resources `with runner.resources.scope():`")
    keeper = request.keeper
    if keeper is None:
        raise ResourcesClosed(f"a resource was to be opened after the end of {request.method} {request.path}")
    scopes: RequestScopes = keeper[0]
    return scopes.of(keeper[1])


class OwnScope(Scope):
    """That of a script or a test; *errors*: what its closers have raised."""

    __slots__ = ("errors",)

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[BaseException] = []

    def failed(self, held: Held, error: BaseException) -> None:
        """See Scope."""
        self.errors.append(error)


@contextmanager
def scope() -> Iterator[OwnScope]:
    """A scope of one's own for a script or a test: what is opened in it is closed at its end.

    What closers raise is raised when all are closed: the error, or an ExceptionGroup of several.
    """
    made = OwnScope()
    token = _OWN.set(made)
    try:
        yield made
    finally:
        _OWN.reset(token)
        made.close()
    if len(made.errors) == 1:
        raise made.errors[0]
    if made.errors:
        raise BaseExceptionGroup("several resources could not be closed", made.errors)


class _RequestScope(Scope):
    __slots__ = ("_exchange", "_log", "told")

    def __init__(self, exchange: Exchange, log: Log, most: int, waits: bool) -> None:
        super().__init__(most=most, waits=waits)
        self._exchange = exchange
        self._log = log
        self.told = False

    def failed(self, held: Held, error: BaseException) -> None:
        """See Scope. The answer does not suffer from it."""
        request = self._exchange.request
        subject = f"{held.name}, opened at {held.place} for {escape(request.method)} {escape(request.path)}"
        _tell_open(self._log, subject, error)

    def left(self) -> bool:
        """See Scope."""
        return self._exchange.look()

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


class RequestScopes:
    """A Guard (runner.request): a scope for each request.

    *most*: --max-open; *waits*: each call has a thread of its own, so it may wait for others.
    """

    def __init__(self, log: Log, *, most: int, waits: bool) -> None:
        self._log = log
        self._most = most
        self._waits = waits
        self._lock = threading.Lock()
        self._open: dict[Request, _RequestScope] = {}

    def begin(self, exchange: Exchange) -> None:
        """See Guard. A scope is made when something is opened: most requests open nothing."""
        exchange.request.keeper = self, exchange

    def of(self, exchange: Exchange) -> _RequestScope:
        """That of this request. Raises ResourcesClosed if it has just ended."""
        request = exchange.request
        with self._lock:
            made = self._open.get(request)
            if made is None:
                if request.keeper is None:
                    raise ResourcesClosed(f"a resource was to be opened after the end of {request.path}")
                made = self._open[request] = _RequestScope(exchange, self._log, self._most, self._waits)
        return made

    def end(self, exchange: Exchange) -> None:
        """See Guard."""
        with self._lock:
            exchange.request.keeper = None
            made = self._open.get(exchange.request)
        if made is not None:
            made.close()
            self._open.pop(exchange.request, None)

    async def aend(self, exchange: Exchange) -> None:
        """See AsyncGuard."""
        self.end(exchange)

    def look(self) -> None:
        """Now and then, on the loop's thread."""
        now = time.monotonic()
        for made in list(self._open.values()):
            made.look(now)

    def retire(self) -> None:
        """This worker answers no more requests: what was kept for the next ones is closed."""
        for recipe, pool in recipes.pools():
            for resource in pool.retire():
                try:
                    if recipe.close is not None:
                        recipe.close(resource)
                except BaseException as error:
                    _tell_open(self._log, recipe.name, error)

    def report(self) -> list[list[Any]]:
        """What is open at this moment: resource, place, seconds, and the request that has opened it."""
        now = time.monotonic()
        return [
            [held.name, held.place, round(now - held.since, 3), f"{request.method} {request.path}"]
            for request, made in list(self._open.items()) for held in made.all()
        ]  # fmt: skip


def _tell_open(log: Log, what: str, error: BaseException) -> None:
    log.error(f"could not close {what}\n{''.join(format_exception(error))}")
