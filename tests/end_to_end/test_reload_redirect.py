"""The request that finds the change: who is redirected, whereto, and who is not."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import FILES, ask, by_fastcgi, follows_no_redirect, until_settled, value
from tests.support.client import Conversation, Reply, fetch
from tests.support.project import edit
from tests.support.project import project as write
from tests.support.runner_process import Served, serve
from tests.support.trouble import generation_pid, report

APP = FILES["app.py"].replace("[str(module.VALUE)", "[environ['wsgi.input'].read() + str(module.VALUE)")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Served]]:
    """A run for all that need none of their own."""
    directory = write(tmp_path_factory.mktemp("run"), {**FILES, "app.py": APP})
    with serve(directory, "app:main", "--reload", "request") as served:
        yield directory, served


@pytest.fixture
def changed(running: tuple[Path, Served]) -> Iterator[Served]:
    """A run whose code has just been changed, from 0 to 1, and where nobody has noticed yet."""
    directory, served = running
    position = served.position
    edit(directory / "module.py", value(0))
    assert ask(served).text == "0"
    until_settled(served)
    edit(directory / "module.py", value(1))
    yield served
    print(*served.lines[position:], sep="\n")


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/", "/"),
        ("/a/b?x=1&y=%20", "/a/b?x=1&y=%20"),
        ("/%41?", "/%41?"),
        ("//evil.example/x", "/%2Fevil.example/x"),
        ("/\\evil.example/x", "/%5Cevil.example/x"),
        ("///evil.example", "/%2F%2Fevil.example"),
    ],
)
def test_to_the_same_url(changed: Served, target: str, location: str) -> None:
    """307 to the URL that was asked for, on this host whatever it looks like, and nobody may keep it."""
    reply = fetch(changed.http, target)
    assert reply.status == 307
    found = reply.header("location") or ""
    assert found.startswith("/")
    assert found[1:2] not in ("/", "\\")
    if not target.startswith(("//", "/\\")):
        assert found == location
    assert reply.header("cache-control") == "no-store"
    assert ask(changed).text == "1"


@pytest.mark.parametrize("target", ["/x?y=1", "//evil.example/x"])
def test_over_fastcgi(changed: Served, target: str) -> None:
    """The same for a web server's request."""
    reply = by_fastcgi(changed, target)
    assert reply.status == 307
    assert (reply.header("location") or "").endswith(target.rpartition("/")[2])
    assert not (reply.header("location") or "").startswith(("//", "/\\"))


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_other_methods(changed: Served, method: str) -> None:
    """Everything but POST is redirected; 307 keeps the method and the body."""
    reply = fetch(changed.http, method=method, body=b"" if method == "HEAD" else b"body")
    assert reply.status == 307
    if method != "HEAD":
        assert fetch(changed.http, method=method, body=b"body").body == b"body1"


def test_a_post_is_finished(changed: Served) -> None:
    """A POST that was read is answered by the code that has read it, once; the next request is answered by the new."""
    reply = fetch(changed.http, method="POST", body=b"body")
    assert (reply.status, reply.body) == (200, b"body0")
    assert ask(changed).text == "1"


@follows_no_redirect
def test_what_follows_no_redirect(changed: Served, method: str, headers: dict[str, str]) -> None:
    """What cannot follow a redirect is given to the next generation, and counted."""
    before = report(changed)["counters"]["held"]
    reply = fetch(changed.http, method=method, headers=headers)
    assert (reply.status, reply.body) == (200, b"1")
    assert report(changed)["counters"]["held"] == before + 1


def test_redirects_are_counted(changed: Served) -> None:
    """`runner status` tells how many there were."""
    before = report(changed)["counters"]["redirects"]
    assert ask(changed).redirects == 1
    assert report(changed)["counters"]["redirects"] == before + 1


def test_a_kept_connection(changed: Served) -> None:
    """On a kept-alive connection only the request that finds the change is redirected; the next has the new code."""
    with Conversation(changed.http) as conversation:
        conversation.request("GET", "/")
        assert conversation.reply().status == 307
        conversation.request("GET", "/")
        reply: Reply = conversation.reply()
        assert (reply.status, reply.text) == (200, "1")


@pytest.mark.parametrize("first", ["GET", "POST"])
def test_one_redirect_for_all(project: Project, runner: Runner, first: str) -> None:
    """Every kept connection to every worker: after the first one that finds the change, nobody is redirected."""
    place = project({**FILES, "app.py": APP})
    served = runner(place, "app:main", "--reload", "request", "--workers", "3")
    with ExitStack() as leaving:
        kept = [leaving.enter_context(Conversation(served.http)) for _ in range(9)]
        for conversation in kept:
            conversation.request("GET", "/")
            assert conversation.reply().text == "0"
        edit(place / "module.py", value(1))
        kept[0].request(first, "/", body=b"x" if first == "POST" else b"")
        assert kept[0].reply().status == (307 if first == "GET" else 200)
        for conversation in kept[1:]:
            conversation.request("GET", "/")
            reply = conversation.reply()
            assert (reply.status, reply.text) == (200, "1")


def test_no_loop_under_a_storm(project: Project, runner: Runner) -> None:
    """However often somebody saves, one request is redirected once for each save that it met, and gets an answer."""
    place = project(FILES)
    served = runner(place, "app:main", "--reload", "request")
    for number in range(1, 6):
        edit(place / "module.py", value(number * 10))
        edit(place / "module.py", value(number))
        assert ask(served)[:2] == (200, str(number))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_is_redirected_by_a_worker_that_has_to_look_for_itself(
    project: Project, runner: Runner, method: str
) -> None:
    """Its generation's process is stopped, so each look would be the first: he would be redirected for ever."""
    place = project({**FILES, "app.py": APP})
    served = runner(place, "app:main", "--reload", "request")
    assert ask(served).text == "0"
    edit(place / "module.py", value(1))
    mute = generation_pid(served)
    os.kill(mute, signal.SIGSTOP)
    try:
        with Conversation(served.http) as client:
            for _ in range(2):
                client.request(method, "/")
                reply = client.reply()
                assert (reply.status, reply.text) == (200, "1"), served.output
    finally:
        with suppress(ProcessLookupError):
            os.kill(mute, signal.SIGCONT)
