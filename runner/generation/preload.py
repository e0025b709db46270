"""What the application imports of others, imported before it: an edit of its main module costs its own import only.

    learn    in a real start: which modules of the standard library and of site-packages the application itself asked
             for, in which order; what those import in turn comes with them
    load     before a later start: import them in that order, and put them aside, so that nobody finds them
    give     when the application asks for one, it gets what was put aside, as if it had been imported at that moment

For that to be what a fresh start does, the application must ask for the same modules in the same order, and change
nothing meanwhile that they could have seen: its environment, sys.path, warnings, logging, the locale, the working
directory, patched functions (snapshot). Each of that is looked at whenever it asks. What is found to be otherwise makes
the attempt unfit: it ends, the next one begins without, and what it learns is right again.

Laws: nothing is given in any doubt. A module that leaves a thread or a connection behind is the end of the list.
Start at Preload.load, then Preload.give.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from _locale import LC_ALL, setlocale
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NoReturn

from runner.generation import fork_safety

_PATCHABLE: tuple[ModuleType, ...] = (
    *(sys.modules[name] for name in ("builtins", "_thread")), os, sys, time, socket, threading, subprocess, signal,
)  # fmt: skip
"""Where those who change how Python works put their functions in the place of others (gevent, eventlet, freezegun)."""

_BETWEEN = ("/importlib/__init__.py", "/runner/freshness/recorder.py")
"""Code between whoever asks and us, beside the frozen importlib."""

Unfit = Callable[[str, str], NoReturn]
"""Told which module must never be preloaded ("": the order was another one, that is all), and why; ends the process."""


class Preload:
    """*names*: to be loaded, in this order; *target*: the application's main module, which with all of its package is
    the application's wherever it lies; *libraries*: where else what is not the application's lies.

    heard   what the application asked for: by package, each with its place in the order
    loaded  how many were loaded before it
    """

    def __init__(self, names: Sequence[str], target: str, libraries: tuple[str, ...], unfit: Unfit) -> None:
        self.heard: dict[str, dict[str, int]] = {}
        self._names = list(names)
        self._root = target.partition(".")[0]
        self._libraries = libraries
        self._unfit = unfit
        self._aside: dict[str, dict[str, ModuleType]] = {}
        self._own: set[str] = set()
        self._seen: tuple[Any, ...] = ()
        self.loaded = self._count = 0

    def load(self) -> None:
        """Import what is named, and put it aside."""
        before = fork_safety.streams()
        for name in self._names:
            known = set(sys.modules)
            try:
                importlib.import_module(name)
            except BaseException as error:
                # Some modules cannot be imported a second time, so whoever is to see the error begins anew.
                self._unfit(name, f"{name} is not preloaded: {type(error).__name__}: {error}")
            if culprit := fork_safety.culprit(before):
                self._unfit(name, f"{name} is not preloaded: {culprit}")
            self.loaded += 1
            self._aside[name] = {found: module for found, module in sys.modules.items() if found not in known}
        for modules in self._aside.values():
            for found in modules:
                del sys.modules[found]
        self._seen = snapshot()

    def give(self, name: str) -> importlib.machinery.ModuleSpec | None:
        """Somebody looks for the module *name*: how to get it, if it is the next one that was put aside."""
        root = name.partition(".")[0]
        asked = root not in self._own and self._is_application(sys._getframe(2))
        if asked:
            self._count += 1
            self.heard.setdefault(root, {}).setdefault(name, self._count)
            if root != name and self._is_elsewhere(root):
                self._own.add(root)  # nothing of it will ever be loaded before
        if not self._aside:
            return None
        first = next(iter(self._aside))
        if name == first and asked:
            if snapshot() != self._seen:
                self._unfit(name, f"{name} is not preloaded: the application changes first what it may see")
            return importlib.machinery.ModuleSpec(name, _Given(self._aside.pop(first)))  # type: ignore[arg-type]
        if any(name in modules for modules in self._aside.values()):
            self._unfit("", f"{name} is imported earlier than before")
        return None

    def settle(self) -> list[str]:
        """The application is imported: what to load before the next time."""
        if self._aside:
            self._unfit("", f"{next(iter(self._aside))} is imported no more")
        # Of a package that lies elsewhere nothing is looked at: after a fork each look would cost a page of memory.
        foreign = [root for root in self.heard if root != self._root and not self._is_elsewhere(root)]
        places = {name: place for root in foreign for name, place in self.heard[root].items()}
        return [name for name in sorted(places, key=places.__getitem__) if self._is_library(sys.modules.get(name))]

    def _is_application(self, frame: Any) -> bool:
        """Whether code of the application, and not of a library, is asking; or whoever loads its main module."""
        while frame is not None:
            path = frame.f_code.co_filename
            if not path.startswith("<frozen importlib") and not path.endswith(_BETWEEN):
                return not path.startswith(self._libraries) or path.endswith("/runner/host/loading.py")
            frame = frame.f_back
        return False

    def _is_elsewhere(self, root: str) -> bool:
        """The package *root* is a folder with an __init__.py, in no place of libraries; another kind may be in both."""
        module = sys.modules.get(root)
        origin = getattr(getattr(module, "__spec__", None), "origin", None)
        return isinstance(origin, str) and origin.endswith("__init__.py") and not self._is_library(module)

    def _is_library(self, module: ModuleType | None) -> bool:
        origin = getattr(getattr(module, "__spec__", None), "origin", None)
        return isinstance(origin, str) and (origin.startswith(self._libraries) or origin in ("built-in", "frozen"))


class _Given:
    """A loader for what was loaded already: *modules* come back to where everybody finds them."""

    def __init__(self, modules: dict[str, ModuleType]) -> None:
        self._modules = modules

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """See importlib.abc.Loader."""
        module = self._modules[spec.name]
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """See importlib.abc.Loader."""
        module.__spec__ = self._spec
        sys.modules.update(self._modules)


def snapshot() -> tuple[Any, ...]:
    """What a module may see, when it is imported, of what was done before."""
    root = logging.getLogger()
    patched = tuple(
        id(value) for module in _PATCHABLE for value in vars(module).values() if callable(value)
    )  # fmt: skip
    return (
        dict(os.environ), os.getcwd(), list(sys.path), list(map(id, sys.meta_path)), list(map(id, sys.path_hooks)),
        list(warnings.filters), root.level, list(root.handlers), root.manager.disable, setlocale(LC_ALL), patched,
    )  # fmt: skip
