"""The commands as a new user types them: what they print, how they fail, and with which exit code."""

import json
import os
import pty
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.support.client import FastCGI, fetch, parameters
from tests.support.places import free_port
from tests.support.process import Live
from tests.support.project import edit
from tests.support.runner_process import READY, environment
from tests.support.trouble import SOURCE, begin, ready_pids, until


def run(directory: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command `runner` with these arguments, to its end."""
    return subprocess.run([sys.executable, "-m", "runner", *arguments], cwd=directory, env=environment(**(env or {})),
                          capture_output=True, text=True, timeout=20, check=False)


def refused(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    """It ended with *code* and said why in one line, in which all *parts* occur."""
    lines = [line for line in done.stderr.splitlines() if "runs as root" not in line]
    assert (done.returncode, done.stdout, len(lines)) == (code, "", 1), done
    assert all(part in lines[0] for part in parts), lines[0]
    assert lines[0].startswith("runner: ")


APP = {"shop.py": SOURCE, "data.py": "answer = 42\n", "broken.py": "import no_such_module_at_all\n",
       "thread.py": SOURCE + "\nimport threading\n"
       "threading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()\n"}

WRONG_TARGETS = [
    ("shpo:main", ["there is no module 'shpo'", "did you mean shop?"]),
    ("zzz:main", ["there is no module 'zzz'", "here are"]),
    ("shpo.py", ["there is no file", "did you mean shop.py?"]),
    ("shop:mian", ["shop has no attribute 'mian'", "did you mean main?"]),
    ("shop:qqq", ["shop has no attribute 'qqq'", "it has"]),
    ("data:answer", ["data:answer is not callable but int"]),
    ("data", ["data has none of app, application", "write data:NAME"]),
    ("shop:main(", ["write module:attribute"]),
    ("shop:main(environ)", ["the arguments of a factory must be literals"]),
    ("a b:main", ["'a b' is not a module name"]),
]


# ---- serve -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("command", "target", "parts"), [
    *(("serve", target, parts) for target, parts in WRONG_TARGETS),
    *(("check", target, parts) for target, parts in WRONG_TARGETS[:2]),
], ids=lambda value: str(value)[:20])
def test_a_target_that_does_not_exist_is_a_usage_error(
    project: Project, tmp_path: Path, command: str, target: str, parts: list[str]
) -> None:
    """Exit code 2 and the nearest thing that does, from both commands."""
    options = ["--http", f"127.0.0.1:{free_port()}", "--control", str(tmp_path / "c")]
    refused(run(project(APP), command, target, *options), 2, *parts)
    assert not (tmp_path / "c").exists()


def test_a_port_in_use_is_refused(project: Project, tmp_path: Path) -> None:
    """Exit code 3, the address and the remedy."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        refused(run(project(APP), "serve", "shop:main", "--http", address), 3, address, "Address already in use",
                "something else listens there")


@pytest.mark.parametrize(("option", "value", "code", "part"), [
    ("--fastcgi", "unix:/no/such/directory/s", 3, "create the directory first"),
    ("--fastcgi", "unix:/etc/passwd", 3, "/etc/passwd exists and is not a socket"),
    ("--fastcgi", "unix:/tmp/" + "x" * 120, 2, "longer than 107 bytes"),
    ("--fastcgi", "fd://77", 3, "descriptor 77 is not a listening socket"),
    ("--http", "127.0.0.1:99999", 2, "a port above 65535"),
    ("--http", "203.0.113.9:8000", 3, "Cannot assign requested address"),
    ("--http", "no.such.host.invalid:80", 3, "no.such.host.invalid:80"),
    ("--chdir", "/no/such/directory", 2, "/no/such/directory"),
    ("--env-file", "missing.env", 2, "missing.env"),
    ("--user", "nobody-at-all", 3, "check --user"),
    ("--pid-file", "/no/such/directory/pid", 3, "cannot write --pid-file"),
    ("--pid-file", "shop.py", 3, "it exists and is something else"),
    ("--control", "/no/such/directory/c", 3, "cannot open the control socket"),
    ("--control", "/tmp/" + "x" * 120, 3, "too long"),
    ("--config", "missing.toml", 2, "missing.toml"),
])
def test_what_cannot_be_had_is_refused(project: Project, option: str, value: str, code: int, part: str) -> None:
    """One line that names it, before anything is served; nothing is left behind and nothing is overwritten."""
    directory = project(APP)
    options = {"--http": f"127.0.0.1:{free_port()}", "--control": "c", option: value}
    flags = [word for pair in options.items() for word in pair]
    refused(run(directory, "serve", "shop:main", *flags), code, part)
    assert {each.name for each in directory.iterdir()} - {"__pycache__"} == set(APP)
    assert (directory / "shop.py").read_text() == SOURCE.removeprefix("\n")


def test_a_second_one_at_the_same_socket_is_refused(project: Project, runner: Runner, sockets: Path) -> None:
    """It names the first one's process, and the first one goes on."""
    directory = project(APP)
    served = runner(directory, "shop:main", "--fastcgi", f"unix:{sockets}/f")
    refused(run(directory, "serve", "shop:main", "--fastcgi", f"unix:{sockets}/f"), 3,
            f"already served by process {served.pid}")
    with FastCGI(sockets / "f") as client:
        assert client.request(parameters("/pid")).end.app_status == 0


def test_a_second_one_with_the_same_pid_file_is_refused(project: Project, runner: Runner, sockets: Path) -> None:
    """The first one's file and process stay."""
    directory = project(APP)
    served = runner(directory, "shop:main", "--pid-file", str(sockets / "pid"))
    second = run(directory, "serve", "shop:main", "--http", "127.0.0.1:0", "--pid-file", str(sockets / "pid"))
    refused(second, 3, f"already running as process {served.pid}")
    assert (sockets / "pid").read_text() == f"{served.pid}\n"


def test_a_second_one_with_the_same_control_socket_is_refused(project: Project, runner: Runner) -> None:
    """The first one goes on to answer."""
    directory = project(APP)
    served = runner(directory, "shop:main")
    second = run(directory, "serve", "shop:main", "--http", "127.0.0.1:0", "--control", str(served.control))
    refused(second, 3, f"is already served by process {served.pid}; stop it, or choose another --control")
    assert run(directory, "status", "--control", str(served.control)).returncode == 0


def test_a_start_with_broken_code_is_no_failure(project: Project, runner: Runner) -> None:
    """The error is shown, and the saving of the fix is enough."""
    directory = project({"app.py": "def main(\n"})
    served = runner(directory, "app:main", "--debug")
    assert b"SyntaxError" in fetch(served.http).body
    edit(directory / "app.py", SOURCE)
    until("the fix is shown", lambda: fetch(served.http).status == 200, live=served)


def test_the_banner_is_four_lines(project: Project, tmp_path: Path) -> None:
    """On a terminal: version and time, address and target, workers, what an edit does."""
    command = [sys.executable, "-m", "runner", "serve", "shop:main", "--http", f"127.0.0.1:{free_port()}"]
    command += ["--control", str(tmp_path / "c")]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project(APP))
        os.execve(sys.executable, command, environment())
    seen = b""
    while b"files known)" not in seen:
        seen += os.read(terminal, 4096)
    os.kill(pid, 15)
    while True:
        try:
            seen += os.read(terminal, 4096)
        except OSError:   # EIO: the terminal has no other end any more
            break
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0
    lines = [line for line in seen.decode().splitlines() if line and "supervisor: " not in line]
    patterns = [r"  runner .*ready in \d+ ms", r"  → http://127.0.0.1:\d+/   shop:main \(WSGI\)",
                r"  → 2 workers, process \d+", r"  → edits are live at the next request \(\d+ files known\)"]
    assert len(lines) == 4
    assert all(re.fullmatch(pattern, line) for pattern, line in zip(patterns, lines, strict=True)), lines


# ---- options ---------------------------------------------------------------------------------------------------

TELL = """
import json, os

def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    mask = os.umask(0)
    os.umask(mask)
    told = {"directory": os.getcwd(), "mask": mask, "uid": os.getuid(), "home": os.environ.get("HOME"),
            "color": os.environ.get("COLOR"), "script": environ["SCRIPT_NAME"], "path": environ["PATH_INFO"]}
    return [json.dumps(told).encode()]
"""


def test_directory_environment_and_mask_are_the_application_s(project: Project, runner: Runner) -> None:
    """--chdir, --env-file and --umask, from another directory."""
    directory = project({"inner/app.py": TELL, "my.env": "# a comment\nexport COLOR='deep blue'\n"})
    served = runner(directory, "app:main", "--chdir", "inner", "--env-file", "../my.env", "--umask", "027")
    told = json.loads(fetch(served.http, "/x").body)
    assert (told["directory"], told["color"], told["mask"]) == (str(directory / "inner"), "deep blue", 0o27)


def test_an_edit_of_the_environment_file_is_live(project: Project, runner: Runner) -> None:
    """Like one of the code."""
    directory = project({"app.py": TELL, "my.env": "COLOR=red\n"})
    served = runner(directory, "app:main", "--env-file", "my.env")
    edit(directory / "my.env", "COLOR=green\n")
    until("the new color is seen", lambda: b"green" in fetch(served.http).body, live=served)


def test_the_application_runs_as_somebody_else(project: Project, runner: Runner, sockets: Path) -> None:
    """--user: with that user's home, and without the rights of root."""
    assert os.geteuid() == 0, "run the tests as root, or this promise is not looked at"
    directory = sockets / "public"
    directory.mkdir(mode=0o755)
    edit(directory / "app.py", TELL)
    served = runner(directory, "app:main", "--user", "nobody")
    told = json.loads(fetch(served.http).body)
    assert (told["uid"], told["home"]) == (65534, "/nonexistent")
    edit(directory / "app.py", TELL.replace("COLOR", "COLOUR"))
    served.wait_for("app.py changed → generation 2")
    assert fetch(served.http).status == 200


def test_the_root_path_is_taken_off(project: Project, runner: Runner) -> None:
    """--root-path: SCRIPT_NAME has it, PATH_INFO the rest, and what is elsewhere is not found."""
    served = runner(project({"app.py": TELL}), "app:main", "--root-path", "/app")
    told = json.loads(fetch(served.http, "/app/x").body)
    assert (told["script"], told["path"]) == ("/app", "/x")
    assert fetch(served.http, "/apple").status == 404


def test_the_own_pages_are_there(project: Project, runner: Runner) -> None:
    """--ping-path and --status-path, without a call of the application."""
    options = ("--ping-path", "/ping", "--status-path", "/status")
    served = runner(project(APP), "shop:main", *options)
    assert fetch(served.http, "/ping").body == b"pong\n"
    told = json.loads(fetch(served.http, "/status").body)
    assert (told["generation"], len(told["workers"])) == (1, 2)


def test_the_access_log_goes_to_standard_output(project: Project, runner: Runner) -> None:
    """--access-log -: one line a request."""
    served = runner(project(APP), "shop:main", "--access-log", "-")
    fetch(served.http, "/pid?a=b", headers={"User-Agent": 'a "b"'})
    served.wait_for(r'127\.0\.0\.1 - - \[.*\] "GET /pid\?a=b HTTP/1\.1" 200 \d+ "-" "a \\"b\\"" \d+\.\d{6}$')


def test_logs_can_be_json(project: Project, runner: Runner) -> None:
    """--log-format json: every line of both logs is one object."""
    served = runner(project(APP), "shop:main", "--access-log", "-", "--log-format", "json")
    fetch(served.http, "/pid")
    served.wait_for('"target": "/pid"')
    served.stop()
    assert {"supervisor"} <= {json.loads(line).get("process") for line in served.lines}


def test_the_log_level_hides_the_normal_course(project: Project, runner: Runner) -> None:
    """--log-level error: a start and a stop say nothing."""
    served = runner(project(APP), "shop:main", "--log-level", "error", ready=False)
    until("it serves", lambda: served.control.exists() and ready_pids(served), live=served)
    served.stop()
    assert served.lines == []


def test_an_access_log_that_cannot_be_opened_is_told(project: Project, runner: Runner) -> None:
    """And the requests are answered."""
    served = runner(project(APP), "shop:main", "--access-log", "/no/such/directory/log")
    served.wait_for("cannot open --access-log /no/such/directory/log: No such file or directory")
    assert fetch(served.http, "/pid").status == 200


def test_a_full_disk_costs_lines_not_requests(project: Project, runner: Runner) -> None:
    """--access-log /dev/full: the lost lines are counted in the log."""
    served = runner(project(APP), "shop:main", "--access-log", "/dev/full")
    assert fetch(served.http, "/pid").status == 200
    served.wait_for("--access-log /dev/full: No space left on device; 1 lines? lost")


def test_inherited_sockets_are_served(project: Project, tmp_path: Path) -> None:
    """LISTEN_FDS and LISTEN_FDNAMES as systemd sets them: http by name, the unnamed one FastCGI."""
    launcher = """
import os, socket, sys
web = socket.create_server(("127.0.0.1", int(sys.argv[1])))
plain = socket.socket(socket.AF_UNIX)
plain.bind(sys.argv[2])
plain.listen()
high = [os.dup(each.fileno()) for each in (web, plain)]
numbers = [os.dup2(each, 100 + index) for index, each in enumerate(high)]
for index, number in enumerate(numbers):
    os.dup2(number, 3 + index, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="http:")
os.execv(sys.executable, [sys.executable, "-m", "runner", "serve", "shop:main", "--control", sys.argv[3]])
"""
    port, place = free_port(), tmp_path / "plain"
    command = [sys.executable, "-c", launcher, str(port), str(place), str(tmp_path / "c")]
    with Live(command, cwd=project(APP), env=environment()) as live:
        live.wait_for(READY)
        assert fetch(("127.0.0.1", port), "/pid").status == 200
        with FastCGI(place) as client:
            assert client.request(parameters("/pid")).body.startswith(b"1 ")
        assert live.stop() == 0
    assert place.exists()   # whoever made it removes it


# ---- check and config ------------------------------------------------------------------------------------------

def test_check_praises_in_one_line(project: Project) -> None:
    """Exit code 0: kind, files, milliseconds."""
    done = run(project(APP), "check", "shop:main")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"shop:main is fine: WSGI, \d+ files, [\d,]+ ms\n", done.stdout)


def test_check_blames_in_one_line(project: Project) -> None:
    """Exit code 1: what failed and where."""
    refused(run(project(APP), "check", "broken"), 1, "No module named 'no_such_module_at_all'", "broken.py:1")


def test_check_names_the_thread_that_forbids_forking(project: Project) -> None:
    """So that one knows before it is served."""
    done = run(project(APP), "check", "thread:main")
    assert done.returncode == 0
    assert "the import left thread 'poller'" in done.stdout


def test_check_reports_a_death(project: Project) -> None:
    """An import that kills its process: exit code as a shell says it, and no silence."""
    done = run(project({"app.py": "import os\nos.kill(os.getpid(), 9)\n"}), "check", "app")
    refused(done, 137, "SIGKILL")


def test_config_shows_where_each_value_comes_from(project: Project) -> None:
    """Flag, environment, file, default."""
    directory = project({**APP, "runner.toml": "workers = 3\n"})
    done = run(directory, "config", "--http", "127.0.0.1:8123", env={"RUNNER_THREADS": "4"})
    assert done.returncode == 0
    rows = [("http", "127.0.0.1:8123", "flag|option|command line"), ("threads", "4", "RUNNER_|environ"),
            ("workers", "3", "runner.toml"), ("reload", "eager", "default")]
    for name, value, source in rows:
        assert re.search(rf"(?m)^{name} += {value} +\(.*({source}).*\)$", done.stdout), done.stdout


@pytest.mark.parametrize("command", ["config", "serve", "check"])
@pytest.mark.parametrize(("text", "part"), [("workers = [", "runner.toml"), ("wrokers = 3", "workers")])
def test_a_bad_file_is_a_usage_error(project: Project, command: str, text: str, part: str) -> None:
    """Exit code 2, one line, for what is no TOML and for a key that does not exist."""
    refused(run(project({**APP, "runner.toml": text + "\n"}), command, "shop:main"), 2, part)


def test_an_edit_of_the_file_applies(project: Project, runner: Runner) -> None:
    """Like code; a bad one is reported and changes nothing."""
    directory = project({**APP, "runner.toml": "workers = 1\n"})
    served = runner(directory, "shop:main")
    edit(directory / "runner.toml", "workers = 3\n")
    until("three workers accept", lambda: len(ready_pids(served)) == 3, live=served)
    edit(directory / "runner.toml", "workers = many\n")
    served.wait_for("the settings stay as they were")
    until("three workers accept", lambda: len(ready_pids(served)) == 3, live=served)
    assert fetch(served.http, "/pid").status == 200


# ---- status, reload, stop ----------------------------------------------------------------------------------------

@pytest.fixture
def runtime(sockets: Path) -> dict[str, str]:
    """An environment in which no other run is known."""
    return {"XDG_RUNTIME_DIR": str(sockets)}


def start(directory: Path, runtime: Mapping[str, str]) -> Live:
    """A run with the default control socket."""
    command = [sys.executable, "-m", "runner", "serve", "shop:main", "--http", f"127.0.0.1:{free_port()}"]
    live = Live(command, cwd=directory, env=environment(**runtime))
    live.wait_for(READY)
    return live


@pytest.mark.parametrize("command", ["status", "reload", "stop"])
def test_without_a_run_there_is_nobody_to_ask(project: Project, runtime: dict[str, str], command: str) -> None:
    """Exit code 2, and how to start one."""
    refused(run(project(APP), command, env=runtime), 2, "no runner is running; start one by: runner serve")


def test_the_commands_find_the_run_of_their_directory(
    project: Project, tmp_path: Path, runtime: dict[str, str]
) -> None:
    """One, then two: the one of this directory is meant; elsewhere both are listed."""
    here, there = project(APP), tmp_path / "there"
    there.mkdir()
    edit(there / "shop.py", SOURCE)
    with start(here, runtime) as first, start(there, runtime) as second:
        assert f"pid {first.pid}" in run(here, "status", env=runtime).stdout
        assert json.loads(run(there, "status", "--json", env=runtime).stdout)["pid"] == second.pid
        refused(run(tmp_path, "status", env=runtime), 2, "several runners are running", str(here), str(there))
        assert run(there, "stop", env=runtime).stdout == "stopping\n"
        assert second.wait() == 0
        assert f"pid {first.pid}" in run(tmp_path, "status", env=runtime).stdout


def test_reload_waits_and_tells(project: Project, runner: Runner) -> None:
    """Exit code 0 with the generation, 1 with the error."""
    directory = project(APP)
    served = runner(directory, "shop:main", "--no-reload")
    control = ("--control", str(served.control))
    assert re.fullmatch(r"asked for -> generation 2 in [\d,]+ ms\n", run(directory, "reload", *control).stdout)
    edit(directory / "shop.py", "def main(\n")
    refused(run(directory, "reload", *control), 1, "generation 3 failed", "SyntaxError")
    assert run(directory, "reload", "--no-wait", *control).stdout == "reloading\n"


def test_stop_now_does_not_wait(project: Project, runner: Runner, tmp_path: Path) -> None:
    """With a request under way."""
    served = runner(project(APP), "shop:main")
    with begin(served, tmp_path, "wait", "never"):
        done = run(tmp_path, "stop", "--now", "--control", str(served.control))
        assert (done.returncode, done.stdout) == (0, "stopping now\n")
        assert served.wait(5) == 0


def test_a_control_socket_where_nobody_is(project: Project, tmp_path: Path) -> None:
    """A wrong path and a dead socket: exit code 2."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    for path in ("dead", "missing"):
        refused(run(tmp_path, "status", "--control", str(tmp_path / path)), 2, "nobody answers", "is it running?")


def test_whoever_makes_a_mess_of_the_control_socket_is_alone(project: Project, runner: Runner) -> None:
    """20 silent clients, garbage, an endless line: the next question is answered."""
    served = runner(project(APP), "shop:main")
    clients = []
    try:
        for data in [b""] * 20 + [b"\x00\xff garbage\n", b"[1]\n", b"{\n", b'{"command": ', b"[" * 200_000 + b"\n"]:
            client = socket.socket(socket.AF_UNIX)
            clients.append(client)
            client.settimeout(5)
            client.connect(str(served.control))
            client.sendall(data)
        assert run(Path("/"), "status", "--control", str(served.control)).returncode == 0
    finally:
        for client in clients:
            client.close()
    assert run(Path("/"), "status", "--control", str(served.control)).returncode == 0
