"""Resources that are opened and closed by coroutine functions, a book of what became of them, and how tests wait.

Law: nothing sleeps and hopes: `when` lets the loop turn until what a test waits for is so. Start at Desk.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from runner.resources.ascope import AsyncScope
from runner.resources.recipes import Recipe, Recipes
from runner.resources.scope import Held
from tests.support.process import PATIENCE


async def when(what: str, condition: Callable[[], object]) -> None:
    """Let the loop turn until it is so."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0)
    except TimeoutError:
        raise AssertionError(f"not so: {what}") from None


class Tried(AsyncScope):
    """A scope that remembers what could not be closed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.errors: list[tuple[str, BaseException]] = []
        self.alone = False

    def failed(self, held: Held, error: BaseException) -> None:
        """See Scope."""
        self.errors.append((f"{held.name} {held.place}", error))

    def left(self) -> bool:
        """See Scope."""
        return self.alone


class Line:
    """A connection, say."""

    def __init__(self, name: str) -> None:
        self.name = name


class Desk:
    """Lines: opened and closed by coroutine functions, each as soon as its gate is open; and a book of them."""

    def __init__(self) -> None:
        self.book: list[str] = []
        self.open_gate = asyncio.Event()
        self.open_gate.set()
        self.close_gate = asyncio.Event()
        self.close_gate.set()
        self.calls = self.now = self.most = 0
        self.line = self.recipe()

    def recipe(self, close: Callable[[Any], Any] | None = None, **options: Any) -> Recipe:
        """One way to open and close lines."""
        return Recipes().register("line", self.open, close or self.close, **options).find("line")

    def kept(self, limit: int, timeout: float | None = None) -> Recipe:
        """Lines of scope worker."""
        return self.recipe(scope="worker", limit=limit, timeout=timeout)

    async def open(self, name: str = "", fails: bool = False) -> Line:
        """The opener."""
        self.calls += 1
        await self.open_gate.wait()
        await asyncio.sleep(0)
        if fails:
            raise ValueError(name)
        self.now += 1
        self.most = max(self.most, self.now)
        self.book.append(f"open {name}")
        return Line(name)

    async def close(self, line: Line) -> None:
        """The closer."""
        self.book.append(f"closing {line.name}")
        await self.close_gate.wait()
        await asyncio.sleep(0)
        self.now -= 1
        self.book.append(f"closed {line.name}")
        if line.name.startswith("bad"):
            raise ValueError(line.name)

    def close_plainly(self, line: Line) -> None:
        """A closer that is a plain function."""
        self.now -= 1
        self.book.append(f"closed {line.name}")

    def closed(self) -> list[str]:
        """Which lines were closed, in order."""
        return [entry.removeprefix("closed ") for entry in self.book if entry.startswith("closed ")]
