"""A fresh interpreter for the application: what it hears, when it ends, how it is furnished before the first import.

Law: nothing of the application runs here. Its parent's death ends it (PR_SET_PDEATHSIG, prctl(2)) as long as it is
importing and cannot listen. How it is started: launch.py.
"""

from __future__ import annotations

import contextlib
import ctypes
import grp
import os
import pwd
import signal
import sys
from typing import NamedTuple

from runner.errors import BootError, UsageError
from runner.process.launch import GROUP
from runner.settings import Settings

_PDEATHSIG = 1


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
