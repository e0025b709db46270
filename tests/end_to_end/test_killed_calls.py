"""A worker is killed inside the call of a request that was handed to it: its client is cut, nobody executes it again.

The newer code does not finish its import before the test lets it, so that the request is held for certain; and its call
does not end, so that the kill is in the middle of it.
"""

import os
import re
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.support import apache, nginx
from tests.support.client import Conversation, FastCGI, FastCGIReply, Truncated, fetch, parameters
from tests.support.project import edit
from tests.support.runner_process import Served
from tests.support.sites import Direct, Site, open_site, title
from tests.support.trouble import ready_pids, report, until

APP = """
import os, time
import module
def main(environ, start_response):
    if environ["PATH_INFO"] == "/stay":
        environ["wsgi.input"].read()
        with open(os.environ["CALLS"], "a") as calls:
            calls.write(f"{os.getpid()}\\n")
        time.sleep(60)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(module.VALUE).encode()]
"""
GATED = """
import os, time
VALUE = 1
deadline = time.monotonic() + 20
while not os.path.exists(os.environ["GATE"]) and time.monotonic() < deadline:
    time.sleep(0.005)
"""
MODES = ["redirect", "hold"]
SITES: list[Site] = [nginx.Site(), nginx.Site(protocol="http"), apache.Site(keep_connections=True)]


class Victim:
    """A run whose worker is killed in a call of /stay."""

    def __init__(self, directory: Path, served: Served, mode: str) -> None:
        self.served = served
        self._directory = directory
        self._mode = mode

    @property
    def calls(self) -> list[int]:
        """The process of each call of /stay, in their order."""
        file = self._directory.parent / "calls"
        return [int(line) for line in file.read_text().splitlines()] if file.exists() else []

    def kill(self, get: Callable[[], int], post: Callable[[], int]) -> int | None:
        """The status that *post* gets, None if it is cut. Both give that of one request on one kept connection."""
        assert get() == 200
        edit(self._directory / "module.py", GATED)
        if self._mode == "redirect":
            assert get() == 307, "the finder; who comes after it is held"
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(post)
            until("it is held", lambda: report(self.served)["waiting"], live=self.served)
            (self._directory.parent / "gate").touch()
            pid, = until("it is called", lambda: self.calls, live=self.served)
            os.kill(pid, signal.SIGKILL)
            status = _status(answer)
        until("its place is taken", lambda: len(set(ready_pids(self.served).values()) - {pid}) == 2, live=self.served)
        assert report(self.served)["counters"]["held"] == 1
        return status


def _status(answer: Future[int]) -> int | None:
    try:
        return answer.result()
    except (Truncated, ConnectionError):
        return None


@pytest.fixture(params=MODES)
def victim(request: pytest.FixtureRequest, project: Project, runner: Runner, tmp_path: Path) -> Victim:
    """Serves in each mode."""
    directory = project({"app.py": APP, "module.py": "VALUE = 0\n"})
    env = {"CALLS": str(tmp_path / "calls"), "GATE": str(tmp_path / "gate")}
    served = runner(directory, "app:main", "--reload", "request", "--on-change", request.param, env=env)
    return Victim(directory, served, request.param)


def over_http(victim: Victim, site: Site) -> int | None:
    """Kill the call of a POST that comes by *site*; afterwards others are answered by the same way."""
    with open_site(victim.served, site) as address:
        with Conversation(address) as kept:

            def ask(method: str, target: str, body: bytes = b"") -> int:
                kept.request(method, target, {}, body)
                return kept.reply().status

            status = victim.kill(lambda: ask("GET", "/"), lambda: ask("POST", "/stay", b"body"))
        assert [fetch(address, method="POST", body=b"x").text for _ in range(4)] == ["1"] * 4
    return status


def test_over_http(victim: Victim) -> None:
    """The connection ends without an answer, and the call is not made again."""
    assert over_http(victim, Direct()) is None
    assert len(victim.calls) == 1


def test_over_fastcgi(victim: Victim) -> None:
    """The connection ends before END_REQUEST, and the call is not made again."""
    with FastCGI(victim.served.fastcgi) as kept:

        def ask(method: str, target: str, body: bytes = b"") -> int:
            return status_of(kept.request(parameters(target, method=method, length=len(body)), body, keep=True))

        assert victim.kill(lambda: ask("GET", "/"), lambda: ask("POST", "/stay", b"body")) is None
    with FastCGI(victim.served.fastcgi) as later:
        assert later.request(parameters(method="POST", length=1), b"x").body == b"1"
    assert len(victim.calls) == 1


def status_of(reply: FastCGIReply) -> int:
    """What its header block says."""
    found = re.match(rb"Status: (\d+)", reply.stdout)
    return int(found[1]) if found else 200


@pytest.mark.parametrize("site", SITES, ids=title)
def test_behind_a_web_server(victim: Victim, site: Site) -> None:
    """The client is told of it (5xx) or cut, and the web server does not send the POST again."""
    status = over_http(victim, site)
    assert status is None or 500 <= status < 600
    assert len(victim.calls) == 1
