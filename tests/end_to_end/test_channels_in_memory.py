"""Channels in memory, served for real: what a WSGI application publishes its ASGI neighbour hears, once.

Whatever is edited or killed meanwhile.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import Any

import pytest

from runner.process import lifeline
from tests.conftest import Project, Runner
from tests.support.client import Conversation, Truncated, fetch
from tests.support.process import PATIENCE
from tests.support.project import edit
from tests.support.runner_process import Served
from tests.support.trouble import alive, descendants, ready_pids, report, until

FILES = {
    "app.py": """
        import module
        from runner import channels

        FIRST = channels.publish_sync("imports", module.VALUE)

        def main(environ, start_response):
            number = environ["QUERY_STRING"]
            where = channels.publish_sync("numbers", [int(number), module.VALUE], id=number)
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [str(where).encode()]
        """,
    "live.py": """
        import json, module
        from runner import channels

        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                while True:
                    event = await receive()
                    await send({"type": event["type"] + ".complete"})
                    if event["type"] == "lifespan.shutdown":
                        return
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"begun\\n", "more_body": True})
            async for each in channels.subscribe("numbers", scope["query_string"].decode()):
                data = "resync" if isinstance(each, channels.Resync) else each.data
                line = json.dumps([str(each.position), data]) + "\\n"
                await send({"type": "http.response.body", "body": line.encode(), "more_body": True})
        """,
    "module.py": "VALUE = 0\n",
}


class Listener:
    """Listens in a thread, and comes back from where it was whenever its stream ends. *heard*: [[number, value], …]."""

    def __init__(self, served: Served) -> None:
        self.heard: list[Any] = []
        self.times = 0
        self._served = served
        self._where = "oldest"
        self._done = False
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._done = True
        self._thread.join(PATIENCE)

    def _listen(self) -> None:
        while not self._done:
            try:
                with Conversation(self._served.http) as stream:
                    stream.request("GET", f"/live?{self._where}")
                    self.times += 1
                    self._read(stream)
            except (OSError, Truncated, IndexError):
                time.sleep(0.01)

    def _read(self, stream: Conversation) -> None:
        stream.socket.settimeout(0.05)
        data = b""
        while not self._done:
            try:
                piece = stream.socket.recv(65536)
            except TimeoutError:
                continue
            if not piece:
                return
            *lines, data = (data + piece).split(b"\n")
            for line in lines:
                if line.startswith(b'["'):
                    self._where, each = json.loads(line)
                    self.heard.append(each)


def publish(served: Served, number: int) -> None:
    """Until it is answered: a worker may be killed, which says nothing of what it has done."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            reply = fetch(served.http, f"/?{number}")
        except (OSError, Truncated, IndexError):
            assert time.monotonic() < deadline, served.output
            continue
        assert reply.status == 200, reply.text
        return


@pytest.fixture
def served(project: Project, runner: Runner) -> Served:
    """Two workers, both applications."""
    return runner(
        project(FILES), "app:main", "--mount", "/live=live:app", "--workers", "2", "--on-change", "hold",
        "--graceful-timeout", "500ms",
    )  # fmt: skip


def test_every_message_is_heard_once(served: Served, project: Project) -> None:
    """Over edits, each of which ends all streams, and though workers are killed."""
    directory = project({})
    listener = Listener(served)
    try:
        until("it listens", lambda: listener.times, live=served)
        for number in range(120):
            publish(served, number)
            if number % 40 == 10:
                edit(directory / "module.py", f"VALUE = {number}\n")
            elif number % 40 == 30:
                os.kill(next(iter(ready_pids(served).values())), signal.SIGKILL)
        until("all is heard", lambda: len(listener.heard) >= 120, live=served)
    finally:
        listener.close()
    assert [number for number, _ in listener.heard] == list(range(120))
    assert {value for _, value in listener.heard} == {0, 10, 50, 90}
    assert listener.times > 1
    found = until("the hub has told of itself", lambda: report(served).get("channels") or {}, live=served)
    assert (found["store"], found["channels"]) == ("memory", 2)


def test_publishing_in_the_import_is_no_reason_not_to_fork(served: Served, project: Project) -> None:
    """Nor against checkpoints; each generation has published once."""
    directory = project({})
    publish(served, 1)
    edit(directory / "module.py", "VALUE = 7\n")
    publish(served, 2)
    assert "cannot be forked" not in served.output
    if lifeline.works():
        assert report(served)["checkpoints"]


def test_a_killed_hub_is_told_and_the_service_goes_on(served: Served) -> None:
    """The stream has a Resync in it, no end."""
    publish(served, 1)
    listener = Listener(served)
    try:
        until("it has heard", lambda: listener.heard, live=served)
        hub = until("the hub tells", lambda: report(served).get("channels", {}), live=served)["pid"]
        os.kill(hub, signal.SIGKILL)
        publish(served, 2)
        until("it is told", lambda: "resync" in listener.heard, live=served)
        publish(served, 3)
        until("it goes on", lambda: listener.heard[-1] == [3, 0], live=served)
    finally:
        listener.close()
    assert listener.times == 1
    until("another one tells", lambda: report(served).get("channels", {}).get("pid") not in (None, hub), live=served)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_supervisor(served: Served, number: int) -> None:
    """However it ends; somebody listens, and the hub is one of them."""
    publish(served, 1)
    listener = Listener(served)
    try:
        until("it has heard", lambda: listener.heard, live=served)
        family = descendants(served.pid)
        assert until("the hub tells", lambda: report(served).get("channels", {}), live=served)["pid"] in family
        served.signal(number)
        served.wait()
        until("all have ended", lambda: not alive(family))
    finally:
        listener.close()


def test_without_a_publisher_there_is_no_hub(project: Project, runner: Runner) -> None:
    """Nothing is started before somebody wants it."""
    hello = "def main(environ, start_response):\n    start_response('200 OK', [])\n    return [b'hello']\n"
    served = runner(project({"app.py": hello}), "app:main")
    fetch(served.http, "/")
    assert "channels" not in report(served)
