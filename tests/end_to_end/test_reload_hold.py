"""`--on-change hold`: nobody sees a reload, whatever the method, and nothing is executed twice."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from runner.status import render
from tests.conftest import Project, Runner
from tests.end_to_end.executions import FILES, Place, start, told
from tests.end_to_end.reloading import ask, by_fastcgi, follows_no_redirect, until, value
from tests.support.client import Conversation, FastCGI, fetch, parameters
from tests.support.project import project as write
from tests.support.runner_process import PYTHON, serve
from tests.support.trouble import generation_pid, report
from tests.support.trouble import until as until_true

NEVER = "import time\nVALUE = 2\ntime.sleep(3600)\n"


@pytest.fixture(scope="module", params=["request", "eager"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A run in hold mode, for all that need none of their own."""
    directory = write(tmp_path_factory.mktemp("run") / "project", FILES)
    options = ("--reload", request.param, "--on-change", "hold", "--hold-timeout", "20s")
    with serve(directory, "app:main", *options) as served:
        yield Place(directory, served)


@pytest.fixture
def place(running: Place) -> Iterator[Place]:
    """That run, whose code has the value 0."""
    running.begin_again()
    position = running.served.position
    yield running
    print(*running.served.lines[position:], sep="\n")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_every_method_is_answered_by_the_new_code(place: Place, method: str) -> None:
    """With its body, at once, and executed once."""
    body = b"" if method in ("GET", "HEAD") else b"body"
    place.save(value(1))
    reply = fetch(place.served.http, "/it", method=method, body=body)
    assert (reply.status, reply.text) == (200, "" if method == "HEAD" else told(1, body))
    assert place.executed("/it") == 1


@follows_no_redirect
def test_what_follows_no_redirect(place: Place, method: str, headers: dict[str, str]) -> None:
    """An upgrade and a CORS preflight are answered by the new code, too."""
    place.save(value(1))
    assert fetch(place.served.http, method=method, headers=headers).text == told(1)


def test_over_fastcgi(place: Place) -> None:
    """The same for a web server's request, on a connection that it keeps."""
    with FastCGI(place.served.fastcgi) as client:
        assert client.request(parameters(), keep=True).body.decode() == told(0)
        for version in (1, 2, 3):
            place.save(value(version))
            body = b"x" * version
            answer = client.request(parameters("/it", method="POST", length=len(body)), body, keep=True)
            assert answer.body.decode() == told(version, body)
    assert place.executed("/it") == 3


def test_a_body_sent_before_the_save_is_finished(place: Place) -> None:
    """What has begun before the save may be answered by the code before it, and is answered whole."""
    with Conversation(place.served.http) as early:
        early.send(b"POST /it HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo")
        # Its head is read when a request that came later is answered.
        assert ask(place.served).status == 200
        place.save(value(1))
        assert ask(place.served).text == told(1)
        early.send(b"dy")
        assert early.reply().text in (told(0, b"body"), told(1, b"body"))
    assert place.executed("/it") == 1


def test_a_head_in_pieces(place: Place) -> None:
    """A request whose head arrives byte by byte around the save is answered by the new code."""
    with Conversation(place.served.http) as slow:
        data = b"POST /it HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
        slow.send(data[:20])
        place.save(value(1))
        for byte in data[20:]:
            slow.send(bytes([byte]))
        assert slow.reply().text == told(1, b"body")


def test_expect_continue(place: Place) -> None:
    """A client that waits for 100 Continue gets it from whoever will answer, once."""
    with Conversation(place.served.http) as polite:
        place.save(value(1))
        polite.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        line = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert polite.socket.recv(len(line)) == line
        polite.send(b"body")
        assert polite.reply().text == told(1, b"body")


def test_requests_sent_ahead(place: Place) -> None:
    """Pipelined requests are answered in order, whichever process answers which."""
    with Conversation(place.served.http) as ahead:
        place.save(value(1))
        ahead.send(b"".join(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n%d" % (n, n) for n in range(5)))
        assert [ahead.reply().text for _ in range(5)] == [told(1, str(n).encode()) for n in range(5)]


def test_it_is_counted(place: Place) -> None:
    """`runner status` says how many requests were held, and that none was redirected."""
    before = {name: place.counter(name) for name in ("held", "moved")}
    with Conversation(place.served.http) as kept:
        kept.request("GET", "/")
        kept.reply()
        place.save(value(1))
        kept.request("GET", "/")
        assert kept.reply().text == told(1)
    if place.counter("held") == before["held"]:
        # Noticed before anybody asked, and the new worker had this connection already.
        assert place.counter("moved") > before["moved"]
    assert place.counter("redirects") == 0


def test_broken_code_answers_what_was_held(place: Place) -> None:
    """A request that finds broken code gets the error page, and the next save recovers."""
    place.save("VALUE = (\n")
    reply = fetch(place.served.http, method="POST", body=b"x")
    assert reply.status == 500
    place.save(value(2))
    assert ask(place.served).text == told(2)


def test_keep_answers_what_was_held(project: Project, runner: Runner) -> None:
    """Where the last good code goes on (--on-broken keep), it also answers those that waited for the broken."""
    options = ["--reload", "request", "--on-change", "hold", "--on-broken", "keep", "--workers", "1"]
    place = start(project, runner, *options)
    assert ask(place.served).text == told(0)
    place.save("VALUE = (\n")
    assert fetch(place.served.http, method="POST", body=b"x").text == told(0, b"x")


def test_a_generation_that_does_not_answer(project: Project, runner: Runner) -> None:
    """Where the process that watches the files is stopped, a worker looks by itself, and the new code is built."""
    place = start(project, runner, "--reload", "request", "--on-change", "hold")
    assert ask(place.served).text == told(0)
    mute = generation_pid(place.served)
    os.kill(mute, signal.SIGSTOP)
    try:
        place.save(value(1))
        assert fetch(place.served.http, "/it").text == told(1)
    finally:
        os.kill(mute, signal.SIGKILL)


def hanging(project: Project, runner: Runner, patience: str) -> Place:
    """A run whose newest code never finishes its import; requests wait for it with that patience."""
    options = ["--reload", "request", "--on-change", "hold", "--hold-timeout", patience, "--graceful-timeout", "2s"]
    place = start(project, runner, *options)
    assert ask(place.served).text == told(0)
    place.save(NEVER)
    return place


@pytest.mark.parametrize("fastcgi", [False, True])
def test_who_waits_too_long_is_told(project: Project, runner: Runner, fastcgi: bool) -> None:
    """After --hold-timeout: 503 with Retry-After, never executed, counted; a save of better code recovers."""
    place = hanging(project, runner, "300ms")
    served = place.served
    reply = by_fastcgi(served, "/it") if fastcgi else fetch(served.http, "/it", method="POST", body=b"x")
    assert (reply.status, reply.header("retry-after")) == (503, "1")
    assert place.executed("/it") == 0
    assert place.counter("expired") == 1
    place.save(value(3))
    assert until(served, told(3)).status == 200


SLOW = """
import os, time
VALUE = 1
open("../entered", "w").close()
while not os.path.exists("../go"):
    time.sleep(0.005)
"""


@pytest.fixture
def few_descriptors(tmp_path: Path) -> Path:
    """An interpreter for which `ulimit -n` is 160: 32 requests may wait."""
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nulimit -n 160\nexec {PYTHON} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("mode", ["redirect", "hold"])
def test_more_than_may_wait(
    project: Project, runner: Runner, tmp_path: Path, few_descriptors: Path, mode: str
) -> None:
    """On kept connections 60 POSTs come while an import goes on: those beyond 32 get 503 at once, counted as refused,
    and all others are answered by the new code, once."""
    place = start(project, runner, "--on-change", mode, python=few_descriptors)
    served = place.served
    with ExitStack() as stack:
        clients = [stack.enter_context(Conversation(served.http)) for _ in range(60)]
        for client in clients:
            client.request("GET", "/before")
            assert client.reply().text == told(0)
        place.save(SLOW)
        until_true("the new code is being imported", (tmp_path / "entered").exists, live=served)
        for number, client in enumerate(clients):
            client.request("POST", f"/{number}", body=b"x")
        until_true("all that may wait do", lambda: report(served)["waiting"] == 32, live=served)
        until_true("all others were refused", lambda: place.counter("refused") == 28, live=served)
        assert "waiting     32 requests, for newer code" in render(report(served))
        (tmp_path / "go").touch()
        replies = [client.reply() for client in clients]
    refused = [number for number, reply in enumerate(replies) if reply.status == 503]
    assert len(refused) == 28 and {replies[number].header("retry-after") for number in refused} == {"1"}
    assert {reply.text for reply in replies if reply.status != 503} == {told(1, b"x")}
    executed = [number for number in range(60) for _ in range(place.executed(f"/{number}"))]
    assert executed == [number for number in range(60) if number not in refused]
    assert (place.counter("refused"), place.counter("expired")) == (28, 0)


def test_a_stop_answers_those_who_wait(project: Project, runner: Runner) -> None:
    """A service that stops says so to a request that waits for newer code, rather than hanging up."""
    served = hanging(project, runner, "60s").served
    with Conversation(served.http) as waiting:
        waiting.request("GET", "/it")
        until_true("one waits", lambda: report(served)["waiting"], live=served)
        served.signal(signal.SIGTERM)
        reply = waiting.reply()
    assert (reply.status, reply.header("retry-after")) == (503, "1")
