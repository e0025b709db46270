"""Whom to believe about the client."""

import socket

import pytest

from runner.front.http_peer import Local, Peer, believes, origin

PROXIES = frozenset(("127.0.0.1", "::1", "unix", "10.0.0.0/8", "2001:db8::/32"))


class Socket(socket.socket):
    """Connected to nobody, says it is to *name*."""

    def __init__(self, name: object) -> None:
        super().__init__()
        self.name = name

    def getpeername(self) -> object:
        """The name given, or an error if it is one."""
        if isinstance(self.name, OSError):
            raise self.name
        return self.name


def describe(
    name: object, variables: dict[str, str], *, unix: bool = False, trusted: frozenset[str] = PROXIES
) -> dict[str, str]:
    """*variables* after a peer of this name was described."""
    with Socket(name) as sock:
        Peer(sock, Local("here", "8000", unix, trusted)).describe(variables)
    return variables


@pytest.mark.parametrize(
    "name, address",
    [
        (("192.0.2.1", 50000), "192.0.2.1"),
        (("::ffff:192.0.2.1", 50000, 0, 0), "192.0.2.1"),
        (("2001:DB8::1", 50000, 0, 0), "2001:db8::1"),
        (("fe80::1%eth0", 50000, 0, 2), "fe80::1"),
    ],
)
def test_an_address_has_one_spelling(name: object, address: str) -> None:
    """Rules about addresses would miss the others."""
    told = describe(name, {})
    assert (told["REMOTE_ADDR"], told["REMOTE_PORT"]) == (address, "50000")


def test_a_peer_without_an_address_has_none() -> None:
    """On a unix socket, and if it left before it was asked."""
    assert describe("", {}, unix=True)["REMOTE_ADDR"] == ""
    assert describe(OSError(107, "not connected"), {})["REMOTE_ADDR"] == ""


def test_the_listener_names_the_server_if_the_client_did_not() -> None:
    """And only then."""
    assert describe(("192.0.2.1", 5), {})["SERVER_NAME"] == "here"
    assert describe(("192.0.2.1", 5), {})["SERVER_PORT"] == "8000"
    named = {"SERVER_NAME": "shop.example", "SERVER_PORT": ""}
    assert describe(("192.0.2.1", 5), named)["SERVER_PORT"] == ""


@pytest.mark.parametrize(
    "chain, client",
    [
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7, 10.1.2.3", "203.0.113.7"),
        ("10.1.2.3,\t127.0.0.1", "10.1.2.3"),
        ("203.0.113.7:50000", "203.0.113.7"),
        ("[2001:db9::1]:50000", "2001:db9::1"),
        ("2001:db9::1", "2001:db9::1"),
        ("::ffff:203.0.113.7, ::ffff:10.0.0.1", "203.0.113.7"),
        ("unknown", ""),
        ("", ""),
        ("203.0.113.7, unknown, 10.1.2.3", "10.1.2.3"),
        ("203.0.113.7, <script>", ""),
        ("203.0.113.7,", ""),
    ],
)
def test_the_client_is_the_last_address_that_is_not_trusted(chain: str, client: str) -> None:
    """What stands left of it, the client may have written itself."""
    assert origin(chain, PROXIES) == client


def test_who_trusts_everybody_gets_the_first_address() -> None:
    """With "*" there is no untrusted one."""
    assert origin("203.0.113.7, 198.51.100.1", frozenset("*")) == "203.0.113.7"


FORWARDED = {"HTTP_X_FORWARDED_FOR": "203.0.113.7", "HTTP_X_FORWARDED_PROTO": "https"}


@pytest.mark.parametrize(
    "name, unix, trusted, believed",
    [
        (("127.0.0.1", 5), False, PROXIES, True),
        (("::ffff:127.0.0.1", 5, 0, 0), False, PROXIES, True),
        (("10.200.0.1", 5), False, PROXIES, True),
        (("2001:db8::5", 5, 0, 0), False, PROXIES, True),
        (("192.0.2.1", 5), False, PROXIES, False),
        (("192.0.2.1", 5), False, frozenset("*"), True),
        (("127.0.0.1", 5), False, frozenset(("unix",)), False),
        ("", True, frozenset(("unix",)), True),
        ("", True, frozenset(("127.0.0.1",)), False),
        ("", True, frozenset("*"), True),
    ],
)
def test_forwarded_headers_count_from_trusted_peers_only(
    name: object, unix: bool, trusted: frozenset[str], believed: bool
) -> None:
    """B33: anybody else keeps the address that the kernel says, and the scheme of the connection."""
    told = describe(name, dict(FORWARDED), unix=unix, trusted=trusted)
    assert (told["REMOTE_ADDR"] == "203.0.113.7") is believed
    assert (told.get("HTTPS") == "on") is believed


@pytest.mark.parametrize("scheme", ["http", "https, http", "wss", ""])
def test_only_https_makes_the_scheme_https(scheme: str) -> None:
    """A list, or a scheme of another kind, is no answer to the question."""
    assert "HTTPS" not in describe(("127.0.0.1", 5), {"HTTP_X_FORWARDED_PROTO": scheme})


@pytest.mark.parametrize("header", ["HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_X_FORWARDED_HOST"])
def test_other_headers_of_proxies_change_nothing(header: str) -> None:
    """Not even from a trusted peer: it may pass them on from a client."""
    told = describe(("127.0.0.1", 5), {header: "for=203.0.113.7;proto=https"})
    assert (told["REMOTE_ADDR"], told["SERVER_NAME"]) == ("127.0.0.1", "here")
    assert "HTTPS" not in told


def test_nobody_is_believed_who_has_no_address() -> None:
    """The empty address is in no list."""
    assert not believes(PROXIES, "")
