"""How a fresh interpreter is started, and that the first one is started before anything else.

exec, not fork: what the supervisor has imported must not be what the application finds imported already, and a start
from a known-clean interpreter is the one that every later start repeats.

A story: of a start with warm caches a tenth of a second went by before the first import of the application: the command
loaded click and the supervisor, then a second interpreter loaded what a generation is made of. Neither needs the other
for that. So the second one is started first (`hasten`), loads its own modules beside us, and waits for Begin; whoever
asks for an interpreter next is given that one. If nobody does, the end of its channel ends it.

Laws: loads little, for everybody waits for it; the started process inherits its channel and no other descriptor, what
else it needs comes along with Begin. Start at start. What it does then is interpreter.py.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from typing import NamedTuple

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""Where the runner itself is to be imported from."""

_ENTRY = f"""import gc, sys
gc.disable()
sys.path.insert(0, {HOME!r})
from runner.generation import loop as generation
del sys.path[0]
generation.main()
"""
"""With -P nothing of the current directory can be imported in place of the runner's own modules, whatever it is called;
the application's directory is put first on sys.path when ours are there.

What a start loads before the application is kept: to look for garbage in it, again and again while it grows, would
take a tenth of all its time, and find next to none. The application's own code finds the collector on, which then
looks seldom: generation/garbage.py."""

_LIMITS = resource.getrlimit(resource.RLIMIT_NOFILE)
"""How many open files this process was allowed when it began, and how many it may allow itself."""

GROUP = (
    signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN,
    signal.SIGTTOU,
)  # fmt: skip
"""Signals that a terminal or a service manager may send to the supervisor's whole group."""


class Started(NamedTuple):
    """A process, and our end of its channel."""

    popen: subprocess.Popen[bytes]
    sock: socket.socket


_hastened: list[Started] = []


def command(*arguments: str) -> list[str]:
    """The command line of a generation."""
    return [sys.executable, "-P", "-c", _ENTRY, *arguments]


def hasten() -> None:
    """Have the first one begin now. Where that is not possible whoever needs it will be told."""
    with contextlib.suppress(OSError):
        _hastened.append(_start())


def start() -> Started:
    """A generation that waits for Begin. Raises OSError (no process, no memory)."""
    while _hastened:
        started = _hastened.pop()
        if started.popen.poll() is None:
            return started
        started.sock.close()
    return _start()


def give_up() -> None:
    """End what was begun and is not wanted."""
    while _hastened:
        popen, sock = _hastened.pop()
        sock.close()
        popen.kill()
        popen.wait()


def launch(arguments: list[str], descriptors: Iterable[int]) -> subprocess.Popen[bytes]:
    """Start a process that inherits the *descriptors* and no others.

    GROUP is blocked in it until it has its handlers: a Ctrl-C while it begins must not end it with a traceback. Raises
    OSError.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP)
    try:
        return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, pass_fds=list(descriptors))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def allow_all_files() -> None:
    """Allow this process as many open files as it may have; what it starts is allowed what it was itself, before."""
    if hasattr(resource, "prlimit"):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (_LIMITS[1], _LIMITS[1]))


def _start() -> Started:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    arguments = command(str(theirs.fileno()), str(os.getpid()))
    try:
        with theirs:
            popen = launch(arguments, [theirs.fileno()])
    except BaseException:
        ours.close()
        raise
    # Not lowered here and raised again: what is open already could leave no number below for Popen's own pipe.
    _limit_files(popen.pid)
    return Started(popen, ours)


def _limit_files(pid: int) -> None:
    """Before it is told what to import: the application is not to find a limit that is not its own."""
    if hasattr(resource, "prlimit"):
        with contextlib.suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, _LIMITS)
