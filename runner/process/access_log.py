"""One line for each request, when it is over.

Laws: a line is one write to a file opened for appending, so lines of several workers never mix; what a client sends is
escaped (text) or encoded (JSON) and cannot forge a field; a full disk costs lines, which are counted, never requests.
"""

from __future__ import annotations

import json
import os
import time
from urllib.parse import quote

from runner.log import escape
from runner.request import Request
from runner.settings import Settings

_MODE = 0o640


class AccessLog:
    """Where the lines go: a file, standard output ("-"), or nowhere."""

    def __init__(self, settings: Settings, generation: int) -> None:
        self.wanted = settings.access_log is not None
        self.lost = 0
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
        except OSError:
            self.lost += 1
            return
        if before > 2:
            os.close(before)

    def write(self, request: Request, status: int, sent: int, slot: int) -> None:
        """Write the line of *request*: *status* and body bytes *sent*, answered by the worker of *slot*."""
        took = time.monotonic() - request.began
        line = self._encode(request, status, sent, took, slot)
        try:
            os.write(self._descriptor, line)
        except OSError:
            self.lost += 1

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
        client = variables.get("REMOTE_ADDR") or "-"
        user = variables.get("REMOTE_USER") or "-"
        first = f"{request.method} {target} {variables.get('SERVER_PROTOCOL', '')}"
        quoted = [_quote(text) for text in (first, variables.get("HTTP_REFERER", "-"), variables.get("HTTP_USER_AGENT", "-"))]
        text = f"{escape(client)} - {escape(user)} [{stamp}] {quoted[0]} {status} {sent} {quoted[1]} {quoted[2]} {took:.6f}"
        return text.encode("utf-8", "backslashreplace") + b"\n"


def _quote(text: str) -> str:
    return '"' + escape(text[:2000]).replace('"', '\\"') + '"'
