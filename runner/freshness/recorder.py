"""Notices what the application is made of, before each part of it is read.

    look-ups   a finder that stands first, finds nothing, and notes who looked for what, where
    sources    SourceFileLoader.get_code, the one place through which all source modules come: path hooks, editable
               installs and spec_from_file_location alike (a finder alone would miss the last two)
    the rest   an audit hook: extension modules, zip archives, and the files the application opens while it is imported

Laws: a note comes before the read, so the stamp can only be older than what was read, never newer. After the import
(`settle`) only modules are noted, no longer data files: what an application reads while it works is its own affair.
What it writes itself while it is imported is accepted as it is, or no import would ever be proven fresh.
Start at Recorder.open. Audit events: Python documentation, "Audit events table" (`open`, `import`).
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, ModuleType
from typing import Any

from runner.freshness.bytecode import Bytecode
from runner.freshness.inputs import Inputs

_UNSTABLE = ("/proc/", "/sys/", "/dev/")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Recorder:
    """Writes into *inputs* everything that is read from `open` on.

    importing  the name of the module whose code was asked for last: the one to name if the process dies now
    started    called with the name of each module before its code runs, if set
    """

    def __init__(self, inputs: Inputs, bytecode: Bytecode) -> None:
        self.importing = ""
        self.started: Callable[[str], None] | None = None
        self._inputs = inputs
        self._bytecode = bytecode
        self._data = True
        self._own = threading.local()
        self._places: dict[str, bool] = {}
        self._written: set[str] = set()
        places = sysconfig.get_paths()
        self._libraries = tuple(
            {os.path.join(places[kind], "") for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
        )

    def open(self) -> None:
        """Begin to note. Cannot be undone: Python keeps audit hooks for the life of a process."""
        for module in list(sys.modules.values()):
            self._note_loaded(module)
        recorder = self

        def get_code(loader: importlib.machinery.SourceFileLoader, name: str) -> CodeType:
            path = loader.get_filename(name)
            recorder._begin(name, path)
            with recorder._own_reads():
                return recorder._bytecode.load(path, loader)

        importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]
        sys.meta_path.insert(0, _Lookups(self))
        sys.addaudithook(self._audit)

    def settle(self) -> None:
        """The import is over: from now on only modules are noted."""
        self._data = False
        self.importing = ""
        for path in self._written:
            self._inputs.accept(path)

    def tidy(self) -> None:
        """What has time until after the import."""
        self._bytecode.prune()

    def look_up(self, stem: str, directories: Iterable[object]) -> None:
        """A module *stem* is about to be searched in *directories*, which are as they stand in sys.path."""
        inputs = self._inputs
        for directory in directories:
            if type(directory) is not str:
                continue
            if not directory.startswith("/"):
                directory = os.path.abspath(directory or ".")
            searchable = self._places.get(directory)
            if searchable is None:
                searchable = self._places[directory] = os.path.isdir(directory)
                if not searchable:
                    # A zip archive, or an entry of sys.path that is not there (yet).
                    inputs.add_file(directory)
            if searchable:
                inputs.add_lookup(stem, directory)

    def _begin(self, name: str, path: str) -> None:
        self.importing = name
        self._note(path)
        if self.started is not None:
            self.started(name)

    def _note(self, path: str) -> None:
        self._inputs.add_file(os.path.abspath(path))

    def _note_loaded(self, module: ModuleType) -> None:
        """What the interpreter itself had imported before us can only be stamped now; it changes with the machine."""
        path = getattr(module, "__file__", None)
        if type(path) is str and not module.__name__.startswith("runner"):
            self._inputs.add_file(os.path.abspath(path))

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        # Every event of the process passes here, so the common case leaves after a few comparisons.
        if event == "open":
            path, mode, flags = arguments
            # io.open_code, which zipimport and SourcelessFileLoader use, is the only caller that opens with no flags.
            if (self._data or flags == 0) and type(path) is str and not self._is_own():
                self._opened(path, mode, flags)
        elif event == "import":
            if type(arguments[1]) is str:
                self._note(arguments[1])
        elif self._data and not self._is_own():
            if event in ("os.rename", "os.remove", "os.truncate"):
                self._written.update(os.path.abspath(path) for path in arguments if type(path) is str)
            elif event in ("os.listdir", "os.scandir"):
                self._listed(arguments[0])

    def _opened(self, path: str, mode: object, flags: object) -> None:
        path = os.path.abspath(path)
        if (isinstance(flags, int) and flags & _WRITES) or (isinstance(mode, str) and not set("wax+").isdisjoint(mode)):
            self._written.add(path)
            return
        if path.startswith(_UNSTABLE) or "/__pycache__/" in path:
            return
        # Data of installed packages changes only together with their code, which is noted anyway.
        if flags != 0 and path.startswith(self._libraries):
            return
        with self._own_reads():
            if not os.path.isdir(path):
                self._note(path)

    def _listed(self, directory: object) -> None:
        # Frames: this method, the hook, and whoever lists. The import system itself lists every directory of sys.path.
        if "importlib" in sys._getframe(2).f_code.co_filename:
            return
        path = os.path.abspath("." if directory is None else directory) if isinstance(directory, str | None) else ""
        if path and not f"{path}/".startswith((*self._libraries, *_UNSTABLE)):
            with self._own_reads():
                self._inputs.add_scan(path)

    def _is_own(self) -> bool:
        return getattr(self._own, "reading", False)

    @contextlib.contextmanager
    def _own_reads(self) -> Iterator[None]:
        """What the runner itself opens (its cache, a file to hash) is no input of the application."""
        before, self._own.reading = self._is_own(), True
        try:
            yield
        finally:
            self._own.reading = before


class _Lookups:
    """A finder that finds nothing: it stands first in sys.meta_path to hear who looks for what."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def find_spec(self, name: str, path: Iterable[str] | None = None, target: ModuleType | None = None) -> None:
        """See importlib.abc.MetaPathFinder."""
        with self._recorder._own_reads():
            self._recorder.look_up(name.rpartition(".")[2], list(sys.path if path is None else path))
