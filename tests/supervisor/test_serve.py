"""What belongs to the supervisor is opened in order and closed whatever happens."""

from contextlib import ExitStack
from pathlib import Path

from tests.conftest import Project, Runner
from tests.support.client import Conversation
from tests.support.project import edit
from tests.support.runner_process import PYTHON
from tests.support.trouble import until

APP = "def main(environ, start_response):\n    start_response('200 OK', [])\n    return [b'']\n"


def test_nothing_is_left_after_the_end(project: Project, runner: Runner, sockets: Path) -> None:
    """Socket, lock, pid file and control socket go with the supervisor."""
    served = runner(project({"app.py": APP}), "app:main", "--fastcgi", f"unix:{sockets}/app.sock",
                    "--pid-file", f"{sockets}/app.pid")  # fmt: skip
    assert {path.name for path in sockets.iterdir()} >= {"app.sock", "app.pid"}
    assert served.stop() == 0
    assert list(sockets.iterdir()) == []
    assert not served.control.exists()


def test_a_start_that_fails_late_gives_back_what_it_had(project: Project, runner: Runner, sockets: Path) -> None:
    """The second address is bad, so the first one's socket goes again; the exit code is 3."""
    missing = sockets / "missing" / "app.sock"
    served = runner(project({"app.py": APP}), "app:main", "--fastcgi", f"unix:{sockets}/app.sock",
                    "--fastcgi", f"unix:{missing}", "--pid-file", f"{sockets}/app.pid", ready=False)  # fmt: skip
    assert served.wait(10) == 3
    assert "create the directory first" in served.output
    assert list(sockets.iterdir()) == []


LIMITS = """
import os, resource
VERSION = 1
def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %d" % (VERSION, resource.getrlimit(resource.RLIMIT_NOFILE)[0])]
"""


def test_more_connections_change_hands_than_the_application_may_have_files(
    project: Project, runner: Runner, tmp_path: Path
) -> None:
    """Each passes through the supervisor, which allows itself what it may; what it starts has the limit of before."""
    directory = project({"app.py": LIMITS})
    limited = tmp_path / "python"
    limited.write_text(f'#!/bin/sh\nulimit -Sn 256 && exec {PYTHON} "$@"\n')
    limited.chmod(0o755)
    served = runner(directory, "app:main", "--keep-alive", "60s", python=limited)
    with ExitStack() as leaving:
        clients = [leaving.enter_context(Conversation(served.http)) for _ in range(220)]

        def ask() -> set[str]:
            answers = set()
            for client in clients:
                client.request("POST", "/", body=b"x")
                answers.add(client.reply().text)
            return answers

        assert ask() == {"1 256"}
        edit(directory / "app.py", LIMITS.replace("VERSION = 1", "VERSION = 2"))
        served.wait_for("generation 2 in")
        until("the new code has them all", lambda: ask() == {"2 256"}, live=served)


def test_a_target_that_is_not_there_is_a_usage_error(project: Project, runner: Runner) -> None:
    """At the first start only: exit code 2, one line, the nearest name."""
    served = runner(project({"shop.py": APP}), "shap:main", ready=False)
    assert served.wait(10) == 2
    assert "did you mean shop?" in served.output
