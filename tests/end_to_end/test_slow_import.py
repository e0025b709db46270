"""A module that does not come to the end of its import: nobody waits for ever, and everybody is told."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import ask, by_fastcgi, save, until, value
from tests.support.client import fetch
from tests.support.process import PATIENCE
from tests.support.project import edit
from tests.support.runner_process import READY, environment
from tests.support.trouble import alive, descendants, report
from tests.support.trouble import until as awaited

APP = """
import shop.slow as module
def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(module.VALUE).encode()]
"""
HANGS = "import os, time\nVALUE = 'slow'\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\n"
FILES = {"app.py": APP, "shop/__init__.py": "", "shop/slow.py": HANGS}
TOLD = r"the application is still being imported, since \d+ s, now at module shop\.slow"
OPTIONS = ("app:main", "--hold-timeout", "2s", "--debug")


def test_a_first_start_that_hangs_is_told(project: Project, runner: Runner) -> None:
    """On the page, in the log once, in the status; the import goes on, and what comes of it is what is served then."""
    place = project(FILES)
    served = runner(place, *OPTIONS, ready=False)
    served.wait_for(TOLD)
    reply = fetch(served.http)
    assert (reply.status, reply.header("retry-after")) == (503, "5")
    assert "still being imported" in reply.text and "now at module shop.slow" in reply.text
    assert by_fastcgi(served).status == 503
    told = report(served)
    assert told["state"] == "importing"
    assert len([note for note in told["notes"] if "now at module shop.slow" in note]) == 1
    (place / "go").touch()
    served.wait_for(READY)
    assert until(served, "slow").status == 200
    assert served.output.count("still being imported") == 1
    assert report(served)["notes"] == []


@pytest.mark.parametrize("on_change", ["redirect", "hold"])
def test_a_save_supersedes_an_import_that_hangs(project: Project, runner: Runner, on_change: str) -> None:
    """The fix alone is enough; the next import that hangs is told as well, in the log and on the page."""
    place = project(FILES)
    served = runner(place, *OPTIONS, "--on-change", on_change, ready=False)
    served.wait_for(TOLD)
    save(place, {"shop/slow.py": value(1)})
    assert until(served, "1").status == 200
    position = served.position
    save(place, {"shop/slow.py": HANGS})
    served.wait_for(TOLD, after=position)
    reply = fetch(served.http)
    assert (reply.status, reply.header("retry-after")) == (503, "1")
    assert "newer code is not ready yet" in reply.text
    assert by_fastcgi(served).status == 503
    save(place, {"shop/slow.py": value(2)})
    assert until(served, "2").status == 200


@pytest.mark.parametrize("how", ["runner stop", "SIGINT", "SIGTERM", "SIGINT to the group"])
def test_the_end_does_not_wait_for_an_import(project: Project, runner: Runner, how: str) -> None:
    """Nobody is left, and nothing is waited for that could not end."""
    served = runner(project(FILES), *OPTIONS, "--graceful-timeout", "60s", ready=False)
    served.wait_for(TOLD)
    below = descendants(served.pid)
    match how:
        case "runner stop":
            command = [sys.executable, "-m", "runner", "stop", "--control", str(served.control)]
            subprocess.run(command, env=environment(), check=True, timeout=PATIENCE)
        case "SIGINT to the group":
            os.killpg(served.pid, signal.SIGINT)
        case name:
            served.signal(signal.Signals[name])
    assert served.wait() == 0
    awaited("nobody is left", lambda: not alive(below))


def test_who_can_answer_goes_on_meanwhile(project: Project, runner: Runner, tmp_path: Path) -> None:
    """An asked-for reload that hangs takes nothing from the generation that is there."""
    files = {**FILES, "shop/slow.py": "import os\n" + HANGS.replace("'go'", repr(str(tmp_path / "go")))}
    place = project(files)
    (tmp_path / "go").touch()
    served = runner(place, *OPTIONS)
    (tmp_path / "go").unlink()
    served.signal(signal.SIGHUP)
    served.wait_for(TOLD)
    assert ask(served)[:2] == (200, "slow")
    assert report(served)["state"] == "running"
    position = served.position
    (tmp_path / "go").touch()
    served.wait_for(r"generation \d+ in", after=position)
    edit(place / "shop" / "slow.py", value(1))
    assert until(served, "1").status == 200
