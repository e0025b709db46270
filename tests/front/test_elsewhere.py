"""Connections that leave for another process: with every byte that was read, and none that was answered."""

import socket
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.front.connection import Connection
from runner.front.fastcgi import FastCGIFront
from runner.front.http import HTTPFront
from runner.front.http_peer import Local
from runner.front.limits import Limits
from runner.front.variables import Rules
from runner.request import ELSEWHERE, Answer, Exchange, Request
from runner.wire.requester import End, Requester, Stdout
from tests.front.http_wire import GET, POST
from tests.front.rig import FakeService, Rig, get, ok, post
from tests.front.test_fastcgi import OK, wait

LOCAL = Local("", "", True, frozenset())
HTTP_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"


class Kind(NamedTuple):
    """A protocol: its front, a request without a body and one with, and how an answer begins."""

    front: Callable[[Connection, FakeService], Any]
    get: bytes
    post: bytes
    ok: bytes


KINDS = {
    "fastcgi": Kind(lambda connection, service: FastCGIFront(connection, service, Rules(), Limits()),
                    get(), post(b"hello"), OK[:40]),
    "http": Kind(lambda connection, service: HTTPFront(connection, service, Rules(), Limits(), LOCAL),
                 GET, POST + b"hello", HTTP_OK),
}  # fmt: skip


class Scene(Rig):
    """A front that gives away; what it gave can be spoken over still."""

    def __init__(self, kind: Kind, answer: Callable[[Exchange], None] = ok, buffer: int = 0) -> None:
        super().__init__(buffer)
        self.moved: list[socket.socket] = []
        self.service.answer = answer
        self.service.move = lambda sock: self.moved.append(sock.dup())
        self.connection.machine = kind.front(self.connection, self.service)
        self.connection.open()

    def __exit__(self, *error: Any) -> None:
        for sock in self.moved:
            sock.close()
        super().__exit__(*error)

    def left_in_the_kernel(self) -> bytes:
        """What nobody has read yet."""
        try:
            return self.moved[0].recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""

    def said(self) -> bytes:
        """What the peer was sent and has not read yet."""
        try:
            return self.peer.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""


@pytest.fixture(params=KINDS.values(), ids=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """Both protocols."""
    yield request.param


# ---- a request that is to be answered elsewhere -------------------------------------------------------------


def cuts(raw: bytes) -> dict[str, list[bytes]]:
    """In one read, in a few, and byte by byte."""
    return {
        "one": [raw], "two": [raw[:9], raw[9:]], "three": [raw[:20], raw[20:25], raw[25:]],
        "late": [raw[:-1], raw[-1:]], "bytes": [raw[at : at + 1] for at in range(len(raw))],
    }  # fmt: skip


@pytest.mark.parametrize("cut", list(cuts(b"")))
@pytest.mark.parametrize("behind", ["nothing", "half", "whole", "many"])
@pytest.mark.parametrize("body", [False, True])
def test_a_request_leaves_with_exactly_what_was_read(kind: Kind, cut: str, behind: str, body: bool) -> None:
    """At once; what was not read stays in the kernel, so the next process has every byte once."""
    following = {"nothing": b"", "half": kind.get[:20], "whole": kind.get, "many": kind.post * 3}[behind]
    raw = (kind.post if body else kind.get) + following
    with Scene(kind) as scene:
        scene.service.refusal = ELSEWHERE
        pieces = cuts(raw)[cut]
        while pieces and not scene.service.away:
            scene.send(pieces.pop(0))
        # In one piece now: nobody reads any more, and the kernel takes few hundred pieces.
        scene.send(b"".join(pieces))
        (away,) = scene.service.away
        assert away.unread + scene.left_in_the_kernel() == raw
        assert away.request is scene.service.requests[0]
        assert (len(scene.service.requests), scene.connections) == (1, set())


def test_nothing_is_answered_and_nothing_called(kind: Kind) -> None:
    """Neither application nor log hears of it."""
    with Scene(kind) as scene:
        scene.service.refusal = ELSEWHERE
        scene.send(kind.post + kind.get)
        assert (scene.said(), scene.service.exchanges, scene.service.outcomes) == (b"", [], [])


def test_byte_by_byte_it_leaves_with_the_last_byte_of_its_head(kind: Kind) -> None:
    """Not later: what comes then is no longer ours to read."""
    with Scene(kind) as scene:
        scene.service.refusal = ELSEWHERE
        for at in range(len(kind.post)):
            scene.send(kind.post[at : at + 1])
        assert len(scene.service.away[0].unread) == len(kind.post) - len(scene.left_in_the_kernel())
        assert kind.post.startswith(scene.service.away[0].unread)
        assert b"hello" not in scene.service.away[0].unread


def test_a_client_that_asks_whether_to_send_is_told_by_who_answers() -> None:
    """RFC 9110 section 10.1.1: whoever reads the body says 100 Continue."""
    raw = POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    with Scene(KINDS["http"]) as scene:
        scene.service.refusal = ELSEWHERE
        scene.send(raw)
        assert (scene.service.away[0].unread, scene.said()) == (raw, b"")


def test_the_second_request_of_a_connection_can_leave(kind: Kind) -> None:
    """After the first was answered whole."""
    with Scene(kind) as scene:
        scene.send(kind.post)
        assert scene.said().startswith(kind.ok)
        scene.service.refusal = ELSEWHERE
        scene.send(kind.post)
        assert (scene.service.away[0].unread, scene.said()) == (kind.post, b"")


def test_a_request_sent_ahead_can_leave(kind: Kind) -> None:
    """It was read together with the first, and is not answered with it."""
    with Scene(kind, wait) as scene:
        scene.send(kind.get + kind.post)
        scene.service.refusal = ELSEWHERE
        ok(scene.service.exchanges[0])
        scene.until(lambda: scene.service.away)
        assert scene.service.away[0].unread == kind.post
        assert scene.said().startswith(kind.ok)


# ---- a connection between two requests ----------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 20, None])
def test_after_an_answer_a_draining_process_parts_with_what_was_read_of_the_next(kind: Kind, cut: int | None) -> None:
    """Half a head, a whole request, or nothing; the answer does not speak of an end."""
    following = kind.post[:cut]
    with Scene(kind, wait) as scene:
        scene.send(kind.get + following)
        scene.service.draining = True
        ok(scene.service.exchanges[0])
        (away,) = scene.service.away
        assert (away.request, away.unread + scene.left_in_the_kernel()) == (None, following)
        said = scene.said()
        assert said.startswith(kind.ok) and b"close" not in said
        assert len(scene.service.requests) == 1


def test_the_answer_arrives_whole_before_the_connection_leaves(kind: Kind) -> None:
    """Bytes of two processes are never mixed."""
    def much(exchange: Exchange) -> None:
        exchange.start(200, "OK", [("Content-Length", "300000")])
        exchange.finish(bytes(300_000))

    with Scene(kind, much, buffer=4096) as scene:
        scene.service.draining = True
        scene.peer.send(kind.get)
        scene.until(lambda: scene.service.away)
        assert scene.moved == []
        scene.receive(300_000)
        scene.until(lambda: scene.moved)
        assert len(scene.service.outcomes) == 1


def test_who_wants_the_end_of_the_connection_gets_it_from_a_draining_process() -> None:
    """There is nothing to give away."""
    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    for kind, raw in (("fastcgi", get(keep=False)), ("http", last)):
        with Scene(KINDS[kind]) as scene:
            scene.service.draining = True
            scene.send(raw)
            assert scene.rest().startswith(KINDS[kind].ok)
            assert scene.service.away == []


def test_a_closing_process_gives_nothing_away(kind: Kind) -> None:
    """Nobody comes after it: it answers and closes."""
    with Scene(kind) as scene:
        scene.service.draining = scene.service.closing = True
        scene.send(kind.post)
        said = scene.rest()
        assert said.startswith(kind.ok) and scene.service.away == []
        assert (b"Connection: close\r\n" in said) is (kind is KINDS["http"])


def test_the_rest_of_a_body_nobody_wanted_leaves_with_a_fastcgi_connection() -> None:
    """Answered before it was read; the next process passes it over."""
    raw = post(b"x" * 1000)
    with Scene(KINDS["fastcgi"]) as scene:
        scene.service.draining = True
        scene.service.refusal = Answer(503, [], b"later")
        scene.send(raw[:-300])
        assert scene.receive(20).startswith(b"\1\6")
        with Scene(KINDS["fastcgi"]) as second:
            sock = scene.moved.pop()
            connection = Connection(sock, second.loop, second.connections)
            connection.machine = KINDS["fastcgi"].front(connection, second.service)
            connection.go_on(scene.service.away[0].unread, 0.0)
            scene.peer.setblocking(True)
            scene.peer.send(raw[-300:] + get())
            second.until(lambda: second.service.outcomes)
            assert scene.peer.recv(1 << 16) == OK
            connection.abort()


def test_what_is_unread_is_known_between_requests_only(kind: Kind) -> None:
    """A retiring worker asks each connection."""
    with Scene(kind, wait) as scene:
        machine = scene.connection.machine
        assert machine.unread() == b""
        scene.send(kind.post[:20])
        assert machine.unread() == kind.post[:20]
        scene.send(kind.post[20:-2])
        assert machine.unread() is None
        scene.send(kind.post[-2:])
        assert machine.unread() is None
        ok(scene.service.exchanges[0])
        assert machine.unread() == b""


def test_a_connection_that_comes_at_rest_may_rest(kind: Kind) -> None:
    """As long as one between two requests, not as long as one that has never spoken."""
    with Scene(kind) as scene:
        scene.connection.machine.rest()
        limits = Limits()
        seconds = limits.idle if kind is KINDS["fastcgi"] else limits.keep_alive
        assert seconds - 1 < scene.connection.deadline - time.monotonic() <= seconds
        scene.send(kind.get[:9])
        assert scene.connection.deadline - time.monotonic() <= limits.header_timeout


# ---- through any number of hands ----------------------------------------------------------------------------


class Journey(FakeService):
    """Every process of a connection's life at once; *decisions* are taken at each head and after each answer.

    hands  how often it was given on
    """

    def __init__(self, scene: Rig, kind: Kind, decisions: list[bool]) -> None:
        super().__init__(self.echo)
        self.hands = 0
        self.began: list[float] = []
        self._scene = scene
        self._kind = kind
        self._decisions = decisions

    @property
    def draining(self) -> bool:
        """Asked after each answer."""
        return bool(self._decisions) and self._decisions.pop()

    @draining.setter
    def draining(self, value: bool) -> None:
        """It is decided at random."""

    def echo(self, exchange: Exchange) -> None:
        """The body comes back."""
        body = exchange.request.body
        assert body is not None
        data = body.read() or b""
        exchange.start(200, "OK", [("Content-Length", str(len(data)))])
        exchange.finish(data)

    def admit(self, request: Request) -> Answer | None:
        """See runner.request.Service."""
        if self.draining:
            return ELSEWHERE
        self.began.append(request.began)
        return None

    def hold(self, connection: Connection, request: Request, unread: bytes) -> None:
        """See runner.request.Service."""
        connection.give(lambda sock: self.adopt(sock, unread, request.began))

    def part(self, connection: Connection, unread: bytes) -> None:
        """See runner.request.Service."""
        connection.give(lambda sock: self.adopt(sock, unread, 0.0))

    def adopt(self, sock: socket.socket, unread: bytes, held: float) -> None:
        """The next process has it."""
        self.hands += 1
        mine = sock.dup()
        self._scene.loop.call_soon(lambda: self._speak(mine).go_on(unread, held))

    def _speak(self, sock: socket.socket) -> Connection:
        connection = Connection(sock, self._scene.loop, self._scene.connections)
        connection.machine = self._kind.front(connection, self)
        return connection


def bodies(name: str, raw: bytes) -> list[bytes]:
    """The bodies of all answers in *raw*."""
    if name == "http":
        parts = raw.split(b"\r\n\r\n")
        return [part.partition(b"HTTP/1.1 200")[0] for part in parts[1:]]
    found, body = [], b""
    for event in Requester().feed(raw):
        match event:
            case Stdout():
                body += event.data
            case End():
                found.append(body.partition(b"\r\n\r\n")[2])
                body = b""
    return found


def asked(name: str, body: bytes) -> bytes:
    """A request with that body."""
    if name == "fastcgi":
        return post(body)
    return POST.replace(b"Length: 5", b"Length: %d" % len(body)) + body


@settings(max_examples=60)
@given(
    st.sampled_from(list(KINDS)),
    st.lists(st.text("abcdef", max_size=40), min_size=1, max_size=5),
    st.lists(st.integers(0, 2000), max_size=8),
    st.lists(st.booleans(), max_size=20),
)
def test_every_request_is_answered_once_whatever_hands_it_goes_through(
    name: str, texts: list[str], places: list[int], decisions: list[bool]
) -> None:
    """Requests sent ahead and cut anywhere, connections given away at any head and after any answer."""
    sent = [text.encode() for text in texts]
    raw = b"".join(asked(name, body) for body in sent)
    with Rig() as rig:
        service = Journey(rig, KINDS[name], decisions)
        rig.service.close()
        rig.service = service
        rig.connection.machine = KINDS[name].front(rig.connection, service)
        rig.connection.open()
        edges = [0, *sorted(place % len(raw) for place in places), len(raw)]
        for start, stop in pairwise(edges):
            rig.send(raw[start:stop])
        rig.until(lambda: len(service.outcomes) == len(sent))
        rig.turn()
        assert bodies(name, rig.receive()) == sent
        assert service.began == sorted(service.began)
        assert len(service.exchanges) == len(sent)
        for connection in list(rig.connections):
            connection.abort()
