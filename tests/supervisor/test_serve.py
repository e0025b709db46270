"""What belongs to the supervisor is opened in order and closed whatever happens."""

from pathlib import Path

from tests.conftest import Project, Runner

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


def test_a_target_that_is_not_there_is_a_usage_error(project: Project, runner: Runner) -> None:
    """At the first start only: exit code 2, one line, the nearest name."""
    served = runner(project({"shop.py": APP}), "shap:main", ready=False)
    assert served.wait(10) == 2
    assert "did you mean shop?" in served.output
