"""The private socket of a generation, as one of its workers serves it: sub-requests of its siblings, and its own.

They belong to a request that was let in already, so nothing is asked of them here: not whether the code is fresh (all
parts of a request are answered by one generation), not whether there are too many. They are taken as long as the worker
lives, also while it retires, for whoever waits for them retires with it.

Who has asked gives the others the first chance: a call that ends its process then ends another one, not that of the
request it belongs to. If they are all busy it takes its own.

Laws: such a connection never leaves its generation, and a worker never leaves with one that it has taken: it may hold a
request that nobody has read yet. Start at Inner.
"""

from __future__ import annotations

import asyncio
from typing import Any

from runner.front.fastcgi import FastCGIFront
from runner.front.limits import Limits
from runner.front.variables import Rules
from runner.log import Log
from runner.process.private import Private
from runner.request import Answer, Request, Served, Service
from runner.settings import Settings
from runner.worker.acceptor import Acceptor
from runner.worker.hosting import Hosting

DEFERENCE = 0.001
"""Seconds: an idle sibling has taken a connection by then."""


class Inner:
    """A Service for what comes over *private*; *outer* answers it, by *hosting*."""

    draining = closing = False

    def __init__(self, private: Private, outer: Service, settings: Settings, hosting: Hosting) -> None:
        self.log: Log = outer.log
        self.marks = outer.marks
        self._loop = asyncio.get_running_loop()
        self._outer = outer
        self._hosting = hosting
        # What they are told has been cleaned when the whole request came; the prefix is part of its paths.
        rules = Rules(settings.root_path, trust_remote_user=True)
        limits = Limits(header_timeout=0.0, body_timeout=0.0, keep_alive=0.0, max_body=settings.max_body)

        def front(connection: Any) -> FastCGIFront:
            return FastCGIFront(connection, self, rules, limits, internal=True)

        self._left = self._deferred = False
        self._acceptor = Acceptor([(private.listener, front, frozenset())], outer.log, self._welcome, lambda: None)

    @property
    def busy(self) -> bool:
        """Somebody has a connection here."""
        return bool(self._acceptor.connections)

    def listen(self) -> None:
        """Take what comes, whenever a thread is free for it."""
        if not self._left:
            self._acceptor.listen()

    def leave(self) -> None:
        """Take nothing any more, whatever is said later: the others do."""
        self._left = True
        self._acceptor.pause()

    def _welcome(self) -> bool:
        threads = self._hosting.threads
        if threads is not None and threads.idle <= 0:
            self._acceptor.pause()
            return False
        if self._hosting.asking and not self._deferred:
            self._deferred = True
            self._acceptor.pause()
            self._loop.call_later(DEFERENCE, self.listen)
            return False
        self._deferred = False
        return True

    # ---- see runner.request.Service -------------------------------------------------------------------------

    def admit(self, request: Request) -> Answer | None:
        """See Service."""
        return None

    def hold(self, connection: Any, request: Request, unread: bytes) -> None:
        """See Service; nothing is refused here, so nothing is held."""

    def part(self, connection: Any, unread: bytes) -> None:
        """See Service; it does not drain."""

    def handle(self, exchange: Served) -> None:
        """See Service. Of a part that was cancelled while it waited in the queue nothing is begun."""
        if exchange.look():
            exchange.request.body = None  # as of all that are not let in
            exchange.fail()
        else:
            self._outer.handle(exchange)

    def upgraded(self, exchange: Served) -> None:
        """See Service; FastCGI carries no WebSocket."""

    moving = upgraded

    def finished(self, exchange: Served, status: int, sent: int, whole: bool) -> None:
        """See Service."""
        self._outer.finished(exchange, status, sent, whole)
