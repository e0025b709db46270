"""The CGI meta-variables: the same ones, whichever web server sent them, and whatever a client made up."""

from dataclasses import replace
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import RemoteProtocolError
from runner.front.variables import Rules, content_length, join, note_length, request_uri
from runner.wire.records import serialize_pairs
from tests.support.compiled import TWINS, twin


def stream(*pairs: tuple[str, str]) -> bytes:
    """A PARAMS stream of these variables."""
    return serialize_pairs((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs)


def long_way(stream: bytes, known: dict[str, str], limit: int) -> None:
    """A parser to which every request is unusual."""


def roads(rules: Rules) -> list[Rules]:
    """The same rules by the fast road, in both languages, and by the long way; they share their memory of names."""
    return [replace(rules, parse=parse) for parse in (*map(twin, TWINS), long_way)]


def clean(*pairs: tuple[str, str], rules: Rules | None = None, **more: str) -> dict[str, str]:
    """What becomes of a small request with *pairs* added to its end and *more* in place of its values.

    By every road, and again when its names are known: it makes no difference.
    """
    some = {"REQUEST_METHOD": "GET", **more}
    if "SCRIPT_NAME" not in more:
        some.setdefault("PATH_INFO", "/")
    sent = stream(*some.items(), *pairs)
    first, *others = [road.clean(sent) for road in roads(rules or Rules()) * 2]
    assert all(other == first for other in others)
    return first[0]


def refused(status: int, *pairs: tuple[str, str], rules: Rules | None = None, **more: str) -> str:
    """Have it refused with *status*, and return the reason."""
    with pytest.raises(RemoteProtocolError) as caught:
        clean(*pairs, rules=rules, **more)
    assert caught.value.status == status
    return str(caught.value)


# ---- the path -----------------------------------------------------------------------------------------------

PATHS = {
    "nginx, stock": ({"SCRIPT_NAME": "/app/a b/c", "PATH_INFO": ""}, "/app/a b/c"),
    "nginx, split": ({"SCRIPT_NAME": "/app", "PATH_INFO": "/a b/c"}, "/app/a b/c"),
    "Apache, ProxyPass": ({"SCRIPT_NAME": "/app/a%2Fb"}, "/app/a%2Fb"),
    "Apache, SetHandler: the first segment": ({"SCRIPT_NAME": "/app", "PATH_INFO": "/x"}, "/app/x"),
    "lighttpd, root": ({"SCRIPT_NAME": "", "PATH_INFO": "/app/x"}, "/app/x"),
    "Caddy, not normalised": ({"PATH_INFO": "/app/x//y/../z"}, "/app/x//y/../z"),
    "neither, but the URI": ({"PATH_INFO": "", "REQUEST_URI": "/app/a%20b?q=/"}, "/app/a b"),
    "neither, absolute URI": ({"PATH_INFO": "", "REQUEST_URI": "http://h.example:80/app/x?q"}, "/app/x"),
    "a newline": ({"PATH_INFO": "/app/a\nb"}, "/app/a\nb"),
    "UTF-8 octets": ({"PATH_INFO": "/app/\xe2\x82\xac"}, "/app/\xe2\x82\xac"),
}


@pytest.mark.parametrize(("sent", "full"), PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("root", ["", "/app"])
def test_the_path_is_the_same_from_every_web_server(sent: dict[str, str], full: str, root: str) -> None:
    """SCRIPT_NAME + PATH_INFO is the whole; the configured prefix is cut off it, never guessed."""
    found = clean(rules=Rules(root), **sent)
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == (root, full.removeprefix(root))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/app", 200), ("/app/", 200), ("/apple", 404), ("/ap", 404), ("/", 404), ("/APP", 404), ("app/", 400),
        ("*", 400),
    ],
)
def test_a_prefix_ends_at_a_segment(path: str, status: int) -> None:
    """/app does not match /apple; what does not begin with a slash is no path."""
    if status == 200:
        assert clean(rules=Rules("/app"), PATH_INFO=path)["PATH_INFO"] == path[4:]
    else:
        refused(status, rules=Rules("/app"), PATH_INFO=path)


def test_without_any_path_it_is_the_root() -> None:
    """REQUEST_URI may be missing, too."""
    assert clean(PATH_INFO="")["PATH_INFO"] == "/"


# ---- names and values ---------------------------------------------------------------------------------------

TWICE = [
    ("HTTP_COOKIE", "a=1", "b=2", "a=1; b=2"),
    ("HTTP_X_FOO", "1", "2", "1, 2"),
    ("HTTP_HOST", "h.example", "h.example", "h.example"),
    ("SCRIPT_FILENAME", "/a", "/b", "/b"),
    ("QUERY_STRING", "a", "b", "b"),
    ("CONTENT_LENGTH", "5", "5", "5"),
]


@pytest.mark.parametrize(("name", "first", "second", "joined"), TWICE)
def test_what_is_sent_twice_is_joined_as_http_joins_it(name: str, first: str, second: str, joined: str) -> None:
    """Cookies with "; ", headers with ", ", of the web server's own the last one."""
    assert clean((name, first), (name, second))[name] == joined
    assert join(name, first, second) == joined


@pytest.mark.parametrize("name", ["HTTP_HOST", "CONTENT_LENGTH"])
def test_two_different_values_where_one_must_be_wrong_are_refused(name: str) -> None:
    """Who chooses one of two hosts or lengths chooses for the attacker."""
    assert name in refused(400, (name, "1"), (name, "2"))


@pytest.mark.parametrize(
    "name",
    [
        "HTTP_PROXY", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "wsgi.input", "wsgi.errors", "wsgi.url_scheme",
        "werkzeug.server.shutdown", "mod_wsgi.version", "", "A=B", "A B", "A\0", "A\nB", "HTTP_X-Y", "HTTP_x", "HTTP_",
        "HTTP_\xc4", "1A", "REMOTE_USER", "AUTH_TYPE",
    ],
)  # fmt: skip
def test_names_that_are_dropped(name: str) -> None:
    """Ambiguous ones, dangerous ones, and those that are keys of the host's own."""
    assert name not in clean((name, "x"))


@pytest.mark.parametrize(
    "name", ["UWSGI_FILE", "PHP_VALUE", "LD_PRELOAD", "proxy-nokeepalive", "asgi", "_X", "HTTP_X_1"]
)
def test_names_that_are_kept(name: str) -> None:
    """Strange ones mean nothing here, so they do no harm."""
    assert clean((name, "x"))[name] == "x"


def test_an_identity_is_believed_if_told_to() -> None:
    """nginx fills REMOTE_USER from any client's header, so not by default."""
    found = clean(("REMOTE_USER", "ann"), ("AUTH_TYPE", "Basic"), rules=Rules(trust_remote_user=True))
    assert (found["REMOTE_USER"], found["AUTH_TYPE"]) == ("ann", "Basic")


def flood(rules: Rules) -> None:
    """Have *rules* see more names than they can remember, and very long ones."""
    for start in range(0, 5000, 500):
        clean(*((f"HTTP_X_{number}", "x") for number in range(start, start + 500)), rules=rules)
    clean(*((f"HTTP_{number:0100}", "x") for number in range(100)), rules=rules)


def test_the_memory_of_names_is_bounded() -> None:
    """Clients choose header names."""
    rules = Rules()
    flood(rules)
    assert len(rules.names) <= 512
    assert max(map(len, rules.names)) <= 64


def test_a_full_memory_of_names_keeps_nobody_off_the_fast_road() -> None:
    """What one client made up must not cost all others for as long as the process lives."""
    rules = Rules()
    flood(rules)
    clean(("HTTP_NEW", "x"), rules=rules)
    assert rules.parse(stream(("REQUEST_METHOD", "GET"), ("HTTP_NEW", "x")), rules.names, 1000) is not None


@pytest.mark.parametrize("name", ["HTTP_X", "REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "REQUEST_URI"])
def test_a_nul_byte_is_refused_wherever_it_stands(name: str) -> None:
    """FastCGI 1.0 section 6.1; C code behind an application would read less than we checked."""
    refused(400, (name, "/a\0b"))


def test_every_byte_but_nul_passes_through_values() -> None:
    """PEP 3333: latin-1 text of the bytes that were sent."""
    value = bytes(range(1, 256)).decode("latin-1")
    assert clean(("HTTP_X", value))["HTTP_X"] == value


def test_a_request_without_a_method_names_the_remedy() -> None:
    """The usual cause is a missing line in the web server's configuration."""
    assert "fastcgi_params" in refused(400, REQUEST_METHOD="")


@pytest.mark.parametrize(
    ("raw", "status", "message"),
    [
        (b"", 400, "no REQUEST_METHOD"), (b"\2\2nv", 400, "too early"), (b"\x80\0", 400, "inside a length"),
        (b"\0\0" * 1001, 431, "more than 1000"), (b"\xff" * 8, 431, "limit is 262144"),
    ],
)  # fmt: skip
def test_what_is_no_stream_of_parameters_is_refused(raw: bytes, status: int, message: str) -> None:
    """400 where the peer is broken, 431 where it sends too much."""
    with pytest.raises(RemoteProtocolError, match=message) as caught:
        Rules().clean(raw)
    assert caught.value.status == status


def outcome(rules: Rules, raw: bytes) -> object:
    """All that can be seen of one request: its variables in their order and its scheme, or its refusal."""
    try:
        variables, scheme = rules.clean(raw)
    except RemoteProtocolError as error:
        return error.status, str(error)
    return list(variables.items()), scheme


names = st.sampled_from(
    ["PATH_INFO", "SCRIPT_NAME", "REQUEST_URI", "HTTP_HOST", "HTTP_COOKIE", "HTTP_X", "HTTP_PROXY", "REMOTE_USER",
     "HTTPS", "CONTENT_LENGTH", "CONTENT_TYPE", "SERVER_NAME", "SERVER_PORT", "a.b", "", "\xe9", "A" * 65, "B" * 200]
)  # fmt: skip
texts = st.sampled_from(["", "/", "/app/x", "on", "5", "-1", "a\0", "v" * 127, "v" * 128, "\xe9"])
requests = st.lists(st.tuples(names, texts), max_size=8).map(lambda pairs: stream(("REQUEST_METHOD", "GET"), *pairs))
broken = requests.map(lambda raw: raw[:-1]) | st.binary(max_size=30)


@given(st.lists(requests | broken, max_size=6), st.sampled_from(["", "/app"]))
def test_the_fast_road_leads_where_the_long_way_does(raws: list[bytes], root: str) -> None:
    """Whatever is sent, one request after the other: the same variables in the same order, or the same refusal."""
    one, other, long = (replace(road, names={}) for road in roads(Rules(root)))
    for raw in raws * 2:
        assert outcome(one, raw) == outcome(other, raw) == outcome(long, raw)


# ---- lengths ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "-1", None])
def test_an_unknown_length_is_no_variable(text: str | None) -> None:
    """nginx sends '', Caddy -1, Apache nothing."""
    found = clean(*([] if text is None else [("CONTENT_LENGTH", text)]))
    assert "CONTENT_LENGTH" not in found
    assert content_length(found) is None


@pytest.mark.parametrize(
    "text", ["+5", "5 ", " 5", "0x5", "5,5", "5_0", "\xd9\xa3", "\xb2", "1" * 19, "-5", "5.0", "1e3"]
)
def test_a_length_is_digits_or_refused(text: str) -> None:
    """int() would be lenient: int(" 5_0") is 50. The reason is short and says what was sent."""
    assert refused(400, ("CONTENT_LENGTH", text)) == "CONTENT_LENGTH must be digits"


@pytest.mark.parametrize(("text", "length"), [("0", 0), ("5", 5), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_a_length_is_a_number(text: str, length: int) -> None:
    """Up to what no disk holds."""
    assert content_length(clean(("CONTENT_LENGTH", text))) == length


def test_a_length_is_known_once_the_body_is_there() -> None:
    """And no transfer coding is left on it."""
    variables = {"HTTP_TRANSFER_ENCODING": "chunked"}
    note_length(variables, 7)
    assert variables == {"CONTENT_LENGTH": "7"}
    note_length(variables, 7)
    empty: dict[str, str] = {}
    note_length(empty, 0)
    assert (variables, empty) == ({"CONTENT_LENGTH": "7"}, {})


# ---- server and scheme --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "scheme"),
    [
        ({"HTTPS": "on"}, "https"), ({"HTTPS": "1"}, "https"), ({"HTTPS": "TRUE"}, "https"), ({"HTTPS": "off"}, "http"),
        ({"HTTPS": ""}, "http"), ({"REQUEST_SCHEME": "https"}, "https"), ({"REQUEST_SCHEME": "http"}, "http"),
        ({}, "http"),
        ({"HTTP_X_FORWARDED_PROTO": "https"}, "http"), ({"HTTP_HTTPS": "on"}, "http"),
    ],
)  # fmt: skip
def test_the_scheme_is_what_the_web_server_says(sent: dict[str, str], scheme: str) -> None:
    """Not what a client writes into a header. SERVER_PORT is always there."""
    variables = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", **sent}
    assert Rules().complete(variables) == scheme
    assert variables.get("HTTPS", "") == ("on" if scheme == "https" else "")
    assert variables["SERVER_PORT"] == ("443" if scheme == "https" else "80")


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ({"SERVER_NAME": "a.example", "HTTP_HOST": "b.example"}, "a.example"),
        ({"SERVER_NAME": "", "HTTP_HOST": "b.example:8080"}, "b.example"),
        ({"HTTP_HOST": "[::1]"}, "[::1]"),
        ({"HTTP_HOST": "[::1]:80"}, "[::1]"),
        ({"SERVER_ADDR": "10.0.0.1"}, "10.0.0.1"),
        ({}, "localhost"),
    ],
)
def test_the_server_always_has_a_name(sent: dict[str, str], name: str) -> None:
    """nginx's default server has none; PEP 3333 wants one."""
    assert clean(rules=None, **sent)["SERVER_NAME"] == name


# ---- the URL for a redirect ---------------------------------------------------------------------------------


def variables(uri: str, path: str = "/x", query: str = "") -> dict[str, str]:
    """As much as a redirect looks at."""
    return {"REQUEST_URI": uri, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query}


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("/a%20b?c=%2F&d=e+f", "/a%20b?c=%2F&d=e+f"),
        ("//evil.example/x", "/.//evil.example/x"),
        ("///evil.example", "/.///evil.example"),
        ("/\\evil.example", "/%5Cevil.example"),
        ("/\t/evil.example", "/%09/evil.example"),
        ("/a\r\nSet-Cookie: x", "/a%0D%0ASet-Cookie:%20x"),
        ("/\xe9<>\"", "/%E9%3C%3E%22"),
        ("http://evil.example/y", "/x"),
        ("evil.example", "/x"),
        ("", "/x"),
    ],
)
def test_a_redirect_stays_on_this_host(uri: str, location: str) -> None:
    """Slashes, backslashes, tabs, line breaks and the absolute form are tried by everybody."""
    assert request_uri(variables(uri)) == location


def test_without_a_uri_the_redirect_is_built_from_the_path() -> None:
    """Percent signs and question marks of the decoded path are encoded again."""
    assert request_uri(variables("", "//e%?\xe9", "q=1")) == "/.//e%25%3F%E9?q=1"


@given(st.text(st.characters(max_codepoint=255), max_size=30), st.sampled_from(["", "/", "//", "/\\", "\\", "http:"]))
def test_whatever_the_url_a_browser_stays_here(text: str, start: str) -> None:
    """Resolved against any page, tabs and line breaks removed as browsers do."""
    location = request_uri(variables(start + text, "/" + text, text))
    assert location.isascii() and location.isprintable() and location.startswith("/")
    assert urlsplit(urljoin("http://here.example/a/b", location)).netloc == "here.example"
    assert not location.startswith(("//", "/\\"))
