"""Kept-alive connections outlive their workers: whatever replaces one, the next request is answered."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import built
from tests.support.client import Conversation, FastCGI, parameters
from tests.support.crowd import Plan
from tests.support.crowd_process import CrowdProcess
from tests.support.edit_load import ROUTES, route
from tests.support.probe_process import Probe, serve_probe
from tests.support.process import PATIENCE
from tests.support.project import edit
from tests.support.runner_process import Served
from tests.support.trouble import ready_pids, report
from tests.support.verdict import judge

APP = """
import os, sys
if os.environ.get("LOOP") == "asyncio":
    sys.modules["uvloop"] = None
VERSION = 0
def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{VERSION} {os.getpid()} {'uvloop' if sys.modules.get('uvloop') else 'asyncio'}".encode()]
"""
SAVED = APP.replace("VERSION = 0", "VERSION = 1")
ON_EACH_LOOP = pytest.mark.parametrize("loop", ["any", "asyncio"])
"""The one that is found, uvloop if it is installed, and the one of the standard library."""
RACES = 30
"""Connections for which two workers run."""


class Visitors:
    """Six clients that keep their connections, half over HTTP, half over FastCGI."""

    def __init__(self, served: Served) -> None:
        self.http = [Conversation(served.http) for _ in range(3)]
        self.fastcgi = [FastCGI(served.fastcgi) for _ in range(3)]

    def ask(self) -> list[list[str]]:
        """Each asks once, a POST: nobody may send that again. Who was hung up on fails."""
        answers = []
        for conversation in self.http:
            conversation.request("POST", "/", body=b"x")
            reply = conversation.reply()
            assert reply.status == 200
            answers.append(reply.text.split())
        for client in self.fastcgi:
            answers.append(client.request(parameters(method="POST", length=1), b"x", keep=True).body.decode().split())
        return answers

    def close(self) -> None:
        """All leave."""
        for conversation in self.http:
            conversation.close()
        for client in self.fastcgi:
            client.socket.close()


@pytest.fixture
def leaving() -> Iterator[ExitStack]:
    """Closes what was opened."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def visited(project: Project, runner: Runner, leaving: ExitStack) -> Callable[..., tuple[Path, Served, Visitors]]:
    """Start a run with options, and have it visited."""

    def visit(*options: str, loop: str = "any") -> tuple[Path, Served, Visitors]:
        directory = project({"app.py": APP})
        served = runner(directory, "app:main", *options, env={"LOOP": loop})
        visitors = Visitors(served)
        leaving.callback(visitors.close)
        answers = visitors.ask()
        assert {answer[0] for answer in answers} == {"0"}
        assert loop == "any" or {answer[2] for answer in answers} == {loop}
        return directory, served, visitors

    return visit


def workers(served: Served) -> list[int]:
    """The processes of the workers, by slot."""
    return [worker["pid"] for worker in report(served)["workers"]]


def until(claim: Callable[[], bool], served: Served) -> None:
    """Wait until *claim* holds."""
    deadline = time.monotonic() + PATIENCE
    while not claim():
        assert time.monotonic() < deadline, served.output
        time.sleep(0.01)


@ON_EACH_LOOP
@pytest.mark.parametrize("mode", ["redirect", "hold"])
def test_a_save(visited: Callable[..., tuple[Path, Served, Visitors]], mode: str, loop: str) -> None:
    """A save: a POST on each kept connection, at once and later, is answered, and by the new code."""
    directory, served, visitors = visited("--on-change", mode, loop=loop)
    edit(directory / "app.py", SAVED)
    assert {answer[0] for answer in visitors.ask()} <= ({"1"} if mode == "hold" else {"0", "1"})
    assert built(served) == 2
    answers = visitors.ask()
    assert {answer[0] for answer in answers} == {"1"}
    assert {int(answer[1]) for answer in answers} <= set(workers(served))


def test_a_save_that_nobody_asks_after(visited: Callable[..., tuple[Path, Served, Visitors]]) -> None:
    """Idle connections are given to the new workers, not closed, and `runner status` counts them."""
    directory, served, visitors = visited()
    old = workers(served)
    edit(directory / "app.py", SAVED)
    until(lambda: not set(old) & set(workers(served)), served)
    assert {answer[0] for answer in visitors.ask()} == {"1"}
    assert report(served)["counters"]["moved"] == 6


@ON_EACH_LOOP
def test_a_reload_by_order(visited: Callable[..., tuple[Path, Served, Visitors]], loop: str) -> None:
    """HUP replaces the workers without an edit."""
    _, served, visitors = visited(loop=loop)
    old = workers(served)
    served.signal(signal.SIGHUP)
    until(lambda: not set(old) & set(workers(served)), served)
    assert not {int(answer[1]) for answer in visitors.ask()} & set(old)


@ON_EACH_LOOP
def test_recycled_workers(visited: Callable[..., tuple[Path, Served, Visitors]], loop: str) -> None:
    """--max-requests: with one worker that leaves after each third request nobody is hung up on."""
    _, served, visitors = visited("--workers", "1", "--max-requests", "3", loop=loop)
    seen = {answer[1] for _ in range(4) for answer in visitors.ask()}
    assert len(seen) > 4, served.output


def test_a_worker_told_to_leave(visited: Callable[..., tuple[Path, Served, Visitors]]) -> None:
    """TERM to one worker: its connections go to its successor."""
    _, served, visitors = visited()
    for pid in workers(served):
        os.kill(pid, signal.SIGTERM)
        until(lambda: pid not in workers(served), served)  # noqa: B023
        visitors.ask()


def test_fewer_workers(visited: Callable[..., tuple[Path, Served, Visitors]]) -> None:
    """TTOU: the connections of the one that leaves go to the one that stays."""
    _, served, visitors = visited()
    served.signal(signal.SIGTTOU)
    until(lambda: len(workers(served)) == 1, served)
    assert {int(answer[1]) for answer in visitors.ask()} == set(workers(served))


def test_a_stop_closes_them(visited: Callable[..., tuple[Path, Served, Visitors]]) -> None:
    """When the service ends nobody comes after it: its idle connections end."""
    _, served, visitors = visited()
    served.signal(signal.SIGTERM)
    assert visitors.http[0].ended()
    assert visitors.fastcgi[0].socket.recv(1) == b""


@ON_EACH_LOOP
def test_who_comes_too_late_to_the_queue_has_others(
    visited: Callable[..., tuple[Path, Served, Visitors]], loop: str
) -> None:
    """Two workers see one connection, one takes it: the other does not wait for the next, but serves those it has."""
    _, served, visitors = visited(loop=loop)
    pids = workers(served)
    for _ in range(RACES):
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        with Conversation(served.http) as latest:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            latest.request("GET", "/")
            assert latest.reply().status == 200
        assert {int(answer[1]) for answer in visitors.ask()} <= set(pids)


@ON_EACH_LOOP
def test_the_bytes_of_half_a_request_move_along(
    visited: Callable[..., tuple[Path, Served, Visitors]], loop: str
) -> None:
    """A worker leaves while a head is arriving: its successor has the first half and reads the second."""
    _, served, visitors = visited("--workers", "1", loop=loop)
    old = workers(served)
    visitors.http[0].send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-")
    served.signal(signal.SIGHUP)
    until(lambda: not set(old) & set(workers(served)), served)
    visitors.http[0].send(b"Length: 1\r\n\r\nx")
    assert visitors.http[0].reply().status == 200


def test_a_worker_killed_before_it_took_what_it_was_given(
    visited: Callable[..., tuple[Path, Served, Visitors]]
) -> None:
    """Connections on their way to a worker that dies are given to another one; no request is lost."""
    _, served, visitors = visited()
    first = int(visitors.ask()[0][1])
    second, = set(workers(served)) - {first}
    os.kill(second, signal.SIGSTOP)
    os.kill(first, signal.SIGTERM)
    until(lambda: first not in workers(served), served)
    os.kill(second, signal.SIGKILL)
    until(lambda: second not in workers(served), served)
    assert not _hung_up(visitors.http[0].socket), "those of the first worker outlive it"
    for client in visitors.http:
        if not _hung_up(client.socket):
            client.request("POST", "/", body=b"x")
            assert client.reply().status == 200


def _hung_up(sock: socket.socket) -> bool:
    """Its own worker was killed, and with it what it had open: the only thing that cannot be moved."""
    sock.setblocking(False)
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        sock.settimeout(PATIENCE)


# ---- behind web servers -----------------------------------------------------------------------------------------

VISITORS = 24
TURNS = 3
"""Workers must have come and gone so often, at least."""


def recycled(probe: Probe) -> None:
    """By --max-requests, which needs nobody to do anything."""
    old = workers(probe.served)
    until(lambda: not set(old) & set(workers(probe.served)), probe.served)


def hung_up(probe: Probe) -> None:
    """A new generation, without an edit."""
    old = workers(probe.served)
    probe.served.signal(signal.SIGHUP)
    until(lambda: not set(old) & set(workers(probe.served)), probe.served)


def fewer_and_more(probe: Probe) -> None:
    """One worker less, then one more."""
    probe.served.signal(signal.SIGTTOU)
    until(lambda: len(workers(probe.served)) == 1, probe.served)
    probe.served.signal(signal.SIGTTIN)
    until(lambda: len(ready_pids(probe.served)) == 2, probe.served)


def dismissed(probe: Probe) -> None:
    """TERM to one worker after the other; to none that has only begun to be one, and hears nothing yet."""
    for slot in (0, 1):
        until(lambda: len(ready_pids(probe.served)) == 2, probe.served)
        pid = ready_pids(probe.served)[slot]
        os.kill(pid, signal.SIGTERM)
        until(lambda: pid not in workers(probe.served), probe.served)  # noqa: B023


RECYCLING = {"max-requests": recycled, "HUP": hung_up, "TTOU and TTIN": fewer_and_more, "TERM": dismissed}


@pytest.fixture(scope="module", params=RECYCLING)
def recycling(request: pytest.FixtureRequest) -> Iterator[tuple[Probe, Callable[[Probe], None]]]:
    """What is served, and one turn of that way; behind one web server after the other."""
    options = ["--max-requests", "20"] if request.param == "max-requests" else []
    with serve_probe(*options) as probe:
        yield probe, RECYCLING[request.param]


@pytest.mark.parametrize("requests", [200, pytest.param(4_000, marks=pytest.mark.stress)])
@pytest.mark.parametrize("way", sorted(set(ROUTES) - {"http"}))
def test_recycling_behind_a_web_server(
    recycling: tuple[Probe, Callable[[Probe], None]], way: str, requests: int
) -> None:
    """Workers come and go under POSTs, each with a token of its own: none fails, is executed twice, or is lost."""
    (probe, turn), turns = recycling, 0
    before, moved = len(probe.executed()), probe.status()["counters"]["moved"]
    with ExitStack() as stack:
        plan = Plan((route(probe.served, way, ROUTES[way], stack),), VISITORS, seed=1, pause=0.01)
        with CrowdProcess(plan) as crowd:
            crowd.wait_for(1, PATIENCE)
            while turns < TURNS or crowd.requests < requests:
                turn(probe)
                turns += 1
        moved = probe.status()["counters"]["moved"] - moved
    outcome = judge(crowd.records, [], probe.executed()[before:], "hold")
    print(f"{way}: {turns} turns, {outcome.answers} of {outcome.requests} answered, {moved} moved")
    assert outcome.faults == (), "\n".join(map(str, outcome.faults))
    assert sum(record.method == "POST" for record in crowd.records) > VISITORS
    # Where one of two workers stays all the time it may have all the connections.
    assert moved > 0 or turn is fewer_and_more
