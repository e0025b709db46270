"""What a directory offers to an import, or to whoever lists it in search of names.

Law: a directory that cannot be read offers nothing. Start at list_importable. importlib.machinery, FileFinder.
"""

from __future__ import annotations

import importlib.machinery
import os

MODULES = tuple(importlib.machinery.all_suffixes())
"""What the name of a module's file ends in."""

Listing = dict[str, frozenset[str]]
"""Importable names of one directory by stem, e.g. {"view": frozenset({"view.py"}), "shop": frozenset({"shop"})}."""


def join(directory: str, name: str) -> str:
    """The path of an entry; os.path.join costs a multiple."""
    return f"{directory}/{name}" if directory != "/" else f"/{name}"


def stem_of(name: str) -> str:
    """The module name an entry could be imported as; "" for one that cannot be."""
    stem, dot, _ = name.partition(".")
    return stem if not dot or name[len(stem) :] in MODULES else ""


def list_importable(directory: str, broken: set[str] | None = None) -> Listing:
    """What could be imported from *directory*; empty if it cannot be read. Into *broken* come the links that could be
    if they led somewhere.

    A FIFO, a directory or a broken link of a module's name is passed over, as imports do, so that the file that takes
    its place is news.
    """
    found: dict[str, set[str]] = {}
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                stem = stem_of(entry.name)
                if stem and _is_importable(entry, stem):
                    found.setdefault(stem, set()).add(entry.name)
                elif stem and broken is not None and entry.is_symlink():
                    broken.add(entry.name)
    except OSError:
        pass
    return {stem: frozenset(names) for stem, names in found.items()}


def find_importable(directory: str, stem: str) -> frozenset[str]:
    """What `list_importable` has for *stem*; of the other entries nothing is looked at but their names."""
    found = set()
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(stem) and stem_of(name) == stem and _is_importable(entry, stem):
                    found.add(name)
    except OSError:
        pass
    return frozenset(found)


def _is_importable(entry: os.DirEntry[str], stem: str) -> bool:
    try:
        return entry.is_dir() if entry.name == stem else entry.is_file()
    except OSError:  # a link that leads to itself
        return False


def list_ending(directory: str, suffixes: tuple[str, ...] = MODULES) -> frozenset[str]:
    """The names in *directory* that end so: not all its directories, of which a log's or a cache's may come and go."""
    return frozenset(name for name in _names(directory) if name.endswith(suffixes))


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
