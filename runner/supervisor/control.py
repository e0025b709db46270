"""What people say to the supervisor: `runner status`, `runner reload`, `runner stop`.

A unix socket in a directory of the user's own; one line of JSON in, one line of JSON out, then the connection closes.

Laws: only the same user and root are answered (SO_PEERCRED, unix(7)); a client that says nothing holds nothing up; a
path that another program put something else at is never removed. Start at Desk (the supervisor's side) or ask (a
person's).
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import stat
import struct
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

from runner.errors import BootError, UsageError
from runner.supervisor import unix_socket
from runner.supervisor.unix_socket import TakenError

_SUFFIX = ".sock"
_LINE = 1 << 20
_BACKLOG = 128
_CLIENTS = 16
_PATIENCE = 10.0
_STARVED = 0.1
"""Seconds to look away when there is no descriptor left; the queue stays readable, so looking on would be a spin."""


class Question(NamedTuple):
    """What one client asked, and how to answer it."""

    command: dict[str, Any]
    client: socket.socket

    def answer(self, report: dict[str, Any]) -> None:
        """Send the answer and close. A client that went away costs nothing."""
        with contextlib.suppress(OSError):
            self.client.settimeout(1.0)
            self.client.sendall(json.dumps(report).encode() + b"\n")
        self.client.close()


class Desk:
    """Where the supervisor listens for people: a context manager. Raises BootError if the place is taken."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._clients: dict[socket.socket, bytes] = {}
        self._away_until = 0.0
        self._selector: selectors.BaseSelector
        self._answer: Callable[[Question], None]
        try:
            self.sock, self._lock = unix_socket.open_at(path, mode=0o600, backlog=_BACKLOG)
        except TakenError as error:
            raise BootError(f"the control socket {path} {error}, or choose another --control") from error
        except OSError as error:
            reason = f"cannot open the control socket {path}: {error.strerror}"
            raise BootError(f"{reason}; choose one by --control") from error
        self.sock.setblocking(False)

    def __enter__(self) -> Desk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def attend(self, selector: selectors.BaseSelector, answer: Callable[[Question], None]) -> None:
        """From now on give each whole question to *answer*, which must answer it, at once or later."""
        self._selector, self._answer = selector, answer
        selector.register(self.sock, selectors.EVENT_READ, self._accept)

    def next_look(self) -> float | None:
        """When `look` has something to do (CLOCK_MONOTONIC)."""
        return self._away_until or None

    def look(self, now: float) -> None:
        """Listen again, if that was given up for a while."""
        if 0.0 < self._away_until <= now:
            self._away_until = 0.0
            self._selector.register(self.sock, selectors.EVENT_READ, self._accept)

    def _accept(self) -> None:
        try:
            client, _ = self.sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError:
            self._away_until = time.monotonic() + _STARVED
            self._selector.unregister(self.sock)
            return
        client.setblocking(False)
        if peer_user(client) not in (os.geteuid(), 0):
            client.close()
            return
        if len(self._clients) >= _CLIENTS:
            # Who has been silent for longest makes room.
            self._dismiss(next(iter(self._clients))).close()
        self._clients[client] = b""
        self._selector.register(client, selectors.EVENT_READ, lambda: self._read(client))

    def _read(self, client: socket.socket) -> None:
        if client not in self._clients:
            return
        try:
            data = client.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._clients[client] += data
        line, end, _ = self._clients[client].partition(b"\n")
        if end:
            self._ask(line, self._dismiss(client))
        elif not data or len(line) > _LINE:
            self._dismiss(client).close()

    def _ask(self, line: bytes, client: socket.socket) -> None:
        try:
            command = json.loads(line)
        except (ValueError, RecursionError):
            command = None
        question = Question(command if isinstance(command, dict) else {}, client)
        if question.command:
            self._answer(question)
        else:
            question.answer({"error": "not a JSON object on one line"})

    def _dismiss(self, client: socket.socket) -> socket.socket:
        del self._clients[client]
        self._selector.unregister(client)
        return client

    def close(self) -> None:
        """Stop listening; the socket file goes if it is still ours."""
        for client in self._clients:
            client.close()
        unix_socket.remove(self.path, self._lock)
        self.sock.close()


def peer_user(sock: socket.socket) -> int:
    """The user id at the other end of a unix socket; -1 where the system does not say."""
    if not hasattr(socket, "SO_PEERCRED"):
        return os.geteuid()
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    user: int = struct.unpack("3i", data)[1]
    return user


def ask(path: str, command: dict[str, Any]) -> dict[str, Any]:
    """Put one question to the supervisor behind *path*. Raises UsageError if nobody answers there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_PATIENCE if not command.get("wait") else None)
        try:
            sock.connect(path)
            if peer_user(sock) not in (os.geteuid(), 0) and os.geteuid() != 0:
                raise UsageError(f"{path} belongs to another user; run this as that user or as root")
            sock.sendall(json.dumps(command).encode() + b"\n")
            with sock.makefile("rb") as file:
                line = file.readline()
        except OSError as error:
            raise UsageError(f"nobody answers at {path} ({error.strerror or error}); is it running?") from error
    try:
        answer: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{path} gave no answer; the runner behind it is ending") from error
    return answer


def runtime_directory() -> str:
    """The user's own directory for control sockets, made if need be with mode 0700. Raises BootError."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isdir(base):
        directory = os.path.join(base, "runner")
    elif os.geteuid() == 0:
        directory = "/run/runner"
    else:
        directory = f"/tmp/runner-{os.geteuid()}"
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        seen = os.lstat(directory)
    except OSError as error:
        raise BootError(f"cannot make {directory}: {error.strerror}; give a path by --control") from error
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
        raise BootError(f"{directory} is not a directory only you may enter; remove it, or give a path by --control")
    return directory


def default_path() -> str:
    """Where a supervisor of this process listens unless told otherwise."""
    return os.path.join(runtime_directory(), f"{os.getpid()}{_SUFFIX}")


def find(directory: str, target: str | None = None) -> str:
    """The control socket of the one runner meant: of *target* if given, else of *directory*, else the only one.

    Raises UsageError that lists what is running.
    """
    running = []
    for name in sorted(os.listdir(runtime_directory())):
        if not name.endswith(_SUFFIX):
            continue
        path = os.path.join(runtime_directory(), name)
        try:
            report = ask(path, {"command": "whoami"})
        except UsageError as error:
            if isinstance(error.__cause__, ConnectionRefusedError):
                # Its owner is dead: nobody else ever binds a name in this directory, and who binds one listens already.
                for dead in (path, path + ".lock"):
                    with contextlib.suppress(OSError):
                        os.unlink(dead)
            continue
        running.append((path, str(report.get("target")), str(report.get("directory"))))
    chosen = [row for row in running if target in (None, row[1])]
    if len(chosen) > 1:
        chosen = [row for row in chosen if os.path.realpath(row[2]) == os.path.realpath(directory)] or chosen
    if len(chosen) == 1:
        return chosen[0][0]
    if not running:
        raise UsageError("no runner is running; start one by: runner serve app:main")
    names = ", ".join(f"{row[1]} in {row[2]} (--control {row[0]})" for row in running)
    raise UsageError(f"{'several runners are' if chosen else 'no such runner is'} running; choose one of: {names}")
