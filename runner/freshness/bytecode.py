"""Which compiled code may be believed.

A .pyc names its source by whole seconds and size only (PEP 552), so an edit within the same second and of the same size
leaves one that matches and is wrong, in every later process too. Hence:

    believed     a .pyc whose header matches and whose source had not changed for SETTLED seconds when it was written,
                 by the clock of the change times, which nobody can set back, and by that of the modification times,
                 which copying (`cp -a`, tar) keeps; unless the source's time is one that everything is given (NOMINAL)
    otherwise    the source is read and compiled, and the result kept in a cache of our own, by content
    neither      for a loader that makes other code of the same source (typeguard, beartype): its code is its own

Laws: the source's own bytes decide; the cache is private (mode 0700, own user) and bounded; a cache that cannot be
written or read costs time, never an import. Start at Bytecode.load. Seen with CPython 3.11 to 3.13.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.machinery
import importlib.util
import marshal
import os
import sys
import time
import warnings
from collections.abc import Callable
from types import CodeType

from runner.freshness.stamps import read

SETTLED = 2.0
"""Seconds between the last change of a source and the writing of a .pyc that may be believed."""
NOMINAL = 365 * 86_400 * 11
"""Sources from before 1981 are not so old: 0, 1 and the first days of 1980 are the times that image builders, archives
and zip files give to every file. Such a time fits every edit, and a `chown -R` makes any .pyc the younger one."""
CACHE_FILES = 20_000
"""Entries of the cache above which the longest unused are removed."""

LARGE = 500_000
"""Bytes of a source up to which it is compiled ahead, by somebody who has other things to do as well."""

PACE = 1e-6
"""Seconds that compiling takes for a byte of a source, on a slow machine."""
_STEP = 0.0001
"""Seconds between two looks whether somebody else is through with it."""

_FORMAT = b"1"
"""Changes with the form of an entry, so that another version of the runner never reads what it would not understand."""
_HEADER = 16
_CHECKSUM = 16
_PLAIN = importlib.machinery.SourceFileLoader
_CHECKED_SOURCE = 0b11


class Bytecode:
    """The rule, with the directory of the own cache (None: no cache)."""

    def __init__(self, directory: str | None) -> None:
        self._wish = directory
        self._wrote = False

    @functools.cached_property
    def _directory(self) -> str | None:
        # Opened at the first use, since this process may change its user before.
        return open_cache(self._wish) if self._wish else None

    def load(self, path: str, loader: importlib.machinery.SourceFileLoader) -> CodeType:
        """The code of the source file *path*. Raises SyntaxError, OSError."""
        if not is_plain(loader):
            return loader.source_to_code(loader.get_data(path), path)
        code = self._believed(path)
        if code is not None:
            return code
        source = read(path)
        entry = self._entry(path, source)
        code = (_read_code(entry) or _await_code(entry, len(source))) if entry else None
        if code is None:
            code = loader.source_to_code(source, path)
            if entry:
                self._wrote = True
                _write_code(entry, lambda: code)
        return code

    def find(self, path: str) -> CodeType | None:
        """The code of the source file *path*, if somebody has compiled it before. Raises OSError."""
        if (code := self._believed(path)) is not None:
            return code
        entry = self._entry(path, read(path))
        return _read_code(entry) if entry else None

    def compile_ahead(self, path: str, *, keep: bool = True) -> None:
        """Have the code of *path* in the cache before somebody asks for it. Not *keep*: only do the work.

        A story: who goes on from a checkpoint needs some milliseconds to get to the module that was saved, and then
        that many to compile it. Whoever has told of the save has nothing to do by then, and another processor. If that
        one has begun, it will have ended before another could that begins now; so who imports waits for it.
        """
        loader = importlib.machinery.SourceFileLoader("", path)

        def compiled() -> CodeType | None:
            code = loader.source_to_code(source, path)
            # What the compiler warns of is for whoever imports it to hear, and perhaps to fail by.
            return None if said else code

        with contextlib.suppress(Exception), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            source = read(path, LARGE + 1)
            entry = self._entry(path, source) if len(source) <= LARGE else None
            if entry and not keep:
                compiled()
            elif entry and not os.path.exists(entry):
                self._wrote = True
                _write_code(entry, compiled)

    def prune(self) -> None:
        """If this process has added the entry that is too many: remove a tenth, those longest unused."""
        if not self._wrote or self._directory is None:
            return
        self._wrote = False
        with contextlib.suppress(OSError):
            # To look at all of them takes a generation a tenth of a second and 12 MiB, so it is not done for each edit.
            if sum(1 for _ in os.scandir(self._directory)) > CACHE_FILES:
                entries = sorted(os.scandir(self._directory), key=lambda entry: entry.stat().st_atime)
                for entry in entries[: len(entries) - CACHE_FILES * 9 // 10]:
                    os.unlink(entry.path)

    def _believed(self, path: str) -> CodeType | None:
        try:
            compiled = importlib.util.cache_from_source(path)
            # The time before the content: whoever renames another over it meanwhile makes it look older, not younger.
            written = os.stat(compiled)
            data = read(compiled)
            source = os.stat(path)
        except (OSError, NotImplementedError):
            return None
        if len(data) < _HEADER or data[:4] != importlib.util.MAGIC_NUMBER:
            return None
        flags = int.from_bytes(data[4:8], "little")
        if flags == 0:
            matches = (
                int.from_bytes(data[8:12], "little") == int(source.st_mtime) & 0xFFFFFFFF
                and int.from_bytes(data[12:16], "little") == source.st_size & 0xFFFFFFFF
                and source.st_mtime > NOMINAL
                and source.st_ctime + SETTLED <= written.st_ctime
                and source.st_mtime + SETTLED <= written.st_mtime
            )
        else:
            matches = flags == _CHECKED_SOURCE and data[8:16] == _source_hash(path)
        return _unmarshal(data[_HEADER:]) if matches else None

    def _entry(self, path: str, source: bytes) -> str | None:
        if self._directory is None:
            return None
        key = hashlib.blake2b(digest_size=20)
        # The path is part of compiled code (co_filename), so equal sources in two places are two entries.
        version = _FORMAT + importlib.util.MAGIC_NUMBER + bytes([sys.flags.optimize])
        for part in (version, os.fsencode(path), b"\0", source):
            key.update(part)
        return os.path.join(self._directory, key.hexdigest())


def is_plain(loader: importlib.machinery.SourceFileLoader) -> bool:
    """Nothing between the bytes of the file and the code is the loader's own."""
    kind = type(loader)
    return kind.source_to_code is _PLAIN.source_to_code and kind.get_data is _PLAIN.get_data


def _source_hash(path: str) -> bytes | None:
    try:
        return importlib.util.source_hash(read(path))
    except OSError:
        return None


def open_cache(directory: str) -> str | None:
    """*directory*, made if need be; None if it cannot be had, or others could put something there."""
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        seen = os.stat(directory)
    except OSError:
        return None
    # Code is executed from here, so nobody else may be able to put any in.
    if seen.st_uid != os.geteuid() or seen.st_mode & 0o022:
        return None
    return directory


def _read_code(entry: str) -> CodeType | None:
    try:
        data = read(entry)
    except OSError:
        return None
    # A crash of the machine can leave any bytes, and what marshal makes of them need not be an error.
    return _unmarshal(data[_CHECKSUM:]) if data[:_CHECKSUM] == _checksum(data[_CHECKSUM:]) else None


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_CHECKSUM).digest()


def _unmarshal(data: bytes) -> CodeType | None:
    try:
        code = marshal.loads(data)
    except (EOFError, ValueError, TypeError):
        return None
    return code if isinstance(code, CodeType) else None


def _in_work(entry: str) -> str:
    """What stands beside *entry* while somebody makes it."""
    directory, name = os.path.split(entry)
    return os.path.join(directory, f".{name}")


def _await_code(entry: str, size: int) -> CodeType | None:
    """What somebody else is compiling just now, of a source of *size* bytes; None if it comes to nothing.

    He may have died at it, so for no longer than it can take: then what he left is removed, for all who come later.
    """
    deadline = time.monotonic() + size * PACE
    while os.path.exists(_in_work(entry)):
        if time.monotonic() > deadline:
            with contextlib.suppress(OSError):
                os.unlink(_in_work(entry))
            return None
        time.sleep(_STEP)
    return _read_code(entry)


def _write_code(entry: str, make: Callable[[], CodeType | None]) -> None:
    """Write beside, then rename: a reader sees a whole entry or none. Raises what *make* raises."""
    # Neither by tempfile nor by a file object, which take longer than the writing.
    beside = _in_work(entry)
    with contextlib.suppress(OSError):
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if (code := make()) is not None:
                data = marshal.dumps(code)
                data = _checksum(data) + data
                if os.write(descriptor, data) == len(data):
                    os.replace(beside, entry)
        finally:
            os.close(descriptor)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside)
