"""A fresh interpreter: what it inherits, what it is furnished with, and when it dies."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import BootError, UsageError
from runner.process import interpreter
from runner.process.interpreter import command, drop_privileges, identify, read_env_file
from tests.support.process import Live
from tests.support.runner_process import environment
from tests.support.trouble import alive, until

# ---- the environment file -------------------------------------------------------------------------------------

def test_an_environment_file_is_read(tmp_path: Path) -> None:
    """Comments, blank lines, `export`, quotes, spaces, `=` in a value, an empty value."""
    (tmp_path / "env").write_text(
        "# comment\n\nA=1\nexport B = two words \nC='quoted'\nD=\"a=b\"\nE=\nF='\nG=\"x'\nÄ=umlaut\n", encoding="utf-8")
    assert read_env_file(str(tmp_path / "env")) == {
        "A": "1", "B": "two words", "C": "quoted", "D": "a=b", "E": "", "F": "'", "G": "\"x'", "Ä": "umlaut"}


@pytest.mark.parametrize("line", ["SECRET hunter2", "=hunter2", "1A=hunter2", "A B=hunter2", "export"])
def test_a_bad_line_is_named_by_its_number_only(tmp_path: Path, line: str) -> None:
    """It may hold a secret."""
    (tmp_path / "env").write_text(f"A=1\n{line}\n")
    with pytest.raises(UsageError, match=r"env:2 is not of the form NAME=value") as caught:
        read_env_file(str(tmp_path / "env"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_an_unreadable_file_is_a_usage_error(tmp_path: Path, content: bytes | None) -> None:
    """Missing, or no UTF-8."""
    if content is not None:
        (tmp_path / "env").write_bytes(content)
    with pytest.raises(UsageError, match="cannot read --env-file"):
        read_env_file(str(tmp_path / "env"))


# ---- privileges -------------------------------------------------------------------------------------------------

def test_unknown_names_are_refused() -> None:
    """Before anything is changed."""
    for user, group in (("nobody-at-all", None), (None, "no-group-at-all")):
        with pytest.raises(BootError, match="check --user and --group"):
            drop_privileges(user, group)


DROP = """
import json, os, sys
from runner.process.interpreter import drop_privileges
drop_privileges(sys.argv[1] or None, sys.argv[2] or None)
try:
    os.setuid(0)
except PermissionError:
    print(json.dumps([os.getresuid(), os.getresgid(), os.getgroups(), os.environ["USER"]]))
"""


@pytest.mark.parametrize(("user", "group", "numbers"), [
    ("nobody", "", (65534, 65534)), ("nobody", "www-data", (65534, 33)),
])
def test_the_user_is_changed_for_good(user: str, group: str, numbers: tuple[int, int]) -> None:
    """Real, effective and saved, with that user's groups only; there is no way back."""
    assert os.geteuid() == 0, "run the tests as root, or this promise is not looked at"
    done = subprocess.run([sys.executable, "-c", DROP, user, group], env=environment(), capture_output=True, text=True,
                          check=True, timeout=30)
    users, groups, others, name = json.loads(done.stdout)
    assert (users, groups, others, name) == ([numbers[0]] * 3, [numbers[1]] * 3, [numbers[1]], user)


def test_whom_to_become_can_be_told_by_numbers() -> None:
    """User, group, and the groups that it is in; nobody, if nobody else is named."""
    identity = identify("nobody", "www-data")
    assert identity is not None and identity.numbers() == [65534, 33, 33]
    identity = identify(None, "www-data")
    assert identity is not None and identity.numbers() == [os.geteuid(), 33, *os.getgroups()]
    assert identify(None, None) is None


def test_who_is_not_root_cannot_become_somebody_else() -> None:
    """And is told how he could."""
    code = ("import os; from runner.process.interpreter import drop_privileges; os.setuid(65534)\n"
            "try: drop_privileges('www-data', None)\nexcept Exception as error: print(error)")
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=30,
                          check=True)
    assert done.stdout == "cannot become www-data:: Operation not permitted; start as root\n"


# ---- the process ------------------------------------------------------------------------------------------------

def test_the_current_directory_cannot_replace_our_modules(tmp_path: Path) -> None:
    """Whatever lies there is called; it is only imported when the application does."""
    for name in ("runner.py", "json.py", "selectors.py", "signal.py"):
        (tmp_path / name).write_text("raise SystemExit('hijacked')\n")
    done = subprocess.run([*command("--check")], cwd=tmp_path, input="not settings", env=environment(),
                          capture_output=True, text=True, timeout=30, check=False)
    assert "hijacked" not in done.stderr and "JSONDecodeError" in done.stderr


STARTER = """
import os, signal, sys, time
from runner.process import interpreter
from runner.process.channel import pair
%s
ours, theirs = pair()
popen = interpreter.start([], theirs.fileno())
print("started", popen.pid, flush=True)
time.sleep(60)
"""


def test_it_dies_with_its_parent() -> None:
    """By the kernel's hand, whatever it is doing."""
    with Live([sys.executable, "-c", STARTER % ""], env=environment()) as live:
        child = int(live.wait_for(r"started (\d+)")[1])
        live.process.kill()
        until("the child has ended", lambda: not alive({child}), 2.0)


def test_signals_to_the_group_do_not_end_it_while_it_begins() -> None:
    """A Ctrl-C in the first milliseconds leaves no traceback."""
    starter = STARTER % "signal.signal(signal.SIGINT, lambda *_: None)"
    with Live([sys.executable, "-c", starter], env=environment()) as live:
        child = int(live.wait_for(r"started (\d+)")[1])
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTTOU):
            os.kill(child, number)
        until("it has its handlers", lambda: _blocked(child) == 0)
        assert alive({child})
        live.process.kill()
        live.wait()
        assert "Traceback" not in live.output


def _blocked(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(text.partition("SigBlk:\t")[2][:16], 16)


def test_the_parent_s_own_signals_are_as_before() -> None:
    """What was blocked for the child's sake is not blocked for ours."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with pytest.raises(ValueError):
        interpreter.start([-5], -6)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


# ---- open files -------------------------------------------------------------------------------------------------

ALLOW = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (99, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from runner.process import interpreter
print(*resource.getrlimit(resource.RLIMIT_NOFILE), flush=True)
interpreter.allow_all_files()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), flush=True)
TOLD = "import resource, socket, sys; socket.socket(fileno=int(sys.argv[1])).recv(1);" \\
    "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
interpreter.command = lambda *words: [sys.executable, "-c", TOLD, *words]
ours, theirs = socket.socketpair()
popen = interpreter.start([], theirs.fileno())
ours.send(b"x")
popen.wait()
"""


def test_what_is_started_may_open_as_many_files_as_we_might_before() -> None:
    """When it is told what to do, at the latest. We take all that there are."""
    done = subprocess.run([sys.executable, "-c", ALLOW], env=environment(), capture_output=True, text=True, check=True,
                          timeout=30)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert done.stdout.splitlines() == [f"99 {most}", f"{most} {most}", f"99 {most}"]
