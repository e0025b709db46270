"""What an import will ask for, had ready by a process that waits to go on with it.

    a directory  listed by Python's own finder
    code         of modules that are imported later, read and unmarshalled

Laws: what was got ready is used once, and only if the file or directory is, by its stamp, what it was; a stamp that
could stay the same at the next change is none to rely on, so what changed a moment ago is not got ready. Nothing is
compiled here, and nothing of the application runs. Start at Ahead.read, then Ahead.take.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import sys
import time
from types import CodeType

from runner.freshness.bytecode import Bytecode, is_plain
from runner.freshness.stamps import Stamp, is_recent, stamp

OLD = 3
"""Seconds after which no file system gives another change the same time; FAT counts in twos."""


class Ahead:
    """By the rules of *bytecode*."""

    def __init__(self, bytecode: Bytecode) -> None:
        self._bytecode = bytecode
        self._listed: dict[str, Stamp] = {}
        self._codes: dict[str, tuple[CodeType, Stamp]] = {}

    def list(self, directory: str) -> None:
        """Modules of *directory* will be looked for, in processes that are forked from this one: have the list ready.

        Python makes a new one when the modification time of the directory is another one. So it must be an old time,
        for a young one may stay the same at the next change; and `look_behind` compares the whole stamp.
        """
        finder, seen = sys.path_importer_cache.get(directory), stamp(directory)
        if type(finder) is not importlib.machinery.FileFinder or seen is None:
            return
        if max(seen.mtime_ns, seen.ctime_ns) + OLD * 1e9 < time.time_ns():
            finder.find_spec("")
            self._listed[directory] = seen

    def look_behind(self, directory: str) -> None:
        """Somebody looks for a module in *directory*: what was listed ahead is right still, or is listed anew."""
        before = self._listed.pop(directory, None) if self._listed else None
        if before is not None and before != stamp(directory):
            finder = sys.path_importer_cache.get(directory)
            if isinstance(finder, importlib.machinery.FileFinder):
                finder.invalidate_caches()

    def read(self, path: str) -> None:
        """The source file *path* (absolute) will be imported: have its code ready, if it is there to be read."""
        with contextlib.suppress(OSError, ValueError):
            before = stamp(path)
            code = self._bytecode.find(path) if before is not None and not is_recent(before) else None
            if before is not None and code is not None and stamp(path) == before:
                self._codes[path] = code, before

    def take(self, path: str, loader: importlib.machinery.SourceFileLoader) -> tuple[CodeType, Stamp] | None:
        """The code of *path*, with the stamp of what was read, if it was got ready and is right still."""
        found = self._codes.pop(path, None) if self._codes else None
        return found if found is not None and found[1] == stamp(path) and is_plain(loader) else None
