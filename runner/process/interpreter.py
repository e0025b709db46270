"""A fresh interpreter for the application: how it is started, and how it is furnished before the first import.

exec, not fork: what the supervisor has imported must not be what the application finds imported already, and a start
from a known-clean interpreter is the one that every later start repeats.

Laws: nothing of the application runs here; the started process inherits the named descriptors and no others. Its
parent's death ends it (PR_SET_PDEATHSIG, prctl(2)) as long as it is importing and cannot listen.
"""

from __future__ import annotations

import contextlib
import ctypes
import grp
import os
import pwd
import resource
import signal
import subprocess
import sys
from collections.abc import Iterable
from typing import NamedTuple

import runner
from runner.errors import BootError, UsageError
from runner.settings import Settings

HOME = os.path.dirname(os.path.dirname(os.path.abspath(runner.__file__)))

_ENTRY = f"""import sys
sys.path.insert(0, {HOME!r})
from runner.generation import loop as generation
del sys.path[0]
generation.main()
"""
"""With -P nothing of the current directory can be imported in place of the runner's own modules, whatever it is called;
the application's directory is put first on sys.path when ours are there."""

_PDEATHSIG = 1
_LIMITS = resource.getrlimit(resource.RLIMIT_NOFILE)
"""How many open files this process was allowed when it began, and how many it may allow itself."""

GROUP = (
    signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN,
    signal.SIGTTOU,
)  # fmt: skip
"""Signals that a terminal or a service manager may send to the supervisor's whole group."""


def command(*arguments: str) -> list[str]:
    """The command line of a generation."""
    return [sys.executable, "-P", "-c", _ENTRY, *arguments]


def start(descriptors: Iterable[int], control: int) -> subprocess.Popen[bytes]:
    """Start a generation that finds its channel on descriptor *control*. Raises OSError (no process, no memory)."""
    popen = launch(command(str(control), str(os.getpid())), [control, *descriptors])
    # Not lowered here and raised again: what is open already could leave no number below for Popen's own pipe.
    _limit_files(popen.pid)
    return popen


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


def _limit_files(pid: int) -> None:
    """Before it is told what to import: the application is not to find a limit that is not its own."""
    if hasattr(resource, "prlimit"):
        with contextlib.suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, _LIMITS)


def leave_signals_to(parent: int) -> None:
    """In the started process: what the group hears is for the supervisor, process *parent*, to obey; die with it.

    A handler, not SIG_IGN, which programs started by the application would inherit.
    """
    for number in GROUP:
        signal.signal(number, _ignore)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP)
    die_with_parent(True)
    if os.getppid() != parent:
        os._exit(0)


def die_with_parent(yes: bool) -> None:
    """Ask the kernel to end this process when its parent ends, or no longer. It forgets that when the user changes."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PDEATHSIG, int(signal.SIGKILL) if yes else 0)


def become_subreaper() -> None:
    """Have orphans of this process's descendants reparented here, so that none is left behind unseen."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(36, 1)


def furnish(settings: Settings) -> None:
    """Directory, environment, umask, user and sys.path, as the settings want them.

    Raises UsageError or BootError.
    """
    try:
        os.chdir(settings.chdir)
    except OSError as error:
        raise UsageError(f"cannot enter {settings.chdir}: {error.strerror}; check --chdir") from error
    if settings.env_file:
        os.environ.update(read_env_file(settings.env_file))
    if settings.umask is not None:
        os.umask(settings.umask)
    drop_privileges(settings.user, settings.group)
    die_with_parent(True)
    sys.path.insert(0, settings.chdir)
    sys.argv = ["runner", "serve", settings.target]


def read_env_file(path: str) -> dict[str, str]:
    """NAME=value lines; comments, blank lines, an `export ` before the name and quotes around the value are allowed.

    Raises UsageError, naming the line.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read --env-file {path}: {error}") from error
    found = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name.isidentifier():
            # The line itself may hold a secret, so only its number is told.
            raise UsageError(f"{path}:{number} is not of the form NAME=value")
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[name] = value
    return found


class Identity(NamedTuple):
    """Whom a process is to become: *account* is its user's, None if that stays."""

    account: pwd.struct_passwd | None
    group: int

    def numbers(self) -> list[int]:
        """The user, the group, and all others that the user is in."""
        if self.account is None:
            return [os.geteuid(), self.group, *os.getgroups()]
        return [self.account.pw_uid, self.group, *os.getgrouplist(self.account.pw_name, self.group)]


def identify(user: str | None, group: str | None) -> Identity | None:
    """None if neither is another one. Raises BootError: there is no such user or group."""
    if user is None and group is None:
        return None
    try:
        account = pwd.getpwnam(user) if user else None
        return Identity(account, grp.getgrnam(group).gr_gid if group else account.pw_gid if account else os.getgid())
    except KeyError as error:
        raise BootError(f"{error.args[0]}; check --user and --group") from error


def drop_privileges(user: str | None, group: str | None) -> None:
    """Become *user* and *group* for good. Raises BootError if that is not possible."""
    identity = identify(user, group)
    if identity is None:
        return
    account = identity.account
    try:
        if account is not None and os.geteuid() == 0:
            os.initgroups(account.pw_name, identity.group)
        if identity.group != os.getegid():
            os.setgid(identity.group)
        if account is not None and account.pw_uid != os.geteuid():
            os.setuid(account.pw_uid)
            os.environ.update(HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name)
    except OSError as error:
        raise BootError(f"cannot become {user or ''}:{group or ''}: {error.strerror}; start as root") from error


def _ignore(number: int, frame: object) -> None:
    """Wakes whoever waits; the rest is said by messages."""
