"""Which pages of its memory a process has written since it was forked, and having them there before they are.

A forked process shares all pages with its parent, until one of them writes: then the kernel makes a copy, at some
microseconds each; and each page that is new costs as much at the first touch. Who goes on from a checkpoint writes into
much the same pages as the one before, some thousand, and somebody waits for that. So who has gone on says which they
were, and the next one has them copied while it sleeps, and has as many new ones made as there were new ones.

Laws: changes no byte. What the system cannot tell or do costs time, nothing else. MOST bounds the memory.
Start at written. proc_pid_pagemap(5), madvise(2); Objects/obmalloc.c.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import re
import sys
from array import array
from collections.abc import Iterator

MOST = 3800
"""Pages that are had ready."""
TOLD = 60_000
"""Bytes that are told, of what `written` gives: they go through a pipe that nobody reads yet."""
_PAGE = mmap.PAGESIZE
_RUNS = re.compile(rb"\x01{1,256}")
_OURS = bytes(byte & 0b1010_0001 == 0b1000_0001 for byte in range(256))
"""By the highest byte of an entry of the page map: the page is there, of no file, and nobody else's."""
_POPULATE_WRITE = 23
_SMALL = 512
"""Bytes of the largest blocks that Python's allocator takes from its arenas."""
_ARENA = 1 << 18
"""Bytes in the smallest arena of any version. One in which nothing is left is given back to the system."""

_kept: list[bytes] = []
"""What keeps the arenas that were had ready."""


def written() -> bytes:
    """The pages that are this process's alone, as numbers of 8 bytes: an address, plus how many more follow it."""
    found = array("Q")
    with contextlib.suppress(OSError), open("/proc/self/maps", "rb") as maps, open("/proc/self/pagemap", "rb") as table:
        for line in maps:
            place, kind, _ = line.split(b" ", 2)
            if kind != b"rw-p":
                continue
            start, end = (int(each, 16) for each in place.split(b"-"))
            flags = os.pread(table.fileno(), (end - start) // _PAGE * 8, start // _PAGE * 8)[7::8].translate(_OURS)
            found.extend(_numbers(start, flags))
    return found.tobytes()


def without(pages: bytes, others: bytes) -> bytes:
    """Those of *pages* that are not among the *others*; all as of `written`."""
    if not others:
        return pages  # mostly; and somebody waits for a fork
    found = array("Q")
    known = {page for start, count in _runs(others) for page in range(start, start + count * _PAGE, _PAGE)}
    for start, count in _runs(pages):
        flags = bytes(start + at * _PAGE not in known for at in range(count))
        found.extend(_numbers(start, flags))
    return found.tobytes()


def have_ready(pages: bytes) -> None:
    """Have these copied, as far as they are here, and made as many new ones as the others are; *pages* as of `written`.
    """
    try:
        madvise = ctypes.CDLL(None, use_errno=True).madvise
    except (AttributeError, OSError):
        return
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    left, new = MOST, 0
    for start, count in _runs(pages):
        count = min(count, left)
        if count and madvise(start, count * _PAGE, _POPULATE_WRITE) == 0:
            left -= count
        elif ctypes.get_errno() == errno.ENOMEM:  # nothing is there; before Linux 5.14 it is EINVAL
            new += count
    _make(min(new, left))


def _make(count: int) -> None:
    """Have so many pages of memory touched, and leave them to the allocator."""
    blocks = [bytes(_SMALL - sys.getsizeof(b"")) for _ in range(count * _PAGE // _SMALL)]
    _kept.extend(blocks[:: _ARENA // _SMALL])


def _numbers(start: int, flags: bytes) -> Iterator[int]:
    """As they are told: those whose flag is 1, of the pages that begin at *start*."""
    for run in _RUNS.finditer(flags):
        yield start + run.start() * _PAGE + run.end() - run.start() - 1


def _runs(pages: bytes) -> Iterator[tuple[int, int]]:
    """Where each begins, and how many pages it has."""
    entries = array("Q")
    entries.frombytes(pages[: len(pages) // entries.itemsize * entries.itemsize])
    for entry in entries:
        yield entry - entry % _PAGE, entry % _PAGE + 1

