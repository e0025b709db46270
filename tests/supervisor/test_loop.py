"""The supervisor's own decisions, which no other module makes for it."""

from tests.conftest import Project, Runner
from tests.support.client import fetch
from tests.support.project import edit
from tests.support.trouble import SOURCE, ready_pids, report, until

FILE = 'workers = 1\ngraceful-timeout = "9s"\n'


def test_a_target_that_vanishes_later_ends_nothing(project: Project, runner: Runner) -> None:
    """Only at the first start is it a usage error; then it may come back."""
    directory = project({"app.py": SOURCE})
    served = runner(directory, "app:main")
    edit(directory / "app.py", "other = 1\n")
    served.wait_for("generation 2 failed: app has no attribute 'main'")
    assert fetch(served.http).status == 500
    edit(directory / "app.py", SOURCE)
    until("it is back", lambda: fetch(served.http).status == 200, live=served)


def test_a_setting_that_cannot_change_while_it_runs_is_named(project: Project, runner: Runner) -> None:
    """The others in the same file apply."""
    directory = project({"app.py": SOURCE, "runner.toml": FILE})
    served = runner(directory, "app:main")
    edit(directory / "runner.toml", FILE.replace("1", "2") + 'pid-file = "elsewhere"\n')
    served.wait_for("pid_file changed in the settings: that needs a restart of the runner")
    until("there are two workers", lambda: len(ready_pids(served)) == 2, live=served)


def test_a_reload_keeps_the_number_of_workers_that_people_chose(project: Project, runner: Runner) -> None:
    """The file says one and has not changed; TTIN said two."""
    directory = project({"app.py": SOURCE, "runner.toml": FILE})
    served = runner(directory, "app:main")
    served.signal(21)
    served.wait_for("SIGTTIN: 2 workers wanted")
    served.signal(1)
    served.wait_for("generation 2 in")
    until("there are two workers", lambda: len(ready_pids(served)) == 2, live=served)


def test_root_is_told_once(project: Project, runner: Runner) -> None:
    """That its application runs as root, too, and how it would not."""
    directory = project({"app.py": SOURCE})
    served = runner(directory, "app:main")
    edit(directory / "app.py", SOURCE + "\n")
    served.wait_for("generation 2 in")
    assert served.output.count("the application runs as root; name another user by --user") == 1


def test_the_status_tells_of_the_last_reload(project: Project, runner: Runner) -> None:
    """What changed, which generation came of it, how long it took."""
    directory = project({"app.py": SOURCE})
    served = runner(directory, "app:main")
    assert "last_reload" not in report(served)
    edit(directory / "app.py", SOURCE + "\n")
    served.wait_for("generation 2 in")
    last = report(served)["last_reload"]
    assert (last["changed"], last["generation"]) == ([str(directory / "app.py")], 2)
    assert 0 < last["milliseconds"] < 60_000
