"""The rig proves itself with somebody else's FastCGI server: what fails later is then not a configuration."""

import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support import apache, nginx
from tests.support.client import Conversation, FastCGI, Reply, fetch, parameters
from tests.support.places import short_directory, wait_until_listening
from tests.support.process import Live
from tests.support.runner_process import ROOT, environment
from tests.support.web_server import AUTHORIZATION, WebServer, title

Site = nginx.Site | apache.Site

NGINX: list[Site] = [
    nginx.Site(),
    nginx.Site(mount="/app"),
    nginx.Site(split=True),
    nginx.Site(mount="/app", split=True),
    nginx.Site(parameters="stock"),
    nginx.Site(parameters="stock", mount="/app"),
    nginx.Site(parameters="stock", mount="/app", split=True),
    nginx.Site(keep_connections=False),
    nginx.Site(twice=True),
    nginx.Site(request_buffering=False, response_buffering=False),
    nginx.Site(https=True),
    nginx.Site(parameters="stock", https=True),
    nginx.Site(password=True),
]
APACHE: list[Site] = [
    apache.Site(),
    apache.Site(mount="/app"),
    apache.Site(by="set_handler"),
    apache.Site(by="set_handler", mount="/app"),
    apache.Site(keep_connections=True),
    apache.Site(by="set_handler", keep_connections=True),
    apache.Site(flush=True),
    apache.Site(https=True),
    apache.Site(password=True),
    apache.Site(password=True, pass_authorization=True),
]


def behind(socket: Path, site: Site) -> AbstractContextManager[WebServer]:
    """The web server that *site* is for, in front of *socket*."""
    return nginx.nginx(socket, site) if isinstance(site, nginx.Site) else apache.apache(socket, site)


def read(reply: Reply) -> dict[str, str]:
    """What the echo was told."""
    assert reply.status == 200, reply
    told: dict[str, str] = json.loads(reply.body)
    return told


@pytest.fixture(scope="module")
def echo() -> Iterator[Path]:
    """The socket of flup6 with the echo, listening."""
    with short_directory() as directory:
        socket = directory / "flup"
        command = [sys.executable, "-m", "tests.support.echo", str(socket)]
        with Live(command, cwd=ROOT, env=environment()) as live:
            wait_until_listening(socket, live)
            yield socket


@pytest.mark.parametrize("site", NGINX + APACHE, ids=title)
def test_each_configuration_reaches_the_application(echo: Path, site: Site) -> None:
    """A GET and a POST with a body arrive whole, below the mount, with the path that was asked for."""
    target = site.mount.rstrip("/") + "/one/two"
    with behind(echo, site) as server:
        headers = {"Authorization": AUTHORIZATION} if site.password else {}
        for method, body in (("GET", b""), ("POST", b"\x00\xff" * 40_000)):
            told = read(fetch(server.address, target + "?q=1", method=method, headers=headers, body=body))
            assert (told["REQUEST_METHOD"], told["QUERY_STRING"]) == (method, "q=1")
            # Where PATH_INFO is not sent, flup6 puts the whole path there, too.
            assert target in (told["SCRIPT_NAME"], told["SCRIPT_NAME"] + told["PATH_INFO"])
            assert told["body"].encode("latin-1") == body


@pytest.mark.parametrize("site", [nginx.Site(https=True), apache.Site(https=True)], ids=title)
def test_https_is_told(echo: Path, site: Site) -> None:
    """The variant with HTTPS says so to the application."""
    with behind(echo, site) as server:
        assert read(fetch(server.address))["HTTPS"] == "on"


@pytest.mark.parametrize("site", [nginx.Site(password=True), apache.Site(password=True)], ids=title)
def test_a_password_is_asked_for(echo: Path, site: Site) -> None:
    """Without it 401, and with it the application learns who it is."""
    with behind(echo, site) as server:
        assert fetch(server.address).status == 401
        told = read(fetch(server.address, headers={"Authorization": AUTHORIZATION}))
        assert (told["REMOTE_USER"], told["AUTH_TYPE"]) == ("ann", "Basic")


@pytest.mark.parametrize("site", [nginx.Site(), apache.Site()], ids=title)
def test_a_missing_application_is_the_web_servers_error(site: Site) -> None:
    """When nobody listens on the socket, the client hears 502 or 503; that status is never ours."""
    with short_directory() as directory, behind(directory / "nobody", site) as server:
        assert fetch(server.address).status in (502, 503)


def test_the_fastcgi_client_speaks_with_another_server(echo: Path) -> None:
    """Our own client is understood by a server that is not ours."""
    with FastCGI(echo) as client:
        reply = client.request(parameters(method="POST", length=5), b"hello")
    assert (reply.end.app_status, reply.end.protocol_status) == (0, 0)
    assert json.loads(reply.body)["body"] == "hello"


def test_several_requests_in_one_conversation(echo: Path) -> None:
    """A kept-alive connection to the web server serves one request after another."""
    with behind(echo, nginx.Site()) as server, Conversation(server.address) as conversation:
        for number in range(3):
            conversation.request("GET", f"/{number}")
            assert read(conversation.reply())["PATH_INFO"] == f"/{number}"
