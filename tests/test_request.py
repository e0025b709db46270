"""What fronts and hosts share."""

import contextvars
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from runner.errors import NoRequest
from runner.front.fastcgi import FastCGIExchange
from runner.front.http_exchange import HTTPExchange
from runner.host.threads import ThreadExchange
from runner.request import Exchange, Request, current, enter
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


# ---- the present request ------------------------------------------------------------------------------------------


def present(found: list[Request], made: Request) -> contextvars.Context:
    """A context in which *made* is the present request."""
    context = contextvars.copy_context()
    context.run(enter, made)
    context.run(lambda: found.append(current()))
    return context


def test_outside_of_a_request_there_is_none() -> None:
    """And the error says how a thread gets one."""
    with pytest.raises(NoRequest, match=r"current\(\)\.bind"):
        current()


def test_each_context_has_its_own() -> None:
    """Interleaved as they may be."""
    found: list[Request] = []
    one, other = request(), request()
    contexts = [present(found, one), present(found, other)]
    assert [context.run(current) for context in contexts] == [one, other] == found


def test_once_it_is_over_there_is_none() -> None:
    """Its connection may carry somebody else's by then."""
    made = request()
    context = present([], made)
    made.over = True
    with pytest.raises(NoRequest, match="the answer to get /app/x is finished"):
        context.run(current)


def test_a_bound_function_has_it_wherever_it_is_called() -> None:
    """In any thread, several at once, with arguments and a result."""
    made = request()

    def work(number: int, *, by: int) -> tuple[Request, int]:
        return current(), number * by

    with ThreadPoolExecutor(4) as threads:
        bound = present([], made).run(lambda: current().bind(work))
        results = [each.result() for each in [threads.submit(bound, number, by=2) for number in range(8)]]
    assert results == [(made, number * 2) for number in range(8)]


def test_it_says_what_was_asked() -> None:
    """Query and header fields, whatever the case of their names."""
    made = request(QUERY_STRING="a=1", HTTP_X_TOKEN="t", CONTENT_TYPE="text/plain", SERVER_NAME="x")
    assert (made.query, request().query) == ("a=1", "")
    assert dict(made.headers) == {"x-token": "t", "content-type": "text/plain"}
    assert (made.headers["X-Token"], made.headers["content-TYPE"], len(made.headers)) == ("t", "text/plain", 2)
    assert "server-name" not in made.headers and made.headers.get("x-none") is None


def test_each_has_a_name_of_its_own() -> None:
    """The same as often as it is asked."""
    one, other = request(), request()
    assert one.id == one.id != other.id
    assert len(one.id) == 16
