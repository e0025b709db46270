"""The file that says which process the supervisor is.

Laws: held by a lock, so that a second start finds out and a dead one's file does not matter; written in place by its
owner only; a symbolic link is never followed; removed at the end only by who wrote it.
"""

from __future__ import annotations

from types import TracebackType

from runner.errors import BootError
from runner.supervisor.locks import HeldError, hold, release


class PidFile:
    """A context manager; *path* None: nothing is written. Raises BootError on entering."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> PidFile:
        if self._path is None:
            return self
        try:
            self._descriptor = hold(self._path, 0o644)
        except HeldError as error:
            raise BootError(f"already running as process {error.owner} ({self._path}); stop that one first") from error
        except OSError as error:
            raise BootError(f"cannot write --pid-file {self._path}: {error.strerror}; choose another path") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._path is not None:
            release(self._path, self._descriptor)
