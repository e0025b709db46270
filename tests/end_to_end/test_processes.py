"""Processes that die, hang or leak while they serve: what the others and the clients notice of it."""

import contextlib
import os
import select
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import built
from tests.support.client import Conversation, Truncated, fetch
from tests.support.project import edit
from tests.support.runner_process import Served
from tests.support.trouble import (
    SOURCE,
    alive,
    at_work,
    begin,
    descendants,
    descriptors,
    generation_pid,
    ready_pids,
    report,
    stat_of,
    until,
)

THREADED = """
import threading
threading.Thread(target=threading.Event().wait, name="poller", daemon=True).start()
""" + SOURCE


def both(served: Served) -> dict[int, int]:
    """The processes of both workers, once both accept."""
    until("two workers accept", lambda: len(ready_pids(served)) == 2, live=served)
    return ready_pids(served)


def await_version(served: Served, version: int) -> None:
    """Wait until the application with that VERSION answers."""
    until(f"version {version} is live", lambda: fetch(served.http).body.startswith(b"%d " % version), live=served)


def kill_and_time(served: Served, slot: int) -> float:
    """Seconds from SIGKILL until another worker of *slot* accepts."""
    before = ready_pids(served)
    began = time.monotonic()
    os.kill(before[slot], signal.SIGKILL)
    until("the worker has a successor", lambda: ready_pids(served).get(slot) not in (None, before[slot]), live=served)
    assert {each: pid for each, pid in ready_pids(served).items() if each != slot} == {
        each: pid for each, pid in before.items() if each != slot
    }
    return time.monotonic() - began


# ---- a worker dies ---------------------------------------------------------------------------------------

def test_a_killed_worker_is_replaced_at_once(project: Project, runner: Runner) -> None:
    """Within 2 s (a twentieth of that on a quiet machine), its sibling undisturbed, and the log names the signal."""
    served = runner(project({"app.py": SOURCE}), "app:main")
    both(served)
    times = [kill_and_time(served, slot) for slot in (0, 1)]
    assert statistics.median(times) < 2.0
    served.wait_for(r"worker 0 \(process \d+\) was ended by SIGKILL")
    until("both are counted", lambda: report(served)["counters"]["crashes"] == 2, live=served)


def test_a_request_fails_visibly_with_its_worker(project: Project, runner: Runner, tmp_path: Path) -> None:
    """Its client gets no answer at all, never one that looks complete."""
    served = runner(project({"app.py": SOURCE}), "app:main", "--workers", "1")
    with begin(served, tmp_path, "wait", "never") as waiting:
        os.kill(ready_pids(served)[0], signal.SIGKILL)
        with pytest.raises((Truncated, ConnectionResetError)):
            waiting.reply()
    assert fetch(served.http, "/pid").status == 200


def test_a_stream_is_cut_visibly_with_its_worker(project: Project, runner: Runner, tmp_path: Path) -> None:
    """What was sent stays, the end that would make it whole does not come, and status counts it."""
    served = runner(project({"app.py": SOURCE}), "app:main", "--workers", "1")
    with begin(served, tmp_path, "stream", "never") as waiting:
        os.kill(ready_pids(served)[0], signal.SIGKILL)
        with pytest.raises((Truncated, ConnectionResetError)):
            waiting.reply()
    until("the cut answer is counted", lambda: report(served)["counters"]["cut"] == 1, live=served)


def test_a_worker_is_replaced_although_its_child_lives(project: Project, runner: Runner) -> None:
    """A child that was forked without exec holds the worker's channel open; that must not hide the death."""
    served = runner(project({"app.py": SOURCE}), "app:main", "--workers", "1")
    child = int(fetch(served.http, "/child").body)
    assert kill_and_time(served, 0) < 2.0
    assert alive({child})
    os.kill(child, signal.SIGKILL)


def test_a_handler_that_ends_the_process_is_contained(project: Project, runner: Runner, tmp_path: Path) -> None:
    """After the second time in a row a wait begins, which a save ends; the supervisor never ends."""
    directory = project({"app.py": SOURCE})
    served = runner(directory, "app:main", "--workers", "1")
    for _ in range(3):
        with Conversation(served.http) as leaving:
            leaving.request("GET", "/leave")
            with pytest.raises((Truncated, ConnectionResetError)):
                leaving.reply()
    served.wait_for(r"worker 0 \(process \d+\) ended with exit code 7")
    edit(directory / "app.py", SOURCE.replace("VERSION = 1", "VERSION = 2"))
    assert until("the save is live", lambda: fetch(served.http).body.startswith(b"2 "), live=served)
    assert report(served)["counters"]["crashes"] == 3


# ---- the generation dies ------------------------------------------------------------------------------------

def test_workers_outlive_their_generation(project: Project, runner: Runner, tmp_path: Path) -> None:
    """What is under way is finished by the old worker; the new generation takes over without a failed request."""
    served = runner(project({"app.py": SOURCE}), "app:main")
    with begin(served, tmp_path, "wait", "go") as waiting:
        before = set(both(served).values())
        os.kill(generation_pid(served), signal.SIGKILL)
        while set(ready_pids(served).values()) & before or not ready_pids(served):
            assert fetch(served.http, "/pid").status == 200
        (tmp_path / "go").touch()
        assert int(waiting.reply().body.split()[1]) in before
    served.wait_for(r"generation 1 was ended by SIGKILL.*starting another one")
    assert built(served) == 2


def test_a_stopped_generation_holds_up_nobody_for_long(project: Project, runner: Runner) -> None:
    """A worker that gets no verdict looks for itself: fresh is fresh, and a save is seen."""
    directory = project({"app.py": SOURCE})
    served = runner(directory, "app:main", "--workers", "1")
    generation = generation_pid(served)
    os.kill(generation, signal.SIGSTOP)
    try:
        edit(directory / "unrelated.txt", "an event in the watched directory")
        assert fetch(served.http).body.startswith(b"1 ")
        edit(directory / "app.py", SOURCE.replace("VERSION = 1", "VERSION = 2"))
        with Conversation(served.http, timeout=1.5) as conversation:
            conversation.request("GET", "/pid")
            # A redirect to ask again, the new answer, or nothing until the generation goes on; never an old answer.
            with contextlib.suppress(TimeoutError):
                reply = conversation.reply()
                assert reply.status == 307 or reply.body.startswith(b"2 ")
    finally:
        os.kill(generation, signal.SIGCONT)
    await_version(served, 2)


# ---- the supervisor dies ------------------------------------------------------------------------------------

@pytest.mark.parametrize("action", ["spin", "sleep", "stream"])
def test_nobody_outlives_the_supervisor(project: Project, runner: Runner, tmp_path: Path, action: str) -> None:
    """Within 2 s after its SIGKILL all are gone, also a worker that loops or sleeps."""
    served = runner(project({"app.py": SOURCE}), "app:main")
    below = {*both(served).values(), generation_pid(served)}
    with begin(served, tmp_path, action, "never"):
        served.process.kill()
        until("all have ended", lambda: not alive(below), 2.5, served)


@pytest.mark.parametrize("hang", ["import time; time.sleep(60)", "while True: pass"])
def test_an_import_does_not_outlive_the_supervisor(project: Project, runner: Runner, hang: str) -> None:
    """It hears nothing while it imports, so the kernel ends it."""
    served = runner(project({"app.py": f"import os\nos.write(2, b'importing\\n')\n{hang}"}), "app:main", ready=False)
    served.wait_for("importing")
    below = descendants(served.pid)
    assert below
    served.process.kill()
    until("all have ended", lambda: not alive(below), 2.5, served)


def test_workers_that_import_by_themselves_do_not_outlive_the_supervisor(
    project: Project, runner: Runner, tmp_path: Path
) -> None:
    """They have no generation that could end them when they loop."""
    served = runner(project({"app.py": THREADED}), "app:main")
    both(served)
    below = descendants(served.pid)
    with begin(served, tmp_path, "spin", "never"):
        served.process.kill()
        until("all have ended", lambda: not alive(below), 2.5, served)


def test_after_the_supervisor_was_killed_another_one_can_start(project: Project, runner: Runner, sockets: Path) -> None:
    """The socket file, its lock, the pid file and the control socket of the dead one are taken over."""
    directory = project({"app.py": SOURCE})
    options = ("app:main", "--fastcgi", f"unix:{sockets}/f", "--pid-file", str(sockets / "pid"))
    first = runner(directory, *options)
    first.kill()
    first.wait()
    second = runner(directory, *options)
    assert (sockets / "pid").read_text() == f"{second.pid}\n"
    assert second.stop() == 0
    assert list(sockets.iterdir()) == []


# ---- imports that end the process, hang, or leave something behind --------------------------------------------

def test_an_import_that_ends_the_process_is_shown_and_tried_again(project: Project, runner: Runner) -> None:
    """The supervisor lives, the answer is the error, the attempts grow rare, and a save ends the wait at once."""
    directory = project({"app.py": "import os\nos._exit(3)\n"})
    served = runner(directory, "app:main", "--debug", ready=False)
    served.wait_for("generation 1 ended with exit code 3 during the import")
    assert b"while importing app" in until("the error is shown", lambda: _body_of(served, 500), live=served)
    served.wait_for("generation 5 ended with exit code 3")
    edit(directory / "app.py", "import os\nos._exit(4)\n")
    served.wait_for("ended with exit code 4")
    assert b"exit code 4" in until("the new error is shown", lambda: _body_of(served, 500, b"code 4"), live=served)
    edit(directory / "app.py", SOURCE)
    assert until("the fix is live", lambda: _body_of(served, 200), 3.0, served)


def test_with_keep_an_import_that_ends_the_process_changes_nothing(project: Project, runner: Runner) -> None:
    """The last good generation goes on, and the fix is noticed by its saving."""
    directory = project({"app.py": SOURCE})
    served = runner(directory, "app:main", "--on-broken", "keep")
    edit(directory / "app.py", "import os\nos._exit(3)\n")
    served.wait_for("generation 2 ended with exit code 3")
    assert fetch(served.http).body.startswith(b"1 ")
    served.wait_for("generation 3 failed.*generation 1 goes on")
    assert fetch(served.http).body.startswith(b"1 ")
    edit(directory / "app.py", SOURCE.replace("VERSION = 1", "VERSION = 2"))
    assert until("the fix is live", lambda: fetch(served.http).body.startswith(b"2 "), 5.0, served)


def test_a_hanging_import_is_given_up_for_a_save(project: Project, runner: Runner) -> None:
    """Nobody has to find and kill it: the save of the fix is enough."""
    hanging = "import os, time\nos.write(2, b'importing\\n')\ntime.sleep(600)\n"
    directory = project({"app.py": SOURCE})
    served = runner(directory, "app:main")
    edit(directory / "app.py", hanging)
    served.wait_for("importing")
    edit(directory / "app.py", SOURCE.replace("VERSION = 1", "VERSION = 2"))
    assert until("the fix is live", lambda: _body_of(served, 200, b"2 "), 5.0, served)
    until("the hanging one is gone", lambda: at_work(served) == 3, live=served)


def test_a_thread_left_by_the_import_is_named(project: Project, runner: Runner) -> None:
    """Then workers import by themselves; an edit is live all the same, and log and status say why."""
    directory = project({"app.py": THREADED})
    served = runner(directory, "app:main", "--workers", "1")
    served.wait_for(r"the import left thread 'poller' of threading running: workers cannot be forked")
    edit(directory / "app.py", THREADED.replace("VERSION = 1", "VERSION = 2"))
    assert until("the save is live", lambda: _body_of(served, 200, b"2 "), live=served)
    edit(directory / "app.py", THREADED.replace("VERSION = 1", "VERSION = 3"))
    assert until("the next one, too", lambda: _body_of(served, 200, b"3 "), live=served)
    assert any("poller" in note for note in report(served)["notes"])
    assert served.output.count("workers cannot be forked") == 1


def _body_of(served: Served, status: int, part: bytes = b"") -> bytes:
    reply = fetch(served.http, "/pid")
    return reply.body or b" " if reply.status == status and part in reply.body else b""


# ---- the machine refuses -------------------------------------------------------------------------------------

def test_a_fork_that_is_refused_is_tried_again(project: Project, runner: Runner, tmp_path: Path) -> None:
    """EAGAIN, ten times: the sibling serves on, and when the machine allows it again there are two."""
    served = runner(project({"app.py": SOURCE}), "app:main")
    both(served)
    generation = generation_pid(served)
    refuse = ["strace", "-qq", "-o", "/dev/null", "-p", str(generation)]
    refuse += ["-e", "trace=fork,vfork,clone,clone3", "-e", "inject=fork,vfork,clone,clone3:error=EAGAIN:when=1..4"]
    tracer = subprocess.Popen(refuse)
    try:
        until("strace is attached", lambda: _traced(generation), live=served)
        os.kill(ready_pids(served)[0], signal.SIGKILL)
        served.wait_for("cannot fork: Resource temporarily unavailable; trying again")
        assert fetch(served.http, "/pid").status == 200
        both(served)
    finally:
        tracer.terminate()
        tracer.wait()


def _traced(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return "TracerPid:\t0\n" not in status


def test_no_descriptor_left_is_no_spin(project: Project, runner: Runner) -> None:
    """The connection waits in the queue, one line says why, and when there are descriptors again it is answered."""
    served = runner(project({"app.py": SOURCE}), "app:main", "--workers", "1")
    worker = ready_pids(served)[0]
    limit = f"--nofile={max(int(name) for name in os.listdir(f'/proc/{worker}/fd')) + 1}:4096"
    subprocess.run(["prlimit", "--pid", str(worker), limit], check=True)
    with Conversation(served.http) as conversation:
        conversation.request("GET", "/pid", {"Connection": "close"})
        served.wait_for("cannot accept: Too many open files")
        before = _cpu(worker)
        with pytest.raises(TimeoutError):
            conversation.socket.settimeout(0.5)
            conversation.socket.recv(1)
        assert _cpu(worker) - before < 0.25
        subprocess.run(["prlimit", "--pid", str(worker), "--nofile=1024:4096"], check=True)
        conversation.socket.settimeout(5)
        assert conversation.socket.recv(12) == b"HTTP/1.1 200"
    assert served.output.count("cannot accept") == 1


def _cpu(pid: int) -> float:
    """Seconds of processor time."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- calls that take too long --------------------------------------------------------------------------------

@pytest.mark.parametrize("action", ["spin", "sleep"])
def test_a_call_that_takes_too_long_ends_with_its_worker(
    project: Project, runner: Runner, tmp_path: Path, action: str
) -> None:
    """Its stacks are in the log, the client sees a failure, the other worker and status do not suffer."""
    served = runner(project({"app.py": SOURCE}), "app:main", "--timeout", "500ms")
    before = both(served)
    with begin(served, tmp_path, action, "never") as waiting:
        assert fetch(served.http, "/pid").status == 200
        with pytest.raises((Truncated, ConnectionResetError)):
            waiting.reply()
    served.wait_for(rf'File "{tmp_path}/project/app.py", line \d+ in {action}')
    served.wait_for(r"is killed: a call took longer than --timeout 0.5s; its stacks are above")
    until("the dead one is replaced", lambda: ready_pids(served).keys() == before.keys()
          and len(set(ready_pids(served).values()) & set(before.values())) == 1, live=served)
    assert report(served)["counters"]["kills"] == 1
    assert "out of memory" not in served.output


def test_a_leaving_worker_does_not_spoil_its_successors_clock(project: Project, runner: Runner, tmp_path: Path) -> None:
    """The call of a worker that was asked to retire is the graceful timeout's; its idle successor is not killed."""
    directory = project({"app.py": SOURCE})
    served = runner(directory, "app:main", "--workers", "1", "--timeout", "2s")
    with begin(served, tmp_path, "stream", "go") as waiting:
        old = ready_pids(served)[0]
        edit(directory / "app.py", SOURCE.replace("VERSION = 1", "VERSION = 2"))
        until("the successor accepts", lambda: ready_pids(served).get(0) not in (None, old), live=served)
        new = ready_pids(served)[0]
        assert fetch(served.http).body == b"2 %d" % new
        until("both have been looked at", lambda: report(served)["uptime"] > 6, live=served)
        assert ready_pids(served)[0] == new
        (tmp_path / "go").touch()
        waiting.reply()


# ---- recycling ------------------------------------------------------------------------------------------------

def test_workers_are_recycled_without_a_failed_request(project: Project, runner: Runner) -> None:
    """--max-requests with jitter: each request of 400 is answered, by many processes."""
    options = ("--max-requests", "20", "--max-requests-jitter", "10")
    served = runner(project({"app.py": SOURCE}), "app:main", *options)
    pids = {fetch(served.http, "/pid").body for _ in range(400)}
    assert len(pids) > 8
    served.wait_for("retires: it has answered --max-requests requests")
    assert report(served)["counters"]["crashes"] == 0


def test_jitter_alone_recycles_nobody(project: Project, runner: Runner) -> None:
    """Without --max-requests there is nothing to be varied."""
    served = runner(project({"app.py": SOURCE}), "app:main", "--workers", "1", "--max-requests-jitter", "3")
    assert len({fetch(served.http, "/pid").body for _ in range(20)}) == 1


def test_a_worker_that_grows_is_recycled(project: Project, runner: Runner) -> None:
    """--max-rss: no request fails, and the log says how large it was."""
    served = runner(project({"app.py": SOURCE}), "app:main", "--workers", "1", "--max-rss", "100M")
    pids = {fetch(served.http, "/eat").body for _ in range(100)}
    assert len(pids) > 1
    served.wait_for(r"retires: it uses \d+ MiB, more than --max-rss")
    assert report(served)["counters"]["crashes"] == 0


# ---- nothing is left -------------------------------------------------------------------------------------------

def reload_and_compare(served: Served, file: Path, times: int) -> None:
    """Save *times* times, each seen, then compare what the supervisor holds."""
    def held() -> tuple[int, int, int]:
        threads = len(os.listdir(f"/proc/{served.pid}/task"))
        while True:
            checkpoints = report(served)["checkpoints"]
            found = descriptors(served.pid) - len(checkpoints), at_work(served), threads
            if report(served)["checkpoints"] == checkpoints:
                return found

    def settled() -> bool:
        return at_work(served) == 3 and len(ready_pids(served)) == 2

    until("it has settled", settled, live=served)
    # The answer to our last question may still be open at its other end, so the first sight is not the true one.
    before = min(held(), *(held() for _ in range(20) if not select.select([], [], [], 0.01)[0]))
    for version in range(2, times + 2):
        edit(file, SOURCE.replace("VERSION = 1", f"VERSION = {version}"))
        await_version(served, version)
    until("it has settled", settled, live=served)
    until(f"it holds {before} again", lambda: held() == before, live=served)


def test_reloads_leave_nothing_behind(project: Project, runner: Runner) -> None:
    """20 of them: descriptors, processes and threads of the supervisor are as before."""
    directory = project({"app.py": SOURCE})
    reload_and_compare(runner(directory, "app:main"), directory / "app.py", 20)


@pytest.mark.stress
def test_many_reloads_leave_nothing_behind(project: Project, runner: Runner) -> None:
    """The same with 100."""
    directory = project({"app.py": SOURCE})
    reload_and_compare(runner(directory, "app:main"), directory / "app.py", 100)


@pytest.mark.stress
def test_a_worker_is_replaced_quickly_each_time(project: Project, runner: Runner) -> None:
    """40 kills, a save before each pair so that no wait is on: the median stays below 250 ms."""
    directory = project({"app.py": SOURCE})
    served = runner(directory, "app:main")
    times = []
    for version in range(2, 22):
        edit(directory / "app.py", SOURCE.replace("VERSION = 1", f"VERSION = {version}"))
        await_version(served, version)
        until("all have settled", lambda: at_work(served) == 3 and len(ready_pids(served)) == 2, live=served)
        times += [kill_and_time(served, slot) for slot in (0, 1)]
    print(f"median {statistics.median(times) * 1000:.1f} ms, longest {max(times) * 1000:.1f} ms")
    assert statistics.median(times) < 0.25


def test_a_stop_leaves_nothing_behind(project: Project, runner: Runner, sockets: Path) -> None:
    """No process, no socket, no lock, no pid file, no control socket."""
    options = ("--fastcgi", f"unix:{sockets}/f", "--pid-file", str(sockets / "pid"))
    served = runner(project({"app.py": SOURCE}), "app:main", *options)
    both(served)
    below = descendants(served.pid)
    assert {each.name for each in sockets.iterdir()} == {"f", "f.lock", "pid"}
    served.signal(signal.SIGTERM)  # and nobody's SIGKILL, as served.stop() would send to whoever is left
    assert served.wait() == 0
    assert (list(sockets.iterdir()), served.control.exists()) == ([], False)
    until("the last of them has ended", lambda: not alive(below))


def test_as_the_first_process_it_reaps_strangers(project: Project, runner: Runner, tmp_path: Path) -> None:
    """An orphan that the application left becomes the supervisor's child, and no zombie."""
    orphaning = SOURCE + """
def orphan(options):
    read, write = os.pipe()
    if not os.fork():
        if not os.fork():
            os.write(write, b"%d" % os.getpid())
            wait(options)
        os._exit(0)
    os.wait()
    return [os.read(read, 20)]
"""
    served = runner(project({"app.py": orphaning}), "app:main")
    orphan = int(fetch(served.http, f"/orphan?began={tmp_path}/began&until={tmp_path}/go").body)
    state = stat_of(orphan)
    assert state is not None and state[1] == served.pid
    (tmp_path / "go").touch()
    until("it is collected", lambda: stat_of(orphan) is None, live=served)


def test_in_a_process_namespace_of_its_own_it_works_the_same(project: Project, tmp_path: Path) -> None:
    """As process 1 of a container: it serves, reaps and stops."""
    directory = project({"app.py": SOURCE, "drive.py": """
        import os, signal, subprocess, sys, time
        command = [sys.executable, "-m", "runner", "serve", "app:main", "--http", "127.0.0.1:0", "--control", "control"]
        if os.fork() == 0:
            while not os.path.exists("ready"):
                time.sleep(0.01)
            os.kill(1, signal.SIGTERM)
            os._exit(0)
        os.execv(sys.executable, command)
    """})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RUNNER_")}
    environment["PYTHONPATH"] = str(Path(__file__).parent.parent.parent)
    command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, "drive.py"]
    with subprocess.Popen(command, cwd=directory, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "ready in" in line:
                (directory / "ready").touch()
        assert process.wait(15) == 0
