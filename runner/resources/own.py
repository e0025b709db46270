"""A scope of one's own, for scripts and tests: `with scope():`, or `async with scope():` for what is opened by await.

Law: what closers raise is raised at the end, for there is somebody who called. Start at scope.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from types import TracebackType

from runner.resources.ascope import AsyncScope
from runner.resources.scope import Held

OWN: ContextVar[OwnScope] = ContextVar("scope")
"""The innermost one of this context."""


class OwnScope(AsyncScope):
    """That of a script or a test, as a context manager; *errors*: what its closers have raised.

    What they raise is raised when all are closed: the error, or an ExceptionGroup of several.
    """

    __slots__ = ("_awaits", "_token", "errors")

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[BaseException] = []
        self._awaits = False
        self._token: Token[OwnScope]

    def failed(self, held: Held, error: BaseException) -> None:
        """See Scope."""
        self.errors.append(error)

    def awaits(self) -> bool:
        """See AsyncScope."""
        return self._awaits

    def __enter__(self) -> OwnScope:
        self._token = OWN.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        OWN.reset(self._token)
        self.close()
        if error is None:
            self._raise()

    async def __aenter__(self) -> OwnScope:
        self._awaits = True
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        OWN.reset(self._token)
        await self.aclose()
        if error is None:
            self._raise()

    def _raise(self) -> None:
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise BaseExceptionGroup("several resources could not be closed", self.errors)


def scope() -> OwnScope:
    """A scope for a script or a test: what is opened in it is closed at its end. Use it by `with` or `async with`."""
    return OwnScope()
