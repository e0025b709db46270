"""One line for each request, when it is over.

Laws: a line is one write to a file opened for appending, so lines of several workers never mix; what a client sends is
escaped (text) or encoded (JSON) and cannot forge a field; a full disk costs lines, which are counted, never requests.
"""

from __future__ import annotations

import json
import os
import re
import time
from urllib.parse import quote

from runner.log import Log, escape
from runner.request import Request
from runner.settings import Settings

_MODE = 0o640
_SPACE = re.compile(r"\s")


class AccessLog:
    """Where the lines go: a file, standard output ("-"), or nowhere."""

    def __init__(self, settings: Settings, generation: int, log: Log) -> None:
        self.wanted = settings.access_log is not None
        self.lost = 0
        self._log = log
        self._torn = False
        self._path = settings.access_log or ""
        self._json = settings.log_format == "json"
        self._generation = generation
        self._descriptor = -1
        self.reopen()

    def reopen(self) -> None:
        """Open the path again, for whoever moved the file away; nothing is lost in between."""
        if not self.wanted:
            return
        if self._path == "-":
            self._descriptor = 1
            return
        before = self._descriptor
        try:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        except OSError as error:
            self._log.once_a_minute("access log", f"cannot open --access-log {self._path}: {error.strerror}")
            return
        if before > 2:
            os.close(before)

    def close(self) -> None:
        """Nothing more will be written."""
        if self._descriptor > 2:
            os.close(self._descriptor)
            self._descriptor = -1

    def write(self, request: Request, status: int, sent: int, slot: int) -> None:
        """Write the line of *request*: *status* and body bytes *sent*, answered by the worker of *slot*."""
        took = time.monotonic() - request.began
        line = self._encode(request, status, sent, took, slot)
        if self._torn:
            # The last line was cut by a full disk; this one must not become its end.
            line = b"\n" + line
        try:
            self._torn = os.write(self._descriptor, line) < len(line)
        except OSError as error:
            self._lose(error.strerror or "")
        else:
            if self._torn:
                self._lose("no room for a whole line")

    def _lose(self, reason: str) -> None:
        self.lost += 1
        self._log.once_a_minute("access line", f"--access-log {self._path}: {reason}; {self.lost} lines lost so far")

    def _encode(self, request: Request, status: int, sent: int, took: float, slot: int) -> bytes:
        variables = request.variables
        target = variables.get("REQUEST_URI") or quote(request.path.encode("latin-1"))
        if self._json:
            fields = {
                "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "client": variables.get("REMOTE_ADDR", ""),
                "method": request.method,
                "target": target,
                "protocol": variables.get("SERVER_PROTOCOL", ""),
                "status": status,
                "bytes": sent,
                "seconds": round(took, 6),
                "referer": variables.get("HTTP_REFERER", ""),
                "agent": variables.get("HTTP_USER_AGENT", ""),
                "worker": slot,
                "generation": self._generation,
            }
            return json.dumps(fields).encode() + b"\n"
        stamp = time.strftime("%d/%b/%Y:%H:%M:%S %z")
        client = _bare(variables.get("REMOTE_ADDR") or "-")
        user = _bare(variables.get("REMOTE_USER") or "-")
        first = _quote(f"{request.method} {target} {variables.get('SERVER_PROTOCOL', '')}")
        referer, agent = _quote(variables.get("HTTP_REFERER", "-")), _quote(variables.get("HTTP_USER_AGENT", "-"))
        text = f"{client} - {user} [{stamp}] {first} {status} {sent} {referer} {agent} {took:.6f}"
        return text.encode("utf-8", "backslashreplace") + b"\n"


def _quote(text: str) -> str:
    """In quotes, which nothing inside can end; backslashes first, or one before a quote would free it."""
    return '"' + escape(text[:2000].replace("\\", "\\\\")).replace('"', '\\"') + '"'


def _bare(text: str) -> str:
    """A field without quotes ends at a space, so it must not have one."""
    return _SPACE.sub(lambda match: f"\\x{ord(match[0]):02x}", escape(text[:200]))
