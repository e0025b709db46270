"""What a request opens is closed when it ends: exactly once, the last one first, whatever else happens.

    from runner import resources

    resources.register("db", sqlite3.connect, sqlite3.Connection.close)

    def main(environ, start_response):
        db = resources.open_singleton("db", database="shop.sqlite3")

    async def asgi(scope, receive, send):
        http = await resources.aopen_singleton("http")      # opened or closed by coroutine functions

    keys      options -> one key: when are two the same?
    bell      a task waits for what any thread may bring
    flight    a singleton that is being opened: who asks meanwhile waits
    pool      resources that outlive the request, at most so many
    recipes   what can be opened, by name
    scope     what was opened for one request
    stay      an async context manager that is entered now and left later
    ascope    what was opened for one request by its tasks
    own       a scope of one's own, for scripts and tests
    present   the scope of the present request; who is told what is open

Laws: knows no wire and no process; a host says when a request begins and ends (runner.request.Guard). Closed before the
last byte of the answer leaves, so that whoever has the answer can rely on it: what a closer commits is there for the
next request.
"""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from runner.errors import PoolFull, ResourceError, ResourcesClosed, TooManyOpen, UnknownResource
from runner.resources.own import scope
from runner.resources.present import present, recipes
from runner.resources.recipes import Recipes
from runner.resources.scope import caller

__all__ = [
    "PoolFull", "Recipes", "ResourceError", "ResourcesClosed", "TooManyOpen", "UnknownResource", "aenter", "aopen",
    "aopen_singleton", "arelease", "enter", "open", "open_singleton", "register", "release", "scope",
]  # fmt: skip

register = recipes.register


def open(name: str, /, **options: Any) -> Any:
    """Open a new resource for the present request, with *options* for its opener; it is closed when that ends.

    Raises UnknownResource, ResourcesClosed (the request is over, or its client has left), PoolFull, TooManyOpen, and
    whatever the opener raises; UsageError if it is opened or closed by a coroutine function (`aopen`). Where it is
    called on an event loop's thread it waits for nobody: PoolFull at once. What a thread of an ASGI application has
    opened is closed on the event loop's thread.
    """
    return present().open(recipes.find(name), options)


def open_singleton(name: str, /, **options: Any) -> Any:
    """As `open`, but the same one for everybody who asks with the same options during this request."""
    return present().open_singleton(recipes.find(name), options)


def enter(manager: AbstractContextManager[Any]) -> Any:
    """Enter any context manager; it is left when the request ends."""
    return present().enter(manager)


def release(resource: Any) -> None:
    """Close *resource* before the end. Raises UnknownResource if it is not open in this request.

    UsageError, and nothing is done, if its closer is a coroutine function (`arelease`).
    """
    present().release(resource)


# The place of the call is taken before there is a task: `gather(aopen("a"), aopen("b"))` is in no task's stack.


def aopen(name: str, /, **options: Any) -> Coroutine[Any, Any, Any]:
    """`open` in a task: `await aopen("db")`. The opener and the closer may be coroutine functions or plain ones.

    What the opener returns is awaited if it can be. A full pool is waited for, in one queue with threads. Raises what
    `open` raises; UsageError in a scope that was entered by plain `with`.
    """
    return present().aopen(recipes.find(name), options, caller())


def aopen_singleton(name: str, /, **options: Any) -> Coroutine[Any, Any, Any]:
    """As `aopen`, but the same one for everybody who asks with the same options during this request.

    Tasks that ask while it is being opened wait; if that fails or is cancelled, each of them tries himself.
    """
    return present().aopen_singleton(recipes.find(name), options, caller())


def aenter(manager: AbstractAsyncContextManager[Any]) -> Coroutine[Any, Any, Any]:
    """Enter any async context manager; it is left when the request ends, by the same task of its own."""
    return present().aenter(manager, caller())


async def arelease(resource: Any) -> None:
    """Close *resource* before the end, whatever its closer is. Raises what `release` raises.

    An awaited closer has ascope.CLOSING seconds; if who waits is cancelled, it goes on.
    """
    await present().arelease(resource)
