"""What an import will ask for, had ready by a process that waits to go on with it.

    a directory  listed by Python's own finder
    a step       all that it takes to import one module: the look-ups for it, its spec, its file, its code, and what the
                 journal will say

Laws: what was got ready is used once, and only if the file or directory is, by its stamp, what it was; a stamp that
could stay the same at the next change is none to rely on, so what changed a moment ago is not got ready. A step is
taken only where Python would search the same directories by the same finders, and would see the same names there.
Nothing is compiled here, and nothing of the application runs. Start at Ahead.get_ready, then Ahead.find.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
import zipimport
from collections.abc import Iterable
from importlib.machinery import BuiltinImporter, FileFinder, FrozenImporter, ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import NamedTuple

from runner.freshness.additions import Additions, File, Lookup
from runner.freshness.bytecode import Bytecode
from runner.freshness.inputs import Inputs
from runner.freshness.listings import Listing, join, list_importable
from runner.freshness.stamps import Stamp, is_recent, is_young, stamp, stamp_of

OLD = 3
"""Seconds after which no file system gives another change the same time; FAT counts in twos."""
INDIFFERENT = (BuiltinImporter, FrozenImporter)
"""Finders that find the same for the life of a process, so that who was not found need not be looked for again."""
_HOOK = FileFinder.path_hook().__code__
_INIT = "__init__.py"


class Step(NamedTuple):
    """The import of the module of *spec*, by the *code* that was read from *file*.

    where    the directories in which it is looked for
    finders  who searches them, up to the one that has it
    lookups  each with the stamp that its directory had
    items    what is noted on the way: the look-ups and the file
    line     what the journal says if they are what is new
    """

    spec: ModuleSpec
    where: list[str]
    finders: list[object]
    lookups: list[tuple[Lookup, Stamp]]
    file: File
    code: CodeType
    items: list[File | Lookup]
    line: bytes


class Ahead:
    """Of an import whose books are *inputs*, by the rules of *bytecode*."""

    def __init__(self, inputs: Inputs, bytecode: Bytecode) -> None:
        self._inputs = inputs
        self._bytecode = bytecode
        self.rest()

    def rest(self) -> None:
        """In a process that is paused, or has imported all: what was got ready for itself is nothing for those who go
        on, nor for what is imported late, which nobody proves.
        """
        self._listed: dict[str, Stamp] = {}
        self._steps: dict[str, Step] = {}
        self._packages: dict[str, list[str]] = {}
        self._listings: dict[str, tuple[Stamp | None, Listing]] = {}
        self._found: Step | None = None
        self._inputs.forget_looks()

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

    def get_ready(self, name: str, path: str) -> None:
        """The module *name* will be imported, from the source file *path* (absolute): have the step ready."""
        where, directory = self._searched(name), os.path.dirname(path)
        if os.path.basename(path) == _INIT:
            directory = os.path.dirname(directory)
        if directory not in where or any(finder.find_spec(name) is not None for finder in INDIFFERENT):
            return
        if any(type(each) is not str for each in where):
            return
        until = where[: where.index(directory) + 1]
        known = set(until) <= sys.path_importer_cache.keys() or all(map(_is_pythons, sys.path_hooks))
        spec = PathFinder.find_spec(name, until) if known else None
        if spec is None or type(spec.loader) is not SourceFileLoader or spec.origin != path:
            return
        spec.cached   # noqa: B018 (it is worked out once)
        self._packages[name] = list(spec.submodule_search_locations or ())
        lookups = self._look_ups(name.rpartition(".")[2], where)
        read = self._read(path) if lookups and _leads_to(path, until, lookups) else None
        if read is not None:
            items: list[File | Lookup] = [*(lookup for lookup, _ in lookups), read[0]]
            line = Additions(items).to_line(name)
            self._steps[name] = Step(spec, where, _finders(until), lookups, *read, items, line)

    def find(self, name: str, where: list[str]) -> ModuleSpec | None:
        """The spec of *name*, if that was got ready and is what a search of *where* finds; its look-ups are noted."""
        self._found = None
        step = self._steps.pop(name, None) if self._steps else None
        if step is None or where != step.where or _finders(where[: len(step.finders)]) != step.finders:
            return None
        for lookup, listed in step.lookups:
            if not self._inputs.add_expected_lookup(lookup, listed):
                return None
        self._found = step
        return step.spec

    def take(self, name: str, loader: SourceFileLoader) -> Step | None:
        """The step that *loader*, of the spec that was found last, is to make for the module *name*."""
        step, self._found = self._found, None
        return step if step is not None and step.spec.loader is loader and step.spec.name == name else None

    def _read(self, path: str) -> tuple[File, CodeType] | None:
        """The file and its code, if that is there to be read, and nobody can have changed it meanwhile."""
        with contextlib.suppress(OSError, ValueError):
            seen = os.lstat(path)
            before = stamp_of(seen)
            if stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1 and not is_recent(before):
                code = self._bytecode.find(path)
                if code is not None and stamp(path) == before:
                    return File(path, before), code
        return None

    def _look_ups(self, stem: str, where: list[str]) -> list[tuple[Lookup, Stamp]]:
        """What will be noted of a search for *stem* there; none if that is not certain."""
        found = []
        for directory in dict.fromkeys(where):
            if not os.path.isdir(directory) and directory in self._inputs.files:
                continue  # see Recorder.look_up
            listing = self._list(directory)
            if listing is None:
                return []
            names = listing[1].get(stem, frozenset())
            found.append((Lookup(directory, stem, names), listing[0]))
            if stem in names:
                inside = self._look_ups(_INIT[:-3], [join(directory, stem)])
                if not inside:
                    return []
                found += inside
        return found

    def _list(self, directory: str) -> tuple[Stamp, Listing] | None:
        """What is there, with a stamp by which it can be known; None if there is no such."""
        now = stamp(directory) if directory.startswith("/") else None
        if now is None:
            return None
        known = self._listings.get(directory) or self._inputs.listing(directory)
        if known is None or known[0] != now:
            broken: set[str] = set()
            known = now, list_importable(directory, broken)
            if broken or is_young(now) or stamp(directory) != now:
                return None
            self._listings[directory] = known
        return now, known[1]

    def _searched(self, name: str) -> list[str]:
        """The directories in which Python will look for the module *name*; none if that is not certain."""
        parent = name.rpartition(".")[0]
        if not parent:
            return list(sys.path)
        if parent in self._packages:
            return self._packages[parent]
        # Not by getattr: a module may be lazy, or have a __getattr__, and that would be the application's code.
        module = sys.modules.get(parent)
        where = object.__getattribute__(module, "__dict__").get("__path__") if isinstance(module, ModuleType) else None
        if isinstance(where, Iterable) and (type(where) is list or type(where).__module__ == PathFinder.__module__):
            return list(where)
        return []


def _leads_to(path: str, until: list[str], lookups: list[tuple[Lookup, Stamp]]) -> bool:
    """Whether a search of these directories, as the *lookups* have seen them, finds *path* in the last one."""
    names = {lookup.directory: set(lookup.names) for lookup, _ in lookups}
    *before, last = until
    if any(names.get(each, True) for each in before):
        return False
    if os.path.basename(path) == _INIT:
        package = os.path.dirname(path)
        return names.get(last) == {os.path.basename(package)} and names.get(package) == {_INIT}
    return names.get(last) == {os.path.basename(path)}


def _finders(where: Iterable[str]) -> list[object]:
    """Who searches these directories."""
    return [sys.path_importer_cache.get(each) for each in where]


def _is_pythons(hook: object) -> bool:
    """Whether *hook*, of sys.path_hooks, is code of Python's own."""
    return hook is zipimport.zipimporter or getattr(hook, "__code__", None) is _HOOK
