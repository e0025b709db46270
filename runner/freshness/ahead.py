"""What an import will ask for, had ready by a process that waits to go on with it.

    a directory  listed by Python's own finder
    a spec       of a module that is imported later: where that finder finds it
    code         of such a module, read and unmarshalled

Laws: what was got ready is used once, and only if the file or directory is, by its stamp, what it was; a stamp that
could stay the same at the next change is none to rely on, so what changed a moment ago is not got ready. A spec is
given only where Python would search the same directories by the same finders, and would see the same names there.
Nothing is compiled here, and nothing of the application runs. Start at Ahead.search, then Ahead.find.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import zipimport
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.machinery import BuiltinImporter, FileFinder, FrozenImporter, ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import NamedTuple

from runner.freshness.bytecode import Bytecode, is_plain
from runner.freshness.stamps import Stamp, is_recent, stamp

OLD = 3
"""Seconds after which no file system gives another change the same time; FAT counts in twos."""
INDIFFERENT = (BuiltinImporter, FrozenImporter)
"""Finders that find the same for the life of a process, so that who was not found need not be looked for again."""
_HOOK = FileFinder.path_hook().__code__
_INIT = "__init__.py"

Names = Mapping[str, Mapping[str, Collection[str]]]
"""What look-ups found, by directory and stem: see freshness.inputs."""


class Found(NamedTuple):
    """A *spec*, which the *finders* of the directories *where* lead to: to the last one."""

    spec: ModuleSpec
    where: list[str]
    finders: list[object]


class Ahead:
    """By the rules of *bytecode*."""

    def __init__(self, bytecode: Bytecode) -> None:
        self._bytecode = bytecode
        self._listed: dict[str, Stamp] = {}
        self._specs: dict[str, Found] = {}
        self._codes: dict[str, tuple[CodeType, Stamp]] = {}

    def rest(self) -> None:
        """In a process that is paused: what was got ready for itself is nothing for those who go on."""
        self._listed, self._specs, self._codes = {}, {}, {}

    # ---- directories --------------------------------------------------------------------------------------------

    def list_directory(self, directory: str) -> None:
        """Modules of *directory* will be looked for, in processes that are forked from this one: have the list ready.

        Python makes a new one when the modification time of the directory is another one. So it must be an old time,
        for a young one may stay the same at the next change; and `look_behind` compares the whole stamp.
        """
        finder, seen = sys.path_importer_cache.get(directory), stamp(directory)
        if type(finder) is not FileFinder or seen is None:
            return
        if max(seen.mtime_ns, seen.ctime_ns) + OLD * 1e9 < time.time_ns():
            finder.find_spec("")
            self._listed[directory] = seen

    def look_behind(self, directory: str) -> None:
        """Somebody looks for a module in *directory*: what was listed ahead is right still, or is listed anew."""
        before = self._listed.pop(directory, None) if self._listed else None
        if before is not None and before != stamp(directory):
            finder = sys.path_importer_cache.get(directory)
            if isinstance(finder, FileFinder):
                finder.invalidate_caches()

    # ---- modules ------------------------------------------------------------------------------------------------

    def search(self, name: str, path: str) -> None:
        """The module *name* will be imported, from the source file *path* (absolute): have its spec ready."""
        where, directory = self._searched(name), os.path.dirname(path)
        if os.path.basename(path) == _INIT:
            directory = os.path.dirname(directory)
        if directory not in where or any(finder.find_spec(name) is not None for finder in INDIFFERENT):
            return
        where = where[: where.index(directory) + 1]
        known = set(where) <= sys.path_importer_cache.keys() or all(map(_is_pythons, sys.path_hooks))
        spec = PathFinder.find_spec(name, where) if known else None
        if spec is not None and type(spec.loader) is SourceFileLoader and spec.origin == path:
            spec.cached   # noqa: B018 (it is worked out once)
            self._specs[name] = Found(spec, where, _finders(where))

    def find(self, name: str, where: Sequence[object], names: Names) -> ModuleSpec | None:
        """The spec of *name*, if it was got ready and is what a search of *where* finds; *names* were just seen."""
        found = self._specs.pop(name, None) if self._specs else None
        if found is None or where[: len(found.where)] != found.where or _finders(found.where) != found.finders:
            return None
        *before, last = found.where
        stem, file = name.rpartition(".")[2], os.path.basename(found.spec.origin or "")
        seen = names.get(last, {}).get(stem)
        if file == _INIT:
            file, inside = stem, names.get(os.path.join(last, stem), {}).get("__init__")
            if inside != {_INIT}:
                return None
        if seen != {file} or any(names.get(each, {}).get(stem, True) for each in before):
            return None
        return found.spec

    def read(self, path: str) -> None:
        """The source file *path* (absolute) will be imported: have its code ready, if it is there to be read."""
        with contextlib.suppress(OSError, ValueError):
            before = stamp(path)
            code = self._bytecode.find(path) if before is not None and not is_recent(before) else None
            if before is not None and code is not None and stamp(path) == before:
                self._codes[path] = code, before

    def take(self, path: str, seen: Stamp | None, loader: SourceFileLoader) -> tuple[CodeType, Stamp] | None:
        """The code of *path*, if it was got ready and is right still, with its stamp, which has just been *seen*."""
        found = self._codes.pop(path, None) if self._codes else None
        return found if found is not None and found[1] == seen and is_plain(loader) else None

    def _searched(self, name: str) -> list[str]:
        """The directories in which Python will look for the module *name*; none if that is not certain."""
        parent = name.rpartition(".")[0]
        if not parent:
            return list(sys.path)
        if parent in self._specs:
            return list(self._specs[parent].spec.submodule_search_locations or ())
        # Not by getattr: a module may be lazy, or have a __getattr__, and that would be the application's code.
        module = sys.modules.get(parent)
        where = object.__getattribute__(module, "__dict__").get("__path__") if isinstance(module, ModuleType) else None
        if isinstance(where, Iterable) and (type(where) is list or type(where).__module__ == PathFinder.__module__):
            return list(where)
        return []


def _finders(where: Iterable[str]) -> list[object]:
    """Who searches these directories."""
    return [sys.path_importer_cache.get(each) for each in where]


def _is_pythons(hook: object) -> bool:
    """Whether *hook*, of sys.path_hooks, is code of Python's own."""
    return hook is zipimport.zipimporter or getattr(hook, "__code__", None) is _HOOK
