"""What people ask, and the answers."""

from pathlib import Path
from typing import Any

import pytest

from runner.supervisor.control import ask
from tests.conftest import Project, Runner
from tests.support.runner_process import Served
from tests.support.trouble import begin, descriptors, until

APP = """
import os, time
from runner import resources

resources.register("thing", object)

def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] != "/hold":
        return [b"x"]
    options = dict(each.split("=") for each in environ["QUERY_STRING"].split("&") if each)
    resources.open("thing")
    open(options["began"], "w").close()
    while not os.path.exists(options["until"]):
        time.sleep(0.005)
    return [b"held"]
"""


@pytest.fixture
def served(project: Project, runner: Runner) -> Served:
    """A run."""
    return runner(project({"app.py": APP}), "app:main")


@pytest.mark.parametrize("command", [{"command": "dance"}, {"command": ["status"]}, {"x": 1}])
def test_a_question_that_makes_no_sense(served: Served, command: dict[str, Any]) -> None:
    """Is answered, with what makes sense."""
    assert "there are status, reload, stop" in ask(str(served.control), command)["error"]


def test_which_run_it_is(served: Served) -> None:
    """Target, directory and process."""
    answer = ask(str(served.control), {"command": "whoami"})
    assert (answer["target"], answer["pid"]) == ("app:main", served.pid)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_what_is_open(project: Project, runner: Runner, tmp_path: Path, threads: str) -> None:
    """Also in a call that does not come back: inline its watchdog answers for it."""
    served = runner(project({"app.py": APP}), "app:main", "--threads", threads)
    question = {"command": "status", "resources": True}
    assert ask(str(served.control), question) == {"open": 0, "resources": [], "silent": []}
    with begin(served, tmp_path, "hold", "gate") as conversation:
        answer = ask(str(served.control), question)
        (row,) = answer["resources"]
        assert (answer["open"], answer["silent"], row["resource"]) == (1, [], "thing")
        assert row["place"].endswith("app.py:11") and row["request"] == "GET /hold"
        (tmp_path / "gate").touch()
        assert conversation.reply().body == b"held"
    assert ask(str(served.control), question)["open"] == 0


def test_asking_leaves_nothing_behind(served: Served) -> None:
    """However often."""
    question = {"command": "status", "resources": True}
    ask(str(served.control), question)
    before = descriptors(served.pid)
    for _ in range(20):
        ask(str(served.control), question)
    until("all are closed", lambda: descriptors(served.pid) <= before, live=served)
