"""Notices what the application is made of, before each part of it is read.

    look-ups   a finder that stands first, finds nothing, and notes who looked for what, where
    sources    SourceFileLoader.get_code, the one place through which all source modules come: path hooks, editable
               installs and spec_from_file_location alike (a finder alone would miss the last two); so for modules that
               are a .pyc without a source
    the rest   an audit hook: extension modules, and the files the application opens while it is imported

Laws: a note comes before the read, so the stamp can only be older than what was read, never newer. After the import
(`settle`) only modules are noted, no longer data files: what an application reads while it works is its own affair.
What it writes itself while it is imported is accepted as it is, or no import would ever be proven fresh.
Start at Recorder.open. Audit events: Python documentation, "Audit events table" (`open`, `import`).
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import site
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from itertools import islice
from types import CodeType, ModuleType
from typing import Any

from runner.freshness.ahead import INDIFFERENT, Ahead, Step
from runner.freshness.bytecode import Bytecode
from runner.freshness.inputs import Inputs
from runner.freshness.stamps import WRITING, Reading, Stamp, being_written, is_recent, stamp

_UNSTABLE = ("/proc/", "/sys/", "/dev/")
_DISTRIBUTIONS = (".dist-info", ".egg-info")
_TICK = 0.01
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Recorder:
    """Writes into *inputs* everything that is read from `open` on.

    read     e.g. {"/srv/shop/view.py": Reading(…)}: the state in which a source was read; that in *inputs* may be older
    count    modules whose code was asked for
    about    called with name and path of each source module before anything of it is noted, if set
    given    called with the name of each module that is looked for; what it returns is where it is found, if set
    started  called with a line for the journal before the code of each module runs, if set
    ahead    what it will ask for
    """

    def __init__(self, inputs: Inputs, bytecode: Bytecode) -> None:
        self.ahead = Ahead(inputs, bytecode)
        self.read: dict[str, Reading] = {}
        self._confirmed = (0, 0)
        self._positions: dict[str, int] = {}
        self.count = 0
        self.about: Callable[[str, str], None] | None = None
        self.given: Callable[[str], ModuleSpec | None] | None = None
        self.started: Callable[[bytes], None] | None = None
        self.inputs = inputs
        self._bytecode = bytecode
        self._data = True
        self._began = _process_began()
        self._own = threading.local()
        self._places: dict[str, bool] = {}
        self._written: set[str] = set()
        places = sysconfig.get_paths()
        self.libraries = tuple(
            {os.path.join(places[kind], "") for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
        )

    def open(self) -> None:
        """Begin to note. Cannot be undone: Python keeps audit hooks for the life of a process."""
        for module in list(sys.modules.values()):
            self._note_loaded(module)
        for directory in _site_directories():
            self.inputs.add_scan(directory, (".pth",))
            for name in sorted(self.inputs.scanned[directory][1]):
                if name.endswith(".pth"):
                    self._note_past(os.path.join(directory, name))
        recorder = self

        def get_code(loader: importlib.machinery.SourceFileLoader, name: str) -> CodeType:
            step = recorder.ahead.take(name, loader)
            if step is not None and recorder._make(step):
                return step.code
            path = loader.get_filename(name)
            place = os.path.abspath(path)
            with recorder.own_reads():
                if recorder.about is not None:
                    recorder.about(name, place)
                recorder._begin(name, place)
                code, seen = whole(path, lambda: recorder._bytecode.load(path, loader))
                recorder.read[place] = Reading(seen, time.time_ns())
                return code

        sourceless = importlib.machinery.SourcelessFileLoader.get_code

        def get_compiled(loader: importlib.machinery.SourcelessFileLoader, name: str) -> CodeType | None:
            recorder._begin(name, os.path.abspath(loader.get_filename(name)))
            return sourceless(loader, name)

        importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]
        importlib.machinery.SourcelessFileLoader.get_code = get_compiled  # type: ignore[method-assign, assignment]
        sys.meta_path.insert(0, _Lookups(self))
        sys.addaudithook(self._audit)

    def confirm(self, at: int) -> None:
        """All that is noted by now was still so at that moment (nanoseconds of the wall clock)."""
        self._confirmed = len(self.inputs.files), at

    def confirmed(self) -> tuple[frozenset[str], int]:
        """What was noted at the last `confirm`, and when that was."""
        count, at = self._confirmed
        return frozenset(islice(self.inputs.files, count)), at  # none is ever struck out

    def position(self, paths: Iterable[str]) -> int:
        """How many modules were counted before the first of these files was noted; -1: it is not known of any."""
        return min((self._positions[path] for path in paths if path in self._positions), default=-1)

    def settle(self) -> None:
        """The import is over: from now on only modules are noted."""
        self._data = False
        self.ahead.rest()
        for path in self._written:
            self.inputs.accept(path)

    def compile_ahead(self, paths: Iterable[str]) -> None:
        """These are what whoever comes next imports."""
        with self.own_reads():
            for path in paths:
                if path.endswith(".py"):
                    self._bytecode.compile_ahead(path)

    def rehearse(self, paths: Iterable[str]) -> None:
        """What `compile_ahead` will do, for its memory to be there: these are the likeliest to be saved next."""
        with self.own_reads():
            for path in paths:
                self._bytecode.compile_ahead(path, keep=False)

    def tidy(self) -> None:
        """What has time until after the import."""
        self._bytecode.prune()

    def look_up(self, stem: str, directories: Iterable[object]) -> None:
        """A module *stem* is about to be searched in *directories*, which are as they stand in sys.path."""
        inputs = self.inputs
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
                self.ahead.look_behind(directory)

    def _begin(self, name: str, path: str) -> None:
        self._note(path)
        self._start(name)

    def _make(self, step: Step) -> bool:
        """The *step* is made, if its file is what it was, and noted as any other."""
        name, path = step.spec.name, step.file.path
        if self.about is not None:
            self.about(name, path)
        if not self.inputs.add_expected_file(step.file):
            return False
        self._positions.setdefault(path, self.count)
        self._start(name, step)
        self.read[path] = Reading(step.file.seen, time.time_ns())
        return True

    def _start(self, name: str, step: Step | None = None) -> None:
        self.count += 1
        if self.started is not None:
            added = self.inputs.take_additions()
            expected = step is not None and added.items == step.items
            self.started(step.line if step is not None and expected else added.to_line(name))

    def _note(self, path: str) -> None:
        self._positions.setdefault(path, self.count)
        self.inputs.add_file(path)

    def _note_loaded(self, module: ModuleType) -> None:
        path = getattr(module, "__file__", None)
        if type(path) is str and not module.__name__.startswith("runner"):
            self._note_past(os.path.abspath(path))

    def _note_past(self, path: str) -> None:
        """What the interpreter itself had read before us can only be stamped now; a save since then is a change."""
        self.inputs.add_file(path)
        seen = self.inputs.files.get(path)
        if seen is not None and self._began <= seen.ctime_ns <= time.time_ns():
            self.inputs.files[path] = None

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        # Every event of the process passes here, so the common case leaves after a few comparisons.
        if event == "open":
            path, mode, flags = arguments
            if self._data and isinstance(path, str | bytes) and not self._is_own():
                self._opened(os.fsdecode(path), mode, flags)
        elif event == "import":
            name, path = arguments[:2]
            if type(path) is str:
                # A library, whose loading can end the process as well as any code.
                self._begin(name, os.path.abspath(path))
        elif self._data and not self._is_own():
            if event in ("os.rename", "os.remove", "os.truncate"):
                paths = (os.fsdecode(path) for path in arguments if isinstance(path, str | bytes))
                self._written.update(os.path.abspath(path) for path in paths)
            elif event in ("os.listdir", "os.scandir"):
                self._listed(arguments[0])

    def _opened(self, path: str, mode: object, flags: object) -> None:
        path = os.path.abspath(path)
        if (isinstance(flags, int) and flags & _WRITES) or (isinstance(mode, str) and not set("wax+").isdisjoint(mode)):
            self._written.add(path)
            return
        if path.startswith(_UNSTABLE) or "/__pycache__/" in path:
            return
        # Data of installed packages changes only together with their code, which is noted anyway; what says that they
        # are installed (and which entry points they offer) is asked about packages without any code in memory, too.
        if path.startswith(self.libraries) and not os.path.dirname(path).endswith(_DISTRIBUTIONS):
            return
        with self.own_reads():
            if not os.path.isdir(path):
                self._note(path)

    def _listed(self, directory: object) -> None:
        # Frames: this method, the hook, and whoever lists. The import system itself lists every directory of sys.path.
        lister = sys._getframe(2).f_code.co_filename
        directory = "." if directory is None else directory
        path = os.path.abspath(os.fsdecode(directory)) if isinstance(directory, str | bytes) else ""
        if path and "importlib/metadata" in lister:
            with self.own_reads():
                self.inputs.add_scan(path, _DISTRIBUTIONS)
        elif path and "importlib" not in lister and not f"{path}/".startswith((*self.libraries, *_UNSTABLE)):
            with self.own_reads():
                self.inputs.add_scan(path)

    def _is_own(self) -> bool:
        return getattr(self._own, "reading", False)

    def own_reads(self) -> contextlib.AbstractContextManager[None]:
        """What the runner itself opens (its cache, a file to hash) is no input of the application."""
        return _OwnReads(self._own)


def whole(path: str, load: Callable[[], CodeType]) -> tuple[CodeType, Stamp | None]:
    """What *load* makes of *path*, once nobody saves it in place any more; for that it waits at most WRITING seconds.
    With the stamp of what was read, as far as that is certain.

    An import that was overtaken may still have to answer those who have waited: with a mixture of saves, if need be,
    but not with half of one, such as the empty module that is there between truncation and writing.
    """
    deadline = time.monotonic() + WRITING
    while True:
        before = stamp(path)
        patient = time.monotonic() < deadline
        if patient and is_recent(before) and being_written(path):
            time.sleep(0.001)
            continue
        try:
            code = load()
        except (SyntaxError, ValueError):  # ValueError: half of a character
            if not patient or stamp(path) == before:
                raise
        else:
            if not patient or stamp(path) == before:
                return code, before


class _OwnReads:
    """See Recorder.own_reads. A class, for each module comes here several times."""

    def __init__(self, own: threading.local) -> None:
        self._own = own

    def __enter__(self) -> None:
        self._before, self._own.reading = getattr(self._own, "reading", False), True

    def __exit__(self, *_: object) -> None:
        self._own.reading = self._before


class _Lookups:
    """A finder that stands first in sys.meta_path, to hear who looks for what; it finds only what was put aside."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._finders: list[Any] = []
        self._others: list[Any] | None = None

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        recorder, where = self._recorder, list(sys.path if path is None else path)
        found = recorder.ahead.find(name, where)
        if found is None:
            with recorder.own_reads():
                recorder.look_up(name.rpartition(".")[2], where)
        if recorder.given is not None and (given := recorder.given(name)) is not None:
            return given
        return found and self._after_others(found, name, path, target)

    def _after_others(
        self, found: ModuleSpec, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        """What all who are asked before the finder of files find, or *found*."""
        if sys.meta_path != self._finders:
            self._finders = list(sys.meta_path)
            self._others = self._between()
        if self._others is None:
            return None
        for other in self._others:
            if (spec := other.find_spec(name, path, target)) is not None:
                return spec  # type: ignore[no-any-return]
        return found

    def _between(self) -> list[Any] | None:
        """Those others; None if they would not be asked for a spec, or nobody is."""
        finders = sys.meta_path
        if self not in finders or PathFinder not in finders:
            return None
        between = finders[finders.index(self) + 1 : finders.index(PathFinder)]
        others = [each for each in between if each not in INDIFFERENT]
        # Until Python 3.11 one without is asked in another way.
        return others if all(hasattr(each, "find_spec") for each in others) else None


def _site_directories() -> list[str]:
    """Where the interpreter looked for .pth files when it began."""
    places = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    return [place for place in dict.fromkeys(places) if place in sys.path]


def _process_began() -> int:
    """The wall-clock time in nanoseconds at which this process was started, or a little before; never if unknown.

    A time of the kernel's, whose change times may lag by one of its ticks. proc_pid_stat(5), field 22.
    """
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return sys.maxsize
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return int((time.time() - age - _TICK) * 1e9)
