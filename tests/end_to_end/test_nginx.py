"""What is special to nginx: its buffers, its two ways to end a FastCGI answer, uploads passed on while they arrive."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import nginx
from tests.support.client import Conversation, Truncated, fetch
from tests.support.probe_process import Probe, seen, serve_probe, unsealed
from tests.support.sites import open_site, title
from tests.support.visitor import Visitor


@pytest.fixture(scope="module")
def probe() -> Iterator[Probe]:
    """The application that everything here is asked of."""
    with serve_probe() as probe:
        yield probe


@pytest.mark.parametrize(
    ("site", "target"),
    [
        (nginx.Site(response_buffering=False), "/patient?until="),
        (nginx.Site(response_buffering=False, keep_connections=False), "/patient?until="),
        (nginx.Site(), "/patient?unbuffered&until="),
    ],
    ids=["fastcgi_buffering off", "fastcgi_buffering and fastcgi_keep_conn off", "X-Accel-Buffering: no"],
)
def test_the_first_line_comes_before_the_last_is_made(
    probe: Probe, tmp_path: Path, site: nginx.Site, target: str
) -> None:
    """A stream is passed on while the application is still at work."""
    file = probe.folder / tmp_path.name
    with open_site(probe.served, site) as address, Conversation(address) as conversation:
        conversation.request("GET", f"{target}{file.name}", {"Connection": "close"})
        received = b""
        while not received.partition(b"\r\n\r\n")[2]:
            received += conversation.socket.recv(65536)
        file.touch()
        received += b"".join(iter(lambda: conversation.socket.recv(65536), b""))
    assert b"in time\n" in received
    assert received.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("size", [3_900, 5 * 1024, 12 * 1024])
def test_a_long_header_block_needs_larger_buffers(probe: Probe, size: int) -> None:
    """5 KiB of headers pass with the buffers that we recommend; nginx's own, one page, end at 4 KiB with 502."""
    statuses = []
    for parameters in ("stock", "recommended"):
        with open_site(probe.served, nginx.Site(parameters=parameters)) as address, Visitor(address) as visitor:
            reply = visitor.ask(f"/headers?size={size}")
        statuses.append(reply.status)
        assert reply.status != 200 or (reply.header("x-large"), reply.text) == ("x" * size, "whole\n")
    assert statuses == [200 if size < 4096 else 502, 200]


@pytest.mark.parametrize("site", [nginx.Site(request_buffering=False), nginx.Site()], ids=title)
def test_an_upload_that_is_cut_never_reaches_the_application(probe: Probe, site: nginx.Site) -> None:
    """Half a body is not a body: the client that leaves during its upload has asked for nothing."""
    with open_site(probe.served, site) as address:
        before = probe.status()["counters"]["requests"]
        with Conversation(address) as conversation:
            conversation.request("POST", "/endless?name=half", {"Content-Length": "1000000"}, b"x" * 300_000)
        assert seen(fetch(address, "/whoami")).length == 0
    counters = probe.status()["counters"]
    assert counters["requests"] - before <= 2
    assert "closed half" not in probe.served.lines


def test_an_upload_is_passed_on_while_it_arrives(probe: Probe) -> None:
    """With fastcgi_request_buffering off a chunked body in pieces is whole at the end all the same."""
    pieces = [bytes([number]) * 5_000 for number in range(40)]
    with open_site(probe.served, nginx.Site(request_buffering=False)) as address:
        with Conversation(address) as conversation:
            conversation.request("POST", "/whoami", {"Transfer-Encoding": "chunked", "Connection": "close"})
            for piece in pieces:
                conversation.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            conversation.send(b"0\r\n\r\n")
            assert seen(conversation.reply()).length == 200_000


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_a_socket_may_be_listed_twice(probe: Probe, twice: bool) -> None:
    """The upstream that tries again what failed unanswered serves everything, too, and truncates the same."""
    with open_site(probe.served, nginx.Site(twice=twice)) as address:
        unsealed(fetch(address, "/stream?parts=16").body)
        with pytest.raises(Truncated):
            fetch(address, "/stream?parts=64&fail")
