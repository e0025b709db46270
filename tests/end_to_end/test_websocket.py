"""WebSockets served for real: with the library's own client, behind web servers, and while the code is edited."""

import asyncio
import re
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.asyncio.client import connect as aconnect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from tests.conftest import Project, Runner
from tests.end_to_end.edited import Edited
from tests.support import apache, nginx
from tests.support.client import Conversation, fetch
from tests.support.frames import BINARY, TEXT, Heard, close, code_of, frame
from tests.support.project import edit
from tests.support.runner_process import Served
from tests.support.trouble import report, until
from tests.support.websocket import WebSocket

LIVE = """
    import asyncio, os
    import module

    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"%d" % module.VALUE})
            return
        assert scope["type"] == "websocket"
        open(os.environ["CALLED"], "a").close()
        await receive()
        chosen = "chat" if "chat" in scope["subprotocols"] else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
        if scope["path"].endswith("/flood"):
            while True:
                await send({"type": "websocket.send", "bytes": bytes(65536)})
        while (event := await receive())["type"] == "websocket.receive":
            if event.get("text") == "version":
                event = {"text": str(module.VALUE)}
            elif event.get("text") == "bye":
                await send({"type": "websocket.close", "code": 4000, "reason": "as you wish"})
                return
            await send({**event, "type": "websocket.send"})
"""
WSGI = """
    import os, time

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/slow":
            open(os.environ["CALLED"] + ".slow", "w").close()
            while not os.path.exists(os.environ["CALLED"] + ".gate"):
                time.sleep(0.005)
        return [b"wsgi"]
"""
FILES = {"live.py": LIVE, "app.py": WSGI, "module.py": "VALUE = 0\n"}
GRACE = 2.0
"""Seconds of --graceful-timeout."""


class Theatre(Edited):
    """A run, whose *command* is the target and what follows it, and who edits its code; *called*: see LIVE."""

    def __init__(self, project: Project, runner: Runner, tmp_path: Path, *command: str) -> None:
        self.called = tmp_path / "called"
        self.place = project(FILES)
        self.served: Served = runner(
            self.place, *(command or ("live:app",)), "--workers", "1", "--graceful-timeout", f"{GRACE:g}s",
            env={"CALLED": str(self.called)},
        )  # fmt: skip

    def open(self, target: str = "/") -> WebSocket:
        """One straight to the runner."""
        return WebSocket(self.served.http, target)

    def check_nobody_was_killed(self) -> None:
        """Nor has anybody crashed."""
        counters = report(self.served)["counters"]
        assert (counters["kills"], counters["crashes"]) == (0, 0), self.served.output


@pytest.fixture
def theatre(project: Project, runner: Runner, tmp_path: Path) -> Theatre:
    """The ASGI application alone."""
    return Theatre(project, runner, tmp_path)


def url(served: Served, path: str = "/") -> str:
    """As clients write it."""
    return f"ws://{served.http[0]}:{served.http[1]}{path}"


# ---- clients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["deflate", None])
def test_the_librarys_client_gets_along(theatre: Theatre, compression: str | None) -> None:
    """Text, binary, large, in fragments, pings, a subprotocol, and the end."""
    with connect(url(theatre.served), compression=compression, subprotocols=[Subprotocol("chat")]) as client:
        assert client.subprotocol == "chat"
        assert ("permessage-deflate" in str(client.response and client.response.headers)) is (compression is not None)
        for message in ("κόσμε", b"\x00\xff", "", b"", "x" * 1_000_000):
            client.send(message)
            assert client.recv(10) == message
        client.send(["in ", "three ", "parts"])
        assert client.recv(10) == "in three parts"
        assert client.ping().wait(10)
        client.send("bye")
        with pytest.raises(ConnectionClosedError):
            client.recv(10)
        assert (client.close_code, client.close_reason) == (4000, "as you wish")


def test_many_clients_at_once(theatre: Theatre) -> None:
    """Each gets its own messages back, in order."""

    async def visit(number: int) -> None:
        async with aconnect(url(theatre.served)) as client:
            for message in (f"{number} {turn}" for turn in range(20)):
                await client.send(message)
                assert await client.recv() == message

    async def play() -> None:
        async with asyncio.timeout(30):
            await asyncio.gather(*(visit(number) for number in range(50)))

    asyncio.run(play())


def test_who_may_not_is_refused_before_the_application(theatre: Theatre) -> None:
    """A stranger's page, an old protocol, a key that is none."""
    with pytest.raises(InvalidStatus) as raised:
        connect(url(theatre.served), origin=Origin("http://evil.example")).__enter__()
    assert raised.value.response.status_code == 403
    with WebSocket(theatre.served.http, refused=True, Sec_WebSocket_Version="8") as client:
        assert client.status == 426
    with WebSocket(theatre.served.http, refused=True, Sec_WebSocket_Key="short") as client:
        assert client.status == 400
    assert not theatre.called.exists()
    assert "--allow-origin" in theatre.served.output


def test_listed_sites_may(project: Project, runner: Runner, tmp_path: Path) -> None:
    """Beside pages of the same host."""
    theatre = Theatre(project, runner, tmp_path, "live:app", "--allow-origin", "https://shop.example")
    for origin in ("https://shop.example", "http://localhost"):
        with WebSocket(theatre.served.http, Origin=origin) as client:
            assert client.ask("a") == "a"


def test_a_bad_frame_ends_its_own_socket_only(theatre: Theatre) -> None:
    """The neighbour goes on."""
    with theatre.open() as neighbour, theatre.open() as client:
        client.send(frame(TEXT, b"x", mask=False))
        assert client.goodbye() == 1002
        assert neighbour.ask("still here") == "still here"


def test_a_peer_that_does_not_read_holds_up_nobody(theatre: Theatre) -> None:
    """What is sent to it waits in a bounded buffer; the application, too."""
    with theatre.open("/flood"), theatre.open() as neighbour:
        for _ in range(100):
            assert neighbour.ask("a") == "a"
        pid = report(theatre.served)["workers"][0]["pid"]
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
        assert resident < 200 << 20


def test_the_access_log_has_a_line_at_the_end(project: Project, runner: Runner, tmp_path: Path) -> None:
    """With 101 and what was sent."""
    theatre = Theatre(project, runner, tmp_path, "live:app", "--access-log", str(tmp_path / "access.log"))
    with theatre.open("/x?y") as client:
        assert client.ask("12345678") == "12345678"
        assert (tmp_path / "access.log").read_text() == ""
        client.send(close(1000))
        assert client.goodbye() == 1000
    log = tmp_path / "access.log"
    until("it is written", log.read_text, live=theatre.served)
    assert re.search(r'"GET /x\?y HTTP/1\.1" 101 14 ', log.read_text())


def test_starlette_is_served(project: Project, runner: Runner) -> None:
    """Its routes, its closing, its refusal."""
    place = project({"app.py": """
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route, WebSocketRoute

        async def page(request):
            return PlainTextResponse("page")

        async def chat(websocket):
            await websocket.accept()
            async for text in websocket.iter_text():
                await websocket.send_json({"room": websocket.path_params["room"], "text": text})

        async def denied(websocket):
            await websocket.send_denial_response(PlainTextResponse("members only", status_code=401))

        async def closed(websocket):
            await websocket.close()

        app = Starlette(routes=[
            Route("/", page), WebSocketRoute("/chat/{room}", chat), WebSocketRoute("/denied", denied),
            WebSocketRoute("/closed", closed),
        ])
    """})
    served = runner(place, "app:app", "--workers", "1")
    with connect(url(served, "/chat/blue")) as client:
        client.send("hi")
        assert client.recv(10) == '{"room":"blue","text":"hi"}'
    for path, status, body in (("/denied", 401, b"members only"), ("/closed", 403, b""), ("/none", 403, b"")):
        with pytest.raises(InvalidStatus) as raised:
            connect(url(served, path)).__enter__()
        assert raised.value.response.status_code == status
        assert body in bytes(raised.value.response.body or b"")
    assert fetch(served.http).text == "page"
    assert "rror" not in served.output


# ---- beside others ------------------------------------------------------------------------------------------------


def test_a_call_that_blocks_stalls_no_socket(project: Project, runner: Runner, tmp_path: Path) -> None:
    """WSGI beside it, in the same worker: messages go to and fro while the call is under way."""
    theatre = Theatre(project, runner, tmp_path, "app:app", "--mount", "/live=live:app")
    with theatre.open("/live") as client, Conversation(theatre.served.http) as call:
        (worker,) = report(theatre.served)["workers"]
        assert (worker["sockets"], worker["state"]) == (1, "ready"), "a socket keeps no call from an idle worker"
        call.request("GET", "/slow")
        until("the call has begun", Path(f"{theatre.called}.slow").exists, live=theatre.served)
        for _ in range(20):
            assert client.ask("a") == "a"
        Path(f"{theatre.called}.gate").touch()
        assert call.reply().text == "wsgi"


def test_elsewhere_an_upgrade_is_an_ordinary_request(project: Project, runner: Runner, tmp_path: Path) -> None:
    """A WSGI application answers it as any other."""
    theatre = Theatre(project, runner, tmp_path, "app:app", "--mount", "/live=live:app")
    with WebSocket(theatre.served.http, "/", refused=True) as client:
        assert client.status == 200


@pytest.mark.parametrize("server", ["nginx", "apache"])
def test_web_servers_pass_it_on(project: Project, runner: Runner, tmp_path: Path, sockets: Path, server: str) -> None:
    """As the README says: what asks for a WebSocket goes to the HTTP socket, all the rest by FastCGI."""
    http, fastcgi = sockets / "http", sockets / "fastcgi"
    theatre = Theatre(
        project, runner, tmp_path, "app:app", "--mount", "/live=live:app", "--http", f"unix:{http}", "--fastcgi",
        f"unix:{fastcgi}", "--socket-mode", "666",
    )  # fmt: skip
    opened = (
        nginx.nginx(fastcgi, nginx.Site(websockets=http)) if server == "nginx"
        else apache.apache(fastcgi, apache.Site(websockets=http))
    )  # fmt: skip
    with opened as site:
        assert fetch(site.address, "/").text == "wsgi"
        with WebSocket(site.address, "/live", Origin="http://localhost") as client:
            assert client.ask("through") == "through"
            client.send(frame(BINARY, bytes(200_000)))
            assert client.hear() == Heard(BINARY, bytes(200_000))
            edit(theatre.place / "module.py", "VALUE = 1\n")
            with WebSocket(site.address, "/live") as newer:
                assert (client.ask("version"), newer.ask("version")) == ("0", "1")
            assert theatre.served.stop() == 0
            assert code_of(client.hear()) == 1012


@pytest.mark.stress
def test_no_proxy_finds_the_line_idle(project: Project, runner: Runner, tmp_path: Path, sockets: Path) -> None:
    """For more than a minute nobody says anything, through a proxy that hangs up after 28 s of that."""
    http = sockets / "http"
    theatre = Theatre(project, runner, tmp_path, "live:app", "--http", f"unix:{http}", "--socket-mode", "666")
    site = nginx.Site(websockets=http, timeout="28s")
    with nginx.nginx(http, site) as server, connect(f"ws://localhost:{server.address[1]}/") as client:
        with pytest.raises(TimeoutError):
            client.recv(75)
        client.send("still here")
        assert client.recv(10) == "still here"
    assert "no sign of life" not in theatre.served.output


@pytest.mark.parametrize("server", [nginx, apache])
def test_the_readme_says_what_is_tested(server: object) -> None:
    """Each line of it, but for the place of the socket."""
    readme = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")
    snippet: str = server.WEBSOCKETS.format(socket="/run/shop/http.sock")  # type: ignore[attr-defined]
    for line in snippet.strip().splitlines():
        assert line.strip() in readme


# ---- edits and ends -----------------------------------------------------------------------------------------------


def test_an_edit_closes_no_socket(theatre: Theatre) -> None:
    """It goes on with the code that opened it, also when the grace is long over; new ones get the new code."""
    with theatre.open() as older:
        theatre.edit(1)
        until("it is listed", lambda: theatre.finishing() == {1: (1, 1)}, live=theatre.served)
        with theatre.open() as newer:
            listed = report(theatre.served)["finishing"][0]["since"]
            until(
                "the grace is over", lambda: report(theatre.served)["uptime"] - listed > GRACE + 1, live=theatre.served
            )
            assert (older.ask("version"), newer.ask("version")) == ("0", "1")
        older.send(close(1000))
        assert older.goodbye() == 1000
    until("nobody finishes anything", lambda: theatre.finishing() == {}, live=theatre.served)
    theatre.check_nobody_was_killed()


def test_of_too_many_generations_the_oldest_is_told_to_come_back(theatre: Theatre) -> None:
    """Only that one, with 1012; four others go on, and nobody has to be killed."""
    with ExitStack() as opened:
        clients = []
        for number in range(5):
            clients.append(opened.enter_context(theatre.open()))
            theatre.edit(number + 1)
        assert clients[0].goodbye() == 1012
        until("four are listed", lambda: [*theatre.finishing().values()] == [(1, 1)] * 4, live=theatre.served)
        assert 1 not in theatre.finishing()
        assert [client.ask("version") for client in clients[1:]] == ["1", "2", "3", "4"]
    theatre.check_nobody_was_killed()


def test_a_stop_tells_all_to_come_back(theatre: Theatre) -> None:
    """Those of older generations, too, before the grace is over; who answers is not waited for any longer."""
    with theatre.open() as older:
        theatre.edit(1)
        with theatre.open() as newer, theatre.open() as silent:
            theatre.served.signal(15)
            assert (older.goodbye(), newer.goodbye()) == (1012, 1012)
            assert code_of(silent.hear()) == 1012
        assert theatre.served.wait() == 0
    assert "is killed" not in theatre.served.output


@pytest.mark.parametrize("mode", ["redirect", "hold"])
def test_a_request_for_one_that_meets_newer_code_is_handed_over(
    project: Project, runner: Runner, tmp_path: Path, mode: str
) -> None:
    """In either mode, since it follows no redirect: the newer code accepts it."""
    theatre = Theatre(project, runner, tmp_path, "live:app", "--reload", "request", "--on-change", mode)
    with theatre.open() as older:
        assert older.ask("version") == "0"
        edit(theatre.place / "module.py", "VALUE = 1\n")
        with theatre.open() as newer:
            assert (older.ask("version"), newer.ask("version")) == ("0", "1")
