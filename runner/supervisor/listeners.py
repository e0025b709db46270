"""The listening sockets: bind, adopt, give back.

They belong to the supervisor and stay open across every reload, so a connection that nobody accepts yet waits in the
kernel's queue and is never refused.

Laws: a socket file is taken over only from a dead owner (a lock beside it decides, not a guess), is never world-open
for a moment (mode, then bind), and is removed at the end only if it is still ours. Names and inherited descriptors
follow sd_listen_fds(3); a listening socket on descriptor 0 is FastCGI 1.0 section 2.2.
"""

from __future__ import annotations

import grp
import ipaddress
import os
import pwd
import socket
from collections.abc import Mapping
from typing import NamedTuple

from runner.addresses import Address, parse_address
from runner.errors import BootError
from runner.process.standard_streams import is_listening
from runner.settings import Settings
from runner.supervisor import unix_socket
from runner.supervisor.unix_socket import TakenError

_FIRST = 3
"""The first descriptor of systemd's socket activation."""


class Listener(NamedTuple):
    """A bound socket and the front that speaks on it ("fastcgi" or "http").

    *peers*: the only addresses that may connect, e.g. ("127.0.0.1",); empty for anybody.
    """

    sock: socket.socket
    front: str
    text: str
    lock: int | None = None
    peers: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """For people: "http://127.0.0.1:8000/" or "unix:/run/shop.sock (FastCGI)"."""
        if self.front == "http" and ":/" not in self.text:
            return f"http://{self.text}/"
        return f"{self.text} ({self.front})"


def open_listeners(settings: Settings, environ: Mapping[str, str], *, explicit: bool) -> list[Listener]:
    """Bind everything *settings* name, or adopt what was inherited if no address was given (*explicit* false).

    Raises BootError, with nothing left open or on disk.
    """
    peers = parse_peers(environ.get("FCGI_WEB_SERVER_ADDRS", ""))
    opened: list[Listener] = []
    try:
        if not explicit:
            opened = _inherited(environ)
        if not opened:
            for front, addresses in (("fastcgi", settings.fastcgi), ("http", settings.http)):
                for text in addresses:
                    opened.append(_open(front, text, parse_address(text, settings.chdir), settings))
    except BaseException:
        close_listeners(opened)
        raise
    return [each._replace(peers=peers) if _is_for(peers, each) else each for each in opened]


def parse_peers(text: str) -> tuple[str, ...]:
    """The addresses of FCGI_WEB_SERVER_ADDRS, "127.0.0.1,10.0.0.7"; IPv6 ones are understood as well.

    Raises BootError: a list nobody understands must not become "anybody". FastCGI 1.0 section 3.2.
    """
    try:
        return tuple(str(ipaddress.ip_address(each.strip())) for each in text.split(",")) if text else ()
    except ValueError as error:
        raise BootError(f"FCGI_WEB_SERVER_ADDRS: {error}; write for example 127.0.0.1,10.0.0.7, or unset it") from error


def _is_for(peers: tuple[str, ...], listener: Listener) -> bool:
    # A unix socket has its own guard, the mode of its file, and its peers no address (php-fpm's reading of the rule).
    return bool(peers) and listener.front == "fastcgi" and listener.sock.family != socket.AF_UNIX


def close_listeners(listeners: list[Listener]) -> None:
    """Close, and remove the socket files that are still ours."""
    for listener in listeners:
        listener.sock.close()
        if listener.lock is not None:
            unix_socket.remove(listener.text.removeprefix("unix:"), listener.lock)


def _inherited(environ: Mapping[str, str]) -> list[Listener]:
    found = []
    if environ.get("LISTEN_PID", str(os.getpid())) == str(os.getpid()) and environ.get("LISTEN_FDS", "").isdigit():
        names = environ.get("LISTEN_FDNAMES", "").split(":")
        for index in range(int(environ["LISTEN_FDS"])):
            front = "http" if names[index : index + 1] == ["http"] else "fastcgi"
            found.append(_adopt(front, _FIRST + index))
    elif is_listening(0):
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
    try:
        sock, lock = unix_socket.open_at(
            path,
            mode=settings.socket_mode,
            backlog=settings.backlog,
            prepare=lambda file: _give_away(file, settings),
        )
    except TakenError as error:
        raise BootError(f"unix:{path} {error}, or choose another path") from error
    except OSError as error:
        raise BootError(f"cannot listen on unix:{path}: {error.strerror}; {_remedy(error)}") from error
    return Listener(sock, front, f"unix:{path}", lock)


def _give_away(path: str, settings: Settings) -> None:
    if settings.socket_owner or settings.socket_group:
        try:
            owner = pwd.getpwnam(settings.socket_owner).pw_uid if settings.socket_owner else -1
            group = grp.getgrnam(settings.socket_group).gr_gid if settings.socket_group else -1
        except KeyError as error:
            raise BootError(f"{error.args[0]}; check --socket-owner and --socket-group") from error
        os.chown(path, owner, group)


def _adopt(front: str, descriptor: int) -> Listener:
    if not is_listening(descriptor):
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
        case 17 | 20 | 21 | 40:
            return "choose another path"
    return "check the address"
