"""Signals, one by one, in bursts and to the whole group: what each means, and that none is fatal by accident."""

import os
import pty
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.supervisor.control import ask
from tests.conftest import Project, Runner
from tests.support.client import Conversation, Truncated, fetch
from tests.support.places import free_port
from tests.support.process import Live
from tests.support.project import edit
from tests.support.runner_process import NO_TIME, Served, environment
from tests.support.trouble import SOURCE, alive, at_work, begin, descendants, generation_pid, ready_pids, report, until


def ready(served: Served, count: int = 2) -> dict[int, int]:
    """The processes of the workers, once *count* accept and nobody else is there."""
    def settled() -> bool:
        seen = report(served)
        return [each["state"] for each in seen["workers"]] == ["ready"] * count and seen["state"] == "running"

    until(f"{count} workers accept", settled, live=served)
    return ready_pids(served)


def scale(served: Served, number: signal.Signals, wanted: int) -> None:
    """One signal, heard before the next is sent, for the kernel makes one of two that wait."""
    position = served.position
    served.signal(number)
    served.wait_for(f"{number.name}: {wanted} workers? wanted", after=position)


def push(served: Served, number: signal.Signals, times: int) -> None:
    """That signal so often, each noted by the supervisor before the next is sent: none may become one with another.

    First the kernel must hold none back, proc_pid_status(5); then Python must come to its handler, as it has when there
    is an answer to a question asked afterwards.
    """
    def taken() -> bool:
        status = Path(f"/proc/{served.pid}/status").read_text(encoding="utf-8", errors="replace")
        return not any(int(mask, 16) for mask in re.findall(r"^(?:SigPnd|ShdPnd):\s*(\w+)", status, re.MULTILINE))

    for _ in range(times):
        served.signal(number)
        until(f"{number.name} is taken", taken, live=served)
        report(served)


# ---- the end -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT])
def test_a_graceful_end_finishes_what_is_under_way(
    project: Project, runner: Runner, tmp_path: Path, number: signal.Signals
) -> None:
    """TERM, QUIT and the first INT: the requests are answered whole, then everybody goes, with exit code 0."""
    served = runner(project({"app.py": SOURCE}), "app:main")
    ready(served)
    below = descendants(served.pid)
    with begin(served, tmp_path, "wait", "go") as waiting, begin(served, tmp_path, "stream", "on") as streaming:
        served.signal(number)
        served.wait_for(f"{number.name}: stopping")
        (tmp_path / "go").touch()
        (tmp_path / "on").touch()
        assert waiting.reply().body.startswith(b"1 ")
        assert streaming.reply().body.startswith(b"begun1 ")
    assert served.wait() == 0
    until("all have ended", lambda: not alive(below))


def test_a_second_int_ends_at_once(project: Project, runner: Runner, tmp_path: Path) -> None:
    """Who presses Ctrl-C twice does not want to wait."""
    served = runner(project({"app.py": SOURCE}), "app:main")
    with begin(served, tmp_path, "wait", "never") as waiting:
        served.signal(signal.SIGINT)
        served.wait_for("SIGINT: stopping; requests under way: 1, which have up to .* s; a second SIGINT ends them")
        began = time.monotonic()
        served.signal(signal.SIGINT)
        assert served.wait() == 0
        assert time.monotonic() - began < 2.0
        with pytest.raises((Truncated, ConnectionResetError)):
            waiting.reply()


def test_patience_with_the_last_requests_ends(project: Project, runner: Runner, tmp_path: Path) -> None:
    """After --graceful-timeout the worker is killed, which the log says, and its client sees a failure."""
    served = runner(project({"app.py": SOURCE}), "app:main", "--graceful-timeout", "500ms")
    with begin(served, tmp_path, "wait", "never") as waiting:
        served.signal(signal.SIGTERM)
        assert served.wait(5) == 0
        with pytest.raises((Truncated, ConnectionResetError)):
            waiting.reply()
    served.wait_for(r"worker \d \(process \d+\) is killed: it is still busy, and the time to stop is over")


def test_patience_with_a_replaced_worker_ends(project: Project, runner: Runner, tmp_path: Path) -> None:
    """The same for one that hangs while its successors serve; status counts it."""
    directory = project({"app.py": SOURCE})
    served = runner(directory, "app:main", "--workers", "1", "--graceful-timeout", "500ms")
    with begin(served, tmp_path, "wait", "never") as waiting:
        edit(directory / "app.py", SOURCE.replace("VERSION = 1", "VERSION = 2"))
        served.wait_for("is killed: still busy 0.5 s after it was asked to retire")
        with pytest.raises((Truncated, ConnectionResetError)):
            waiting.reply()
    assert fetch(served.http).body.startswith(b"2 ")
    assert report(served)["counters"]["kills"] == 1


def test_the_end_does_not_wait_for_idle_connections(project: Project, runner: Runner, tmp_path: Path) -> None:
    """Ten kept-alive connections that say nothing are closed, not awaited."""
    served = runner(project({"app.py": SOURCE}), "app:main")
    idle = [Conversation(served.http) for _ in range(10)]
    try:
        for each in idle:
            each.request("GET", "/pid")
            assert each.reply().status == 200
        began = time.monotonic()
        served.signal(signal.SIGTERM)
        assert served.wait() == 0
        assert time.monotonic() - began < 3.0
        assert all(each.ended() for each in idle)
    finally:
        for each in idle:
            each.close()


@pytest.mark.parametrize("hang", ["time.sleep(600)", "while True: pass"])
def test_the_end_does_not_wait_for_an_import(project: Project, runner: Runner, hang: str) -> None:
    """TERM during an import that hangs: over in about a second, nothing left."""
    files = {"app.py": f"import os, time\nos.write(2, b'importing\\n')\n{hang}\n"}
    served = runner(project(files), "app:main", ready=False)
    served.wait_for("importing")
    below = descendants(served.pid)
    began = time.monotonic()
    served.signal(signal.SIGTERM)
    assert served.wait() == 0
    assert time.monotonic() - began < 3.0
    until("all have ended", lambda: not alive(below))


def test_the_end_may_come_at_any_moment_of_the_start(project: Project, sockets: Path) -> None:
    """TERM 0 to 400 ms after the start, ten times: no socket, lock or pid file, no process is left, no traceback."""
    directory = project({"app.py": SOURCE})
    moments = random.Random(4)
    for _ in range(10):
        command = [sys.executable, "-m", "runner", "serve", "app:main", "--fastcgi", f"unix:{sockets}/f"]
        command += ["--pid-file", str(sockets / "pid"), "--control", str(sockets / "control")]
        with Live(command, cwd=directory, env=environment()) as live:
            time.sleep(moments.uniform(0.0, 0.4))   # not a hope: each moment is a case
            os.killpg(live.pid, signal.SIGTERM)
            assert live.wait() in (0, -signal.SIGTERM)
            assert "Traceback" not in live.output
            assert list(sockets.iterdir()) == [], live.output


# ---- reload ---------------------------------------------------------------------------------------------------

def test_hup_makes_a_new_generation(project: Project, runner: Runner) -> None:
    """Without an edit; the log says who asked."""
    served = runner(project({"app.py": SOURCE}), "app:main", "--no-reload")
    before = ready(served)
    served.signal(signal.SIGHUP)
    served.wait_for(r"SIGHUP → generation 2 in \d+ ms")
    until("other processes serve", lambda: not set(ready_pids(served).values()) & set(before.values()), live=served)


def test_hup_never_dies_of_broken_code(project: Project, runner: Runner) -> None:
    """The error is shown, and the next HUP after the fix shows the fix."""
    directory = project({"app.py": SOURCE})
    served = runner(directory, "app:main", "--no-reload")
    edit(directory / "app.py", "def main(\n")
    served.signal(signal.SIGHUP)
    served.wait_for("SIGHUP → generation 2 failed: SyntaxError")
    until("the error is shown", lambda: fetch(served.http).status == 500, live=served)
    edit(directory / "app.py", SOURCE)
    served.signal(signal.SIGHUP)
    until("the fix is shown", lambda: fetch(served.http).status == 200, live=served)


def test_a_storm_of_hups_is_one_or_two_reloads(project: Project, runner: Runner) -> None:
    """While one generation is built, all further wishes are one."""
    served = runner(project({"app.py": SOURCE}), "app:main")
    ready(served)
    for _ in range(300):
        served.signal(signal.SIGHUP)
    served.wait_for(r"generation [23] in")
    ready(served)
    until("the last wish is granted", lambda: at_work(served) == 3, live=served)
    assert report(served)["generation"] <= 4


def test_term_during_a_reload_ends(project: Project, runner: Runner) -> None:
    """The end is stronger than the wish for something new."""
    served = runner(project({"app.py": SOURCE}), "app:main")
    ready(served)
    below = descendants(served.pid)
    served.signal(signal.SIGHUP)
    served.signal(signal.SIGTERM)
    served.signal(signal.SIGHUP)
    assert served.wait() == 0
    until("all have ended", lambda: not alive(below))


def test_a_burst_of_everything_is_survived(project: Project, runner: Runner) -> None:
    """50 signals in any order, none of which means the end, to the supervisor and to its whole group."""
    served = runner(project({"app.py": SOURCE}), "app:main")
    ready(served)
    harmless = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD, signal.SIGWINCH, signal.SIGTTIN,
                signal.SIGTTOU, signal.SIGCONT]
    order = random.Random(7)
    for turn in range(50):
        number = order.choice(harmless)
        os.killpg(served.pid, number) if turn % 2 else served.signal(number)
        if not turn % 10:
            assert fetch(served.http).status == 200
    # How many are wanted now depends on which of the burst the kernel made one; after many steps down it is one.
    push(served, signal.SIGTTOU, 50)
    push(served, signal.SIGTTIN, 7)
    ready(served, 8)
    until("all is calm", lambda: at_work(served) == 1 + 8, live=served)
    assert fetch(served.http).status == 200
    assert report(served)["counters"]["crashes"] == 0


# ---- the others ------------------------------------------------------------------------------------------------

def test_ttin_and_ttou_change_the_number_of_workers(project: Project, runner: Runner) -> None:
    """One more, one less, never fewer than one; a reload of the code changes nothing about it."""
    directory = project({"app.py": SOURCE})
    served = runner(directory, "app:main")
    ready(served)
    scale(served, signal.SIGTTIN, 3)
    ready(served, 3)
    served.signal(signal.SIGHUP)
    served.wait_for("generation 2 in")
    ready(served, 3)
    for wanted in (2, 1, 1):
        scale(served, signal.SIGTTOU, wanted)
    ready(served, 1)
    assert fetch(served.http).status == 200


def test_usr1_opens_the_access_log_again(project: Project, runner: Runner, tmp_path: Path) -> None:
    """10 rotations by mv, with requests all the time: as many lines as requests."""
    log = tmp_path / "access.log"
    served = runner(project({"app.py": SOURCE}), "app:main", "--access-log", str(log))
    ready(served)
    asked = 0
    for turn in range(10):
        for _ in range(5):
            asked += fetch(served.http).status == 200
        log.rename(tmp_path / f"access.log.{turn}")
        served.signal(signal.SIGUSR1)
        until("it is there again", log.exists, live=served)
    files = [log, *(tmp_path / f"access.log.{turn}" for turn in range(10))]
    until("all is written", lambda: sum(len(file.read_text().splitlines()) for file in files) == asked, live=served)


def test_term_of_one_worker_means_that_worker(project: Project, runner: Runner, tmp_path: Path) -> None:
    """It finishes what it has and is replaced; that is no crash."""
    served = runner(project({"app.py": SOURCE}), "app:main", "--workers", "1")
    with begin(served, tmp_path, "wait", "go") as waiting:
        old = ready_pids(served)[0]
        os.kill(old, signal.SIGTERM)
        (tmp_path / "go").touch()
        assert waiting.reply().body == b"1 %d" % old
    served.wait_for(rf"worker 0 \(process {old}\) retires: received SIGTERM")
    until("it is replaced", lambda: ready_pids(served).get(0) not in (None, old), live=served)
    assert report(served)["counters"]["crashes"] == 0


def test_a_stopped_supervisor_stops_nobody(project: Project, runner: Runner) -> None:
    """Requests are answered meanwhile; afterwards nobody has been killed for having been silent."""
    served = runner(project({"app.py": SOURCE}), "app:main", "--timeout", "300ms")
    before = ready(served)
    served.signal(signal.SIGSTOP)
    end = time.monotonic() + 0.8
    while time.monotonic() < end:
        assert fetch(served.http).status == 200
    served.signal(signal.SIGCONT)
    assert ready(served) == before


def test_signals_to_the_generation_are_not_for_it(project: Project, runner: Runner) -> None:
    """Whoever signals the whole group means the supervisor."""
    served = runner(project({"app.py": SOURCE}), "app:main")
    before = ready(served)
    generation = generation_pid(served)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
                   signal.SIGTTIN, signal.SIGTTOU):
        os.kill(generation, number)
    assert fetch(served.http).status == 200
    assert (ready(served), generation_pid(served)) == (before, generation)


def test_ctrl_c_in_a_terminal_ends_quietly(project: Project, tmp_path: Path) -> None:
    """The key goes to the whole group; one process speaks, and nobody leaves a traceback."""
    port = free_port()
    command = [sys.executable, "-m", "runner", "serve", "app:main", "--http", f"127.0.0.1:{port}"]
    control, status = str(tmp_path / "c"), {"command": "status"}
    command += ["--control", control]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project({"app.py": SOURCE}))
        os.execve(sys.executable, command, environment())
    seen = b""
    try:
        while b"live at the next request" not in seen:
            seen += os.read(terminal, 4096)
        assert fetch(("127.0.0.1", port)).status == 200
        until("nobody is busy", lambda: {each["state"] for each in ask(control, status)["workers"]} == {"ready"})
        os.write(terminal, b"\x03")
        while True:
            try:
                seen += os.read(terminal, 4096)
            except OSError:   # EIO: the last process has closed the terminal
                break
    finally:
        assert os.waitpid(pid, 0)[1] == 0
        os.close(terminal)
    said = seen.decode().partition("live at the next request")[2].splitlines()[2:]
    assert [line.partition("supervisor: ")[2] for line in said
            if line not in ("", "^C") and NO_TIME not in line] == [
        "SIGINT: stopping", "stopped"]


def test_the_loss_of_the_terminal_is_a_reload(project: Project, runner: Runner) -> None:
    """HUP to the whole group: new code, no deaths."""
    served = runner(project({"app.py": SOURCE}), "app:main")
    ready(served)
    os.killpg(served.pid, signal.SIGHUP)
    served.wait_for(r"SIGHUP → generation 2 in")
    assert fetch(served.http).status == 200
    assert report(served)["counters"]["crashes"] == 0


def test_status_answers_a_stopped_worker_s_supervisor(project: Project, runner: Runner) -> None:
    """A worker that is stopped holds up nobody who asks for the status, and its sibling serves."""
    served = runner(project({"app.py": SOURCE}), "app:main")
    stopped = ready(served)[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        assert report(served)["workers"][0]["pid"] == stopped
        done = subprocess.run([sys.executable, "-m", "runner", "status", "--control", str(served.control)],
                              env=environment(), capture_output=True, text=True, timeout=10, check=True)
        assert "running" in done.stdout
    finally:
        os.kill(stopped, signal.SIGCONT)
