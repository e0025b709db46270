"""Which front speaks at which listening socket, and under which rules.

Law: made once, when the worker begins; a connection is given a machine of its own by the function made here.
"""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from runner.front.fastcgi import FastCGIFront
from runner.front.http import HTTPFront
from runner.front.http_peer import Local
from runner.front.limits import Limits
from runner.front.variables import Rules
from runner.origin import Origins
from runner.request import Service
from runner.settings import Settings
from runner.worker.acceptor import Front, Listening


class Place(NamedTuple):
    """A listening socket as a worker sees it: its descriptor, the front that speaks there, and what it is called."""

    descriptor: int
    front: str
    text: str
    peers: list[str]


def open_places(places: list[Place], service: Service, settings: Settings) -> list[Listening]:
    """A socket of our own for each place, with what speaks there, in their order."""
    rules = Rules(settings.root_path, settings.trust_remote_user)
    limits = Limits(
        header_timeout=settings.header_timeout, body_timeout=settings.body_timeout,
        keep_alive=settings.keep_alive, max_body=settings.max_body,
    )  # fmt: skip
    origins = Origins(frozenset(settings.allow_origin))

    def front_of(place: Place) -> Front:
        if place.front == "fastcgi":
            return lambda connection: FastCGIFront(connection, service, rules, limits)
        unix = place.text.startswith("unix:")
        name, port = ("", "") if unix else place.text.rsplit(":", 1)
        local = Local(name, port, unix, frozenset(settings.forwarded_allow_ips))
        return lambda connection: HTTPFront(connection, service, rules, limits, local, origins)

    return [(_own_socket(place.descriptor), front_of(place), frozenset(place.peers)) for place in places]


def _own_socket(descriptor: int) -> socket.socket:
    sock = socket.socket(fileno=os.dup(descriptor))
    # Who comes second to a queue finds it empty, and would wait in accept(2). All who share it share this flag.
    sock.setblocking(False)
    return sock
