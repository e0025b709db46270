"""WSGI applications in a running server, inline and in threads: judged by wsgiref's validator, and by their users."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.wire.requester import Requester
from tests.conftest import Project, Runner
from tests.support.client import Conversation, FastCGI, FastCGIReply, fetch, parameters
from tests.support.memory import descriptors, forget_peak, peak, resident
from tests.support.places import connect
from tests.support.project import project as write
from tests.support.runner_process import ROOT, Served, serve
from tests.support.trouble import until

APP = "tests.support.worker_app:application"
CALLS = {"inline": ("--workers", "1"), "threads": ("--workers", "1", "--threads", "4")}

VALIDATED = '''
    import sys
    from wsgiref.validate import validator

    def application(environ, start_response):
        kind = environ["PATH_INFO"].strip("/")
        headers = [("Content-Type", "text/plain")]
        if kind == "write":
            write = start_response("200 OK", headers)
            write(b"written, ")
            return [b"returned"]
        if kind == "again":
            start_response("200 OK", headers)
            try:
                raise ValueError
            except ValueError:
                start_response("503 Sorry", headers, sys.exc_info())
            return [b"sorry"]
        if kind == "stream":
            start_response("200 OK", headers)
            return (b"%d," % number for number in range(10))
        if kind == "file":
            start_response("200 OK", headers)
            return environ["wsgi.file_wrapper"](open(__file__, "rb"), 100)
        if kind == "lines":
            lines = [environ["wsgi.input"].readline(), *environ["wsgi.input"].readlines()]
            environ["wsgi.errors"].write("a word\\n")
            environ["wsgi.errors"].flush()
            start_response("200 OK", headers)
            return lines
        body = environ["wsgi.input"].read(5) + b"".join(environ["wsgi.input"])
        headers.append(("Content-Length", str(len(body))))
        start_response("200 OK", headers)
        return [body]

    main = validator(application)
'''
"""The validator raises AssertionError, here or in close(), when either side breaks PEP 3333."""


@pytest.fixture(scope="module", params=[*CALLS.values()], ids=[*CALLS])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """One worker, whose calls run inline or in four threads."""
    with serve(ROOT, APP, *request.param, "--no-reload") as served:
        yield served


@pytest.fixture(scope="module", params=[*CALLS.values()], ids=[*CALLS])
def validated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The validated application."""
    directory = write(tmp_path_factory.mktemp("validated"), {"app.py": VALIDATED})
    with serve(directory, "app:main", *request.param) as served:
        yield served
        assert not [line for line in served.lines if "Assertion" in line or "Traceback" in line], served.output


def ask(served: Served, path: str, body: bytes = b"", **more: str) -> FastCGIReply:
    """One FastCGI request on a connection of its own."""
    with FastCGI(served.fastcgi) as client:
        method = "POST" if body else "GET"
        return client.request(parameters(path, method=method, length=len(body) if body else None, **more), body)


def pid(served: Served) -> int:
    """The worker's process id."""
    return int(ask(served, "/pid").body)


# ---- the validator ------------------------------------------------------------------------------------------

VALID = {
    "GET": ("GET", "/", b"", b""), "POST": ("POST", "/", b"hello, world", b"hello, world"),
    "large POST": ("POST", "/", b"x" * (3 << 20), b"x" * (3 << 20)), "HEAD": ("HEAD", "/stream", b"", b""),
    "lines": ("POST", "/lines", b"a\nb\nc", b"a\nb\nc"), "stream": ("GET", "/stream", b"", b"0,1,2,3,4,5,6,7,8,9,"),
    "write()": ("GET", "/write", b"", b"written, returned"), "exc_info": ("GET", "/again", b"", b"sorry"),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "answer"), VALID.values(), ids=VALID)
def test_the_validator_has_nothing_to_say(
    validated: Served, method: str, path: str, body: bytes, answer: bytes
) -> None:
    """Over both fronts."""
    assert fetch(validated.http, path, method=method, body=body).body == answer
    with FastCGI(validated.fastcgi) as client:
        length = len(body) if body else None
        assert client.request(parameters(path, method=method, length=length), body).body == answer


def test_a_file_is_sent_as_a_whole(validated: Served) -> None:
    """wsgi.file_wrapper, in blocks of 100 bytes."""
    assert b"from wsgiref.validate import validator" in fetch(validated.http, "/file").body


# ---- memory, disk, and who waits for whom -------------------------------------------------------------------


def test_a_stream_to_a_slow_reader_is_bounded_in_memory(served: Served) -> None:
    """100 MiB through a pipe that is read late."""
    worker = pid(served)
    forget_peak(worker)
    before = peak(worker)
    with connect(served.fastcgi) as sock:
        pairs = [(name.encode(), value.encode()) for name, value in parameters("/stream?1600").items()]
        sock.sendall(Requester().request(1, pairs, keep=False) + Requester().stdin(1, b""))
        sock.recv(100)
        assert pid(served) == worker
        assert resident(worker) - before < 8 << 20
        size = 0
        while part := sock.recv(1 << 20):
            size += len(part)
    assert size > 100 << 20
    assert peak(worker) - before < 12 << 20


def test_a_client_that_leaves_a_stream_has_it_closed_once(served: Served) -> None:
    """Over HTTP, at any byte; the worker goes on."""
    before = int(ask(served, "/ends").body)
    for number in range(5):
        with Conversation(served.http) as conversation:
            conversation.request("GET", "/stream?100000")
            conversation.socket.recv(1 << (2 * number))
    deadline = time.monotonic() + 5
    while int(ask(served, "/ends").body) < before + 5:
        assert time.monotonic() < deadline
    assert int(ask(served, "/ends").body) == before + 5


def test_a_large_body_is_kept_on_disk_without_a_name_and_given_back(tmp_path: Path, runner: Runner) -> None:
    """Above 1 MiB; after an upload that was broken off, too."""
    served = runner(ROOT, APP, "--workers", "1", "--no-reload", env={"TMPDIR": str(tmp_path)})
    worker = pid(served)
    opened = len(descriptors(worker))
    with Conversation(served.http) as conversation:
        conversation.request("POST", "/size?1", {"Content-Length": str(9 << 20)}, bytes(4 << 20))
        until("it is kept", lambda: any(str(tmp_path) in each for each in descriptors(worker)), live=served)
        # Where the filesystem has no O_TMPFILE it has a name for a moment.
        until("without a name", lambda: list(tmp_path.iterdir()) == [], live=served)
    assert ask(served, "/size?1", bytes(4 << 20)).end.app_status == 0
    until("it is given back", lambda: len(descriptors(worker)) <= opened, live=served)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_507_and_harms_nobody(project: Project, runner: Runner) -> None:
    """A limit on the size of files is the same to us as a disk without room."""
    directory = project({
        "app.py": """
            import resource
            from tests.support.worker_app import application
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        """
    })
    small = runner(directory, "app:application", "--workers", "1", "--no-reload")
    worker = pid(small)
    assert ask(small, "/size?1", bytes(4 << 20)).stdout.startswith(b"Status: 507 ")
    assert fetch(small.http, "/size?1", method="POST", body=bytes(4 << 20)).status == 507
    assert pid(small) == worker


def test_four_calls_run_beside_each_other_in_threads(project: Project, runner: Runner) -> None:
    """Each waits for the other three."""
    directory = project({
        "app.py": """
            import threading
            barrier = threading.Barrier(4, timeout=10)
            def main(environ, start_response):
                barrier.wait()
                start_response("200 OK", [])
                return [b"met"]
        """
    })
    served = runner(directory, "app:main", *CALLS["threads"])
    with ThreadPoolExecutor(4) as pool:
        assert [reply.body for reply in pool.map(lambda _: fetch(served.http), range(4))] == [b"met"] * 4


def test_the_worker_hears_signals_after_the_application_ran_loops_of_its_own(project: Project, runner: Runner) -> None:
    """asyncio.run inline, in the call and in each part, must leave nothing behind."""
    directory = project({
        "app.py": """
            import asyncio, os
            async def work(): await asyncio.sleep(0); return str(os.getpid()).encode()
            def main(environ, start_response):
                start_response("200 OK", [("X-Pid", asyncio.run(work()).decode())])
                for _ in range(3):
                    yield asyncio.run(work()) + b" "
        """
    })
    served = runner(directory, "app:main", *CALLS["inline"])
    replies = [fetch(served.http) for _ in range(5)]
    worker = int(replies[0].header("X-Pid") or 0)
    assert {reply.body for reply in replies} == {b"%d " % worker * 3}
    os.kill(worker, signal.SIGTERM)
    served.wait_for("SIGTERM")
    deadline = time.monotonic() + 10
    while int(fetch(served.http).header("X-Pid") or 0) == worker:
        assert time.monotonic() < deadline
    assert served.stop() == 0


# ---- failures -----------------------------------------------------------------------------------------------

FAILING = """
    import os
    def main(environ, start_response):
        secret = os.environ["A_SECRET"]
        raise ValueError("for the author alone")
"""


def test_a_traceback_is_for_its_author_alone(project: Project, runner: Runner) -> None:
    """--debug, a loopback peer and a local name; never a value of the environment. The log has it in any case."""
    secret = {"A_SECRET": "hunter2"}
    plain = runner(project({"app.py": FAILING}), "app:main", *CALLS["inline"], env=secret)
    assert b"for the author" not in fetch(plain.http).body
    plain.wait_for("ValueError: for the author alone")
    debug = runner(project({"app.py": FAILING}), "app:main", *CALLS["inline"], "--debug", env=secret)
    page = fetch(debug.http)
    assert (page.status, b"for the author" in page.body, b"hunter2" in page.body) == (500, True, False)
    for headers in ({"Host": "evil.example"}, {"X-Forwarded-For": "192.0.2.1"}):
        assert b"for the author" not in fetch(debug.http, headers=headers).body
    assert b"for the author" not in ask(debug, "/", REMOTE_ADDR="192.0.2.1").body
    assert "hunter2" not in plain.output + debug.output


@pytest.mark.parametrize("path", ["/%0a2026-01-01%20forged", "/%1b[31m", "/%e2%80%ae", "/" + "x" * 4000])
def test_a_failing_request_forges_no_line_in_the_log(project: Project, runner: Runner, path: str) -> None:
    """The path is the client's."""
    served = runner(project({"app.py": FAILING}), "app:main", *CALLS["inline"], env={"A_SECRET": "x"})
    after = served.position
    assert fetch(served.http, path).status == 500
    served.wait_for("ValueError", after=after)
    for line in served.said(after):
        assert "worker 0: error: " in line and len(line) < 1024 and line.isprintable()
        assert not line.partition("error: ")[2].startswith("2026")
