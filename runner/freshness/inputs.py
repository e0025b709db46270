"""Everything the application was made of, and how to compare it with the disk.

    files        what was read, and what was looked for and absent
    directories  what a look-up could have found: a new shadowing module, an optional import that is now there

Laws: an input is watched before it is stamped, and stamped before it is read (`observe` is how the owner of the watches
hears of a directory first), so that a save in between is seen as a change and never taken for the baseline. Whether
something changed is answered from the disk alone; an event only says where to look.
Start at Inputs.add_file, then Inputs.changed.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from runner.freshness.stamps import HASHED, Stamp, digest, stamp

_SUFFIXES = tuple(importlib.machinery.all_suffixes())

Listing = dict[str, frozenset[str]]
"""Importable names of one directory by stem, e.g. {"view": frozenset({"view.py"}), "shop": frozenset({"shop"})}."""


class Additions(NamedTuple):
    """Inputs on their way to another process: {path: stamp} and [(directory, stem)]."""

    files: dict[str, Stamp | None]
    lookups: list[tuple[str, str]]

    def to_json(self) -> str:
        """One line of text."""
        return json.dumps({"files": self.files, "lookups": self.lookups}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Additions:
        """The same again. Raises ValueError, KeyError, TypeError for anything that `to_json` did not write."""
        read = json.loads(text)
        files = {path: None if seen is None else Stamp(*seen) for path, seen in read["files"].items()}
        return cls(files, [(directory, stem) for directory, stem in read["lookups"]])


class Inputs:
    """The ledger.

    files        e.g. {"/srv/shop/view.py": Stamp(…), "/srv/.env": None}; None is "was not there"
    hashes       e.g. {"/srv/shop/view.py": b"…"}: content at the time of the stamp, filled when there is time
    listings     e.g. {"/srv/shop": {"view": frozenset({"view.py"})}}: as they were before the first look-up
    looked_up    e.g. {"/srv/shop": {"view", "settings_local"}}: the stems somebody asked for
    additions    what was added since `take_additions`, for whoever else must know of it
    """

    def __init__(self, observe: Callable[[str], None] = lambda directory: None, ignore: Iterable[str] = ()) -> None:
        self.files: dict[str, Stamp | None] = {}
        self.hashes: dict[str, bytes] = {}
        self.listings: dict[str, Listing] = {}
        self.looked_up: dict[str, set[str]] = {}
        self.globs: list[re.Pattern[str]] = []
        self.additions = Additions({}, [])
        self._observe = observe
        self._ignored = [translate(pattern) for pattern in ignore]
        self._listed: dict[str, Stamp | None] = {}
        self._searched: set[tuple[str, str]] = set()

    def add_file(self, path: str) -> bool:
        """*path* (absolute) is about to be read. True if it was not known yet."""
        if path in self.files or self._is_ignored(path):
            return False
        self._observe(os.path.dirname(path))
        self.files[path] = self.additions.files[path] = stamp(path)
        return True

    def add_lookup(self, stem: str, directory: str) -> None:
        """Somebody is about to look for the module *stem* in *directory* (absolute)."""
        if (directory, stem) in self._searched:
            return
        self._searched.add((directory, stem))
        if directory not in self.listings:
            self._observe(directory)
            self._listed[directory] = stamp(directory)
            self.listings[directory] = list_importable(directory)
        self.looked_up.setdefault(directory, set()).add(stem)
        self.additions.lookups.append((directory, stem))
        if stem in self.listings[directory].get(stem, ()):
            # A directory without __init__.py is a namespace package until somebody adds one.
            self.add_lookup("__init__", os.path.join(directory, stem))

    def add_glob(self, pattern: str) -> None:
        """Everything that *pattern* (absolute) matches, now or later, is an input."""
        self.globs.append(translate(pattern))
        for path in walk(pattern, self._observe):
            if self.globs[-1].fullmatch(path):
                self.add_file(path)

    def take_additions(self) -> Additions:
        """What was added since the last call."""
        taken, self.additions = self.additions, Additions({}, [])
        return taken

    def adopt(self, additions: Additions) -> None:
        """Take over what another process added, with the stamps it saw: a change since then is a change."""
        for path, seen in additions.files.items():
            if path not in self.files:
                self._observe(os.path.dirname(path))
                self.files[path] = seen
        for directory, stem in additions.lookups:
            self.add_lookup(stem, directory)

    def interesting(self, directory: str, name: str) -> bool:
        """Whether an event about the entry *name* of *directory* can concern any input."""
        path = f"{directory}/{name}" if directory != "/" else f"/{name}"
        if path in self.files:
            return True
        wanted = self.looked_up.get(directory)
        if wanted is not None and name.partition(".")[0] in wanted and stem_of(name):
            return True
        return any(pattern.fullmatch(path) for pattern in self.globs) and not self._is_ignored(path)

    def changed(self, directory: str, name: str) -> str | None:
        """Look at one entry of one directory; its path if it is no longer what the application was made of."""
        path = f"{directory}/{name}" if directory != "/" else f"/{name}"
        if path in self.files:
            return path if self._file_changed(path) else None
        stem = stem_of(name)
        if stem and stem in self.looked_up.get(directory, ()):
            before = self.listings[directory].get(stem, frozenset())
            return path if list_importable(directory).get(stem, frozenset()) != before else None
        if any(pattern.fullmatch(path) for pattern in self.globs) and os.path.isfile(path):
            return path
        return None

    def sweep(self) -> list[str]:
        """Look at everything; the paths that changed. About a microsecond for each input."""
        changed = [path for path in self.files if self._file_changed(path)]
        for directory, before in self.listings.items():
            now = stamp(directory)
            if now != self._listed[directory]:
                listing = list_importable(directory)
                empty: frozenset[str] = frozenset()
                stems = [s for s in self.looked_up[directory] if listing.get(s, empty) != before.get(s, empty)]
                changed += [os.path.join(directory, stem) for stem in stems]
                if not stems:
                    self._listed[directory] = now
        return changed

    def unhashed(self) -> Iterator[str]:
        """Hash what has no hash yet, one file a step; between two steps the caller may do better things."""
        for path, before in list(self.files.items()):
            if before is not None and path not in self.hashes and before.size <= HASHED:
                content = digest(path)
                # Only if the file is still in the stamped state does the hash belong to the stamp.
                if content is not None and stamp(path) == before:
                    self.hashes[path] = content
                yield path

    def _file_changed(self, path: str) -> bool:
        before, now = self.files[path], stamp(path)
        if now == before:
            return False
        known = self.hashes.get(path)
        if now is not None and known is not None and digest(path) == known:
            self.files[path] = now
            return False
        return True

    def _is_ignored(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for pattern in self._ignored)


def stem_of(name: str) -> str:
    """The module name an entry could be imported as; "" for one that cannot be."""
    stem, dot, _ = name.partition(".")
    return stem if not dot or name[len(stem) :] in _SUFFIXES else ""


def list_importable(directory: str) -> Listing:
    """What could be imported from *directory*; empty if it cannot be read."""
    found: dict[str, set[str]] = {}
    try:
        names = os.listdir(directory)
    except OSError:
        return {}
    for name in names:
        stem = stem_of(name)
        if stem:
            found.setdefault(stem, set()).add(name)
    return {stem: frozenset(names) for stem, names in found.items()}


def walk(pattern: str, observe: Callable[[str], None]) -> Iterator[str]:
    """Every path that could match *pattern*, below its longest part without wildcards; each directory observed first."""
    base = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    if base == pattern:
        yield pattern
        return
    for directory, _, names in os.walk(os.path.dirname(base) or "/", onerror=None):
        observe(directory)
        for name in names:
            yield os.path.join(directory, name)


def translate(pattern: str) -> re.Pattern[str]:
    """A path pattern as a regular expression: `**/` any directories, `*` and `?` within one name, `[…]` as in a shell."""
    text = ""
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            text, at = text + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            text, at = text + ".*", at + 2
        elif pattern[at] == "*":
            text, at = text + "[^/]*", at + 1
        elif pattern[at] == "?":
            text, at = text + "[^/]", at + 1
        elif pattern[at] == "[" and "]" in pattern[at + 2 :]:
            end = pattern.index("]", at + 2)
            chosen = pattern[at + 1 : end].replace("\\", r"\\")
            text, at = text + "[" + ("^" + chosen[1:] if chosen[0] == "!" else chosen) + "]", end + 1
        else:
            text, at = text + re.escape(pattern[at]), at + 1
    return re.compile(text, re.DOTALL)
