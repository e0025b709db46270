"""What can be opened, by name: how it is opened and closed, and for how long it lives.

    request   one for each opening, closed at the end of the request
    worker    kept when the request ends, and lent to the next one that asks with the same options; at most *limit*

A name that is registered again means the newer thing from then on: a test puts a dummy in the place of a database.
Law: opens nothing. Start at Recipes.register.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from runner.errors import UnknownResource, UsageError
from runner.resources.pool import Pool
from runner.values import nearest

SCOPES = ("request", "worker")
BUILT_IN = {kind.__name__: kind for kind in (list, dict, set)}


class Recipe(NamedTuple):
    """One kind of resource. *close* is given what *open* has returned; *pool*: of scope "worker".

    *awaited*: one of the two is a coroutine function.
    """

    name: str
    open: Callable[..., Any]
    close: Callable[[Any], Any] | None
    pool: Pool | None = None
    awaited: bool = False


class Recipes:
    """All of them; the built-in ones are `list`, `dict` and `set`, emptied at the end."""

    def __init__(self) -> None:
        self._known: dict[str, Recipe] = {}
        for name, kind in BUILT_IN.items():
            self.register(name, kind, lambda made: made.clear())

    def register(
        self,
        name: str,
        open: Callable[..., Any],
        close: Callable[[Any], Any] | None = None,
        scope: str = "request",
        limit: int | None = None,
        timeout: float | None = None,
    ) -> Recipes:
        """Say how to *open* what is called *name*, with options as keywords, and how to *close* it.

        Where `await` is possible (runner.resources.aopen) both may be coroutine functions; there plain closers are
        called on the event loop's thread, also for what a plain `open` has opened in another one.

        *scope*: "request", or "worker" for what is kept and lent again; then at most *limit* of it are open in each
        worker, and who wants one more waits *timeout* seconds (None: as long as it takes). Returns itself, so that
        calls can be chained. Raises UsageError.
        """
        if scope not in SCOPES:
            raise UsageError(f"scope={scope!r} of the resource {name!r}: there are {' and '.join(SCOPES)}")
        if scope == "request" and (limit is not None or timeout is not None):
            raise UsageError(f"limit and timeout of the resource {name!r} go with scope='worker'")
        if limit is not None and limit < 1:
            raise UsageError(f"limit={limit} of the resource {name!r}: at least one, or None for no limit")
        pool = Pool(name, limit, timeout) if scope == "worker" else None
        awaited = inspect.iscoroutinefunction(open) or inspect.iscoroutinefunction(close)
        self._known[name] = Recipe(name, open, close, pool, awaited)
        return self

    def find(self, name: str) -> Recipe:
        """Raises UnknownResource."""
        try:
            return self._known[name]
        except KeyError:
            hint = nearest(name, self._known)
            raise UnknownResource(f"no resource {name!r} is registered{hint}") from None

    def pools(self) -> list[tuple[Recipe, Pool]]:
        """Those of scope "worker"."""
        return [(recipe, recipe.pool) for recipe in self._known.values() if recipe.pool is not None]
