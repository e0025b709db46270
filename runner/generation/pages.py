"""Which pages of its memory a process has written since it was forked, and having them copied before they are.

A forked process shares all pages with its parent, until one of them writes: then the kernel makes a copy, at some
microseconds each. Who goes on from a checkpoint writes into much the same pages as the one before, some thousand, and
somebody waits for that. So who has gone on says which they were, and the next one has them copied while it sleeps.

Laws: changes no byte. What the system cannot tell or do costs time, nothing else. MOST bounds the memory.
Start at written. proc_pid_pagemap(5), madvise(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import re
from array import array

MOST = 2500
"""Pages that are copied ahead."""
TOLD = 60_000
"""Bytes that are told, of what `written` gives: they go through a pipe that nobody reads yet."""
_PAGE = mmap.PAGESIZE
_RUNS = re.compile(rb"\x01{1,256}")
_OURS = bytes(byte & 0b1010_0001 == 0b1000_0001 for byte in range(256))
"""By the highest byte of an entry of the page map: the page is there, of no file, and nobody else's."""
_POPULATE_WRITE = 23


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
            for run in _RUNS.finditer(flags):
                found.append(start + run.start() * _PAGE + run.end() - run.start() - 1)
    return found.tobytes()


def copy_ahead(pages: bytes) -> None:
    """Have these copied, as far as they are here; *pages* as of `written`."""
    entries = array("Q")
    entries.frombytes(pages[: len(pages) // entries.itemsize * entries.itemsize])
    try:
        madvise = ctypes.CDLL(None).madvise
    except (AttributeError, OSError):
        return
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    left = MOST
    for entry in entries:
        count = min(entry % _PAGE + 1, left)
        # What was new there is not here: an error, and no page.
        if count and madvise(entry - entry % _PAGE, count * _PAGE, _POPULATE_WRITE) == 0:
            left -= count
