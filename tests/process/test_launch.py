"""A fresh interpreter: what it inherits, when it dies, and that the first one is begun ahead."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.process import launch
from tests.support.process import PATIENCE, Live
from tests.support.runner_process import environment
from tests.support.trouble import alive, until

# ---- the process ------------------------------------------------------------------------------------------------

def test_the_current_directory_cannot_replace_our_modules(tmp_path: Path) -> None:
    """Whatever lies there is called; it is only imported when the application does."""
    for name in ("runner.py", "json.py", "selectors.py", "signal.py"):
        (tmp_path / name).write_text("raise SystemExit('hijacked')\n")
    done = subprocess.run([*launch.command("--check")], cwd=tmp_path, input="not settings", env=environment(),
                          capture_output=True, text=True, timeout=30, check=False)
    assert "hijacked" not in done.stderr and "JSONDecodeError" in done.stderr


STARTER = """
import os, signal, sys, time
from runner.process import launch
%s
popen, channel = launch.start()
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


def test_the_parent_s_own_signals_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was blocked for the child's sake is not blocked for ours, also where there is no process to be had."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with pytest.raises(FileNotFoundError):
        launch.start()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


# ---- the first one --------------------------------------------------------------------------------------------

@pytest.fixture
def nobody() -> Iterator[None]:
    """Whatever a test has begun is ended."""
    yield
    launch.give_up()


def test_the_first_one_is_begun_ahead(nobody: None) -> None:
    """Whoever asks next is given it; whoever asks then, another one."""
    launch.hasten()
    (begun,) = launch._hastened
    first, second = launch.start(), launch.start()
    assert first is begun and second.popen.pid != first.popen.pid
    for each in (first, second):
        each.sock.close()
        assert each.popen.wait(PATIENCE) == 0


def test_one_that_has_ended_meanwhile_is_nobody_s(nobody: None) -> None:
    """Another one is started in its place."""
    launch.hasten()
    (begun,) = launch._hastened
    os.kill(begun.popen.pid, signal.SIGKILL)
    os.waitid(os.P_PID, begun.popen.pid, os.WEXITED | os.WNOWAIT)
    started = launch.start()
    assert started is not begun
    started.sock.close()
    assert started.popen.wait(PATIENCE) == 0


def test_what_nobody_wants_is_ended() -> None:
    """A mistyped option leaves no process behind."""
    launch.hasten()
    (begun,) = launch._hastened
    launch.give_up()
    assert begun.popen.returncode == -signal.SIGKILL and not launch._hastened


def test_where_there_is_no_process_to_be_had_the_start_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever needs one is told."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    launch.hasten()
    assert not launch._hastened


# ---- open files -------------------------------------------------------------------------------------------------

ALLOW = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (99, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from runner.process import launch
print(*resource.getrlimit(resource.RLIMIT_NOFILE), flush=True)
launch.allow_all_files()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), flush=True)
TOLD = "import resource, socket, sys; socket.socket(fileno=int(sys.argv[1])).recv(1);" \\
    "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
launch.command = lambda *words: [sys.executable, "-c", TOLD, *words]
popen, channel = launch.start()
channel.send(b"x")
popen.wait()
"""


def test_what_is_started_may_open_as_many_files_as_we_might_before() -> None:
    """When it is told what to do, at the latest. We take all that there are."""
    done = subprocess.run([sys.executable, "-c", ALLOW], env=environment(), capture_output=True, text=True, check=True,
                          timeout=30)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert done.stdout.splitlines() == [f"99 {most}", f"{most} {most}", f"99 {most}"]
