"""Who is at the other end of an HTTP connection, and whom to believe about who is behind it.

A proxy in front says in X-Forwarded-For and X-Forwarded-Proto whom it speaks for; so can any client. They
count only if the peer itself is in the trusted list, and of the addresses only what a trusted one added.

Laws: nothing else that a client sends changes REMOTE_ADDR or the scheme (not Forwarded, X-Real-IP or
X-Forwarded-Host); an address has one spelling: what dual-stack sockets call ::ffff:127.0.0.1 is 127.0.0.1.
Start at Peer.describe. RFC 3875 sections 4.1.8 and 4.1.14; RFC 4291 section 2.5.5.2.
"""

from __future__ import annotations

import socket
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple


class Local(NamedTuple):
    """What a worker knows of a listener.

    name, port  what a request that names no host was sent to, e.g. "127.0.0.1", "8000"; "" for a unix socket
    unix        the listener is a unix socket
    trusted     peers to believe: addresses, networks ("10.0.0.0/8"), "unix", "*" for all; already checked
    """

    name: str
    port: str
    unix: bool
    trusted: frozenset[str]


class Peer:
    """The other end of one connection; *sock* is the accepted socket.

    address  e.g. "192.0.2.1"; "" for a unix socket, and for a peer that left meanwhile
    port     e.g. "50000", or ""
    """

    __slots__ = ("_believed", "_local", "address", "port")

    def __init__(self, sock: socket.socket, local: Local) -> None:
        self._local = local
        self.address, self.port = ("", "") if local.unix else _name(sock)
        self._believed = believes(local.trusted, "unix" if local.unix else self.address)

    def describe(self, variables: dict[str, str]) -> None:
        """Add REMOTE_ADDR, REMOTE_PORT, HTTPS if so, and who we are if the client named no host."""
        variables["REMOTE_ADDR"] = self.address
        variables["REMOTE_PORT"] = self.port
        if "SERVER_NAME" not in variables:
            variables["SERVER_NAME"] = self._local.name
            variables["SERVER_PORT"] = self._local.port
        if self._believed:
            self._forward(variables)

    def _forward(self, variables: dict[str, str]) -> None:
        chain = variables.get("HTTP_X_FORWARDED_FOR")
        if chain:
            client = origin(chain, self._local.trusted)
            if client:
                variables["REMOTE_ADDR"] = client
                variables["REMOTE_PORT"] = ""
        if variables.get("HTTP_X_FORWARDED_PROTO", "").lower() == "https":
            variables["HTTPS"] = "on"


def origin(chain: str, trusted: frozenset[str]) -> str:
    """The client in an X-Forwarded-For value: the last address that is not trusted, else the first, else "".

    Read from the right, since each proxy appends. What is no address ends the reading: anybody may have
    written what stands before it.
    """
    client = ""
    for element in reversed(chain.split(",")):
        address = _parse(_without_port(element.strip("\t ")))
        if address is None:
            break
        client = str(address)
        if not believes(trusted, client):
            break
    return client


def believes(trusted: frozenset[str], address: str) -> bool:
    """*address*, or "unix", is one of *trusted*."""
    if "*" in trusted or address in trusted:
        return True
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in _networks(trusted))


# A memo: each listener has one set of trusted peers, parsed once and not for every connection.
@lru_cache(maxsize=16)
def _networks(trusted: frozenset[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(text, strict=False) for text in trusted - {"*", "unix"})


def _name(sock: socket.socket) -> tuple[str, str]:
    try:
        host, port = sock.getpeername()[:2]
    except OSError:
        return "", ""
    parsed = _parse(host)
    return str(parsed or host), str(port)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        # The zone ("fe80::1%eth0") says where this machine saw the address; it is no part of it.
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _without_port(element: str) -> str:
    """Some proxies write "192.0.2.1:50000" and "[2001:db8::1]:50000"."""
    if element.startswith("["):
        return element[1:].partition("]")[0]
    return element.partition(":")[0] if element.count(":") == 1 else element
