"""The listening sockets: bind, adopt, give back.

They belong to the supervisor and stay open across every reload, so a connection that nobody accepts yet waits in the
kernel's queue and is never refused.

Laws: a socket file is taken over only from a dead owner (a lock beside it decides, not a guess), is never world-open
for a moment (mode, then bind), and is removed at the end only if it is still ours. Names and inherited descriptors
follow sd_listen_fds(3); a listening socket on descriptor 0 is FastCGI 1.0 section 2.2.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import os
import pwd
import socket
import stat
from collections.abc import Mapping
from typing import NamedTuple

from runner.errors import BootError
from runner.settings import Address, Settings, parse_address

_FIRST = 3
"""The first descriptor of systemd's socket activation."""


class Listener(NamedTuple):
    """A bound socket and the front that speaks on it ("fastcgi" or "http")."""

    sock: socket.socket
    front: str
    text: str
    lock: int | None = None

    @property
    def address(self) -> str:
        """For people: "http://127.0.0.1:8000/" or "unix:/run/shop.sock (FastCGI)"."""
        return f"http://{self.text}/" if self.front == "http" and ":/" not in self.text else f"{self.text} ({self.front})"


def open_listeners(settings: Settings, environ: Mapping[str, str], *, explicit: bool) -> list[Listener]:
    """Bind everything *settings* name, or adopt what was inherited if no address was given (*explicit* false).

    Raises BootError, with nothing left open or on disk.
    """
    opened: list[Listener] = []
    try:
        if not explicit:
            opened = _inherited(environ)
            if opened:
                return opened
        for front, addresses in (("fastcgi", settings.fastcgi), ("http", settings.http)):
            for text in addresses:
                opened.append(_open(front, text, parse_address(text, settings.chdir), settings))
    except BaseException:
        close_listeners(opened)
        raise
    return opened


def close_listeners(listeners: list[Listener]) -> None:
    """Close, and remove the socket files that are still ours."""
    for listener in listeners:
        listener.sock.close()
        if listener.lock is not None:
            path = listener.text.removeprefix("unix:")
            with contextlib.suppress(OSError):
                # The lock is still held, so nobody else can have bound this name meanwhile.
                if stat.S_ISSOCK(os.lstat(path).st_mode):
                    os.unlink(path)
                os.unlink(path + ".lock")
            os.close(listener.lock)


def _inherited(environ: Mapping[str, str]) -> list[Listener]:
    found = []
    if environ.get("LISTEN_PID", str(os.getpid())) == str(os.getpid()) and environ.get("LISTEN_FDS", "").isdigit():
        names = environ.get("LISTEN_FDNAMES", "").split(":")
        for index in range(int(environ["LISTEN_FDS"])):
            front = "http" if names[index : index + 1] == ["http"] else "fastcgi"
            found.append(_adopt(front, _FIRST + index))
    elif _is_listening(0):
        found.append(_adopt("fastcgi", 0))
    return found


def _open(front: str, text: str, address: Address, settings: Settings) -> Listener:
    if address.kind == "fd":
        return _adopt(front, address.number)
    if address.kind == "unix":
        return _bind_unix(front, address.path, settings)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address.host, address.port))
        sock.listen(settings.backlog)
    except OSError as error:
        sock.close()
        raise BootError(f"cannot listen on {text}: {error.strerror}; {_remedy(error)}") from error
    host, port = sock.getsockname()[:2]
    return Listener(sock, front, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _bind_unix(front: str, path: str, settings: Settings) -> Listener:
    lock = _lock(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    beside = f"{path}.{os.getpid()}"
    try:
        _refuse_others(path)
        # On Linux the file takes its mode from the unbound socket, so it is never open wider than asked.
        os.fchmod(sock.fileno(), settings.socket_mode)
        before = os.umask(0o777 & ~settings.socket_mode)
        try:
            sock.bind(beside if len(os.fsencode(beside)) < 108 else path)
        finally:
            os.umask(before)
        if os.path.exists(beside):
            _give_away(beside, settings)
            os.rename(beside, path)
        else:
            _give_away(path, settings)
        sock.listen(settings.backlog)
    except OSError as error:
        sock.close()
        os.close(lock)
        raise BootError(f"cannot listen on unix:{path}: {error.strerror}; {_remedy(error)}") from error
    except BootError:
        sock.close()
        os.close(lock)
        raise
    return Listener(sock, front, f"unix:{path}", lock)


def _lock(path: str) -> int:
    """Hold the right to the name *path*; the kernel gives it back whatever way we end."""
    try:
        descriptor = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BootError(f"cannot listen on unix:{path}: {error.strerror}; {_remedy(error)}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise BootError(f"unix:{path} is already served by process {owner}; stop it, or choose another path") from error
    try:
        same = os.stat(path + ".lock").st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        same = False
    if not same:
        # Its last owner removed the file between our open and our lock: what we hold is a name nobody else sees.
        os.close(descriptor)
        return _lock(path)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _refuse_others(path: str) -> None:
    """Only a dead socket may be replaced: never a file, a directory, a link, or a socket somebody answers on."""
    try:
        seen = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(seen.st_mode):
        raise BootError(f"{path} exists and is not a socket; remove it yourself, or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return
        except OSError:
            pass
    raise BootError(f"unix:{path} is already served by another program; stop it, or choose another path")


def _give_away(path: str, settings: Settings) -> None:
    if settings.socket_owner or settings.socket_group:
        try:
            owner = pwd.getpwnam(settings.socket_owner).pw_uid if settings.socket_owner else -1
            group = grp.getgrnam(settings.socket_group).gr_gid if settings.socket_group else -1
        except KeyError as error:
            raise BootError(f"{error.args[0]}; check --socket-owner and --socket-group") from error
        os.chown(path, owner, group)


def _adopt(front: str, descriptor: int) -> Listener:
    if not _is_listening(descriptor):
        raise BootError(f"descriptor {descriptor} is not a listening socket; it must be bound and listening already")
    os.set_inheritable(descriptor, False)
    sock = socket.socket(fileno=os.dup(descriptor) if descriptor < _FIRST else descriptor)
    if descriptor < _FIRST:
        # Whatever the application reads from its standard input must not be the listening socket.
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, descriptor)
        os.close(null)
    path = _path(sock)
    name = f"unix:{path}" if path else ":".join(str(part) for part in sock.getsockname()[:2])
    return Listener(sock, front, name or f"fd://{descriptor}")


def _is_listening(descriptor: int) -> bool:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


def _path(sock: socket.socket) -> str:
    name = sock.getsockname() if sock.family == socket.AF_UNIX else ""
    return os.fsdecode(name) if isinstance(name, str | bytes) else ""


def _remedy(error: OSError) -> str:
    match error.errno:
        case 98:
            return "something else listens there; stop it or choose another port"
        case 13 | 1:
            return "choose a port above 1023 or a directory you may write to"
        case 2:
            return "create the directory first"
    return "check the address"
