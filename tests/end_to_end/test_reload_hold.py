"""`--on-change hold`: nobody sees a reload, whatever the method, and nothing is executed twice."""

import hashlib
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from runner.status import render
from tests.conftest import Project, Runner
from tests.end_to_end.reloading import FILES, ask, by_fastcgi, until, value
from tests.support.client import Conversation, FastCGI, fetch, parameters
from tests.support.project import edit
from tests.support.runner_process import PYTHON, Served
from tests.support.trouble import report
from tests.support.trouble import until as until_true

APP = """
import hashlib, os
import module
def main(environ, start_response):
    with open(os.environ["EXECUTED"], "a") as log:
        log.write(environ["PATH_INFO"] + "\\n")
    digest, length = hashlib.sha256(), 0
    while part := environ["wsgi.input"].read(1 << 16):
        digest.update(part)
        length += len(part)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{module.VALUE} {length} {digest.hexdigest()}".encode()]
"""
PREFLIGHT = {"Origin": "http://elsewhere", "Access-Control-Request-Method": "PUT"}
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"}
NEVER = "import time\nVALUE = 2\ntime.sleep(3600)\n"


def told(version: int, body: bytes = b"") -> str:
    """What the application answers to *body*."""
    return f"{version} {len(body)} {hashlib.sha256(body).hexdigest()}"


class Site:
    """A run, its folder, and what its application has executed."""

    def __init__(self, directory: Path, served: Served, executed: Path) -> None:
        self.directory = directory
        self.served = served
        self._executed = executed

    def save(self, text: str) -> None:
        """Change the module."""
        edit(self.directory / "module.py", text)

    def executed(self, path: str) -> int:
        """How often a request for *path* has been executed."""
        return self._executed.read_text().splitlines().count(path)

    def counter(self, name: str) -> int:
        """One number of `runner status`."""
        return int(report(self.served)["counters"][name])


@pytest.fixture(params=["request", "eager"])
def site(request: pytest.FixtureRequest, project: Project, runner: Runner, tmp_path: Path) -> Site:
    """A run in hold mode, asked once."""
    executed = tmp_path / "executed"
    directory = project({**FILES, "app.py": APP})
    options = ["--reload", request.param, "--on-change", "hold", "--hold-timeout", "20s"]
    served = runner(directory, "app:main", *options, env={"EXECUTED": str(executed)})
    assert ask(served).text == told(0)
    return Site(directory, served, executed)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_every_method_is_answered_by_the_new_code(site: Site, method: str) -> None:
    """With its body, at once, and executed once."""
    body = b"" if method in ("GET", "HEAD") else b"body"
    site.save(value(1))
    reply = fetch(site.served.http, "/it", method=method, body=body)
    assert (reply.status, reply.text) == (200, "" if method == "HEAD" else told(1, body))
    assert site.executed("/it") == 1


@pytest.mark.parametrize(
    ("method", "headers"), [("OPTIONS", PREFLIGHT), ("GET", UPGRADE)], ids=["preflight", "upgrade"]
)
def test_what_follows_no_redirect(site: Site, method: str, headers: dict[str, str]) -> None:
    """An upgrade and a CORS preflight are answered by the new code, too."""
    site.save(value(1))
    assert fetch(site.served.http, method=method, headers=headers).text == told(1)


def test_over_fastcgi(site: Site) -> None:
    """The same for a web server's request, on a connection that it keeps."""
    with FastCGI(site.served.fastcgi) as client:
        assert client.request(parameters(), keep=True).body.decode() == told(0)
        for version in (1, 2, 3):
            site.save(value(version))
            body = b"x" * version
            answer = client.request(parameters("/it", method="POST", length=len(body)), body, keep=True)
            assert answer.body.decode() == told(version, body)
    assert site.executed("/it") == 3


def test_a_body_sent_before_the_save_is_finished(site: Site) -> None:
    """What has begun before the save may be answered by the code before it, and is answered whole."""
    with Conversation(site.served.http) as early:
        early.send(b"POST /it HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo")
        # Its head is read when a request that came later is answered.
        assert ask(site.served).status == 200
        site.save(value(1))
        assert ask(site.served).text == told(1)
        early.send(b"dy")
        assert early.reply().text in (told(0, b"body"), told(1, b"body"))
    assert site.executed("/it") == 1


def test_a_head_in_pieces(site: Site) -> None:
    """A request whose head arrives byte by byte around the save is answered by the new code."""
    with Conversation(site.served.http) as slow:
        data = b"POST /it HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
        slow.send(data[:20])
        site.save(value(1))
        for byte in data[20:]:
            slow.send(bytes([byte]))
        assert slow.reply().text == told(1, b"body")


def test_expect_continue(site: Site) -> None:
    """A client that waits for 100 Continue gets it from whoever will answer, once."""
    with Conversation(site.served.http) as polite:
        site.save(value(1))
        polite.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        line = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert polite.socket.recv(len(line)) == line
        polite.send(b"body")
        assert polite.reply().text == told(1, b"body")


def test_requests_sent_ahead(site: Site) -> None:
    """Pipelined requests are answered in order, whichever process answers which."""
    with Conversation(site.served.http) as ahead:
        site.save(value(1))
        ahead.send(b"".join(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n%d" % (n, n) for n in range(5)))
        assert [ahead.reply().text for _ in range(5)] == [told(1, str(n).encode()) for n in range(5)]


def test_it_is_counted(site: Site) -> None:
    """`runner status` says how many requests were held, and that none was redirected."""
    with Conversation(site.served.http) as kept:
        kept.request("GET", "/")
        kept.reply()
        site.save(value(1))
        kept.request("GET", "/")
        assert kept.reply().text == told(1)
    if site.counter("held") == 0:
        # Noticed before anybody asked, and the new worker had this connection already.
        assert site.counter("moved") > 0
    assert site.counter("redirects") == 0


def test_broken_code_answers_what_was_held(site: Site) -> None:
    """A request that finds broken code gets the error page, and the next save recovers."""
    site.save("VALUE = (\n")
    reply = fetch(site.served.http, method="POST", body=b"x")
    assert reply.status == 500
    site.save(value(2))
    assert ask(site.served).text == told(2)


def test_keep_answers_what_was_held(project: Project, runner: Runner, tmp_path: Path) -> None:
    """Where the last good code goes on (--on-broken keep), it also answers those that waited for the broken."""
    directory = project({**FILES, "app.py": APP})
    options = ["--reload", "request", "--on-change", "hold", "--on-broken", "keep", "--workers", "1"]
    served = runner(directory, "app:main", *options, env={"EXECUTED": str(tmp_path / "executed")})
    assert ask(served).text == told(0)
    edit(directory / "module.py", "VALUE = (\n")
    assert fetch(served.http, method="POST", body=b"x").text == told(0, b"x")


def test_a_generation_that_does_not_answer(project: Project, runner: Runner, tmp_path: Path) -> None:
    """Where the process that watches the files is stopped, a worker looks by itself, and the new code is built."""
    directory = project({**FILES, "app.py": APP})
    options = ["--reload", "request", "--on-change", "hold"]
    served = runner(directory, "app:main", *options, env={"EXECUTED": str(tmp_path / "executed")})
    assert ask(served).text == told(0)
    parent = int(Path(f"/proc/{report(served)['workers'][0]['pid']}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGSTOP)
    try:
        edit(directory / "module.py", value(1))
        assert fetch(served.http, "/it").text == told(1)
    finally:
        os.kill(parent, signal.SIGKILL)


@pytest.fixture
def hanging(project: Project, runner: Runner, tmp_path: Path) -> Site:
    """A run whose newest code never finishes its import, with a short patience."""
    executed = tmp_path / "executed"
    directory = project({**FILES, "app.py": APP})
    options = ["--reload", "request", "--on-change", "hold", "--hold-timeout", "1s", "--graceful-timeout", "2s"]
    served = runner(directory, "app:main", *options, env={"EXECUTED": str(executed)})
    site = Site(directory, served, executed)
    assert ask(served).text == told(0)
    site.save(NEVER)
    return site


@pytest.mark.parametrize("fastcgi", [False, True])
def test_who_waits_too_long_is_told(hanging: Site, fastcgi: bool) -> None:
    """After --hold-timeout: 503 with Retry-After, never executed, counted; a save of better code recovers."""
    served = hanging.served
    reply = by_fastcgi(served, "/it") if fastcgi else fetch(served.http, "/it", method="POST", body=b"x")
    assert (reply.status, reply.header("retry-after")) == (503, "1")
    assert hanging.executed("/it") == 0
    assert hanging.counter("expired") == 1
    hanging.save(value(3))
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
    directory = project({**FILES, "app.py": APP})
    executed = tmp_path / "executed"
    served = runner(
        directory, "app:main", "--on-change", mode, env={"EXECUTED": str(executed)}, python=few_descriptors
    )
    site = Site(directory, served, executed)
    with ExitStack() as stack:
        clients = [stack.enter_context(Conversation(served.http)) for _ in range(60)]
        for client in clients:
            client.request("GET", "/before")
            assert client.reply().text == told(0)
        site.save(SLOW)
        until_true("the new code is being imported", (tmp_path / "entered").exists, live=served)
        for number, client in enumerate(clients):
            client.request("POST", f"/{number}", body=b"x")
        until_true("all that may wait do", lambda: report(served)["waiting"] == 32, live=served)
        until_true("all others were refused", lambda: site.counter("refused") == 28, live=served)
        assert "waiting     32 requests, for newer code" in render(report(served))
        (tmp_path / "go").touch()
        replies = [client.reply() for client in clients]
    refused = [number for number, reply in enumerate(replies) if reply.status == 503]
    assert len(refused) == 28 and {replies[number].header("retry-after") for number in refused} == {"1"}
    assert {reply.text for reply in replies if reply.status != 503} == {told(1, b"x")}
    assert [site.executed(f"/{number}") for number in range(60)] == [int(number not in refused) for number in range(60)]
    assert (site.counter("refused"), site.counter("expired")) == (28, 0)


def test_a_stop_answers_those_who_wait(hanging: Site) -> None:
    """A service that stops says so to a request that waits for newer code, rather than hanging up."""
    with Conversation(hanging.served.http) as waiting:
        waiting.request("GET", "/it")
        deadline = time.monotonic() + 10
        while not report(hanging.served)["waiting"]:
            assert time.monotonic() < deadline, hanging.served.output
        hanging.served.signal(signal.SIGTERM)
        reply = waiting.reply()
    assert (reply.status, reply.header("retry-after")) == (503, "1")
