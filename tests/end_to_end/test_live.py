"""Channels on the web, for real: behind a web server or not, while the code is edited, and when somebody is killed."""

import json
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.conftest import Project, Runner
from tests.support import apache, nginx
from tests.support.client import Reply, fetch
from tests.support.listeners import EventListener, Listener, SocketListener
from tests.support.places import Address
from tests.support.project import edit
from tests.support.runner_process import Served
from tests.support.sites import Direct, Site, open_site, title
from tests.support.trouble import ready_pids, report, until

APP = """
    from runner import channels
    import module

    live = channels.Endpoint(may_publish=lambda scope, channel: True)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        if number := environ["QUERY_STRING"]:
            channels.publish_sync("public.news", {"number": int(number), "code": module.VALUE}, id=f"news-{number}")
        return [b"%d" % module.VALUE]
"""
FILES = {"app.py": APP, "module.py": "VALUE = 0\n"}
JSON = {"Content-Type": "application/json"}
Kind = Callable[[Address, str], Listener]
KINDS: list[Kind] = [SocketListener, EventListener]


def post(address: Address, data: object, id: str, **headers: str) -> Reply:
    """Publish it."""
    body = json.dumps({"publish": "public.news", "data": data, "id": id}).encode()
    return fetch(address, "/live", method="POST", headers={**JSON, **headers}, body=body)


def heard(listener: Listener, most: int) -> list[int]:
    """The numbers, when so many have come."""
    until(f"{most} messages", lambda: len(listener.data) >= most)
    return [each["number"] for each in listener.data]


@pytest.fixture
def place(project: Project) -> Path:
    """Where the application is."""
    return project(FILES)


@pytest.fixture
def served(place: Path, runner: Runner) -> Served:
    """The application, and the channels beside it."""
    return runner(place, "app:app", "--mount", "/live=app:live")


@pytest.mark.parametrize("site", [Direct(), nginx.Site(protocol="http"), nginx.Site()], ids=title)
def test_all_hear_what_anybody_publishes(served: Served, site: Site) -> None:
    """By events everywhere, by WebSockets where there can be any; published by the application, and by POST."""
    with open_site(served, site) as address:
        for number, kind in enumerate(KINDS if site == Direct() else KINDS[1:]):
            with kind(address, "public.news") as listener:
                fetch(address, f"/?{number + 1}00")
                assert post(address, {"number": 2}, f"s-{number}").status == 200
                assert heard(listener, 2) == [(number + 1) * 100, 2]
                assert listener.lines == 1
        assert post(address, 1, "s-9", Origin="https://evil.example").status == 403
        script = fetch(address, "/live/client.js")
        assert (script.status, script.header("content-type")) == (200, "text/javascript; charset=utf-8")
        assert fetch(address, "/live/client.js", headers={"If-None-Match": script.header("etag") or ""}).status == 304


def test_a_page_publishes_over_its_websocket(served: Served) -> None:
    """Said twice, as after a lost answer, it is published once; a page of another site gets no WebSocket."""
    url = f"ws://{served.http[0]}:{served.http[1]}/live"
    with SocketListener(served.http, "public.news") as listener:
        for _ in range(2):
            with connect(url, origin=Origin(f"http://{served.http[0]}:{served.http[1]}")) as page:
                page.send('{"publish": "public.news", "data": {"number": 1}, "id": "s-1"}')
                answer = json.loads(page.recv(10))
                assert answer["published"] == "s-1"
        assert post(served.http, {"number": 2}, "s-2").status == 200
        assert heard(listener, 2) == [1, 2]
        with pytest.raises(InvalidStatus):
            connect(url, origin=Origin("https://evil.example")).__enter__()


@pytest.mark.parametrize("server", ["nginx", "apache"])
def test_as_the_readme_says(place: Path, runner: Runner, sockets: Path, server: str) -> None:
    """WebSockets go to the HTTP socket; events by FastCGI through nginx, and over that socket, too, through Apache."""
    http, fastcgi = sockets / "http", sockets / "fastcgi"
    served = runner(
        place, "app:app", "--mount", "/live=app:live", "--http", f"unix:{http}", "--fastcgi",
        f"unix:{fastcgi}", "--socket-mode", "666", "--graceful-timeout", "1s",
    )  # fmt: skip
    opened = (
        nginx.nginx(fastcgi, nginx.Site(websockets=http)) if server == "nginx"
        else apache.apache(fastcgi, apache.Site(websockets=http))
    )  # fmt: skip
    with opened as site, SocketListener(site.address, "public.news") as one:
        with EventListener(site.address, "public.news") as other:
            fetch(site.address, "/?1")
            assert heard(one, 1) == heard(other, 1) == [1]
        assert served.stop() == 0   # Apache, which would not notice that they have left, has nobody to wait for then


@pytest.mark.parametrize("kind", KINDS)
def test_edits_and_killed_workers_lose_nothing(place: Path, served: Served, kind: Kind) -> None:
    """A message every moment, by whichever code is the newest; three edits, and then the workers are killed."""
    numbers = iter(range(1, 1000))

    def publish(count: int) -> None:
        for _ in range(count):
            number = next(numbers)
            until("it is published", partial(_ask, served, f"/?{number}"))

    with kind(served.http, "public.news") as listener:
        publish(10)
        for value in (1, 2, 3):
            edit(place / "module.py", f"VALUE = {value}\n")
            publish(10)
        if kind is SocketListener:
            until("older code is not needed any more", lambda: not report(served)["finishing"], live=served)
        assert listener.lines == 1
        for slot in (0, 1):
            os.kill(until("it is ready", partial(_pid, served, slot)), signal.SIGKILL)
            publish(10)
        last = next(numbers) - 1
        assert heard(listener, last) == list(range(1, last + 1))
        assert listener.resyncs == []
        assert listener.data[-1]["code"] == 3


def _pid(served: Served, slot: int) -> int:
    """0: there is none just now."""
    return ready_pids(served).get(slot, 0)


def _ask(served: Served, target: str) -> bool:
    """Who is killed with a request gives no answer; who finds an edit is sent to the newer code."""
    try:
        return fetch(served.http, target).status == 200
    except (AssertionError, OSError):
        return False
