"""WebSockets that move to the newer code: their clients notice nothing but the newer answers."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.edited import Edited
from tests.support.client import fetch
from tests.support.frames import BINARY, PING, PONG, TEXT, Heard, close, frame
from tests.support.project import edit
from tests.support.runner_process import Served
from tests.support.trouble import ready_pids, report, until
from tests.support.websocket import WebSocket

APP = """
    import module

    MOVE = "runner.websocket.move"

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            return await send({"type": f"lifespan.startup.{'failed' if module.VALUE == 'no start' else 'complete'}"})
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200})
            return await send({"type": "http.response.body", "body": b"%d" % module.VALUE})
        count = int(scope["extensions"][MOVE]["state"] or 0)
        await receive()
        await send({"type": "websocket.accept", MOVE: True})
        while (event := await receive())["type"] == "websocket.receive":
            count += 1
            if event.get("text") == "much":
                await send({"type": "websocket.send", "bytes": bytes(8_000_000)})
            else:
                size = len(event["text"] if "text" in event else event["bytes"])
                await send({"type": "websocket.send", "text": f"{module.VALUE} {count} {size}"})
        if event["type"] == MOVE:
            await send({"type": MOVE, "state": str(count) if module.VALUE != 99 else 99})
"""


class Theatre(Edited):
    """A run of APP; *sockets* are open."""

    def __init__(self, project: Project, runner: Runner, *options: str) -> None:
        self.place = project({"app.py": APP, "module.py": "VALUE = 0\n", "other.py": "app = None\n"})
        self.served: Served = runner(
            self.place, "app:app", "--workers", "1", "--graceful-timeout", "2s", *options, env={}
        )
        self.sockets: list[WebSocket] = []

    def open(self) -> WebSocket:
        """Another one."""
        self.sockets.append(WebSocket(self.served.http))
        return self.sockets[-1]

    def until_moved(self, generation: int) -> None:
        """Until all are served by that one, and nobody else has anything to finish."""

        until(
            "all have moved", lambda: not self.finishing() and sum(self.serving(generation)) == len(self.sockets),
            live=self.served,
        )  # fmt: skip

    def serving(self, generation: int) -> list[int]:
        """How many each worker of that one serves."""
        workers = [each for each in report(self.served)["workers"] if each["state"] == "ready"]
        return [each["sockets"] for each in workers if each["generation"] == generation]

    def save(self, text: str) -> None:
        """Into the module."""
        edit(self.place / "module.py", text)


@pytest.fixture
def theatre(project: Project, runner: Runner) -> Iterator[Theatre]:
    """See Theatre; nobody may have crashed, or been killed, unless the test did it."""
    theatre = Theatre(project, runner)
    yield theatre
    for each in theatre.sockets:
        each.close()
    assert "is killed" not in theatre.served.output


def test_over_five_edits_fifty_sockets_go_on(theatre: Theatre) -> None:
    """What is sent all the while is answered once each, in order, by ever newer code; old workers end at once."""
    clients = [theatre.open() for _ in range(50)]
    asked = 0
    for value in range(1, 6):
        for client in clients:
            client.send(frame(TEXT, b"x") + frame(BINARY, b"yy"))
        theatre.save(f"VALUE = {value}\n")
        for client in clients:
            client.send(frame(TEXT, b"zzz"))
        theatre.until_moved(value + 1)
        for client in clients:
            heard = [client.hear().data.decode().split() for _ in range(3)]
            assert [(count, size) for _, count, size in heard] == [(str(asked + n), str(n)) for n in (1, 2, 3)]
            assert all(int(each[0]) in (value - 1, value) for each in heard)
            assert client.ask("") == f"{value} {asked + 4} 0"
        asked += 4
    counters = report(theatre.served)["counters"]
    names = ("cut", "refused", "expired", "redirects", "requests", "crashes")
    assert [counters[name] for name in names] == [0] * 6, theatre.served.output
    assert "rror" not in theatre.served.output


def test_a_message_half_sent_arrives_whole(theatre: Theatre) -> None:
    """It is read where it began, and then the socket moves; others do not wait for it."""
    client, neighbour = theatre.open(), theatre.open()
    raw = frame(BINARY, bytes(70_000))
    client.send(raw[:30_000])
    theatre.edit(1)
    until("only one is left", lambda: theatre.finishing() == {1: (1, 1)}, live=theatre.served)
    assert neighbour.ask("a") == "1 1 1"
    client.send(raw[30_000:])
    assert client.hear() == Heard(TEXT, b"0 1 70000")
    theatre.until_moved(2)
    assert client.ask("b") == "1 2 1"


def test_a_slow_reader_has_all_that_was_sent_before(theatre: Theatre) -> None:
    """From where it was sent; then it moves."""
    client = theatre.open()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.send(frame(TEXT, b"much"))
    until("it is being sent", lambda: client.socket.recv(1, socket.MSG_PEEK), live=theatre.served)
    theatre.edit(1)
    until("the other code has only this to do", lambda: theatre.finishing() == {1: (1, 1)}, live=theatre.served)
    assert client.hear() == Heard(BINARY, bytes(8_000_000))
    theatre.until_moved(2)
    assert client.ask("b") == "1 2 1"


def test_who_has_taken_them_may_die(theatre: Theatre) -> None:
    """What he had is lost with him; what he had not taken is with his successor; new ones are welcome."""
    clients = [theatre.open() for _ in range(20)]
    theatre.save("VALUE = 1\n")
    until("some have moved", lambda: any(theatre.serving(2)), live=theatre.served)
    os.kill(ready_pids(theatre.served)[0], signal.SIGKILL)
    until("there is another one", lambda: fetch(theatre.served.http).text == "1", live=theatre.served)
    for client in clients:
        try:
            client.send(frame(TEXT, b"a"))
            data = client.socket.recv(99)
        except ConnectionError:
            data = b""
        assert not data or data[2:] in (b"0 1 1", b"1 1 1"), "it goes on, or it has ended"
        client.close()
    theatre.sockets = []
    until("nobody has anything to finish", lambda: not theatre.finishing(), live=theatre.served)
    assert theatre.open().ask("x") == "1 1 1"
    assert report(theatre.served)["counters"]["crashes"] == 1


def test_while_the_newest_code_is_broken_they_stay(theatre: Theatre) -> None:
    """With the code that has them; the next that can be imported has them at once."""
    client = theatre.open()
    theatre.save("VALUE = \n")
    until("it is broken", lambda: fetch(theatre.served.http).status == 500, live=theatre.served)
    until("it is listed", lambda: theatre.finishing() == {1: (1, 1)}, live=theatre.served)
    assert client.ask("a") == "0 1 1"
    theatre.edit(2)
    theatre.until_moved(3)
    assert client.ask("b") == "2 2 1"


WSGI = """
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"wsgi"]
"""
NO_STATE = """
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
"""


@pytest.mark.parametrize(("name", "text"), [
    ("module.py", "VALUE = 'no start'\n"), ("app.py", WSGI), ("app.py", NO_STATE),
], ids=["it does not start", "it is WSGI", "it takes no state"])  # fmt: skip
def test_whoever_cannot_be_taken_over_is_told_to_come_back(theatre: Theatre, name: str, text: str) -> None:
    """The newer code is not what had the socket."""
    client = theatre.open()
    edit(theatre.place / name, dedent(text))
    assert client.goodbye() == 1012


def test_a_state_that_is_none_ends_its_socket(theatre: Theatre) -> None:
    """The application hears of it, and the log."""
    theatre.edit(99)
    client = theatre.open()
    theatre.edit(1)
    assert client.goodbye() == 1011
    theatre.served.wait_for("the state in 'runner.websocket.move' is of int: give a str")


def test_at_a_stop_all_are_told_to_come_back(theatre: Theatre) -> None:
    """As ever, wherever they are."""
    with ExitStack() as opened:
        clients = [opened.enter_context(WebSocket(theatre.served.http)) for _ in range(10)]
        theatre.save("VALUE = 1\n")
        theatre.served.signal(signal.SIGTERM)
        assert [client.goodbye() for client in clients] == [1012] * 10
        assert theatre.served.wait() == 0


def test_a_worker_that_is_replaced_gives_them_to_its_successor(project: Project, runner: Runner) -> None:
    """--max-requests: of the same code; pings and what is said go on."""
    theatre = Theatre(project, runner, "--max-requests", "2")
    with theatre.open() as client:
        before = ready_pids(theatre.served)
        for _ in range(2):
            fetch(theatre.served.http)
        until("it has a successor", lambda: ready_pids(theatre.served) not in (before, {}), live=theatre.served)
        theatre.until_moved(1)
        client.send(frame(PING, b"p"))
        assert client.hear() == Heard(PONG, b"p")
        assert client.ask("a") == "0 1 1"


def test_the_access_log_has_one_line_for_all_of_it(project: Project, runner: Runner, tmp_path: Path) -> None:
    """When it ends, with what was sent by all, and from its very beginning."""
    log = tmp_path / "access.log"
    theatre = Theatre(project, runner, "--access-log", str(log))
    with theatre.open() as client:
        assert client.ask("x") == "0 1 1"
        theatre.save("VALUE = 1\n")
        theatre.until_moved(2)
        assert client.ask("x") == "1 2 1"
        assert log.read_text() == ""
        client.send(close(1000))
        assert client.goodbye() == 1000
    until("it is written", log.read_text, live=theatre.served)
    assert re.fullmatch(r'127\.0\.0\.1 .* "GET / HTTP/1\.1" 101 18 .*\n', log.read_text())
