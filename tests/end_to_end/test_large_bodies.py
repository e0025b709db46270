"""Large bodies and saves: every byte arrives in one process, which executes the request once, whatever way it comes.

Two moments of a save: before the request, which then finds the change when its head is complete and is handed over
while its body is still arriving; and in the middle of the body, which is then finished by whoever has it. A web server
that buffers requests hides the difference from its application: there both are requests that begin after the save.
"""

import random
from collections.abc import Iterator

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.executions import Place, start, told
from tests.end_to_end.reloading import value
from tests.support import apache, nginx
from tests.support.client import Conversation, fetch
from tests.support.places import Address
from tests.support.sites import Direct, Site, open_site, title

MIB = 1 << 20
PATIENCE = 100.0
"""Seconds; 100 MiB pass two processes and perhaps a disk."""
ROOM = "client_max_body_size 128m;"
PART = random.Random(1).randbytes(MIB)
DIRECT: list[Site] = [Direct()]
WEB_SERVERS: list[Site] = [
    nginx.Site(request_buffering=False, extra=ROOM), nginx.Site(extra=ROOM), nginx.Site(protocol="http", extra=ROOM),
    apache.Site(keep_connections=True),
]  # fmt: skip
SIZES = [8 * MIB, pytest.param(100 * MIB, marks=[pytest.mark.stress, pytest.mark.timeout(600)])]
CODINGS = ["length", "chunked"]


def name(site: Site) -> str:
    """For a test's id."""
    return title(site).replace(f" extra={ROOM}", "")


def parts(size: int) -> Iterator[bytes]:
    """So many bytes in parts of at most a mebibyte."""
    for begin in range(0, size, MIB):
        yield PART[:size - begin]


class Upload:
    """One POST to /it, in pieces, by *coding*."""

    def __init__(self, conversation: Conversation, coding: str, size: int) -> None:
        """Send its head."""
        self._conversation = conversation
        self._chunked = coding == "chunked"
        self._parts = parts(size)
        length = {"Transfer-Encoding": "chunked"} if self._chunked else {"Content-Length": str(size)}
        conversation.request("POST", "/it", length)

    def send(self, most: int | None = None) -> None:
        """That many parts more, or else the rest and the end."""
        for number, part in enumerate(self._parts, 1):
            self._conversation.send(b"%x\r\n%b\r\n" % (len(part), part) if self._chunked else part)
            if number == most:
                return
        if self._chunked:
            self._conversation.send(b"0\r\n\r\n")


def check_handed_over(place: Place, site: Site, coding: str, size: int, *, noticed: bool) -> None:
    """The save is before the request, and its connection, open before, comes to the new code with all of the body.

    *noticed*: the save may be seen before the request comes, and the idle connection given away then.
    """
    with open_site(place.served, site) as address, Conversation(address, PATIENCE) as kept:
        kept.request("GET", "/")
        assert kept.reply().text == told(0)
        place.save(value(1))
        upload = Upload(kept, coding, size)
        upload.send()
        assert kept.reply().text == told(1, *parts(size))
    assert place.executed() == 1
    held = place.counter("held")
    assert held == 1 or (noticed and place.counter("moved") > 0), place.served.output
    assert place.counter("redirects") == 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("reload", ["request", "eager"])
def test_a_large_body_that_is_still_arriving(
    project: Project, runner: Runner, reload: str, coding: str, size: int
) -> None:
    """At our own port: handed over when the head is complete, and what comes later is in the right process."""
    place = start(project, runner, "--on-change", "hold", "--reload", reload)
    check_handed_over(place, Direct(), coding, size, noticed=reload == "eager")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("site", WEB_SERVERS, ids=name)
def test_a_large_body_through_a_web_server(
    project: Project, runner: Runner, site: Site, coding: str, size: int
) -> None:
    """On the connection that the web server has kept: held once, executed once, whole."""
    place = start(project, runner, "--on-change", "hold", "--reload", "request")
    check_handed_over(place, site, coding, size, noticed=False)


@pytest.mark.parametrize("site", [*DIRECT, *WEB_SERVERS], ids=name)
@pytest.mark.parametrize("mode", ["redirect", "hold"])
def test_a_save_during_a_body(project: Project, runner: Runner, mode: str, site: Site) -> None:
    """10 MB, half of them before the save: whole, executed once, and never redirected, for it is a POST."""
    place = start(project, runner, "--on-change", mode)
    with open_site(place.served, site) as address, Conversation(address, PATIENCE) as early:
        upload = Upload(early, "length", 10_000_000)
        upload.send(5)
        place.save(value(1))
        until_new(place, address)
        upload.send()
        assert early.reply().text in (told(0, *parts(10_000_000)), told(1, *parts(10_000_000)))
    assert place.executed() == 1


def until_new(place: Place, address: Address) -> None:
    """Others are answered by the new code while the body is still arriving, after one redirect at most."""
    reply = fetch(address, "/other")
    if reply.status == 307:
        reply = fetch(address, "/other")
    assert (reply.status, reply.text) == (200, told(1)), place.served.output
