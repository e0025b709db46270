"""What fronts and hosts share."""

import subprocess
import sys

from runner.front.fastcgi import FastCGIExchange
from runner.front.http import HTTPExchange
from runner.host.threads import ThreadExchange
from runner.request import Exchange, Request
from tests.front.rig import FakeService


def request(**variables: str) -> Request:
    """A request as a front makes it."""
    return Request({"REQUEST_METHOD": "get", "SCRIPT_NAME": "/app", "PATH_INFO": "/x", **variables}, "http", 1.5)


def test_a_request_says_its_method_as_it_was_sent_and_its_whole_path() -> None:
    """Methods are case-sensitive; the prefix belongs to the path."""
    made = request()
    assert (made.method, made.path, made.began, made.scheme, made.body) == ("get", "/app/x", 1.5, "http", None)


def test_a_request_knows_whether_another_protocol_was_asked_for() -> None:
    """Such a request follows no redirect."""
    assert (request().upgrade, request(HTTP_UPGRADE="websocket").upgrade) == (False, True)


def test_a_request_is_a_clients_unless_it_says_otherwise() -> None:
    """No front makes internal ones."""
    assert (request().internal, Request({}, "http", 0.0, internal=True).internal) == (False, True)


def test_every_exchange_has_all_that_a_host_may_use() -> None:
    """Checked by name, since a protocol's members are looked for only when they are called."""
    names = [name for name in {**vars(Exchange), **Exchange.__annotations__} if not name.startswith("_")]
    assert {"start", "send", "finish", "fail", "flush", "soon", "committed", "gone", "mute", "resume"} < set(names)
    for kind in (FastCGIExchange, HTTPExchange, ThreadExchange):
        assert [name for name in names if not hasattr(kind, name)] == []


def test_a_service_can_be_faked() -> None:
    """A front needs no process around it."""
    service = FakeService()
    assert service.admit(request()) is None
    service.close()


def test_requests_know_neither_sockets_nor_loops() -> None:
    """A fresh interpreter that has imported them has imported neither."""
    code = "import runner.request, sys; print({'socket', 'asyncio', 'selectors'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
