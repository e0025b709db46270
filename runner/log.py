"""Lines on standard error, one event each.

Not the standard library's logging: an application that configures that with its usual defaults disables every logger
that existed before, ours included, and an application's own configuration is not ours to share.

Laws: a line is one write, at most LINE bytes, with every control character escaped, so that nothing a client sends can
forge a second line or move a cursor; a disk that is full costs the line, which is counted, never the request.
Start at Log.
"""

from __future__ import annotations

import json
import os
import re
import time

LEVELS = ("debug", "info", "warning", "error")
LINE = 1024
"""Bytes of a line; a traceback is one line each."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_QUIET = 60.0


class Log:
    """Where one process writes.

    *who* is the process in the reader's words, e.g. "worker 2"; *level* one of LEVELS; *style* "text" or "json".
    """

    def __init__(self, who: str, level: str = "info", style: str = "text", descriptor: int = 2) -> None:
        self.who = who
        self.lost = 0
        self._threshold = LEVELS.index(level)
        self._json = style == "json"
        self._descriptor = descriptor
        self._heard: dict[str, float] = {}

    def debug(self, message: str) -> None:
        """For somebody who looks for a fault of the runner itself."""
        self._write("debug", message)

    def info(self, message: str) -> None:
        """The normal course: started, reloaded, stopped."""
        self._write("info", message)

    def warning(self, message: str) -> None:
        """Something is not as it should be and goes on all the same."""
        self._write("warning", message)

    def error(self, message: str) -> None:
        """Something failed; *message* may have several lines (a traceback), each becomes one."""
        for line in message.rstrip("\n").split("\n"):
            self._write("error", line)

    def once_a_minute(self, kind: str, message: str) -> None:
        """A warning that whoever is at the other end can cause at will: said once a minute for each *kind*."""
        now = time.monotonic()
        if now - self._heard.get(kind, -_QUIET) >= _QUIET:
            if len(self._heard) > 100:
                self._heard.clear()
            self._heard[kind] = now
            self._write("warning", message)

    def _write(self, level: str, message: str) -> None:
        if LEVELS.index(level) < self._threshold:
            return
        lost, self.lost = self.lost, 0
        if lost:
            message += f" ({lost} lines before this one could not be written)"
        try:
            os.write(self._descriptor, self._line(level, message))
        except OSError:
            self.lost = lost + 1

    def _line(self, level: str, message: str) -> bytes:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        if self._json:
            return self._object(stamp, level, message[:LINE])
        text = f"{stamp} {self.who}: {'' if level == 'info' else level + ': '}{escape(message[:LINE])}"
        raw = text.encode("utf-8", "backslashreplace")[: LINE - 1]
        return raw.decode("utf-8", "ignore").encode() + b"\n"

    def _object(self, stamp: str, level: str, message: str) -> bytes:
        """One line of JSON. The message is cut before it is encoded: half an escape would make the line unreadable."""
        while True:
            line = json.dumps({"time": stamp, "level": level, "process": self.who, "message": message}).encode() + b"\n"
            if len(line) <= LINE:
                return line
            # A character takes at most 12 bytes here (a surrogate pair), so this many must go.
            message = message[: len(message) - (len(line) - LINE + 11) // 12]


def escape(text: str) -> str:
    """*text* with every character that could end a line or command a terminal written as \\xNN."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
