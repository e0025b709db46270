"""JSON-RPC batches through a real runner: what its items are is proven by what they meet, never by the time they take.

The same application in the three ways that calls are made: inline (items run in sibling workers), in threads, as tasks.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import nginx
from tests.support.client import Conversation, FastCGI, Reply, Truncated, fetch, parameters
from tests.support.endpoint import FILES, MOUNTS, array, call, lines
from tests.support.project import project
from tests.support.runner_process import Served, serve
from tests.support.specification import EXAMPLES
from tests.support.trouble import until

CALLS = {
    "inline": ("app:main", "--workers", "4"),
    "threads": ("app:main", "--workers", "2", "--threads", "2"),
    "tasks": ("app:tasks", "--workers", "2"),
}
AT_ONCE = 4
"""Items that any of them can run at the same time."""

JSON = {"Content-Type": "application/json"}


@dataclass
class Endpoint:
    """A runner with the endpoint, its gateways and an access log; *folder*: what its application writes."""

    served: Served
    folder: Path

    def post(self, body: bytes, path: str = "/jsonrpc/batch", **headers: str) -> Reply:
        """One request, over HTTP."""
        return fetch(self.served.http, path, method="POST", headers={**JSON, **headers}, body=body)

    def ask(self, *items: object, path: str = "/jsonrpc/batch") -> Any:
        """The answers to a batch."""
        reply = self.post(array(*items), path)
        assert reply.status == 200, reply
        return json.loads(reply.body)


def open_endpoint(folder: Path, kind: str) -> Served:
    """Start the runner."""
    for each in ("files", "project"):
        (folder / each).mkdir()
    mounts = [f"--mount={path}=app:{name}" for path, name in MOUNTS.items()]
    log = f"--access-log={folder / 'access'}"
    env = {"FOLDER": str(folder / "files")}
    return serve(project(folder / "project", FILES), *CALLS[kind], *mounts, log, env=env)


@pytest.fixture(scope="module", params=CALLS)
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """One for all tests of a kind."""
    folder = tmp_path_factory.mktemp(request.param)
    with open_endpoint(folder, request.param) as served:
        yield Endpoint(served, folder / "files")
        print(served.output)


@pytest.fixture
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Endpoint]:
    """One for this test alone; the kind by indirect parametrization."""
    with open_endpoint(tmp_path, request.param) as served:
        yield Endpoint(served, tmp_path / "files")
        print(served.output)


def in_fastcgi(endpoint: Endpoint, body: bytes) -> Reply:
    """The same by FastCGI."""
    with FastCGI(endpoint.served.fastcgi) as connection:
        params = parameters("/jsonrpc/batch", method="POST", length=len(body), CONTENT_TYPE="application/json")
        return connection.request(params, body).reply


def results(answers: Any) -> list[Any]:
    """Of a batch in which nothing failed."""
    return [answer["result"] for answer in answers]


def reasons(answers: Any) -> list[str | None]:
    """Why each item has no answer of the endpoint's; None: it has."""
    return [answer["error"]["data"]["reason"] if "error" in answer else None for answer in answers]


# ---- the specification --------------------------------------------------------------------------------------------


def check_examples(post: Any) -> None:
    """Each of them."""
    for name, (body, expected) in EXAMPLES.items():
        reply = post(body.encode())
        if not expected:
            assert (reply.status, reply.body) == (204, b""), name
        else:
            assert (reply.status, json.loads(reply.body)) == (200, json.loads(expected)), name
            assert reply.header("content-type") == "application/json", name


def test_the_examples_of_the_specification(endpoint: Endpoint) -> None:
    """Section 7, over HTTP, over FastCGI, and over FastCGI behind nginx."""
    check_examples(endpoint.post)
    check_examples(lambda body: in_fastcgi(endpoint, body))
    with nginx.nginx(endpoint.served.fastcgi) as server:
        check_examples(lambda body: fetch(server.address, "/jsonrpc/batch", method="POST", headers=JSON, body=body))


def test_items_reach_the_endpoint_as_they_were_sent(endpoint: Endpoint) -> None:
    """Each byte: numbers that no machine has, spaces, the order of members; and ids of every kind come back."""
    ids = ["1", "-7", "1.50", "12345678901234567890123", '"1"', '"\\u00e9"', "null", "1"]
    items = [f'{{ "id":{id},"method" : "echo", "params":[1E400, 0.10],"jsonrpc":"2.0"}}' for id in ids]
    reply = endpoint.post(f" [{' , '.join(items)}]\n".encode())
    found = json.loads(reply.body)
    assert results(found) == items
    assert [answer["id"] for answer in found] == [json.loads(id) for id in ids]


BAD = {
    "deep": b"[" * 100_000, "NaN": b'[{"jsonrpc":"2.0","method":"echo","params":[NaN],"id":1}]',
    "mark": b"\xef\xbb\xbf[]", "bytes": b'["\xff"]', "many": b"[" + b"1," * 99_999 + b"1]", "nothing": b"",
    "text": b'"x"', "twice": b"[][]",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_body_is_a_json_rpc_error(endpoint: Endpoint, name: str) -> None:
    """One object, and no traceback anywhere."""
    before = endpoint.served.position
    reply = endpoint.post(BAD[name]) if BAD[name] else endpoint.post(b"", **{"Content-Length": "0"})
    answer = json.loads(reply.body)
    assert (reply.status, answer["id"], answer["error"]["code"] in (-32700, -32600)) == (200, None, True)
    assert not any("Traceback" in line for line in endpoint.served.lines[before:])


def test_only_post(endpoint: Endpoint) -> None:
    """Anything else is told so, by HTTP's own words."""
    reply = fetch(endpoint.served.http, "/jsonrpc/batch")
    assert (reply.status, reply.header("allow")) == (405, "POST")


# ---- items --------------------------------------------------------------------------------------------------------


def test_items_run_at_the_same_time(endpoint: Endpoint) -> None:
    """Each of them waits for all the others."""
    items = [call("meet.parallel", "parallel", AT_ONCE, id=number) for number in range(AT_ONCE)]
    assert results(endpoint.ask(*items)) == ["met"] * AT_ONCE


def test_batches_in_all_workers_do_not_lock_each_other(endpoint: Endpoint) -> None:
    """Twice as many batches as there are workers, with items that need everything there is to come to an end."""
    items = [call("meet.crowd", "crowd", AT_ONCE, id=number) for number in range(AT_ONCE)]
    with ThreadPoolExecutor(8) as pool:
        batches = [pool.submit(endpoint.ask, *items) for _ in range(8)]
        assert [results(each.result()) for each in batches] == [["met"] * AT_ONCE] * 8


def test_nothing_runs_twice(endpoint: Endpoint) -> None:
    """Nor is anything left out, notifications included."""
    items = [call("count", number, id=number if number % 3 else None) for number in range(90)]
    answers = endpoint.ask(*items)
    assert results(answers) == [number for number in range(90) if number % 3]
    assert sorted(int(number) for (number,) in lines(endpoint.folder, "count")) == list(range(90))


def test_an_item_is_a_request_of_its_own(endpoint: Endpoint) -> None:
    """With a name, a path, and resources that are closed with it."""
    places = results(endpoint.ask(*(call("place", id=number) for number in range(5))))
    ids = {id for id, _, _ in places}
    assert len(ids) == 5
    assert {path for _, path, _ in places} == {"/jsonrpc"}

    def closed() -> bool:
        return all(sum(id == each for each, _ in lines(endpoint.folder, what)) == 1 for id in ids
                   for what in ("open", "close"))  # fmt: skip

    until("everything that was opened is closed, once", closed)


def test_an_item_takes_along_who_asks(endpoint: Endpoint) -> None:
    """The scheme, the client's address, its cookies; not what was said about the batch as a body.

    The same wherever it is called: the first one of a method in another worker than those that come later.
    """
    body = array(call("headers", id=1))
    params = parameters(
        "/jsonrpc/batch", method="POST", length=len(body), HTTPS="on", REMOTE_ADDR="192.0.2.7", HTTP_COOKIE="a=b",
        HTTP_ACCEPT_ENCODING="gzip", HTTP_X_OTHER="1", CONTENT_TYPE="application/json",
    )  # fmt: skip
    with FastCGI(endpoint.served.fastcgi) as connection:
        asked = [connection.request(params, body, keep=True).reply.body for _ in range(20)]
    assert len(set(asked)) == 1
    ((fields, scheme, variables),) = results(json.loads(asked[0]))
    assert (scheme, variables["REMOTE_ADDR"], variables["HTTPS"]) == ("https", "192.0.2.7", "on")
    assert (fields["cookie"], fields["content-type"], fields["host"]) == ("a=b", "application/json", "localhost")
    assert not {"accept-encoding", "x-other"} & set(fields)


def test_an_item_that_fails_hurts_no_other(endpoint: Endpoint) -> None:
    """It raises, answers something else than JSON, or nothing."""
    answers = endpoint.ask(
        call("fail", id=1), call("text", id=2), call("sum", 1, 2, id=3), {"jsonrpc": "2.0", "method": "sum", "id": 4}
    )
    assert reasons(answers) == ["the status is not 2xx", "the response is not JSON", None, None]
    assert answers[0]["error"]["data"]["status"] == 500
    assert answers[2]["result"] == 3


def test_an_item_that_is_too_large_hurts_no_other(endpoint: Endpoint) -> None:
    """Nothing of it is passed on, and of the rest nothing is lost."""
    answers = endpoint.ask(call("sum", 1, id=1), call("large", id=2), call("sum", 2, id=3), path="/narrow")
    assert reasons(answers) == [None, "the response is too large", None]


def test_an_item_that_hangs_is_given_up(endpoint: Endpoint) -> None:
    """After its timeout; the others are answered."""
    answers = endpoint.ask(call("wait.hang", "hang", id=1), call("meet.hang", "hanging", 1, id=2), path="/hasty")
    (endpoint.folder / "hang").touch()
    assert reasons(answers) == ["timeout", None]


@pytest.mark.parametrize("own", ["inline"], indirect=True)
def test_an_item_that_ends_its_process_hurts_no_other(own: Endpoint) -> None:
    """It ends a sibling, unless all are busy for longer than a busy machine is expected to take: then it asks again."""
    for _ in range(10):
        try:
            answers = own.ask(call("die", id=1), call("sum", 1, 2, id=2), call("sum", 3, id=3))
        except (Truncated, OSError):
            continue
        assert reasons(answers) == ["the process that answered it ended", None, None]
        assert [answer.get("result") for answer in answers] == [None, 3, 3]
        return
    pytest.fail("the worker of the batch has always taken it")


def test_an_item_may_be_a_batch(endpoint: Endpoint) -> None:
    """It goes to the gateway, whose items go on from there."""
    answers = endpoint.ask(call("inner", id=1), call("sum", 1, id=2), path="/nested")
    assert answers[0]["error"]["code"] == -32601
    assert answers[1]["result"] == 1


def test_a_gateway_before_itself_comes_to_an_end(endpoint: Endpoint) -> None:
    """With an error."""
    (answer,) = endpoint.ask(call("sum", 1, id=1), path="/loop")
    assert answer["error"]["code"] == -32603


# ---- beside others ------------------------------------------------------------------------------------------------


def test_a_huge_batch_does_not_starve_single_requests(endpoint: Endpoint) -> None:
    """Ten, one after the other, are answered before the last of its thousand items is; of five batches, of one."""

    def beaten(first: int) -> bool:
        def done() -> int:
            return sum(int(number) >= first for (number,) in lines(endpoint.folder, "count"))

        huge = pool.submit(endpoint.ask, *(call("count.huge", first + number, id=number) for number in range(1000)),
                           path="/huge")  # fmt: skip
        until("it is under way", lambda: done() > 10)
        for number in range(10):
            reply = endpoint.post(json.dumps(call("sum", number, id=number)).encode(), "/jsonrpc")
            assert json.loads(reply.body)["result"] == number
        found = done() < 1000
        assert results(huge.result()) == list(range(first, first + 1000))
        return found

    with ThreadPoolExecutor(1) as pool:
        assert any(beaten(1000 * turn) for turn in range(1, 6))


def test_who_leaves_takes_the_rest_along(endpoint: Endpoint) -> None:
    """What has not begun never does; what has is told, and gives back what it holds."""
    items = [call("wait.leave", "leave", id=number) for number in range(300)]

    def begun() -> int:
        return sum(name == "leave" for (name,) in lines(endpoint.folder, "wait"))

    with Conversation(endpoint.served.http) as conversation:
        conversation.request("POST", "/huge", JSON, array(*items))
        until("some are under way", lambda: begun() >= AT_ONCE)
    # A worker that is in such a call itself hears of it when that has ended.
    (endpoint.folder / "leave").touch()

    def over() -> bool:
        log = (endpoint.folder.parent / "access").read_text().splitlines()
        return any('"POST /huge HTTP/1.1" 499 ' in line for line in log)

    until("the batch is over", over)
    until("all is given back", lambda: (
        len(lines(endpoint.folder, "open")) == len(lines(endpoint.folder, "close"))
    ))  # fmt: skip
    assert begun() < 150


@pytest.mark.parametrize("own", CALLS, indirect=True)
def test_a_batch_is_answered_by_one_generation(own: Endpoint) -> None:
    """Of the same code, also those of its items that begin after a save; who comes later has the new code."""
    folder, code = own.folder, own.folder.parent / "project" / "version.py"
    first = [call("wait.edit", "go", id=number) for number in range(AT_ONCE)]
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(own.ask, *first, *(call("wait.edit", "go", id=10 + number) for number in range(12)))
        until("the first ones wait", lambda: len(lines(folder, "wait")) >= AT_ONCE)
        code.write_text("VERSION = 2\n")
        (folder / "other").touch()
        (single,) = own.ask(call("wait.other", "other", id=1))
        assert single["result"] == 2
        (folder / "go").touch()
        assert results(batch.result()) == [1] * 16


def test_each_item_has_a_line_in_the_access_log(endpoint: Endpoint) -> None:
    """With its duration, and so has the batch."""
    log = endpoint.folder.parent / "access"
    endpoint.post(array(*(call("sum", id=number) for number in range(3))), **{"User-Agent": "counted"})

    def counted() -> list[str]:
        return [line for line in log.read_text().splitlines() if "counted" in line]

    until("four lines", lambda: len(counted()) >= 4)
    asked = sorted(line.split('"')[1] for line in counted())
    assert asked == ["POST /jsonrpc HTTP/1.1"] * 3 + ["POST /jsonrpc/batch HTTP/1.1"]
    assert all(float(line.split()[-1]) > 0 for line in counted())


@pytest.mark.parametrize("own", ["tasks"], indirect=True)
def test_an_asgi_application_may_run_one_itself(own: Endpoint) -> None:
    """`await batch.run(body, current())`, without a mount."""
    assert results(own.ask(call("sum", 1, 2, id=1), call("meet.run", "run", 1, id=2), path="/run")) == [3, "met"]
