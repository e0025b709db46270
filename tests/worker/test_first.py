"""What may be answered before the first fork, and when it is over. More is seen in end_to_end/test_first_answer.py."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from runner.freshness.check import Unchecked
from runner.host.loading import Target
from runner.host.mounts import Mount
from runner.process import messages
from runner.process.channel import Channel, pair
from runner.process.messages import Keep, Parcel, Taken
from runner.process.scoreboard import Scoreboard
from runner.request import Request
from runner.settings import Settings
from runner.worker import first as module
from runner.worker import turning
from runner.worker.first import First, is_look
from runner.worker.fronts import Place
from runner.worker.task import Task
from tests.support.stage import drain

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Stage:
    """What such a process has: a queue, its channel, whose other end the test has; those who have connected."""

    def __init__(self) -> None:
        self.queue = socket.create_server(("127.0.0.1", 0))
        self.supervisor, theirs = pair()
        self.channel = Channel(theirs)
        self.board = Scoreboard()
        self.guests: list[socket.socket] = []
        self.spent: list[str] = []

    def come(self) -> socket.socket:
        """Somebody who asks to see something."""
        guest = socket.create_connection(self.queue.getsockname(), timeout=10)
        guest.sendall(GET)
        self.guests.append(guest)
        return guest

    def give(self) -> socket.socket:
        """The same on a connection that the supervisor has."""
        with socket.create_server(("127.0.0.1", 0)) as elsewhere:
            guest = socket.create_connection(elsewhere.getsockname(), timeout=10)
            connection = elsewhere.accept()[0]
        self.guests.append(guest)
        self.supervisor.send(Parcel(0, GET.decode(), time.monotonic(), 1), connection.fileno())
        connection.close()
        return guest

    def answer(self, kind: Callable[..., First] = First) -> First:
        """Until that process has left."""
        def application(environ: object, start_response: Callable[..., object]) -> Iterable[bytes]:
            start_response("200 OK", [("Content-Length", "2")])
            return [b"ok"]

        address = "127.0.0.1:{1}".format(*self.queue.getsockname())
        task = Task(
            0, 2, Settings(), [Place(self.queue.fileno(), "http", address, [])], self.channel, Unchecked(), self.board,
            (Mount("", Target(application, "WSGI", "app")),), None, 0.0, None, True,
        )  # fmt: skip
        first = turning.turn(task, lambda task: kind(task, self.spent.append), asyncio.new_event_loop)
        assert first is not None
        first.close()
        return first

    def said(self) -> list[messages.Message]:
        """To the supervisor."""
        return drain(self.supervisor.receive)

    def close(self) -> None:
        """Leave nothing open."""
        for guest in (*self.guests, self.queue):
            guest.close()
        self.supervisor.close()
        self.channel.close()
        os.close(self.board.descriptor)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """See Stage; however busy the machine is, there is time."""
    monkeypatch.setattr(module, "BRIEF", 20.0)
    monkeypatch.setattr(module, "LATE", 60.0)
    stage = Stage()
    yield stage
    stage.close()


@pytest.mark.parametrize(("method", "more", "look"), [
    ("GET", {}, True),
    ("HEAD", {}, True),
    ("GET", {"CONTENT_LENGTH": ""}, True),
    ("GET", {"CONTENT_LENGTH": "0"}, True),
    ("GET", {"CONTENT_LENGTH": "1"}, False),
    ("GET", {"HTTP_UPGRADE": "websocket"}, False),
    ("get", {}, False),
    ("POST", {}, False),
    ("OPTIONS", {}, False),
])  # fmt: skip
def test_a_look(method: str, more: dict[str, str], look: bool) -> None:
    """Nothing else: what changes something shall not be in the past of all workers."""
    variables = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": "/", **more}
    assert is_look(Request(variables, "http", time.monotonic())) is look


def test_all_who_wait_have_one_answer_each(stage: Stage) -> None:
    """In a queue, and with the supervisor; then their connections are for workers of the same generation."""
    guests = [stage.come(), stage.come(), stage.give(), stage.give()]
    stage.answer()
    assert [guest.recv(1000).splitlines()[0] for guest in guests] == [b"HTTP/1.1 200 OK"] * 4
    said = stage.said()
    assert said.count(Taken()) == 2
    assert [each.after for each in said if isinstance(each, Parcel)] == [1] * 4
    assert not stage.spent


def test_who_has_ended_in_time_is_not_late(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the loop, which had no time for either, turns to both at once."""

    class Stalled(First):
        def _leave_if_idle(self) -> None:
            super()._leave_if_idle()
            if self._end.done():
                time.sleep(self._over + 0.1 - time.monotonic())

    monkeypatch.setattr(module, "LATE", 1.0)
    guest = stage.come()
    stage.answer(Stalled)
    assert guest.recv(1000).startswith(b"HTTP/1.1 200 OK")
    assert not stage.spent


def test_what_else_was_said_is_for_the_generation(stage: Stage) -> None:
    """And so is what was said after it."""
    stage.come()
    stage.supervisor.send(Keep())
    guest = stage.give()
    guest.setblocking(False)
    stage.answer()
    assert stage.channel.peek() == (Keep(), [])
    with pytest.raises(BlockingIOError):
        guest.recv(1)


def test_who_has_left_takes_nobody_more(stage: Stage) -> None:
    """A story: it was asked twice in the same turn of its loop, and in between somebody came."""

    class Asked(First):
        def _leave(self) -> None:
            super()._leave()
            if len(stage.guests) == 1:
                stage.come()
                stage.give()
                self._leave_if_idle()

    stage.come()
    stage.answer(Asked)
    stage.queue.setblocking(False)
    stage.queue.accept()[0].close()
    assert Taken() not in stage.said()
