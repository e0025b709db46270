"""Notices what the application is made of, before each part of it is read.

    look-ups   a finder that stands first, finds nothing, and notes who looked for what, where
    sources    SourceFileLoader.get_code, the one place through which all source modules come: path hooks, editable
               installs and spec_from_file_location alike (a finder alone would miss the last two)
    the rest   an audit hook: extension modules, zip archives, and the files the application opens while it is imported

Laws: a note comes before the read, so the stamp can only be older than what was read, never newer. After the import
(`settle`) only modules are noted, no longer data files: what an application reads while it works is its own affair.
Start at Recorder.open. Audit events: Python documentation, "Audit events table" (`open`, `import`).
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, ModuleType

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
        self._inside = False
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
                return recorder._bytecode.load(name, path, loader)

        importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]
        sys.meta_path.insert(0, _Lookups(self))
        sys.addaudithook(self._audit)

    def settle(self) -> None:
        """The import is over: from now on only modules are noted."""
        self._data = False
        self.importing = ""

    def look_up(self, stem: str, directories: Sequence[str]) -> None:
        """A module *stem* is about to be searched in *directories*."""
        for directory in directories:
            if type(directory) is str:
                directory = os.path.abspath(directory or ".")
                if os.path.isdir(directory):
                    self._inputs.add_lookup(stem, directory)
                else:
                    # A zip archive, or an entry of sys.path that is not there (yet).
                    self._inputs.add_file(directory)

    def _begin(self, name: str, path: str) -> None:
        self.importing = name
        if self.started is not None:
            self.started(name)
        self._note(path)

    def _note(self, path: str) -> None:
        self._inputs.add_file(os.path.abspath(path))

    def _note_loaded(self, module: ModuleType) -> None:
        """What the interpreter itself had imported before us can only be stamped now; it changes with the machine."""
        path = getattr(module, "__file__", None)
        if type(path) is str and not module.__name__.startswith("runner"):
            self._inputs.add_file(os.path.abspath(path))

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        # Every event of the process passes here, so the common case leaves after one comparison.
        if event == "open":
            path, mode, flags = arguments
            # io.open_code, which zipimport and runpy use, is the only caller that opens with no flags at all.
            if (self._data or flags == 0) and type(path) is str and not self._inside:
                self._opened(path, mode, flags)
        elif event == "import" and type(arguments[1]) is str:
            self._note(arguments[1])

    def _opened(self, path: str, mode: object, flags: object) -> None:
        if (isinstance(flags, int) and flags & _WRITES) or (isinstance(mode, str) and not set("wax+").isdisjoint(mode)):
            return
        path = os.path.abspath(path)
        if path.endswith(".pyc") or path.startswith(_UNSTABLE):
            return
        # Data of installed packages changes only together with their code, which is noted anyway.
        if flags != 0 and path.startswith(self._libraries):
            return
        with self._own_reads():
            if not os.path.isdir(path):
                self._note(path)

    @contextlib.contextmanager
    def _own_reads(self) -> Iterator[None]:
        """What the runner itself opens (its cache, a file to hash) is no input of the application."""
        before, self._inside = self._inside, True
        try:
            yield
        finally:
            self._inside = before


class _Lookups:
    """A finder that finds nothing: it stands first in sys.meta_path to hear who looks for what."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """See importlib.abc.MetaPathFinder."""
        self._recorder.look_up(name.rpartition(".")[2], sys.path if path is None else list(path))
