"""What a request opens is closed when it ends: exactly once, the last one first, whatever else happens.

    from runner import resources

    resources.register("db", sqlite3.connect, sqlite3.Connection.close)

    def main(environ, start_response):
        db = resources.open_singleton("db", database="shop.sqlite3")

    keys      options -> one key: when are two the same?
    pool      resources that outlive the request, at most so many
    recipes   what can be opened, by name
    scope     what was opened for one request
    present   the scope of the present request, and of scripts; who is told what is open

Laws: knows no wire and no process; a host says when a request begins and ends (runner.request.Guard). Closed before the
last byte of the answer leaves, so that whoever has the answer can rely on it: what a closer commits is there for the
next request.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from runner.errors import PoolFull, ResourceError, ResourcesClosed, TooManyOpen, UnknownResource
from runner.resources.present import present, recipes, scope
from runner.resources.recipes import Recipes

__all__ = [
    "PoolFull", "Recipes", "ResourceError", "ResourcesClosed", "TooManyOpen", "UnknownResource", "enter", "open",
    "open_singleton", "register", "release", "scope",
]  # fmt: skip

register = recipes.register


def open(name: str, /, **options: Any) -> Any:
    """Open a new resource for the present request, with *options* for its opener; it is closed when that ends.

    Raises UnknownResource, ResourcesClosed (the request is over, or its client has left), PoolFull, TooManyOpen, and
    whatever the opener raises.
    """
    return present().open(recipes.find(name), options)


def open_singleton(name: str, /, **options: Any) -> Any:
    """As `open`, but the same one for everybody who asks with the same options during this request."""
    return present().open_singleton(recipes.find(name), options)


def enter(manager: AbstractContextManager[Any]) -> Any:
    """Enter any context manager; it is left when the request ends."""
    return present().enter(manager)


def release(resource: Any) -> None:
    """Close *resource* before the end. Raises UnknownResource if it is not open in this request."""
    present().release(resource)
