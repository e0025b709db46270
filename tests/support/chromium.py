"""A real browser without a window, told what to do over two pipes.

The Chrome DevTools Protocol is JSON; with --remote-debugging-pipe each message ends with a zero byte, so nothing needs
to be installed to speak it but the browser. Laws: no host but 127.0.0.1 resolves; everything it writes is in a folder
that is removed. Start at open_page.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import Any

from tests.support.places import short_directory
from tests.support.process import PATIENCE

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--lang=en",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--window-size=900,900", "--remote-debugging-pipe",
)  # fmt: skip


class _Line:
    """The two pipes, shared by all tabs; *orders* is written to, *replies* read from: the browser's 3 and 4."""

    def __init__(self, orders: int, replies: int) -> None:
        self._orders = orders
        self._replies = replies
        self._received = bytearray()
        self._number = 0
        self._events: list[tuple[str, str]] = []

    def order(self, session: str, method: str, **parameters: Any) -> dict[str, Any]:
        """Have it done, in the tab of *session*, or by the browser; its events from then on are kept."""
        self._events = [event for event in self._events if event[0] != session]
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        os.write(self._orders, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while (reply := self._next()).get("id") != self._number:
            self._keep(reply)
        assert "error" not in reply, (method, reply)
        result: dict[str, Any] = reply["result"]
        return result

    def wait_for(self, session: str, event: str) -> None:
        """Until the tab has told of it, since it was given its last order."""
        while (session, event) not in self._events:
            self._keep(self._next())

    def _keep(self, message: dict[str, Any]) -> None:
        self._events.append((message.get("sessionId", ""), message.get("method", "")))

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while (end := self._received.find(0)) < 0:
            readable, _, _ = select([self._replies], [], [], max(0.0, deadline - time.monotonic()))
            assert readable, "the browser does not answer"
            data = os.read(self._replies, 1 << 16)
            assert data, "the browser has ended"
            self._received += data
        message: dict[str, Any] = json.loads(self._received[:end])
        del self._received[: end + 1]
        return message


class Page:
    """One tab, in a window of its own: none is hidden behind another."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._target = line.order("", "Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        self._session = line.order("", "Target.attachToTarget", targetId=self._target, flatten=True)["sessionId"]
        self._order("Page.enable")

    def open_another(self) -> "Page":
        """Of the same browser."""
        return Page(self._line)

    def close(self) -> None:
        """This one only."""
        self._line.order("", "Target.closeTarget", targetId=self._target)

    def go(self, url: str) -> None:
        """Open *url* and wait until it is loaded."""
        self._order("Page.navigate", url=url)
        self._await_load()

    def reload(self) -> None:
        """As F5 does."""
        self._order("Page.reload")
        self._await_load()

    def click(self, script: str) -> None:
        """Evaluate *script*, which leads to another page, and wait until that is loaded."""
        self.evaluate(script)
        self._await_load()

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        outcome = self._order("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in outcome, outcome
        return outcome["result"].get("value")

    def photograph(self, file: Path) -> None:
        """Save what is seen as a PNG."""
        file.write_bytes(base64.b64decode(self._order("Page.captureScreenshot")["data"]))

    def leave(self) -> None:
        """Close the whole browser, which takes its processes and their files with it."""
        self._line.order("", "Browser.close")

    def _order(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._line.order(self._session, method, **parameters)

    def _await_load(self) -> None:
        self._line.wait_for(self._session, "Page.loadEventFired")


@contextmanager
def open_page() -> Iterator[Page]:
    """Start the browser for the block."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert program, "chromium is not installed; apt-get install chromium, or let `make test` do it"
    theirs_in, orders = os.pipe()
    replies, theirs_out = os.pipe()
    with short_directory() as directory:
        # The shell gives the two pipes the numbers that the browser expects.
        script = f'exec "$@" 3</dev/fd/{theirs_in} 4>/dev/fd/{theirs_out}'
        browser = subprocess.Popen(
            ["sh", "-c", script, "sh", program, *OPTIONS, f"--user-data-dir={directory}/profile"],
            pass_fds=(theirs_in, theirs_out), start_new_session=True, env={**os.environ, "HOME": str(directory)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            page = Page(_Line(orders, replies))
            yield page
            page.leave()
            browser.wait(PATIENCE)
        finally:
            _kill(browser)
            os.close(orders)
            os.close(replies)


def _kill(browser: subprocess.Popen[bytes]) -> None:
    """What has not left by itself; its children are in its group."""
    try:
        os.killpg(browser.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    browser.wait()
