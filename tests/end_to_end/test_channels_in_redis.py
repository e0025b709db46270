"""Channels in a Redis, served for real: what one machine's application publishes, another one's hears, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.test_channels_in_memory import FILES, Listener, publish
from tests.support import redis
from tests.support.project import edit
from tests.support.redis import RedisServer
from tests.support.runner_process import Served
from tests.support.trouble import until


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """It keeps what it has acknowledged."""
    with redis.run("appendonly", "yes", "appendfsync", "always") as found:
        yield found


def serve(runner: Runner, directory: Path, url: str) -> Served:
    """One machine."""
    return runner(
        directory, "app:main", "--mount", "/live=live:app", "--channels", url, "--on-change", "hold",
        "--graceful-timeout", "500ms",
    )  # fmt: skip


def test_every_message_is_heard_once_on_another_machine(
    server: RedisServer, project: Project, runner: Runner
) -> None:
    """Over edits of both, and though the Redis is killed."""
    one, other = (serve(runner, project(FILES), server.url) for _ in range(2))
    listener = Listener(other)
    try:
        until("it listens", lambda: listener.times, live=other)
        for number in range(90):
            publish(one, number)
            if number % 30 == 10:
                edit(project({}) / "module.py", f"VALUE = {number}\n")
            elif number % 30 == 20:
                server.kill()
                server.start()
        until("all is heard", lambda: len(listener.heard) >= 90, live=other)
    finally:
        listener.close()
    assert [number for number, _ in listener.heard] == list(range(90))


def test_a_password_is_in_no_line(server: RedisServer, project: Project, runner: Runner) -> None:
    """It is the wrong one, and everybody says so, in the log of whoever only listens too."""
    silent = "def main(environ, start_response):\n    start_response('200 OK', [])\n    return [b'hello']\n"
    served = serve(runner, project(FILES | {"app.py": silent}), server.url.replace("redis://", "redis://:secret@"))
    listener = Listener(served)
    try:
        served.wait_for("nothing is heard: .*refuses the name or the password")
    finally:
        listener.close()
    assert "secret" not in served.output.partition("\n")[2]  # after the command line
