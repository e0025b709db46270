"""The application is told the same about a request, whichever web server passed it on and however it is configured.

The measure is the runner's own HTTP port: the same request is sent there, and what both answers tell is compared. Web
servers rewrite a path before anybody else sees it, so where they do, our own port is asked for the path as rewritten:

    both      `//` becomes `/`; `.` and `..` are resolved, encoded ones (`%2e%2e`) too
    nginx     %2F becomes `/`, which may then be one of two that become one
    Apache    %2F stays as it is (AllowEncodedSlashes NoDecode; its default is a 404 of its own)

What they do not pass on is not compared: Debian's fastcgi_params lose the port in HTTP_HOST, Apache joins two Cookie
headers with a comma.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest

from tests.support import apache, nginx
from tests.support.client import Conversation, fetch
from tests.support.places import Address
from tests.support.probe_process import Probe, serve_probe
from tests.support.sites import Direct, Site, open_site, title
from tests.support.web_server import AUTHORIZATION

NAMES = (
    "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_URI", "CONTENT_TYPE", "CONTENT_LENGTH",
    "HTTP_TRANSFER_ENCODING", "REMOTE_ADDR", "REMOTE_USER", "AUTH_TYPE", "HTTPS", "wsgi.url_scheme", "HTTP_X_FOO",
    "HTTP_PROXY", "HTTP_X_UNDER", "os.environ", "body",
)  # fmt: skip

HEADERS = (
    "Host: example.test:19080\r\nConnection: close\r\nAuthorization: " + AUTHORIZATION + "\r\n"
    "X-Foo: 1\r\nX-Foo: 2\r\nCookie: a=1\r\nCookie: b=2\r\nProxy: evil\r\nX_Under: u\r\n"
)


class Path(NamedTuple):
    """A target as sent, and as the web servers rewrite it if they do."""

    sent: str
    by_nginx: str | None = None
    by_apache: str | None = None

    def rewritten(self, site: Site) -> str:
        """What our own port is to be asked for."""
        rewritten = self.by_nginx if isinstance(site, nginx.Site) else self.by_apache
        return self.sent if rewritten is None else rewritten


PATHS = (
    Path("/"),
    Path("/one/two"),
    Path("/one/"),
    Path("/a%20b"),
    Path("/a+b"),
    Path("/a;p=1/b;q"),
    Path("/a:b@c,d!$&'()*"),
    Path("/a%25b"),
    Path("/a%5Cb"),
    Path("/%25%32%46"),
    Path("/caf%C3%A9/%E2%82%AC"),
    Path("/%ff%fe"),
    Path("/%E2%82"),
    Path('/"<>'),
    Path("/x?"),
    Path("/x?q=%20&r=%2F+&s=%zz;t"),
    Path("/x?a?b"),
    Path("/x?q=a//b/../c"),
    Path("/a%2Fb", by_apache="/a%252Fb"),
    Path("/a%2F%2Fb", by_nginx="/a/b", by_apache="/a%252F%252Fb"),
    Path("//a", "/a", "/a"),
    Path("/a//b///c/", "/a/b/c/", "/a/b/c/"),
    Path("/a/./b", "/a/b", "/a/b"),
    Path("/a/x/../b", "/a/b", "/a/b"),
    Path("/a/x/%2e%2e/b", "/a/b", "/a/b"),
    Path("/a../..b/..."),
)

BODIES = {
    "POST of nothing": "Content-Length: 0\r\n\r\n",
    "POST of five bytes": "Content-Type: text/x\r\nContent-Length: 5\r\n\r\nhello",
    "chunked POST": "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "chunked POST of nothing": "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}

VARIANTS: list[nginx.Site | apache.Site] = [
    nginx.Site(),
    nginx.Site(keep_connections=False),
    nginx.Site(request_buffering=False),
    nginx.Site(split=True),   # with /app, SCRIPT_NAME and PATH_INFO are each sent twice, differently
    nginx.Site(parameters="stock"),
    nginx.Site(parameters="stock", split=True),
    apache.Site(),
    apache.Site(keep_connections=True),
    apache.Site(by="set_handler"),
    apache.Site(by="set_handler", keep_connections=True),
]
SITES: list[Site] = [replace(site, mount=mount) for mount in ("/", "/app") for site in VARIANTS]


class Door(NamedTuple):
    """A way in, the same application's own port, and the part of the site that is passed on."""

    site: Site
    address: Address
    own: Address
    mount: str


@pytest.fixture(scope="module")
def probes() -> Iterator[dict[str, Probe]]:
    """Two runners, one for the whole site and one for what is below /app."""
    with serve_probe() as root, serve_probe("--root-path", "/app") as app:
        yield {"/": root, "/app": app}


@pytest.fixture(scope="module")
def door(request: pytest.FixtureRequest, probes: dict[str, Probe]) -> Iterator[Door]:
    """The web server that the test is parametrized with, in front of the runner that fits its mount."""
    site: Site = request.param
    served = probes[site.mount].served
    with open_site(served, site) as address:
        yield Door(site, address, served.http, site.mount.rstrip("/"))


def told(address: Address, line: str, rest: str = "\r\n") -> dict[str, str]:
    """What the application is told about this request; *rest* is what stands below the headers that are always sent."""
    with Conversation(address) as conversation:
        conversation.send(f"{line} HTTP/1.1\r\n{HEADERS}{rest}".encode("latin-1"))
        reply = conversation.reply()
    assert reply.status == 200, (line, reply)
    facts: dict[str, str] = json.loads(reply.body)
    return facts


def compared(facts: dict[str, str], site: Site) -> dict[str, str | None]:
    """Of what the application was told, the part that this web server can know."""
    names = list(NAMES)
    if not (isinstance(site, nginx.Site) and site.parameters == "stock"):
        names.append("HTTP_HOST")
    if not isinstance(site, apache.Site):
        names.append("HTTP_COOKIE")
    return {name: facts.get(name) for name in names}


@pytest.mark.parametrize("door", SITES, ids=title, indirect=True)
def test_paths_are_told_alike(door: Door) -> None:
    """Every tricky URL comes out as at our own port, asked for the path as the web server rewrites it (see above)."""
    for path in PATHS:
        line = f"GET {door.mount}{path.sent}"
        expected = compared(told(door.own, f"GET {door.mount}{path.rewritten(door.site)}"), door.site)
        # The URL as the client wrote it is passed on untouched by all.
        expected["REQUEST_URI"] = door.mount + path.sent
        assert compared(told(door.address, line), door.site) == expected, path


@pytest.mark.parametrize("door", SITES, ids=title, indirect=True)
def test_bodies_are_told_alike(door: Door) -> None:
    """The length and the body are the same, announced or chunked, empty or not."""
    line = f"POST {door.mount}/x"
    for name, rest in BODIES.items():
        facts, expected = (compared(told(address, line, rest), door.site) for address in (door.address, door.own))
        assert facts == expected, name


def test_our_own_port_tells_the_truth(probes: dict[str, Probe]) -> None:
    """The measure itself, said in full once: what is dropped, joined, decoded and cut off."""
    facts = told(probes["/app"].served.http, "POST /app/caf%C3%A9%2F//x/../y?q=%20", BODIES["chunked POST"])
    assert {name: facts.get(name) for name in (*NAMES, "HTTP_HOST", "HTTP_COOKIE")} == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/app",
        "PATH_INFO": "/caf\xc3\xa9///x/../y",
        "QUERY_STRING": "q=%20",
        "REQUEST_URI": "/app/caf%C3%A9%2F//x/../y?q=%20",
        "CONTENT_TYPE": None,
        "CONTENT_LENGTH": "5",
        "HTTP_TRANSFER_ENCODING": None,
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_USER": None,
        "AUTH_TYPE": None,
        "HTTPS": None,
        "wsgi.url_scheme": "http",
        "HTTP_X_FOO": "1, 2",
        "HTTP_PROXY": None,
        "HTTP_X_UNDER": None,
        "os.environ": "",
        "body": "hello",
        "HTTP_HOST": "example.test:19080",
        "HTTP_COOKIE": "a=1; b=2",
    }


@pytest.mark.parametrize(
    "site",
    [nginx.Site(https=True), nginx.Site(parameters="stock", https=True), apache.Site(https=True)],
    ids=title,
)
def test_https_is_told_alike(probes: dict[str, Probe], site: Site) -> None:
    """TLS at the web server is what X-Forwarded-Proto from a trusted proxy is at our own port."""
    with open_site(probes["/"].served, site) as address:
        facts = compared(told(address, "GET /x"), site)
    expected = compared(told(probes["/"].served.http, "GET /x", "X-Forwarded-Proto: https\r\n\r\n"), site)
    assert facts == expected
    assert (facts["HTTPS"], facts["wsgi.url_scheme"]) == ("on", "https")


@pytest.mark.parametrize("door", [nginx.Site(), apache.Site()], ids=title, indirect=True)
def test_a_client_cannot_claim_https_behind_a_web_server(door: Door) -> None:
    """X-Forwarded-Proto says nothing where the web server itself says how it was reached."""
    facts = told(door.address, "GET /x", "X-Forwarded-Proto: https\r\n\r\n")
    assert (facts.get("HTTPS"), facts["wsgi.url_scheme"]) == (None, "http")


def test_a_user_is_told_if_trusted_and_asked_for_a_password() -> None:
    """With --trust-remote-user, REMOTE_USER is whom nginx or Apache has let in."""
    with serve_probe("--trust-remote-user", "--workers", "1") as probe:
        for site in (nginx.Site(password=True), apache.Site(password=True)):
            with open_site(probe.served, site) as address:
                facts = told(address, "GET /x")
            assert (facts["REMOTE_USER"], facts["AUTH_TYPE"]) == ("ann", "Basic"), site
        assert "REMOTE_USER" not in told(probe.served.http, "GET /x")


@pytest.mark.parametrize("site", [nginx.Site(mount="/app"), nginx.Site(mount="/app", split=True), Direct()], ids=title)
@pytest.mark.parametrize("target", ["/apple/x", "/app.", "/app%20/x"])
def test_a_path_outside_the_root_is_not_found(probes: dict[str, Probe], site: Site, target: str) -> None:
    """`location /app` of nginx also matches /apple; the runner does not serve it, nor does its own port."""
    with open_site(probes["/app"].served, site) as address:
        reply = fetch(address, target)
    assert (reply.status, reply.text) == (404, "nothing is served at this path, only below /app\n")


@pytest.mark.parametrize("site", [nginx.Site(mount="/app"), nginx.Site(mount="/app", split=True),
                                  apache.Site(mount="/app", by="set_handler"), Direct()], ids=title)
def test_the_root_itself_has_no_path_below_it(probes: dict[str, Probe], site: Site) -> None:
    """/app is the application with an empty PATH_INFO (RFC 3875 section 4.1.5), not a page that is not found."""
    with open_site(probes["/app"].served, site) as address:
        facts = told(address, "GET /app?q")
    assert (facts["SCRIPT_NAME"], facts["PATH_INFO"], facts["QUERY_STRING"]) == ("/app", "", "q")


def test_debians_own_list_loses_the_port() -> None:
    """With stock fastcgi_params the application never learns the client's port; our list passes it on."""
    with serve_probe("--workers", "1") as probe:
        hosts = []
        for site in (nginx.Site(parameters="stock"), nginx.Site()):
            with open_site(probe.served, site) as address:
                hosts.append(told(address, "GET /x")["HTTP_HOST"])
    assert hosts == ["example.test", "example.test:19080"]
