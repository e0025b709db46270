"""Beside an import that takes long: notices when something that it has read so far is saved again.

An import cannot look at its own change queue while it runs, and one that hangs never will. What it reads it notes in
its journal, module by module; a second process compares that with the disk.

Laws: imports nothing of the application; says Stale once and ends; ends with its channel. Start at look_out.
"""

from __future__ import annotations

import contextlib
import os
import select
from typing import NoReturn

from runner.freshness.additions import Additions
from runner.freshness.watch import State
from runner.generation import importing
from runner.process import messages
from runner.process.channel import Channel
from runner.process.messages import Begin
from runner.settings import Settings

_PAUSE = 0.2
"""Seconds between two looks at the journal."""
_TAIL = 4096
"""Bytes at the end of the journal in which the last name stands."""


def look_out(begin: Begin, channel: Channel) -> NoReturn:
    """Watch what the journal names, until something changed or nobody wants to know any more."""
    watch, _ = importing.record(Settings.from_json(begin.settings), inotify=True)
    read = 0
    while True:
        lines, read = read_journal(begin.journal, read)
        for additions, _ in lines:
            watch.adopt(additions)
        verdict = watch.verdict()
        if verdict.state is State.STALE:
            channel.send(messages.Stale(list(verdict.paths)))
            os._exit(0)
        queue = [watch.inotify.descriptor] if watch.inotify is not None else []
        if channel.fileno() in select.select([channel.fileno(), *queue], [], [], _PAUSE)[0]:
            os._exit(0)


def last_name(descriptor: int) -> str:
    """The module that an import has noted last; "" if there is none."""
    data = os.pread(descriptor, _TAIL, max(0, os.fstat(descriptor).st_size - _TAIL))
    return data[: data.rfind(b"\n") + 1].rstrip(b"\n").rpartition(b"\t")[2].decode("utf-8", "replace")


def read_journal(descriptor: int, start: int = 0) -> tuple[list[tuple[Additions, str]], int]:
    """What an import noted from byte *start* on, and where to go on: [(inputs, name of the module that followed)]."""
    data = os.pread(descriptor, max(0, os.fstat(descriptor).st_size - start), start)
    whole = data[: data.rfind(b"\n") + 1]
    found = []
    for line in whole.decode("utf-8", "surrogateescape").splitlines():
        text, _, name = line.partition("\t")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            found.append((Additions.from_json(text), name))
    return found, start + len(whole)
