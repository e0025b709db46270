"""What is special to Apache: streams need flushpackets, its own limits of headers, connections that it keeps."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import apache
from tests.support.client import Conversation, Truncated, fetch
from tests.support.probe_process import Probe, seen, serve_probe, unsealed
from tests.support.sites import open_site, title
from tests.support.visitor import Visitor

KEPT = [apache.Site(keep_connections=True), apache.Site(by="set_handler", keep_connections=True)]


@pytest.fixture(scope="module")
def probe() -> Iterator[Probe]:
    """The application that everything here is asked of; it is never saved."""
    with serve_probe() as probe:
        yield probe


@pytest.mark.parametrize("by", ["proxy_pass", "set_handler"])
def test_the_first_line_comes_before_the_last_is_made(probe: Probe, tmp_path: Path, by: str) -> None:
    """With flushpackets=on a stream is passed on while the application is still at work."""
    file = probe.folder / tmp_path.name
    site = apache.Site(flush=True, by=by)  # type: ignore[arg-type]
    with open_site(probe.served, site) as address, Conversation(address) as conversation:
        conversation.request("GET", f"/patient?until={file.name}", {"Connection": "close"})
        received = b""
        while not received.partition(b"\r\n\r\n")[2]:
            received += conversation.socket.recv(65536)
        file.touch()
        received += b"".join(iter(lambda: conversation.socket.recv(65536), b""))
    assert b"in time\n" in received
    assert received.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("size", [3_900, 5 * 1024, 7_000])
def test_a_long_header_passes(probe: Probe, size: int) -> None:
    """Five KiB in one header need no configuration; the limit is 8 KiB a line."""
    with open_site(probe.served, apache.Site()) as address:
        reply = fetch(address, f"/headers?size={size}&cookies=100")
    assert (reply.status, reply.header("x-large"), reply.text) == (200, "x" * size, "whole\n")


@pytest.mark.parametrize("site", KEPT, ids=title)
def test_kept_connections_carry_whole_bodies(probe: Probe, site: apache.Site) -> None:
    """With enablereuse=on, one request after the other leaves the connection in order, cut answers among them."""
    body = os.urandom(300_000)
    with open_site(probe.served, site) as address, Visitor(address, keep=True) as visitor:
        for _ in range(3):
            told = seen(visitor.ask("/whoami", "POST", body))
            assert (told.length, told.sha256) == (len(body), hashlib.sha256(body).hexdigest())
            unsealed(visitor.ask("/stream?parts=40").body)
            assert visitor.ask("/status?code=204").status == 204
            with pytest.raises(Truncated):
                fetch(address, "/stream?parts=40&fail")


def test_an_upload_that_is_cut_never_reaches_the_application(probe: Probe) -> None:
    """Half a body is not a body: the client that leaves during its upload has asked for nothing."""
    with open_site(probe.served, apache.Site()) as address:
        with Conversation(address) as conversation:
            conversation.request("POST", "/endless?name=half", {"Content-Length": "1000000"}, b"x" * 300_000)
        assert seen(fetch(address, "/whoami")).length == 0
    assert "closed half" not in probe.served.lines
