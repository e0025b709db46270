"""The file that says which process the supervisor is.

Laws: held by a lock, so that a second start finds out and a dead one's file does not matter; written in place by its
owner only; a symbolic link is never followed; removed at the end only by who wrote it.
"""

from __future__ import annotations

import fcntl
import os
from types import TracebackType

from runner.errors import BootError


class PidFile:
    """A context manager; *path* None: nothing is written. Raises BootError on entering."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> PidFile:
        if self._path is None:
            return self
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o644)
        except OSError as error:
            raise BootError(f"cannot write --pid-file {self._path}: {error.strerror}; choose another path") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise BootError(f"already running as process {owner} ({self._path}); stop that one first") from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._path is not None:
            os.unlink(self._path)
            os.close(self._descriptor)
