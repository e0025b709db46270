"""What is typed, which call it becomes, and with which code the process ends."""

import json
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner.cli import _here, commands
from runner.errors import BootError
from runner.process import launch
from runner.settings import KNOBS, Resolved, Settings


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory, and an environment without settings."""
    for known in KNOBS:
        monkeypatch.delenv(known.environment, raising=False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def run(*arguments: str) -> Result:
    """The command `runner` with these arguments, in this process."""
    return CliRunner().invoke(commands, arguments)


def fake(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    """A stand-in for the module runner.supervisor.*name*."""
    module = types.ModuleType(f"runner.supervisor.{name}")
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, f"runner.supervisor.{name}", module)
    monkeypatch.setattr(sys.modules["runner.supervisor"], name, module, raising=False)


class Supervisor:
    """Remembers what it was asked to serve."""

    def __init__(self, code: int = 0, error: Exception | None = None) -> None:
        self.code, self.error = code, error
        self.resolved: list[Resolved] = []
        self.reread: Callable[[], Resolved] | None = None

    def serve(self, resolved: Resolved, reread: Callable[[], Resolved]) -> int:
        """As runner.supervisor.serve.serve."""
        if self.error:
            raise self.error
        self.resolved.append(resolved)
        self.reread = reread
        return self.code

    @property
    def settings(self) -> Settings:
        """What the last call was given."""
        return self.resolved[-1].settings


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    """The supervisor that `serve` finds."""
    supervisor = Supervisor()
    fake(monkeypatch, "serve", serve=supervisor.serve)
    return supervisor


# ---- usage errors --------------------------------------------------------------------------------

@pytest.mark.parametrize(("arguments", "said"), [
    (["srve"], "there is no command 'srve'; did you mean 'serve'?"),
    (["serve", "--wrokers", "3"], "there is no option --wrokers; did you mean '--workers'?"),
    (["serve", "--no-debgu"], "there is no option --no-debgu; did you mean '--no-debug'?"),
    (["serve", "--zzzz"], "there is no option --zzzz; see runner serve --help"),
    (["status", "--jsno"], "there is no option --jsno; did you mean '--json'?"),
    (["serve", "app", "--reload", "eagr"],
     "--reload: 'eagr' is not one of eager, request, off; did you mean 'eager'?"),
    (["serve", "app", "--workers", "0"],
     "--workers: '0' is not a whole number from 1 to 1000; write for example 4"),
])
def test_a_usage_error_is_one_line_with_the_nearest_name(arguments: list[str], said: str) -> None:
    """Exit code 2, nothing on stdout, no traceback, no dump of the usage."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"runner: {said}\n")


@pytest.mark.parametrize("arguments", [
    ["serve", "--workers"], ["serve", "a", "b"], ["--bogus"], ["zzzz"], ["config", "--http", "x"],
    ["serve", "-x"], ["stop", "--now=yes"], ["serve", ""],
])
def test_every_other_usage_error_is_one_line_too(arguments: list[str]) -> None:
    """Also those that click finds by itself."""
    result = run(*arguments)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)


def test_a_real_process_ends_with_the_same_code_and_line(directory: Path) -> None:
    """`python -m runner` is the same as `runner`."""
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-m", "runner", "serve", "--workers=many"], cwd=root,
                          capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (
        2, "", ["runner: --workers: 'many' is not a whole number from 1 to 1000; write for example 4"])


def test_other_errors_have_their_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine refused: exit code 3, one line, whatever the message looked like."""
    refused = BootError("port 80:\n not allowed; use another")
    fake(monkeypatch, "serve", serve=Supervisor(error=refused).serve)
    result = run("serve", "app:main")
    assert (result.exit_code, result.stderr) == (3, "runner: port 80: not allowed; use another\n")


# ---- help ----------------------------------------------------------------------------------------

def test_without_a_command_there_is_help() -> None:
    """Who types only the name wants to know what there is."""
    result = run()
    assert (result.exit_code, "Commands:" in result.stdout) == (0, True)


def test_the_version_is_one_line() -> None:
    """For bug reports."""
    result = run("--version")
    assert (result.exit_code, result.stdout.startswith("runner "), result.stdout.count("\n")) == (0, True, 1)


@pytest.mark.parametrize("known", KNOBS, ids=lambda known: known.name)
def test_the_help_shows_each_setting(known: Any) -> None:
    """With its option, under its heading."""
    shown = run("serve", "--help").stdout
    assert f"\n{known.heading}:\n" in shown and f"  {known.usage}" in shown


# ---- serve ---------------------------------------------------------------------------------------

def test_serve_ends_with_the_code_of_the_supervisor(supervisor: Supervisor) -> None:
    """Whatever it returns."""
    supervisor.code = 7
    assert run("serve", "app:main").exit_code == 7


def test_serve_hands_over_what_was_typed(supervisor: Supervisor) -> None:
    """Single values, repeated ones and switches."""
    run("serve", "app:main", "--workers=4", "--http", ":1", "--http", ":2", "--debug")
    settings = supervisor.settings
    assert (settings.target, settings.workers, settings.http, settings.debug) == (
        "app:main", 4, ("127.0.0.1:1", "127.0.0.1:2"), True)


def test_no_reload_is_reload_off(supervisor: Supervisor) -> None:
    """The usual spelling works."""
    run("serve", "app:main", "--no-reload")
    assert (supervisor.settings.reload, supervisor.resolved[0].sources["reload"]) == ("off", "flag")


def test_the_file_can_be_read_again(supervisor: Supervisor, directory: Path) -> None:
    """The flags stay, the edit shows."""
    run("serve", "app:main", "--threads=3")
    (directory / "runner.toml").write_text("workers = 9")
    assert supervisor.reread is not None
    again = supervisor.reread().settings
    assert (again.workers, again.threads) == (9, 3)


def test_the_file_is_read_again_with_the_first_environment(
        supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes in this process later is not what the run was started with."""
    run("serve", "app:main")
    monkeypatch.setenv("RUNNER_WORKERS", "9")
    assert supervisor.reread is not None and supervisor.reread().settings.workers == 2


def test_the_target_may_come_from_the_environment(
        supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container has no other place for it."""
    monkeypatch.setenv("RUNNER_TARGET", "shop:app")
    run("serve")
    assert supervisor.settings.target == "shop:app"


@pytest.mark.parametrize("name", ["app.py", "wsgi.py", "main.py"])
def test_the_only_candidate_is_the_target(supervisor: Supervisor, directory: Path, name: str) -> None:
    """`runner serve` is enough in a small project."""
    (directory / name).touch()
    run("serve")
    assert (supervisor.settings.target, supervisor.resolved[0].sources["target"]) == (name, "found")


def test_two_candidates_are_none(supervisor: Supervisor, directory: Path) -> None:
    """Both are named, and neither is taken."""
    (directory / "app.py").touch()
    (directory / "main.py").touch()
    result = run("serve")
    assert (result.exit_code, "app.py, main.py are all possible" in result.stderr) == (2, True)


def test_without_a_candidate_the_error_says_what_was_looked_for(supervisor: Supervisor) -> None:
    """And what could be typed instead."""
    result = run("serve")
    assert (result.exit_code, "none of app.py, wsgi.py, main.py" in result.stderr) == (2, True)


# ---- check ---------------------------------------------------------------------------------------

def test_check_hands_the_settings_to_a_throw_away_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """They arrive on its stdin; its verdict is on our stdout and its code is ours."""
    calls: list[tuple[list[str], dict[str, Any]]] = []

    def start(command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
        calls.append((command, more))
        return subprocess.CompletedProcess(command, 4)

    monkeypatch.setattr(subprocess, "run", start)
    result = run("check", "app:main", "--threads=3")
    (command, more), = calls
    assert (result.exit_code, command) == (4, launch.command("--check"))
    assert Settings.from_json(more["input"]).threads == 3


def test_check_says_like_a_shell_that_a_signal_ended_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash in C code while importing is 128 and the signal."""
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, -11))
    assert run("check", "app:main").exit_code == 139


# ---- config --------------------------------------------------------------------------------------

def test_config_prints_each_value_with_its_source(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Aligned, so that the eye finds what is not a default."""
    monkeypatch.setenv("RUNNER_THREADS", "8")
    (directory / "runner.toml").write_text("max-body = '64M'")
    printed = run("config", "--workers=4").stdout.splitlines()
    lines = {line.split()[0]: line.split(" = ")[1].split() for line in printed}
    assert [lines[key] for key in ("workers", "threads", "max-body", "backlog")] == [
        ["4", "(flag)"], ["8", "(RUNNER_THREADS)"], ["64M", "(runner.toml)"], ["2048", "(default)"]]


def test_config_shows_no_password() -> None:
    """Nor does an error."""
    lines = run("config", "--channels=redis://:geheim@host:6379/0").stdout.splitlines()
    assert "channels" in [line.split()[0] for line in lines if "redis://***@host:6379/0" in line]
    for url in ("redis://:geheim@host:1/x", "redis://host:1/x?password=geheim"):
        refused = run("config", f"--channels={url}")
        assert refused.exit_code == 2 and "--channels" in refused.output and "geheim" not in refused.output


def test_config_has_a_line_for_each_setting() -> None:
    """Also for those that are not set."""
    assert [line.split()[0] for line in run("config").stdout.splitlines()] == [known.key for known in KNOBS]


# ---- the commands that ask -----------------------------------------------------------------------

class Control:
    """Answers what it is told to, and remembers who asked what."""

    def __init__(self, reply: dict[str, Any]) -> None:
        self.reply = reply
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def ask(self, path: str, question: dict[str, Any]) -> dict[str, Any]:
        """As runner.supervisor.control.ask."""
        self.asked.append((path, question))
        return self.reply

    def find(self, directory: str, target: str | None = None) -> str:
        """As runner.supervisor.control.find."""
        return f"{directory}/{target}.sock"


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> Control:
    """The run that the commands find."""
    control = Control({"state": "ready", "generation": 3})
    fake(monkeypatch, "control", ask=control.ask, find=control.find)
    return control


@pytest.mark.parametrize(("arguments", "question"), [
    (["status"], {"command": "status", "resources": False}),
    (["status", "--resources"], {"command": "status", "resources": True}),
    (["reload"], {"command": "reload", "wait": True}),
    (["reload", "--no-wait"], {"command": "reload", "wait": False}),
    (["stop"], {"command": "stop", "now": False}),
    (["stop", "--now"], {"command": "stop", "now": True}),
])
def test_a_command_becomes_a_question(
        control: Control, directory: Path, arguments: list[str], question: dict[str, Any]) -> None:
    """To the run of this directory."""
    result = run(*arguments)
    assert (result.exit_code, control.asked) == (0, [(f"{directory}/None.sock", question)])


def test_a_target_tells_which_run_is_meant(control: Control, directory: Path) -> None:
    """There may be several in one directory."""
    run("status", "app:main")
    assert control.asked[0][0] == f"{directory}/app:main.sock"


@pytest.mark.parametrize("where", ["option", "environment", "file"])
def test_a_control_socket_that_is_named_is_asked(
        control: Control, directory: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Whoever gave `serve` its own finds it the same way."""
    match where:
        case "environment":
            monkeypatch.setenv("RUNNER_CONTROL", "c.sock")
        case "file":
            (directory / "runner.toml").write_text("control = 'c.sock'")
    run("status", *(["--control", "c.sock"] if where == "option" else []))
    assert control.asked[0][0] == f"{directory}/c.sock"


def test_a_broken_file_does_not_hide_the_run(control: Control, directory: Path) -> None:
    """The run keeps its old settings then, and this is when one wants to ask it."""
    (directory / "runner.toml").write_text("workers = ")
    assert run("status").exit_code == 0


def test_status_is_text(control: Control) -> None:
    """For people."""
    assert run("status").stdout == "ready       generation 3\n"


def test_status_json_is_the_report_as_it_is(control: Control) -> None:
    """For programs, keys unknown to this command included."""
    control.reply["new"] = [1]
    assert json.loads(run("status", "--json").stdout) == control.reply


def test_reload_says_what_came_of_it(control: Control) -> None:
    """In one line."""
    control.reply = {"changed": ["app.py"], "generation": 4, "milliseconds": 31}
    assert run("reload").stdout == "app.py -> generation 4 in 31 ms\n"


def test_a_reload_of_broken_code_is_an_error(control: Control) -> None:
    """So that a deployment script stops there."""
    control.reply = {"last_reload": {"changed": ["app.py"], "generation": 4, "error": "NameError: x"}}
    result = run("reload")
    assert (result.exit_code, result.stderr) == (1, "runner: app.py -> generation 4 failed: NameError: x\n")


def test_a_refused_question_is_an_error(control: Control) -> None:
    """With the words of the supervisor."""
    control.reply = {"error": "already stopping"}
    result = run("stop")
    assert (result.exit_code, result.stderr) == (1, "runner: stop: already stopping\n")


@pytest.mark.parametrize("command", ["status", "config", "--version"])
def test_a_light_command_does_not_load_the_supervisor(command: str) -> None:
    """Only `serve` pays for it."""
    root = Path(__file__).parent.parent
    program = ("import sys\nfrom runner.cli import main\ntry: main()\n"
               "finally: sys.exit('runner.supervisor.serve' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", program, command], cwd=root, timeout=30,
                          capture_output=True, check=False)
    assert done.returncode == 0


def test_a_link_that_was_entered_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is called as the shell calls it, if it is the same one; a wrong $PWD is not believed."""
    (tmp_path / "one").mkdir()
    (tmp_path / "current").symlink_to("one")
    monkeypatch.chdir(tmp_path / "one")
    for said, meant in (("current", "current"), (".", "one"), ("nowhere", "one"), ("one/../current", "one")):
        monkeypatch.setenv("PWD", str(tmp_path / said))
        assert _here() == str(tmp_path / meant)
    monkeypatch.setenv("PWD", "current")
    assert _here() == str(tmp_path / "one")
