"""What holds behind every web server and at our own port: whole bodies, no false ends, fresh code, survived faults.

Each test runs through each of DOORS, all before one runner with two workers; what one test does to it (an edit, a
killed worker) is over when the test is. What is special to one web server stands in its own file.
"""

import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from tests.support import apache, nginx
from tests.support.client import Conversation, Truncated, fetch
from tests.support.places import Address
from tests.support.probe_process import Probe, seen, serve_probe, unsealed
from tests.support.sites import Direct, Site, open_site, title
from tests.support.visitor import Visitor

MIB = 1 << 20
DOORS: list[Site] = [
    Direct(),
    nginx.Site(),
    nginx.Site(keep_connections=False),
    nginx.Site(request_buffering=False, response_buffering=False),
    nginx.Site(request_buffering=False, response_buffering=False, keep_connections=False),
    apache.Site(),
    apache.Site(by="set_handler", flush=True),
]


class Door(NamedTuple):
    """The way in, and what is behind it."""

    address: Address
    probe: Probe


@pytest.fixture(scope="module")
def probe() -> Iterator[Probe]:
    """The application that everything here is asked of."""
    with serve_probe() as probe:
        yield probe


@pytest.fixture(scope="module", params=DOORS, ids=title)
def door(request: pytest.FixtureRequest, probe: Probe) -> Iterator[Door]:
    """Each way in, one after the other."""
    with open_site(probe.served, request.param) as address:
        yield Door(address, probe)


@pytest.fixture
def version(probe: Probe, numbers: Iterator[int]) -> Callable[..., int]:
    """Save the next version, and give its number."""

    def save(by_renaming: bool = False) -> int:
        number = next(numbers)
        probe.save(number, by_renaming=by_renaming)
        return number

    return save


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    """Versions never used before."""
    return itertools.count(2)


# ---- bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 200 * 1024, 20 * MIB])
def test_a_body_arrives_whole(door: Door, size: int) -> None:
    """What is posted is what the application reads, to the byte, however large."""
    body = os.urandom(size)
    with Visitor(door.address) as visitor:
        told = seen(visitor.ask("/whoami", "POST", body))
    assert (told.length, told.sha256) == (size, hashlib.sha256(body).hexdigest())


def test_a_chunked_body_arrives_whole(door: Door) -> None:
    """A length that nobody announced is no reason to lose a byte."""
    body = os.urandom(300_000)
    with Conversation(door.address) as conversation:
        conversation.request("POST", "/whoami", {"Transfer-Encoding": "chunked", "Connection": "close"})
        for start in range(0, len(body), 70_000):
            part = body[start:start + 70_000]
            conversation.send(b"%x\r\n%b\r\n" % (len(part), part))
        conversation.send(b"0\r\n\r\n")
        told = seen(conversation.reply())
    assert (told.length, told.sha256) == (len(body), hashlib.sha256(body).hexdigest())


def test_a_large_answer_arrives_whole_and_is_never_held(door: Door) -> None:
    """50 MiB pass through a worker that grows by less than a tenth of them, even while the client does not read."""
    with Conversation(door.address) as conversation:
        conversation.request("GET", "/stream?parts=800", {"Connection": "close"})
        body = unsealed(conversation.reply().body)
    pid, _, content = body.partition(b"\n")
    assert len(content) == 50 * MIB
    assert memory(int(pid), "VmHWM") - memory(int(pid), "VmRSS") < 5 * MIB


def memory(pid: int, name: str) -> int:
    """The process's memory in bytes: VmRSS is now, VmHWM the most it ever was (proc(5))."""
    line = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(encoding="ascii"), re.MULTILINE)
    assert line
    return int(line[1]) * 1024


@pytest.mark.parametrize(("method", "code"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("POST", 204)])
def test_an_answer_without_a_body_leaves_the_connection_in_order(door: Door, method: str, code: int) -> None:
    """HEAD, 204 and 304 carry no body, so the next answer on the connection is not mistaken for one."""
    with Conversation(door.address) as conversation:
        conversation.request(method, f"/status?code={code}", {"Content-Length": "0"} if method == "POST" else {})
        reply = conversation.reply(method)
        assert (reply.status, reply.header("x-seen")) == (code, method)
        conversation.request("GET", "/whoami", {"Connection": "close"})
        assert seen(conversation.reply()).length == 0
        assert conversation.ended()


def test_a_hundred_cookies_arrive_apart(door: Door) -> None:
    """Set-Cookie is the one header that may not be joined (RFC 6265 section 3): all hundred, in order."""
    reply = fetch(door.address, "/headers?cookies=100")
    cookies = [value for name, value in reply.headers if name == "set-cookie"]
    assert (cookies, reply.text) == ([f"c{number}=v" for number in range(100)], "whole\n")


# ---- ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [0, 1, 64])
def test_a_broken_answer_is_never_taken_for_a_whole_one(door: Door, parts: int) -> None:
    """When the application fails in the middle, the client sees that something is missing, however little has left."""
    try:
        reply = fetch(door.address, f"/stream?parts={parts}&fail")
    except Truncated:
        return
    assert reply.status >= 500, reply


def test_a_worker_outlives_a_broken_answer(door: Door) -> None:
    """The process that cut an answer short gives the next ones."""
    before = door.probe.pids()
    for _ in range(4):
        try:
            fetch(door.address, "/stream?parts=3&fail")
        except Truncated:
            pass
    assert all(seen(fetch(door.address, "/whoami")).pid in before for _ in range(8))
    assert door.probe.pids() == before


def test_an_answer_whose_client_leaves_is_closed_once(door: Door, request: pytest.FixtureRequest) -> None:
    """The iterable's close() is called when nobody reads any more, once, and its worker goes on."""
    name = f"{request.node.name.partition('[')[2].replace(' ', '-')}"
    with Conversation(door.address) as conversation:
        conversation.request("GET", f"/endless?name={name}")
        pid = int(first_line(conversation))
    door.probe.served.wait_for(f"^closed {re.escape(name)}$")
    assert seen(fetch(door.address, "/whoami")).length == 0
    assert pid in door.probe.pids()
    assert door.probe.served.lines.count(f"closed {name}") == 1


def first_line(conversation: Conversation) -> bytes:
    """The first line of the body of an answer that has only begun."""
    received = b""
    while not (found := re.search(rb"\r\n\r\n(?:[0-9a-f]+\r\n)?(\d+)\n", received)):
        data = conversation.socket.recv(4096)
        assert data, received
        received += data
    return found[1]


# ---- fresh code -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_renaming", [False, True], ids=["in place", "by renaming"])
@pytest.mark.parametrize("keep", [False, True], ids=["new connections", "one connection"])
def test_a_save_shows_at_the_next_request(
    door: Door, version: Callable[..., int], keep: bool, by_renaming: bool
) -> None:
    """The first request after the save is answered by the new code, after one redirect at most."""
    with Visitor(door.address, keep=keep) as visitor:
        for _ in range(3):
            number = version(by_renaming)
            assert seen(visitor.ask("/whoami?after=a%20save")).version == number


def test_broken_code_is_an_error_page_until_it_is_mended(door: Door, version: Callable[..., int]) -> None:
    """A save that is no Python answers 500 to GET and POST, and the saving of the fix alone brings the service back."""
    with Visitor(door.address) as visitor:
        visitor.ask("/whoami")
        door.probe.spoil()
        assert visitor.ask("/whoami").status == 500
        assert visitor.ask("/whoami", "POST", b"data").status == 500
        number = version()
        assert seen(visitor.ask("/whoami")).version == number


def test_a_save_during_an_answer_leaves_the_answer_alone(door: Door, version: Callable[..., int]) -> None:
    """What has begun is finished by the code that began it; who asks meanwhile gets the new one."""
    name = f"save {door.address} {version()}"
    with Visitor(door.address) as visitor:
        for _ in range(4):   # a connection that nginx keeps may still lead to the code before: then it is sent on
            visitor.ask("/whoami")
        # Only now: an old worker that looked before the save and took after it would send this one on, too.
        with Conversation(door.address) as conversation:
            conversation.request("GET", f"/endless?name={quote(name)}")
            first_line(conversation)
            number = version()
            assert seen(visitor.ask("/whoami")).version == number
            assert f"closed {name}" not in door.probe.served.lines
            for _ in range(100):
                assert conversation.socket.recv(65536)
    door.probe.served.wait_for(f"^closed {re.escape(name)}$")


# ---- faults -----------------------------------------------------------------------------------------------------


def test_a_killed_worker_is_not_noticed_by_who_comes_later(door: Door) -> None:
    """SIGKILL for an idle worker: its place is taken, and no request is lost."""
    with Visitor(door.address) as visitor:
        pid = seen(visitor.ask("/whoami")).pid
        door.probe.kill(pid)
        answers = [seen(visitor.ask("/whoami", method, b"data" if method == "POST" else b""))
                   for method in ("GET", "POST") * 10]
    assert pid not in {answer.pid for answer in answers}


@pytest.mark.parametrize("site", [Direct(), nginx.Site(), apache.Site(), apache.Site(keep_connections=True)], ids=title)
def test_an_answer_whose_worker_is_killed_does_not_look_whole(probe: Probe, site: Site) -> None:
    """SIGKILL during a stream is a truncated answer.

    Not behind an nginx with fastcgi_keep_conn or fastcgi_buffering off: it takes the end of the connection, which is
    all that a killed process can say, for the end of the answer.
    """
    with open_site(probe.served, site) as address, Conversation(address) as conversation:
        conversation.request("GET", "/endless?name=victim", {"Connection": "close"})
        probe.kill(int(first_line(conversation)))
        rest = b"".join(iter(lambda: conversation.socket.recv(1 << 20), b""))
    assert not rest.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("site", [Direct(), nginx.Site(), nginx.Site(keep_connections=False), apache.Site()], ids=title)
def test_more_requests_than_allowed_are_told_503(site: Site) -> None:
    """Past --max-inflight the client sees 503 with Retry-After, not the web server's own idea of an error."""
    with serve_probe("--workers", "1", "--max-inflight", "1") as probe, open_site(probe.served, site) as address:
        with Conversation(address) as conversation:
            conversation.request("GET", "/endless?name=it")
            first_line(conversation)
            reply = fetch(address, "/whoami")
            assert (reply.status, reply.header("retry-after")) == (503, "1")
            assert reply.text == "Too many requests at once; ask again in a second.\n"
        probe.served.wait_for("^closed it$")
        assert seen(fetch(address, "/whoami")).length == 0
