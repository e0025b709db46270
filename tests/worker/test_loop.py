"""One worker, spoken to as its supervisor speaks to it, and asked as clients ask."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.process import messages
from runner.process.channel import Channel
from runner.process.scoreboard import Counter, Moment
from tests.conftest import Project
from tests.support.client import Conversation, FastCGI, Truncated, fetch, parameters
from tests.support.process import PATIENCE
from tests.support.project import edit
from tests.support.stage import Stage, ended, generation, receive
from tests.support.trouble import SOURCE, alive, descriptors, until

LARGE = """
def main(environ, start_response):
    start_response("200 OK", [("Content-Length", "20000000")])
    return [bytes(20_000_000)]
"""


class Hired:
    """A worker that accepts."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        stage.hear(messages.Loaded)
        self.pid, self.channel = stage.fork()
        stage.hear(messages.Ready, self.channel)
        self.row = stage.board.row(0)
        self.address: tuple[str, int] = stage.queue.getsockname()

    def asked(self, name: str) -> Conversation:
        """A request that goes on until the file *name* is there."""
        conversation = Conversation(self.address)
        began = self.folder / f"{name}.began"
        conversation.request("GET", f"/stream?began={began}&until={self.folder / name}")
        until("it is being answered", began.exists)
        return conversation

    def say(self, message: messages.Message) -> None:
        """An order of the supervisor."""
        assert self.channel.send(message)

    def hear(self, kind: type) -> messages.Message:
        """The worker's next words."""
        message: messages.Message = self.stage.hear(kind, self.channel)
        return message


@pytest.fixture
def worker(project: Project, tmp_path: Path) -> Iterator[Hired]:
    """See Hired; it has a timeout and an access log."""
    directory = project({"app.py": SOURCE})
    with generation(directory, timeout="20s", access_log=str(tmp_path / "log")) as stage:
        hired = Hired(stage, tmp_path)
        yield hired
        hired.channel.close()


def test_what_it_does_stands_on_the_scoreboard(worker: Hired) -> None:
    """Its process, what it has answered, what is under way, and until when its call may take."""
    assert (worker.row.get(Counter.PID), worker.row.get(Counter.GENERATION)) == (worker.pid, 1)
    fetch(worker.address, "/pid")
    until("the request is counted", lambda: worker.row.get(Counter.REQUESTS) == 1)
    with worker.asked("go") as waiting:
        assert worker.row.get(Counter.INFLIGHT) == 1
        assert worker.row.when(Moment.DEADLINE) > 0
        (worker.folder / "go").touch()
        waiting.reply()
    until("nothing is under way", lambda: worker.row.get(Counter.INFLIGHT) == 0)
    until("no call is running", lambda: worker.row.when(Moment.DEADLINE) == 0)


def test_who_is_not_the_newest_of_its_slot_is_silent(worker: Hired) -> None:
    """A successor has the row; what goes on there is the successor's, the count is both's."""
    worker.row.set(Counter.PID, 1)
    worker.row.set(Counter.INFLIGHT, 7)
    worker.row.mark(Moment.DEADLINE, 0.0)
    with worker.asked("go") as waiting:
        assert worker.row.when(Moment.DEADLINE) == 0
        (worker.folder / "go").touch()
        waiting.reply()
    until("it is counted", lambda: worker.row.get(Counter.REQUESTS) == 1)
    assert worker.row.get(Counter.INFLIGHT) == 7


def test_that_it_leaves_stands_on_the_scoreboard(project: Project, tmp_path: Path) -> None:
    """Also while it has no request any more, and only sends; its successor takes again."""
    with generation(project({"app.py": LARGE})) as stage:
        worker = Hired(stage, tmp_path)
        assert worker.row.when(Moment.LEAVING) == 0
        with Conversation(worker.address) as slow:
            slow.request("GET", "/")
            until("it is answered", lambda: worker.row.get(Counter.REQUESTS) == 1)
            worker.say(messages.Retire())
            until("it says so", lambda: worker.row.when(Moment.LEAVING) > 0)
            assert worker.row.get(Counter.INFLIGHT) == 0
            _, successor = stage.fork(key=2)
            stage.hear(messages.Ready, successor)
            assert worker.row.when(Moment.LEAVING) == 0
            assert len(slow.reply().body) == 20_000_000
        successor.close()
        worker.channel.close()


def private_door(pid: int) -> str | None:
    """By which the private socket of this worker's generation is found, proc(5): /proc/[pid]/fd."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if link.is_symlink() and os.readlink(link).endswith("/socket (deleted)"):
            return str(link)
    return None


def test_retiring_it_answers_the_parts_that_it_has_taken(project: Project, tmp_path: Path) -> None:
    """A sibling has connected, and nothing has come of its request yet: nobody else would answer it."""
    with generation(project({"app.py": f"import runner.batch\n{SOURCE}"})) as stage:
        worker = Hired(stage, tmp_path)
        door = private_door(worker.pid)
        assert door is not None
        before = descriptors(worker.pid)
        with FastCGI(Path(door)) as sibling:
            until("it has taken it", lambda: descriptors(worker.pid) > before)
            worker.say(messages.Retire())
            until("it says so", lambda: worker.row.when(Moment.LEAVING) > 0)
            assert sibling.request(parameters("/pid")).body == b"1 %d" % worker.pid
        assert ended(worker.channel)


def test_without_a_batch_there_is_no_private_socket(worker: Hired) -> None:
    """Nobody would ask."""
    assert private_door(worker.pid) is None


TICKS = """
import time
def main(environ, start_response):
    start_response("200 OK", [])
    while True:
        yield b"tick"
        time.sleep(0.005)
"""


def test_retiring_it_says_that_only_streams_are_left(project: Project, tmp_path: Path) -> None:
    """An answer that only has to leave is one; then it is over, and so is the worker."""
    with generation(project({"app.py": LARGE})) as stage:
        worker = Hired(stage, tmp_path)
        with Conversation(worker.address) as slow:
            slow.request("GET", "/", {"Connection": "close"})
            until("it is answered", lambda: worker.row.get(Counter.REQUESTS) == 1)
            worker.say(messages.Retire())
            assert worker.hear(messages.Streaming) == messages.Streaming(1)
            assert len(slow.reply().body) == 20_000_000
        assert worker.hear(messages.Streaming) == messages.Streaming(0)
        assert ended(worker.channel)
        worker.channel.close()


def test_by_order_it_cuts_its_streams(project: Project, tmp_path: Path) -> None:
    """The client sees that something is missing, and the worker has nothing more to do."""
    with generation(project({"app.py": TICKS})) as stage:
        worker = Hired(stage, tmp_path)
        with Conversation(worker.address) as endless:
            endless.request("GET", "/")
            assert endless.socket.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
            worker.say(messages.Retire())
            assert worker.hear(messages.Streaming) == messages.Streaming(1)
            worker.say(messages.Cut("it is late"))
            with pytest.raises(Truncated):
                endless.reply()
            assert worker.hear(messages.Streaming) == messages.Streaming(0)
        assert ended(worker.channel)
        worker.channel.close()


def test_at_a_stop_it_says_nothing_of_streams(project: Project, tmp_path: Path) -> None:
    """They have no more time than all others; it only cuts them in the end."""
    with generation(project({"app.py": TICKS})) as stage:
        worker = Hired(stage, tmp_path)
        with Conversation(worker.address) as endless:
            endless.request("GET", "/")
            assert endless.socket.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 200"
            worker.say(messages.Retire(last=True))
            worker.say(messages.Cut("it is late"))
            with pytest.raises(Truncated):
                endless.reply()
        with pytest.raises(EOFError):
            receive(worker.channel, streams=True)
        worker.channel.close()


def test_asked_to_retire_it_finishes_and_goes(worker: Hired) -> None:
    """Without a word, with what is under way answered whole, and taking nothing new."""
    with worker.asked("go") as waiting:
        worker.say(messages.Retire(last=True))
        worker.say(messages.Retire(last=True))
        (worker.folder / "go").touch()
        assert waiting.reply().body.startswith(b"begun1 ")
    assert ended(worker.channel)
    with Conversation(worker.address) as late:
        late.request("GET", "/pid")
        late.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            late.reply()


def test_told_by_signal_it_says_why_it_leaves(worker: Hired) -> None:
    """So that the supervisor takes it for no crash."""
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.hear(messages.Retiring) == messages.Retiring("received SIGTERM")
    assert ended(worker.channel)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD])
def test_signals_for_the_supervisor_are_passed_over(worker: Hired, number: signal.Signals) -> None:
    """A terminal sends them to the whole group."""
    os.kill(worker.pid, number)
    assert fetch(worker.address, "/pid").status == 200


def test_its_log_is_opened_again_by_order(worker: Hired) -> None:
    """The moved file gets nothing any more."""
    log = worker.folder / "log"
    log.rename(worker.folder / "old")
    worker.say(messages.Reopen())
    until("it is there again", log.exists)
    fetch(worker.address, "/pid")
    until("the line is there", lambda: log.read_text().count("\n") == 1)
    assert (worker.folder / "old").read_text() == ""


def test_stale_it_waits_and_goes_on_by_order(worker: Hired) -> None:
    """The one that finds the save is redirected, the next waits; Keep lets it in."""
    edit(worker.folder / "project" / "app.py", SOURCE + "\n")
    worker.stage.hear(messages.Stale)
    with Conversation(worker.address) as waiting:
        waiting.request("GET", "/pid")
        waiting.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            waiting.socket.recv(1)
        worker.stage.channel.send(messages.Keep())
        worker.say(messages.Keep())
        waiting.socket.settimeout(PATIENCE)
        assert waiting.socket.recv(12) == b"HTTP/1.1 200"


def test_who_waits_for_longer_than_a_request_may_is_taken_in(project: Project, tmp_path: Path) -> None:
    """Stale, and no successor after --hold-timeout: the worker accepts, and gives away what it reads, to be refused."""
    directory = project({"app.py": SOURCE})
    with generation(directory, hold_timeout="0.3s") as stage:
        hired = Hired(stage, tmp_path)
        edit(directory / "app.py", SOURCE + "\n")
        stage.hear(messages.Stale)
        with Conversation(hired.address) as waiting:
            waiting.request("GET", "/pid")
            parcel, descriptors = receive(hired.channel)
        assert isinstance(parcel, messages.Parcel)
        assert (parcel.after, parcel.held > 0, len(descriptors)) == (1, True, 1)
        os.close(descriptors[0])
        hired.channel.close()


def test_it_ends_with_its_supervisor(worker: Hired) -> None:
    """Whose end is the end of its channel, also while a connection is open."""
    with Conversation(worker.address) as idle:
        idle.request("GET", "/pid")
        assert idle.reply().status == 200
        worker.channel.close()
        until("it is gone", lambda: not alive({worker.pid}), 3.0)


def test_the_end_of_the_process_is_a_normal_one(project: Project, tmp_path: Path) -> None:
    """atexit functions run once, and what was printed is written."""
    marker = tmp_path / "marker"
    register = f"\nimport atexit\natexit.register(lambda: open({str(marker)!r}, 'a').write('x'))\n"
    directory = project({"app.py": SOURCE + register})
    with generation(directory) as stage:
        hired = Hired(stage, tmp_path)
        hired.say(messages.Retire())
        assert ended(hired.channel)
        until("it is written", lambda: marker.exists() and marker.read_text() == "x")


def test_an_application_that_replaces_stderr_is_served(project: Project, tmp_path: Path) -> None:
    """With --timeout, stacks go to descriptor 2, whatever sys.stderr is."""
    directory = project({"app.py": "import sys\nsys.stderr = object()\n" + SOURCE})
    with generation(directory, timeout="5s") as stage:
        hired = Hired(stage, tmp_path)
        assert fetch(hired.address, "/pid").status == 200
        hired.channel.close()
    assert isinstance(hired.channel, Channel)
