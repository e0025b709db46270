"""What earlier starts of an application have taught about the next one, kept between runs.

    names    the modules of others that it asks for, in its order (preload.py)
    without  those at which that order has to end, because what comes then must not come earlier
    own      its own modules, by name and file, in the order of a start: a hint for those who get ready (readiness.py)

Kept in the cache directory, by target, directory, interpreter and the versions of all that is installed: of other
versions something else may be true.

Laws: what cannot be read or written is not known, which costs time and nothing else; the directory is private, for
what it names is imported. Start at Learned.of.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field

from runner.freshness.bytecode import open_cache
from runner.settings import Settings

_FORM = "2"
"""Changes with the form of the file."""


@dataclass
class Learned:
    """In the file *path*; "" if there is no place for it."""

    path: str
    names: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    own: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, settings: Settings) -> Learned:
        """What is known of this application."""
        directory = open_cache(settings.cache_dir) if settings.cache_dir else None
        if directory is None:
            return cls("")
        found = cls(os.path.join(directory, f"preload-{_key(settings)}.json"))
        found.read()
        return found

    def read(self) -> None:
        """Know what others have learned meanwhile, too."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            with open(self.path, encoding="utf-8") as file:
                told = json.load(file)
            names, without, own = (_texts(told[each]) for each in ("names", "without", "own"))
            self.names, self.without, self.own = names, without, list(zip(own[::2], own[1::2], strict=True))

    def wanted(self, refused: Iterable[str] = ()) -> list[str]:
        """The modules to load, up to the first one that must not be; *refused* by the settings."""
        stops = {*self.without, *refused}
        end = next((number for number, name in enumerate(self.names) if name in stops), len(self.names))
        return self.names[:end]

    def learn(self, names: list[str]) -> None:
        """A start has asked for these."""
        if names != self.names:
            # Who was paused before this was known learns it at each edit, while somebody waits; and to put a file in
            # the place of another one takes a disk that is told what is free (mount -o discard) some milliseconds.
            self.read()
        if names != self.names:
            self.names = names
            self._write()

    def learn_own(self, own: list[tuple[str, str]]) -> None:
        """And it has imported these."""
        self.read()
        if own != self.own:
            self.own = own
            self._write()

    def stop_at(self, name: str) -> None:
        """*name* must not be loaded earlier than the application asks for it."""
        self.without.append(name)
        self._write()

    def _write(self) -> None:
        """Beside, then renamed: a reader sees a whole file or none."""
        if not self.path:
            return
        own = [text for each in self.own for text in each]
        with contextlib.suppress(OSError):
            descriptor, beside = tempfile.mkstemp(dir=os.path.dirname(self.path), prefix=".")
            with open(descriptor, "w", encoding="utf-8") as file:
                json.dump({"names": self.names, "without": self.without, "own": own}, file)
            os.replace(beside, self.path)


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError("not a list of texts")
    return value


def _key(settings: Settings) -> str:
    parts = [_FORM, settings.target, *settings.mount, settings.chdir, sys.version, sys.prefix, *sorted(_versions())]
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _versions() -> set[str]:
    """The names of what is installed, with versions: `flask-3.1.3.dist-info`."""
    found: set[str] = set()
    for place in sys.path:
        if place.endswith(("site-packages", "dist-packages")):
            with contextlib.suppress(OSError):
                found.update(name for name in os.listdir(place) if name.endswith((".dist-info", ".egg-info")))
    return found
